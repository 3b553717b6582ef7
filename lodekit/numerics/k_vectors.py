"""The half set of k-vectors of a periodic structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lodekit.kernels.lode_far import fill_phases


@dataclass(frozen=True)
class KVectors:
    """One of k and -k for every k-vector shorter than a cutoff, without k = 0.

    They are listed as rows of constant h and k along which l grows by one.

    Attributes
    ----------
    vectors : ndarray of shape (n_k, 3)
        k-vectors in 1/Å.
    rows : ndarray of shape (n_rows, 3)
        h, k and the first l of every row.
    first_column : ndarray of shape (n_rows + 1,)
        k-vectors of row i are ``first_column[i]:first_column[i + 1]``.
    """

    vectors: np.ndarray
    rows: np.ndarray
    first_column: np.ndarray

    @classmethod
    def within(cls, cell: np.ndarray, cutoff: float) -> KVectors:
        """Return the k-vectors of a cell (rows in Å) shorter than ``cutoff`` (1/Å)."""
        largest = cutoff * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)
        h, k, l = (np.arange(-int(size), int(size) + 1) for size in largest)
        grid = np.stack(np.meshgrid(h[h >= 0], k, l, indexing="ij"), axis=-1)
        indices = grid.reshape(-1, 3)
        # of every pair k, -k the one whose first non-zero index is positive
        first = np.where(indices[:, 1] != 0, indices[:, 1], indices[:, 2])
        first = np.where(indices[:, 0] != 0, indices[:, 0], first)
        indices = indices[first > 0]
        vectors = indices @ (2.0 * np.pi * np.linalg.inv(cell).T)
        inside = np.einsum("kd,kd->k", vectors, vectors) < cutoff**2
        indices, vectors = indices[inside], vectors[inside]
        starts = np.ones(len(indices), dtype=bool)
        starts[1:] = (indices[1:, :2] != indices[:-1, :2]).any(axis=1)
        rows = np.flatnonzero(starts)
        return cls(
            vectors=vectors,
            rows=np.ascontiguousarray(indices[rows], dtype=np.intp),
            first_column=np.append(rows, len(indices)).astype(np.intp),
        )

    @property
    def size(self) -> int:
        """Number of k-vectors."""
        return len(self.vectors)

    def blocks(self, largest: int) -> Iterator[slice]:
        """Yield slices of whole rows with about ``largest`` k-vectors each."""
        start = 0
        while start < len(self.rows):
            wanted = self.first_column[start] + largest
            stop = int(np.searchsorted(self.first_column, wanted, side="right")) - 1
            stop = max(stop, start + 1)
            yield slice(start, stop)
            start = stop

    def columns(self, rows: slice) -> slice:
        """Return the k-vectors of a slice of rows."""
        return slice(self.first_column[rows.start], self.first_column[rows.stop])

    def phases(self, fractional: np.ndarray, rows: slice) -> np.ndarray:
        """Return cos(k.R), then sin(k.R), of atoms: (n_atoms, 2 * n_k) for some rows.

        ``fractional`` are positions in units of the cell vectors, (n_atoms, 3).
        """
        first = (
            self.first_column[rows.start : rows.stop + 1]
            - self.first_column[rows.start]
        )
        phases = np.empty((len(fractional), 2 * first[-1]))
        fill_phases(fractional, self.rows[rows], first, phases)
        return phases
