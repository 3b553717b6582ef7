"""scikit-learn estimators, one file per family."""

from .sparse_potential import SparsePotential

__all__ = ["SparsePotential"]
