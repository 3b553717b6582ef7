"""Spherical expansions of the potential of all atoms (LODE), at every boundary."""
