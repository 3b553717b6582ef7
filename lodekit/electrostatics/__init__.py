"""Coulomb sums in 0, 2 and 3 periodic dimensions, in eV, Å and e."""

from .charge_constraints import fragment_constraints
from .coulomb import CoulombInteraction
from .equilibration import ChargeEquilibration, EquilibratedCharges
from .induced_dipoles import InducedDipoles, PolarizationCatastrophe
from .interaction_matrix import ElectrostaticResult
from .multipole_matrix import MultipoleMatrix
from .multipoles import Fields, MultipoleInteraction, MultipoleResult
from .power_law import PowerLawInteraction
from .split_charges import SplitChargeEquilibration

__all__ = [
    "ChargeEquilibration",
    "CoulombInteraction",
    "ElectrostaticResult",
    "EquilibratedCharges",
    "Fields",
    "InducedDipoles",
    "MultipoleInteraction",
    "MultipoleMatrix",
    "MultipoleResult",
    "PolarizationCatastrophe",
    "PowerLawInteraction",
    "SplitChargeEquilibration",
    "fragment_constraints",
]
