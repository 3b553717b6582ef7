"""Expansions that are sums over neighbour pairs, and their derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.kernels.pair_expansion import (
    contract_pairs,
    differentiate_pairs,
    expand_pairs,
    reverse_pairs,
)
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import NeighborPairs

from .expansion import CoefficientJacobian
from .radial import RadialTable

#: Largest number of pairs whose derivatives are held at a time.
BLOCK_SIZE = 2**13


@dataclass
class PairExpansion:
    """An expansion that is a sum over pairs; see `Expansion`.

    Attributes
    ----------
    batch : StructureBatch
        Structures that the pairs belong to.
    pairs : NeighborPairs
        All of them, or the pairs of consecutive centres: ``first_pair`` then counts
        from the first of these.
    channels : ndarray of shape (n_pairs,)
        Channel of the neighbour's species.
    factors : ndarray of shape (n_pairs, 2)
        Factor of g_nl for every pair, and its derivative.
    table : RadialTable
        Radial functions g_nl.
    prefactors : ndarray of shape (n_l, n_l)
        Norms of the spherical harmonics.
    values : ndarray of shape (n_centers, n_lm, n_channels, n_radial)
        Coefficients of the centres, to which `add_neighbors` adds.
    charges : ndarray of shape (n_pairs,), optional
        Charge of the neighbour, 1 where None.
    """

    batch: StructureBatch
    pairs: NeighborPairs
    channels: np.ndarray
    factors: np.ndarray
    table: RadialTable
    prefactors: np.ndarray
    values: np.ndarray
    charges: np.ndarray | None = None

    #: Channels are those of species.
    has_charges = False

    @cached_property
    def charged_factors(self) -> np.ndarray:
        """Factors times charges, (n_pairs, 2)."""
        if self.charges is None:
            return self.factors
        return self.factors * self.charges[:, None]

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients of shape (n_centers, n_lm, n_channels * n_radial)."""
        return self.values.reshape(*self.values.shape[:2], -1)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.values.shape[2]

    @property
    def has_neighbor(self) -> np.ndarray:
        """Whether a centre has neighbours in a channel, (n_centers, n_channels)."""
        has = np.zeros((self.values.shape[0], self.values.shape[2]), dtype=bool)
        local = np.repeat(np.arange(len(has)), np.diff(self.pairs.first_pair))
        has[local, self.channels] = True
        return has

    @property
    def radial_arguments(self) -> tuple:
        """Table, spacing and prefactors from which the loops evaluate g_nl Y_lm."""
        return self.table.values, self.table.spacing, self.prefactors

    def add_neighbors(self) -> None:
        """Add all neighbours to the coefficients."""
        pairs = self.pairs
        expand_pairs(
            pairs.vectors,
            self.channels,
            self.charged_factors,
            pairs.first_pair,
            *self.radial_arguments,
            self.values,
        )

    def reverse(
        self, adjoint: np.ndarray, by_charges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into position and strain gradients.

        Derivatives with respect to charges are added to ``by_charges``, (n_atoms,).
        """
        pairs = self.pairs
        adjoint = np.ascontiguousarray(adjoint).reshape(self.values.shape)
        pair_gradients = np.empty_like(pairs.vectors)
        reverse_pairs(
            adjoint,
            pairs.vectors,
            self.channels,
            self.charged_factors,
            pairs.first_pair,
            *self.radial_arguments,
            pair_gradients,
        )
        if by_charges is not None:
            pair_values = np.empty(pairs.n_pairs)
            contract_pairs(
                adjoint,
                pairs.vectors,
                self.channels,
                self.factors,
                pairs.first_pair,
                *self.radial_arguments,
                pair_values,
            )
            by_charges += np.bincount(
                pairs.neighbors, pair_values, minlength=by_charges.size
            )
        return gather_pair_gradients(self.batch, pairs, pair_gradients)

    def jacobian(self) -> CoefficientJacobian:
        """Return the derivatives with respect to positions, one entry a pair."""
        derivatives = self.pair_derivatives(slice(0, self.pairs.n_pairs))
        return CoefficientJacobian(
            self.pairs.centers, self.pairs.neighbors, self.channels, derivatives
        )

    def pair_derivatives(self, block: slice) -> np.ndarray:
        """Return d(f g_nl Y_lm)/d(vector) of some pairs, (n, 3, n_lm, n_radial)."""
        n_lm, n_radial = self.values.shape[1], self.values.shape[3]
        vectors = self.pairs.vectors[block]
        derivatives = np.empty((len(vectors), 3, n_lm, n_radial))
        arguments = (self.charged_factors[block], *self.radial_arguments)
        differentiate_pairs(vectors, *arguments, derivatives)
        return derivatives

    def blocks(self) -> Iterator[slice]:
        """Yield slices of pairs that hold all pairs of some consecutive centres."""
        first = self.pairs.first_pair
        start = 0
        while start < self.pairs.n_pairs:
            fitting = int(np.searchsorted(first, start + BLOCK_SIZE, side="right")) - 1
            stop = max(first[fitting], first[np.searchsorted(first, start, "right")])
            yield slice(start, stop)
            start = stop

    def strain_jacobian(self) -> np.ndarray:
        """Return derivatives with respect to strain, (n_centers, 3, 3, n_lm, n_q)."""
        n_centers, n_lm, n_channels, n_radial = self.values.shape
        jacobian = np.zeros((n_centers, 9, n_lm, n_channels, n_radial))
        local = np.repeat(np.arange(n_centers), np.diff(self.pairs.first_pair))
        for block in self.blocks():
            products = self.pairs.vectors[block][:, :, None, None, None]
            products = products * self.pair_derivatives(block)[:, None]
            products = products.reshape(len(products), 9, n_lm, n_radial)
            keys = local[block] * n_channels + self.channels[block]
            rows, sums = sum_by_key(keys, products)
            jacobian[rows // n_channels, :, :, rows % n_channels] += sums
        return jacobian.reshape(n_centers, 3, 3, n_lm, -1)


def sum_by_key(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct keys in ascending order and the sums of their values."""
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    if distinct.size == 0:
        return distinct, values
    return distinct, np.add.reduceat(values[order], starts, axis=0)


def gather_pair_gradients(
    batch: StructureBatch, pairs: NeighborPairs, pair_gradients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sum gradients of pair vectors into gradients of positions and strain."""
    positions = np.empty((batch.n_atoms, 3))
    for a in range(3):
        gradient = np.ascontiguousarray(pair_gradients[:, a])
        positions[:, a] = np.bincount(
            pairs.neighbors, gradient, minlength=batch.n_atoms
        ) - np.bincount(pairs.centers, gradient, minlength=batch.n_atoms)
    bounds = np.searchsorted(pairs.centers, batch.first_atom)
    parts = [slice(*bounds[index : index + 2]) for index in range(batch.n_structures)]
    strain = [pairs.vectors[part].T @ pair_gradients[part] for part in parts]
    return positions, np.array(strain).reshape(-1, 3, 3)
