"""The far part by direct sums over k-vectors, as matrix products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import blas

from lodekit.numerics.k_vectors import KVectors

from .boundary import FarKernel

#: Numbers of phases (two for an atom and a k-vector) kept, and made at a time.
KEPT_PHASES, BLOCK_SIZE = 2**24, 2**21


class FarSum:
    """Far part of the interaction of n atoms with each other, self-terms included.

    Parameters
    ----------
    kernel : FarKernel
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    """

    def __init__(self, kernel: FarKernel, positions: np.ndarray):
        self.kernel = kernel
        self.positions = positions
        self.k = KVectors.within(kernel.cell, kernel.split.k_cutoff)
        self.fractional = np.ascontiguousarray(positions @ np.linalg.inv(kernel.cell))
        weights, slopes = kernel.weights(self.k.vectors)
        # k and -k are one
        self.weights, self.slopes = 2.0 * weights, 2.0 * slopes
        self._blocks: list | None = None

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield ranges of k-vectors and their phases (n_atoms, 2 * n_k)."""
        if self._blocks is None and 2 * len(self.positions) * self.k.size < KEPT_PHASES:
            self._blocks = list(self._make_blocks())
        return iter(self._blocks) if self._blocks is not None else self._make_blocks()

    def _make_blocks(self):
        size = max(BLOCK_SIZE // (2 * max(len(self.positions), 1)), 64)
        for rows in self.k.blocks(size):
            yield self.k.columns(rows), self.k.phases(self.fractional, rows)

    def add_matrix(self, matrix: np.ndarray) -> None:
        """Add the interactions to the lower triangle of (n_atoms, n_atoms)."""
        for columns, phases in self.blocks():
            scaled = phases * np.tile(np.sqrt(self.weights[columns]), 2)
            # the transpose is Fortran-ordered, as BLAS wants it: no copy
            blas.dsyrk(
                1.0, scaled.T, beta=1.0, c=matrix.T, trans=1, lower=0, overwrite_c=1
            )
        matrix += self.kernel.uniform

    def potential(self, charges: np.ndarray) -> np.ndarray:
        """Return the potential at the atoms; (n_atoms, n_columns) both."""
        potential = np.zeros_like(charges)
        for columns, phases in self.blocks():
            weights = np.tile(self.weights[columns], 2)
            potential += phases @ (weights[:, None] * (phases.T @ charges))
        return potential + self.kernel.uniform * charges.sum(axis=0)

    def gradients(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the potential of ``right`` and the gradients of left.V right.

        Parameters
        ----------
        left, right : ndarray of shape (n_atoms,)

        Returns
        -------
        potential : ndarray of shape (n_atoms,)
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (3, 3)
        """
        potential = np.full(len(right), self.kernel.uniform * right.sum())
        gradients = np.zeros((len(right), 3))
        waves = np.zeros((3, 3))
        same = left is right
        for columns, phases in self.blocks():
            k, n_k = self.k.vectors[columns], columns.stop - columns.start
            weights = np.tile(self.weights[columns], 2)
            factors = [phases.T @ charges for charges in (left, right)[same:]]
            fields = [self.along(k, weights * factor) for factor in factors]
            columns_of = np.concatenate(
                [(weights * factors[-1])[:, None], *fields], axis=1
            )
            values = phases @ columns_of
            potential += values[:, 0]
            gradients += left[:, None] * values[:, -3:]
            gradients += right[:, None] * values[:, 1:4]
            product = factors[0] * factors[-1]
            product = (product[:n_k] + product[n_k:]) * self.slopes[columns]
            waves -= (product[:, None] * k).T @ k
        strain = self.kernel.full_strain(
            waves, left @ potential, self.positions, gradients, np.zeros((3, 3))
        )
        return potential, gradients, strain

    @staticmethod
    def along(k: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Return the coefficients of the phases in the gradient, (2 * n_k, 3)."""
        n_k = len(k)
        return np.concatenate([factors[n_k:, None] * k, -factors[:n_k, None] * k])
