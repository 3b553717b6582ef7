"""Surroundings of atoms to features: SOAP densities, LODE potentials, their products."""
