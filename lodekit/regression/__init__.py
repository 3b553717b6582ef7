"""Features to latents: covariances, sparse points, rows, solvers, uncertainty."""

from .covariances import PolynomialCovariance
from .equivariant_covariance import EquivariantCovariance
from .selection import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
)

__all__ = [
    "CurSelection",
    "EquivariantCovariance",
    "FarthestPointSelection",
    "PivotedCholeskySelection",
    "PolynomialCovariance",
]
