"""Atoms sorted by the cells of a grid, to find near pairs on the fly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .boundary import Boundary


@dataclass(frozen=True)
class CellGrid:
    """A periodic cell cut in at least 3 x 3 x 3 grid cells wider than a range.

    Attributes
    ----------
    cell : ndarray of shape (3, 3)
        Cell vectors in Å as rows.
    n_cells : tuple of int
        Number of grid cells along the cell vectors.
    order : ndarray of shape (n_atoms,)
        Atoms sorted by grid cell.
    positions : ndarray of shape (n_atoms, 3)
        Positions in this order, in Å, within the cell.
    first_atom : ndarray of shape (n_grid + 1,)
        Atoms of grid cell i are ``first_atom[i]:first_atom[i + 1]``.
    """

    cell: np.ndarray
    n_cells: tuple[int, int, int]
    order: np.ndarray
    positions: np.ndarray
    first_atom: np.ndarray

    @classmethod
    def of(
        cls, boundary: Boundary, positions: np.ndarray, longest: float
    ) -> CellGrid | None:
        """Return the grid for pairs up to ``longest`` Å, or None in small cells."""
        if boundary.n_periodic != 3:
            return None
        inverse = np.linalg.inv(boundary.cell)
        heights = 1.0 / np.linalg.norm(inverse, axis=0)
        n_cells = (heights / longest).astype(int)
        # empty grid cells take time, too
        n_cells = np.minimum(n_cells, int(np.ceil(len(positions) ** (1.0 / 3.0))))
        if n_cells.min() < 3:
            return None
        fractional = positions @ inverse
        fractional -= np.floor(fractional)
        # 1 - 1e-17 is 1
        places = np.minimum((fractional * n_cells).astype(np.intp), n_cells - 1)
        numbers = np.ravel_multi_index(tuple(places.T), n_cells)
        order = np.argsort(numbers, kind="stable")
        first_atom = np.zeros(n_cells.prod() + 1, dtype=np.intp)
        np.cumsum(np.bincount(numbers, minlength=n_cells.prod()), out=first_atom[1:])
        return cls(
            cell=boundary.cell,
            n_cells=tuple(n_cells.tolist()),
            order=order,
            positions=fractional[order] @ boundary.cell,
            first_atom=first_atom,
        )
