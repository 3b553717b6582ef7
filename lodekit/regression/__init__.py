"""Features to latents: covariances, sparse points, rows, solvers, uncertainty."""

from .covariances import PolynomialCovariance
from .selection import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
)

__all__ = [
    "CurSelection",
    "FarthestPointSelection",
    "PivotedCholeskySelection",
    "PolynomialCovariance",
]
