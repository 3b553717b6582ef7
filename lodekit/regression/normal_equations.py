"""Streamed ridge regression in feature-map space: weights with a unit Gaussian prior.

The rows Phi are already whitened (K_MM is the identity there), so that the normal
equations lose no digits to an ill-conditioned K_MM: with noise s_t of target t,

    (1 + sum_t Phi_t^T Phi_t / s_t^2) w = sum_t Phi_t^T y_t / s_t^2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg
from scipy.linalg import blas


@dataclass
class Gram:
    """Running sums of one target: Phi^T Phi, Phi^T y and y^T y.

    Attributes
    ----------
    matrix : ndarray of shape (rank, rank)
        Lower triangle, Fortran order.
    moment : ndarray of shape (rank,)
    square : float
    n_rows : int
    """

    rank: int
    matrix: np.ndarray = field(init=False)
    moment: np.ndarray = field(init=False)
    square: float = 0.0
    n_rows: int = 0

    def __post_init__(self):
        self.matrix = np.zeros((self.rank, self.rank), order="F")
        self.moment = np.zeros(self.rank)

    def add(self, rows: np.ndarray, values: np.ndarray, weights=None) -> None:
        """Fold in rows (n_rows, rank), targets (n_rows,) and optional weights (n_rows,)."""
        if len(values) == 0:
            return
        if weights is not None:
            root = np.sqrt(weights)
            rows, values = rows * root[:, None], values * root
        rows = np.ascontiguousarray(rows)
        blas.dsyrk(1.0, rows.T, 1.0, self.matrix, lower=1, overwrite_c=1)
        self.moment += rows.T @ values
        self.square += float(values @ values)
        self.n_rows += len(values)
