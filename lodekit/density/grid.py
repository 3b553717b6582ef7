"""Regular grids of points."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ase import Atoms

#: Points of a grid along each axis of a tile.
TILE = 10


@dataclass(frozen=True)
class Grid:
    """Points origin + i a + j b + k c.

    Attributes
    ----------
    origin : ndarray of shape (3,)
        In Å.
    steps : ndarray of shape (3, 3)
        Steps a, b and c as rows, in Å.
    shape : tuple of three int
        Numbers of points.
    """

    origin: np.ndarray
    steps: np.ndarray
    shape: tuple[int, int, int]

    @classmethod
    def of_cell(cls, cell: np.ndarray, spacing: float) -> Grid:
        """Return the grid of a periodic cell with at most ``spacing`` (Å)."""
        check_spacing(spacing)
        cell = np.asarray(cell, dtype=float)
        sizes = np.ceil(np.linalg.norm(cell, axis=1) / spacing - 1e-9).astype(int)
        sizes = np.maximum(sizes, 1)
        return cls(np.zeros(3), cell / sizes[:, None], tuple(map(int, sizes)))

    @classmethod
    def around(cls, positions: np.ndarray, spacing: float, margin: float = 4.0) -> Grid:
        """Return the grid of a box that ends ``margin`` (Å) from positions."""
        check_spacing(spacing)
        low = positions.min(axis=0) - margin
        extent = np.ptp(positions, axis=0) + 2.0 * margin
        sizes = np.ceil(extent / spacing).astype(int) + 1
        return cls(low, spacing * np.eye(3), tuple(map(int, sizes)))

    @classmethod
    def of(cls, atoms: Atoms, spacing: float, margin: float = 4.0) -> Grid:
        """Return the grid of the cell of periodic atoms, or a box around others."""
        if not atoms.pbc.any():
            return cls.around(atoms.positions, spacing, margin)
        cell = atoms.cell.array.copy()
        grid = cls.of_cell(cell, spacing)
        if atoms.pbc.all():
            return grid
        return grid.beyond_open_directions(atoms, spacing, margin)

    def beyond_open_directions(
        self, atoms: Atoms, spacing: float, margin: float
    ) -> Grid:
        """Return the grid with open directions replaced by a box around the atoms."""
        steps, shape, origin = self.steps.copy(), list(self.shape), self.origin
        for axis in np.flatnonzero(~atoms.pbc):
            others = [steps[k] for k in range(3) if k != axis]
            normal = np.cross(*others)
            normal /= np.linalg.norm(normal)
            heights = atoms.positions @ normal
            origin = origin + (heights.min() - margin) * normal
            steps[axis] = spacing * normal
            shape[axis] = int(np.ceil((np.ptp(heights) + 2.0 * margin) / spacing)) + 1
        return Grid(origin, steps, tuple(shape))

    @property
    def size(self) -> int:
        """Number of points."""
        return int(np.prod(self.shape))

    @property
    def volume(self) -> float:
        """Volume of one step in Å^3."""
        return float(abs(np.linalg.det(self.steps)))

    @property
    def cell(self) -> np.ndarray:
        """Cell that the grid fills if it is periodic, vectors as rows in Å."""
        return self.steps * np.array(self.shape)[:, None]

    def points(self, tile: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """Return the points of the grid or of a tile, (n_points, 3), k fastest."""
        tile = tile or tuple(map(slice, self.shape))
        ranges = [
            np.arange(size)[part] for size, part in zip(self.shape, tile, strict=True)
        ]
        index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
        return self.origin + index @ self.steps

    def corners(self) -> np.ndarray:
        """Return the outermost points, (8, 3)."""
        ends = np.meshgrid(*((0, size - 1) for size in self.shape))
        return self.origin + np.reshape(ends, (3, -1)).T @ self.steps

    def tiles(self) -> Iterator[tuple[slice, slice, slice]]:
        """Yield small blocks that cover the grid."""
        starts = [range(0, size, TILE) for size in self.shape]
        for i in starts[0]:
            for j in starts[1]:
                for k in starts[2]:
                    yield tuple(slice(s, s + TILE) for s in (i, j, k))


def check_spacing(spacing: float) -> None:
    """Refuse a spacing that is not positive."""
    if not spacing > 0:
        raise ValueError(f"the spacing of a grid must be positive, got {spacing} Å")
