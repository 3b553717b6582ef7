"""The far part of the Coulomb interaction of functions: sums over k-vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import blas

from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.electrostatics.boundary import Boundary, FarKernel
from lodekit.numerics.k_vectors import KVectors

from .coupling import harmonics_of
from .moments import charges_of
from .sites import Sites

#: Numbers of structure factors made at a time.
BLOCK_SIZE = 2**22
#: Spreads (Å^2) to choose from, and costs in ns of an integral of two functions in the
#: near part, and of a k-vector for two functions; they decide speed alone.
SPREADS = 0.05 * 1.25 ** np.arange(30)
NEAR_COST, FAR_COST = 90.0, 0.25


@dataclass(frozen=True)
class GaussianSplit:
    """The Coulomb interaction of charges that are smeared to exp(-spread k^2).

    Attributes
    ----------
    spread : float
        In Å^2.
    cutoff : float
        Distance in Å beyond which smeared functions are as good as points.
    k_cutoff : float
        Where sums over k-vectors end, in 1/Å.
    """

    spread: float
    cutoff: float
    k_cutoff: float

    @property
    def far_at_k_zero(self) -> float:
        """The limit of the transform minus 4 pi / k^2 at k = 0."""
        return -4.0 * math.pi * self.spread

    def transform(self, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the transform at lengths of k-vectors, and its derivative."""
        value = 4.0 * math.pi / k**2 * np.exp(-self.spread * k**2)
        return value, -2.0 * value * (1.0 / k + self.spread * k)


def choose_spread(
    boundary: Boundary, thickness: float, spread: float, longest: float
) -> float:
    """Return the spread (Å^2) of the far part that takes least time.

    Parameters
    ----------
    boundary : Boundary
        With 2 or 3 periodic directions.
    thickness : float
        Extent in Å of a slab along its normal.
    spread : float
        What products of functions have themselves, in Å^2.
    longest : float
        As in `two_center.largest_argument`.
    """
    reach = 2.0 * np.sqrt(longest * (SPREADS + spread))
    dense = far = boundary.measure
    if boundary.n_periodic == 2:
        dense = boundary.measure * (thickness + 2.0)
        far = boundary.measure * 2.0 * (thickness + reach)
    near = 4.0 / 3.0 * np.pi * reach**3 / dense
    n_k = far * (longest / SPREADS) ** 1.5 / (12.0 * np.pi**2)
    return float(SPREADS[np.argmin(NEAR_COST * near + FAR_COST * n_k)])


class FarPart:
    """Interactions of smeared functions by their transforms.

    Parameters
    ----------
    boundary : Boundary
        With 2 or 3 periodic directions.
    split : GaussianSplit
    thickness : float
        Extent in Å of all sites along the normal of a slab.
    """

    def __init__(self, boundary: Boundary, split: GaussianSplit, thickness: float):
        kernel = FarKernel(boundary, split, thickness)
        self.k_vectors = KVectors.within(kernel.cell, split.k_cutoff).vectors
        self.weights = 2.0 * kernel.weights(self.k_vectors)[0]  # k and -k are one
        self.uniform = kernel.uniform

    def factors(self, sites: Sites) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield ranges of k-vectors and real and imaginary transforms of functions.

        Yields
        ------
        columns : slice
            Range of k-vectors.
        factors : ndarray of shape (2 n_k, n_functions)
            Real parts, then imaginary ones.
        """
        step = max(BLOCK_SIZE // (2 * max(sites.size, 1)), 16)
        for start in range(0, len(self.k_vectors), step):
            columns = slice(start, start + step)
            yield columns, transforms(sites, self.k_vectors[columns])

    @cached_property
    def doubled(self) -> np.ndarray:
        """Weights of real and imaginary parts, (2, n_k)."""
        return np.stack([self.weights, self.weights])

    def add_matrix(self, matrix: np.ndarray, left: Sites, right: Sites) -> None:
        """Add the interactions to (n_left, n_right), C-ordered.

        Where both sides are one object, half the work is done, by the routine of BLAS
        for symmetric products; the matrix must be symmetric before.
        """
        for columns, factors in self.factors(left):
            weights = self.doubled[:, columns].reshape(-1, 1)
            if left is right:  # weights are never negative
                add_square(np.sqrt(weights) * factors, matrix)
            else:
                others = transforms(right, self.k_vectors[columns])
                matrix += (weights * factors).T @ others
        if left is right:
            for row in range(len(matrix)):
                matrix[row, row + 1 :] = matrix[row + 1 :, row]
        matrix += self.uniform * np.outer(charges_of(left), charges_of(right))

    def density(self, sites: Sites, coefficients: np.ndarray) -> np.ndarray:
        """Return the transforms of sums of functions, (2, n_k, n)."""
        parts = [
            (factors @ coefficients).reshape(2, -1, coefficients.shape[1])
            for _, factors in self.factors(sites)
        ]
        return np.concatenate(parts, axis=1)

    def interact(self, sites: Sites, density: np.ndarray, charge) -> np.ndarray:
        """Return the interaction of functions with sums of functions.

        Parameters
        ----------
        sites : Sites
            The functions.
        density : ndarray of shape (2, n_k, n)
            From `density`.
        charge : ndarray of shape (n,)
            Integrals of the sums.
        """
        result = self.uniform * np.outer(charges_of(sites), charge)
        weighted = self.doubled[:, :, None] * density
        for columns, factors in self.factors(sites):
            result += factors.T @ weighted[:, columns].reshape(factors.shape[0], -1)
        return result


def transforms(sites: Sites, k_vectors: np.ndarray) -> np.ndarray:
    """Return real, then imaginary transforms of functions, (2 n_k, n_functions)."""
    squares = np.einsum("kd,kd->k", k_vectors, k_vectors)
    harmonics = harmonics_of(k_vectors, harmonic_prefactors(sites.table.largest_l))

    def at_origin(l, spreads, amplitudes):
        radial = (-1j) ** l * (amplitudes @ np.exp(-np.outer(spreads, squares)))
        return radial * harmonics[:, l * l : (l + 1) ** 2].T

    phases = np.exp(-1j * (sites.positions @ k_vectors.T))
    values = sites.per_function(at_origin) * phases[sites.site_of_function]
    return np.concatenate([values.real.T, values.imag.T])


def add_square(factors: np.ndarray, matrix: np.ndarray) -> None:
    """Add factors.T @ factors to the lower triangle of a C-ordered matrix."""
    # the transpose is Fortran-ordered, as BLAS wants it: no copy
    blas.dsyrk(1.0, factors.T, beta=1.0, c=matrix.T, trans=0, lower=0, overwrite_c=1)
