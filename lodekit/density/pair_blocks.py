"""Matrices between functions as blocks of pairs of sites."""

from __future__ import annotations

from collections.abc import Iterator
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
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.left.size, self.right.size

    def groups(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield blocks of one size together, mirrored ones of symmetric matrices too.

        Yields
        ------
        rows : ndarray of shape (n_blocks, n_rows)
            Places of the functions of left sites.
        columns : ndarray of shape (n_blocks, n_columns)
            Places of the functions of right sites.
        blocks : ndarray of shape (n_blocks, n_rows, n_columns)
        """
        left, right = self.left, self.right
        kinds = left.kinds[self.first] * len(right.table.sizes)
        kinds += right.kinds[self.second]
        for kind in np.unique(kinds):
            group = np.flatnonzero(kinds == kind)
            first, second = self.first[group], self.second[group]
            n_rows = left.table.sizes[left.kinds[first[0]]]
            n_columns = right.table.sizes[right.kinds[second[0]]]
            rows = left.first_function[first][:, None] + np.arange(n_rows)
            columns = right.first_function[second][:, None] + np.arange(n_columns)
            places = self.first_value[group][:, None] + np.arange(n_rows * n_columns)
            blocks = self.values[places].reshape(len(group), n_rows, n_columns)
            yield rows, columns, blocks
            if left is right:
                other = first < second
                yield columns[other], rows[other], blocks[other].transpose(0, 2, 1)

    def dense(self) -> np.ndarray:
        """Return the whole matrix (n_rows, n_columns)."""
        matrix = np.zeros(self.shape)
        for rows, columns, blocks in self.groups():
            matrix[rows[:, :, None], columns[:, None, :]] = blocks
        return matrix

    def sparse(self) -> sparse.csr_array:
        """Return the matrix without the blocks of distant pairs."""
        parts = [
            (*np.broadcast_arrays(rows[:, :, None], columns[:, None, :]), blocks)
            for rows, columns, blocks in self.groups()
        ]
        row, column, value = (
            np.concatenate([np.ravel(part) for part in side])
            for side in zip(*parts, strict=True)
        )
        return sparse.csr_array((value, (row, column)), shape=self.shape)

    def __matmul__(self, vectors: np.ndarray) -> np.ndarray:
        """Return the product with vectors (n_columns, n)."""
        product = np.zeros((self.shape[0], vectors.shape[1]))
        for rows, columns, blocks in self.groups():
            np.add.at(product, rows, blocks @ vectors[columns])
        return product
