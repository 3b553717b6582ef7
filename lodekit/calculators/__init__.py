"""Models as calculators of other programs."""

from .ase_calculator import LodekitCalculator

__all__ = ["LodekitCalculator"]
