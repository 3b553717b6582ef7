"""What descriptors and electrostatics share: quadrature, k-vectors and meshes."""
