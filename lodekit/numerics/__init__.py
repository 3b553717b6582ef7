"""Quadrature, k-vectors and meshes, shared by descriptors and electrostatics."""
