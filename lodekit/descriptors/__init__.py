"""Surroundings of atoms to features: SOAP densities, LODE potentials, products."""

from .lode import LodeSphericalExpansion
from .lode_bands import LodeBandExpansion
from .power_spectrum import PowerSpectrum
from .spherical_expansion import SphericalExpansion

__all__ = [
    "LodeBandExpansion",
    "LodeSphericalExpansion",
    "PowerSpectrum",
    "SphericalExpansion",
]
