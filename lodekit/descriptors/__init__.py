"""Surroundings of atoms to features: SOAP densities, LODE potentials, products."""

from .equivariant_power_spectrum import EquivariantPowerSpectrum
from .global_descriptors import CoulombMatrixMoments, CoulombPairs, ManyBodyTensor
from .lode import LodeSphericalExpansion
from .lode_bands import LodeBandExpansion
from .power_spectrum import PowerSpectrum
from .spherical_expansion import SphericalExpansion

__all__ = [
    "CoulombMatrixMoments",
    "CoulombPairs",
    "EquivariantPowerSpectrum",
    "LodeBandExpansion",
    "LodeSphericalExpansion",
    "ManyBodyTensor",
    "PowerSpectrum",
    "SphericalExpansion",
]
