"""LODE coefficients of open structures: the exact sum over all pairs, no cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lodekit.descriptors.expansion import CoefficientJacobian
from lodekit.descriptors.pair_expansion import PairExpansion
from lodekit.descriptors.radial import RadialTable, tabulate
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import NeighborPairs, check_distances

from .base import add_at_centers, at_centers
from .projections import PotentialProjections

#: Largest number of pairs held at a time.
BLOCK_SIZE = 2**17
#: Relative error to which the integrals over k are known.
ROUNDING = 5e-13


class OpenTable:
    """Radial functions up to any distance: a table that grows with what is asked.

    Near the basis they are tabulated; beyond, where the atom acts as a point on every
    radial function, they are the field far away, tabulated with the same spacing.

    Parameters
    ----------
    projections : PotentialProjections
    tolerance : float
        Relative error of the table.
    """

    def __init__(self, projections: PotentialProjections, tolerance: float):
        self.projections = projections
        scale = projections.scale
        self.core = tabulate(
            lambda r: projections.project(r) / scale, self.contact(tolerance), tolerance
        ).scaled(scale)
        self.table = self.core

    def contact(self, tolerance: float) -> float:
        """Return the distance in Å beyond which the field far away holds."""
        p = self.projections
        r = np.linspace(0.0, p.end, 201)[1:]
        errors = np.abs(p.project(r) - p.far_field(r)[:, 0]) / p.scale
        apart = errors.max(axis=(1, 2)) > max(tolerance, ROUNDING)
        return float(r[apart.nonzero()[0].max() + 1])

    def reaching(self, distance: float) -> RadialTable:
        """Return a table that holds up to ``distance`` (Å)."""
        if distance >= self.table.knots[-1]:
            spacing = self.core.spacing
            n_knots = len(self.core.values)
            needed = 1 << int(np.ceil(np.log2(distance / spacing + 2.0)))
            beyond = spacing * np.arange(n_knots, max(needed, n_knots + 1))
            tail = RadialTable.from_derivatives(
                self.projections.far_field(beyond), spacing
            )
            self.table = self.core.extended(tail)
        return self.table


class OpenExpansion:
    """LODE expansion of structures without a cell, in blocks of centres.

    Pairs are made anew in every pass, so that memory does not grow with their number.

    Parameters
    ----------
    batch : StructureBatch
    channels : ndarray of shape (n_atoms,)
        Channel of every atom's species.
    values : ndarray of shape (n_atoms, n_lm, n_channels, n_radial)
        The coefficients are added to it.
    table : OpenTable
    prefactors : ndarray of shape (n_l, n_l)
        Norms of the spherical harmonics.
    charges : ndarray of shape (n_atoms,)
        Of the sources.
    """

    def __init__(
        self,
        batch: StructureBatch,
        channels,
        values,
        table: OpenTable,
        prefactors,
        charges,
    ):
        self.batch = batch
        self.channels = channels
        self.values = values
        self.table = table
        self.prefactors = prefactors
        self.charges = charges
        for _, block in self.blocks():
            check_distances(batch, block.pairs)
            block.add_neighbors()
        add_at_centers(values, channels, charges, table.core.at_center)

    def blocks(self) -> Iterator[tuple[slice, PairExpansion]]:
        """Yield ranges of centres with the expansion over all of their pairs."""
        sizes = np.diff(self.batch.first_atom)
        counts = np.repeat(sizes - 1, sizes)
        ends = np.concatenate([[0], np.cumsum(counts)])
        start = 0
        while start < self.batch.n_atoms:
            stop = (
                int(np.searchsorted(ends, ends[start] + BLOCK_SIZE, side="right")) - 1
            )
            centers = slice(start, max(stop, start + 1))
            yield centers, self.block(centers, counts[centers])
            start = centers.stop

    def block(self, centers: slice, counts: np.ndarray) -> PairExpansion:
        """Return the expansion over the pairs of consecutive centres."""
        batch = self.batch
        first_pair = np.concatenate([[0], np.cumsum(counts)])
        atoms = np.arange(centers.start, centers.stop)
        first_atom = batch.first_atom[batch.structure_of_atom[atoms]]
        i = np.repeat(atoms, counts)
        j = np.arange(i.size) + np.repeat(first_atom - first_pair[:-1], counts)
        j += j >= i
        vectors = batch.positions[j] - batch.positions[i]
        reach = float(np.sqrt(np.einsum("pd,pd->p", vectors, vectors).max(initial=0.0)))
        return PairExpansion(
            batch=batch,
            pairs=NeighborPairs(i, j, vectors, first_pair),
            channels=self.channels[j],
            factors=np.ones((i.size, 1)) * [1.0, 0.0],
            table=self.table.reaching(reach),
            prefactors=self.prefactors,
            values=self.values[centers],
            charges=self.charges[j],
        )

    def reverse(
        self, adjoint: np.ndarray, by_charges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into gradients, see `LodeExpansion`."""
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((self.batch.n_structures, 3, 3))
        for centers, block in self.blocks():
            more_positions, more_strain = block.reverse(adjoint[centers], by_charges)
            positions += more_positions
            strain += more_strain
        if by_charges is not None:
            adjoint = adjoint.reshape(self.values.shape)
            by_charges += at_centers(adjoint, self.channels) @ self.table.core.at_center
        return positions, strain

    def jacobian(self) -> CoefficientJacobian:
        """Return derivatives with respect to positions, one entry a pair of atoms."""
        parts = [block.jacobian() for _, block in self.blocks()]
        return CoefficientJacobian(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("centers", "movers", "channels", "derivatives")
            )
        )

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""
        return np.concatenate([block.strain_jacobian() for _, block in self.blocks()])
