"""Coulomb sums in 0, 2 and 3 periodic dimensions, in eV, Å and e."""

from .interaction import CoulombInteraction, ElectrostaticResult

__all__ = ["CoulombInteraction", "ElectrostaticResult"]
