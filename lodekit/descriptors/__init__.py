"""Surroundings of atoms to features: SOAP densities, LODE potentials, products."""

from .lode import LodeSphericalExpansion
from .power_spectrum import PowerSpectrum
from .spherical_expansion import SphericalExpansion

__all__ = ["LodeSphericalExpansion", "PowerSpectrum", "SphericalExpansion"]
