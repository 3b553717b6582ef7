"""Surroundings of atoms to features: SOAP densities, LODE potentials, products."""

from .equivariant_power_spectrum import EquivariantPowerSpectrum
from .global_descriptors import CoulombMatrixMoments, CoulombPairs, ManyBodyTensor
from .lode.bands import LodeBandExpansion
from .lode.spherical_expansion import LodeSphericalExpansion
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
