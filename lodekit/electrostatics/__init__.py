"""Coulomb sums in 0, 2 and 3 periodic dimensions, in eV, Å and e."""

from .coulomb import CoulombInteraction
from .interaction_matrix import ElectrostaticResult
from .multipoles import Fields, MultipoleInteraction, MultipoleResult
from .power_law import PowerLawInteraction

__all__ = [
    "CoulombInteraction",
    "ElectrostaticResult",
    "Fields",
    "MultipoleInteraction",
    "MultipoleResult",
    "PowerLawInteraction",
]
