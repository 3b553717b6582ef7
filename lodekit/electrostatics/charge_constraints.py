"""Linear constraints of charges: total charges, fragments, fixed charges."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

#: Constraints this close to a sum of others, relative to the largest, say the same.
DEPENDENT = 1e-10
#: Difference in e of constraints that say the same and are still not contradictory.
CONTRADICTION = 1e-8


def fragment_constraints(fragments) -> np.ndarray:
    """Return one constraint for the total charge of each fragment.

    Parameters
    ----------
    fragments : array_like of shape (n_atoms,)
        Labels; atoms with the same one belong together.

    Returns
    -------
    constraints : ndarray of shape (n_fragments, n_atoms)
        In the order of the sorted labels.
    """
    labels, owner = np.unique(np.asarray(fragments), return_inverse=True)
    return np.equal.outer(np.arange(len(labels)), owner).astype(float)


class ChargeConstraints:
    """Charges with sum_i c_ai q_i = g_a, and the transfers of charge that keep them.

    The constraints are brought into the form C^T = Q R with an orthogonal Q, of which
    the first columns span the constraints and the others the transfers.

    Parameters
    ----------
    matrix : ndarray of shape (n_constraints, n_atoms)

    Attributes
    ----------
    rank : int
        Number of constraints that do not follow from others.
    """

    def __init__(self, matrix: np.ndarray):
        (self.reflectors, self.factors), triangle, self.order = linalg.qr(
            matrix.T, mode="raw", pivoting=True
        )
        diagonal = abs(np.diag(triangle))
        self.rank = int(np.count_nonzero(diagonal > DEPENDENT * diagonal.max()))
        self.triangle = triangle[: self.rank]
        self.reflectors = np.asfortranarray(self.reflectors[:, : self.rank])
        self.factors = self.factors[: self.rank]

    def rotate(self, columns: np.ndarray, back: bool = False) -> np.ndarray:
        """Return Q^T X, or Q X, of columns X (n_atoms, n)."""
        work = max(1, columns.shape[1]) * 64
        rotated, _, info = lapack.dormqr(
            "L", "N" if back else "T", self.reflectors, self.factors, columns, work
        )
        if info:
            raise ValueError(f"LAPACK's dormqr refused argument {-info}")
        return rotated

    def to_transfers(self, columns: np.ndarray) -> np.ndarray:
        """Return components of (n_atoms, n) columns along transfers, (n_free, n)."""
        return self.rotate(columns)[self.rank :]

    def from_transfers(self, transfers: np.ndarray) -> np.ndarray:
        """Return the charges (n_atoms, n) that transfers (n_free, n) move."""
        nothing = np.zeros((self.rank, transfers.shape[1]))
        return self.rotate(np.vstack([nothing, transfers]), back=True)

    def project(self, columns: np.ndarray) -> np.ndarray:
        """Return columns (n_atoms, n) without what would break a constraint."""
        rotated = self.rotate(columns)
        rotated[: self.rank] = 0.0
        return self.rotate(rotated, back=True)

    def smallest_charges(self, values) -> np.ndarray:
        """Return the least charges in e, (n_atoms,), with the values g in e.

        Raises
        ------
        ValueError
            If there is not one value for each constraint, or they contradict.
        """
        values = np.asarray(values, dtype=float)
        if values.shape != (len(self.order),):
            raise ValueError(
                f"{len(self.order)} constraints, the total charge first, need as many "
                f"values, got {values.size}"
            )
        sorted_values = values[self.order]
        chosen = self.triangle[:, : self.rank]
        lengths = linalg.solve_triangular(chosen, sorted_values[: self.rank], trans="T")
        mismatch = abs(self.triangle.T @ lengths - sorted_values).max()
        if mismatch > CONTRADICTION:
            raise ValueError(
                "the constraints contradict each other and the total charge, by "
                f"{mismatch:.3g} e; the charges of all fragments must sum to the total"
            )
        n_free = len(self.reflectors) - self.rank
        padded = np.concatenate([lengths, np.zeros(n_free)])[:, None]
        return self.rotate(padded, back=True)[:, 0]
