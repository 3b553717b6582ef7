"""The plain sum over all pairs of an open system."""

from __future__ import annotations

import math

import numpy as np

from lodekit.kernels.open_pairs import add_open_gradients, fill_open_rows

#: Rows of the matrix that are made at a time in products.
BLOCK_SIZE = 2**22


class OpenSum:
    """Interaction of n atoms with each other, self-terms included.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    widths : ndarray of shape (n_atoms,)
        Widths of Gaussian charges in Å; 0 for points.

    Raises
    ------
    ValueError
        If two atoms sit on the same point.
    """

    def __init__(self, positions: np.ndarray, widths: np.ndarray, exponent: int = 1):
        self.arguments = (positions, widths**2, exponent)
        self.self_terms = np.zeros(len(positions))
        is_wide = widths > 0
        self.self_terms[is_wide] = 1.0 / (math.sqrt(math.pi) * widths[is_wide])

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return some rows of the matrix."""
        rows = np.empty((stop - start, len(self.self_terms)))
        fill_open_rows(*self.arguments, start, rows)
        atoms = np.arange(start, stop)
        rows[atoms - start, atoms] = self.self_terms[start:stop]
        if not np.isfinite(rows).all():
            first, second = np.argwhere(~np.isfinite(rows))[0]
            raise ValueError(
                f"atoms {first + start + 1} and {second + 1} are on top of each other; "
                "every pair must be apart"
            )
        return rows

    def add_matrix(self, matrix: np.ndarray) -> None:
        """Add the interactions to a symmetric (n_atoms, n_atoms)."""
        matrix += self.rows(0, len(matrix))

    def potential(self, charges: np.ndarray) -> np.ndarray:
        """Return the potential at the atoms; (n_atoms, n_columns) both."""
        step = max(BLOCK_SIZE // max(len(charges), 1), 1)
        blocks = [
            self.rows(start, min(start + step, len(charges))) @ charges
            for start in range(0, len(charges), step)
        ]
        return np.concatenate(blocks) if blocks else np.zeros_like(charges)

    def gradients(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the potential of ``right`` and the gradients of left.V right."""
        potential = self.self_terms * right
        gradients = np.zeros((len(left), 3))
        add_open_gradients(*self.arguments, left, right, potential, gradients)
        return potential, gradients, self.arguments[0].T @ gradients
