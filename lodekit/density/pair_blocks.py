"""Matrices between functions as blocks of pairs of sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from .sites import Sites


@dataclass(frozen=True)
class PairBlocks:
    """A matrix between functions of sites, by pairs of sites.

    Attributes
    ----------
    left, right : Sites
        Whose functions are rows and columns; where both are one object, the matrix is
        symmetric and has a block for first <= second only.
    first, second : ndarray of shape (n_blocks,)
        Left and right site of every block.
    first_value : ndarray of shape (n_blocks + 1,)
        Values of a block are ``values[first_value[b]:first_value[b + 1]]``, row by row.
    values : ndarray
        All blocks.
    """

    left: Sites
    right: Sites
    first: np.ndarray
    second: np.ndarray
    first_value: np.ndarray
    values: np.ndarray

    @property
    def is_symmetric(self) -> bool:
        """Whether rows and columns are the same functions."""
        return self.left is self.right

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.left.size, self.right.size

    def __iter__(self):
        """Yield rows (slice), columns (slice) and values of every block."""
        rows, columns = self.left.first_function, self.right.first_function
        for block, (i, j) in enumerate(zip(self.first, self.second, strict=True)):
            row, column = slice(*rows[i : i + 2]), slice(*columns[j : j + 2])
            part = self.values[slice(*self.first_value[block : block + 2])]
            yield row, column, part.reshape(row.stop - row.start, -1)

    def dense(self) -> np.ndarray:
        """Return the whole matrix (n_rows, n_columns)."""
        matrix = np.zeros(self.shape)
        for rows, columns, block in self:
            matrix[rows, columns] = block
            if self.is_symmetric and rows.start < columns.start:
                matrix[columns, rows] = block.T
        return matrix

    def sparse(self) -> sparse.csr_array:
        """Return the matrix without the blocks of distant pairs."""
        row, column, value = [], [], []
        for rows, columns, block in self:
            i, j = np.mgrid[rows, columns]
            row.append(i.ravel())
            column.append(j.ravel())
            value.append(block.ravel())
            if self.is_symmetric and rows.start < columns.start:
                row.append(j.ravel())
                column.append(i.ravel())
                value.append(block.ravel())
        row, column, value = (np.concatenate(part) for part in (row, column, value))
        return sparse.csr_array((value, (row, column)), shape=self.shape)

    def __matmul__(self, vectors: np.ndarray) -> np.ndarray:
        """Return the product with vectors (n_columns,) or (n_columns, n)."""
        product = np.zeros((self.shape[0], *vectors.shape[1:]))
        for rows, columns, block in self:
            product[rows] += block @ vectors[columns]
            if self.is_symmetric and rows.start < columns.start:
                product[columns] += block.T @ vectors[rows]
        return product
