"""LODE coefficients of periodic structures: near pairs plus a sum over k-vectors."""

from __future__ import annotations

import numpy as np

from lodekit.descriptors.expansion import CoefficientJacobian
from lodekit.descriptors.pair_expansion import PairExpansion, sum_by_key
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs

from .base import add_at_centers, at_centers
from .far_mesh import make_far_sum
from .split import Split


class PeriodicExpansion:
    """LODE expansion of fully periodic structures that share one range separation.

    A uniform background neutralises every species: there is no k = 0 term, and what the
    near part contributes to it is taken away.

    Parameters
    ----------
    batch : StructureBatch
    channels : ndarray of shape (n_atoms,)
        Channel of every atom's species.
    values : ndarray of shape (n_atoms, n_lm, n_channels, n_radial)
        The coefficients are added to it.
    split : Split
    prefactors : ndarray of shape (n_l, n_l)
        Norms of the spherical harmonics.
    charges : ndarray of shape (n_atoms,)
        Of the sources.
    """

    def __init__(
        self, batch: StructureBatch, channels, values, split: Split, prefactors, charges
    ):
        self.batch = batch
        self.channels = channels
        self.charges = charges
        self.split = split
        self.values = values
        self.near = None
        if split.near is not None:
            self.near = self.expand_near(split, prefactors)
        self.far = []
        for structure in range(batch.n_structures):
            atoms = slice(*batch.first_atom[structure : structure + 2])
            # of the channels, only those of species in this structure have a far part
            present, local_channels = np.unique(channels[atoms], return_inverse=True)
            far = self.far_sum(structure, local_channels, split, prefactors)
            # channel by channel: an array of channels would be copied
            far_values = far.coefficients()
            for channel, one in enumerate(present):
                values[atoms, :, one] += far_values[:, :, channel]
            totals = np.bincount(local_channels, charges[atoms])
            background = totals[:, None] / far.volume * split.background
            values[atoms, 0, present] -= background
            self.far.append((atoms, present, far, background))

    def far_sum(self, structure: int, channels, split: Split, prefactors):
        """Return the far part of a structure, channels counted without gaps."""
        atoms = slice(*self.batch.first_atom[structure : structure + 2])
        positions, cell = self.batch.positions[atoms], self.batch.cells[structure]
        charges = self.charges[atoms]
        return make_far_sum(positions, cell, channels, split, prefactors, charges)

    def expand_near(self, split: Split, prefactors) -> PairExpansion:
        """Add the near part of all pairs, and of the atoms themselves."""
        pairs = find_pairs(self.batch, split.pair_cutoff)
        near = PairExpansion(
            batch=self.batch,
            pairs=pairs,
            channels=self.channels[pairs.neighbors],
            factors=np.ones((pairs.n_pairs, 1)) * [1.0, 0.0],
            table=split.near,
            prefactors=prefactors,
            values=self.values,
            charges=self.charges[pairs.neighbors],
        )
        near.add_neighbors()
        add_at_centers(self.values, self.channels, self.charges, split.near.at_center)
        return near

    def reverse(
        self, adjoint: np.ndarray, by_charges: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into gradients, see `LodeExpansion`."""
        if self.near is None:
            positions = np.zeros((self.batch.n_atoms, 3))
            strain = np.zeros((self.batch.n_structures, 3, 3))
        else:
            positions, strain = self.near.reverse(adjoint, by_charges)
        adjoint = adjoint.reshape(self.values.shape)
        for structure, (atoms, present, far, background) in enumerate(self.far):
            far_adjoint = adjoint[atoms][:, :, present]
            charge_slopes = None if by_charges is None else by_charges[atoms]
            far_positions, far_strain = far.reverse(far_adjoint, charge_slopes)
            positions[atoms] += far_positions
            strain[structure] += far_strain
            strain[structure] += (
                np.sum(far_adjoint[:, 0] * background) * far.volume_strain
            )
            if by_charges is not None:
                totals = (
                    far_adjoint[:, 0].sum(axis=0) @ self.split.background / far.volume
                )
                by_charges[atoms] -= totals[far.channels]
        if by_charges is not None and self.near is not None:
            central = at_centers(adjoint, self.channels)
            by_charges += central @ self.split.near.at_center
        return positions, strain

    def jacobian(self) -> CoefficientJacobian:
        """Return the derivatives with respect to positions, one entry a pair of atoms.

        All images of an atom move together.
        """
        centers, movers = all_pairs(self.batch)
        n_lm, n_radial = self.values.shape[1], self.values.shape[3]
        derivatives = np.zeros((centers.size, 3, n_lm, n_radial))
        first_entry = np.searchsorted(centers, np.arange(self.batch.n_atoms + 1))
        for atoms, _, far, _ in self.far:
            entries = slice(first_entry[atoms.start], first_entry[atoms.stop])
            far.fill_pair_derivatives(
                centers[entries] - atoms.start,
                movers[entries] - atoms.start,
                derivatives[entries],
            )
        if self.near is not None:
            self.add_near_derivatives(first_entry, derivatives)
        return CoefficientJacobian(centers, movers, self.channels[movers], derivatives)

    def add_near_derivatives(self, first_entry, derivatives) -> None:
        """Add the near part, images summed, to the entries of all pairs of atoms."""
        first_atom = np.repeat(
            self.batch.first_atom[:-1], np.diff(self.batch.first_atom)
        )
        pairs = self.near.pairs
        rank = pairs.neighbors - first_atom[pairs.centers]
        rank -= pairs.neighbors > pairs.centers
        entries = first_entry[pairs.centers] + rank
        for block in self.near.blocks():
            # an atom and its own images move together
            apart = pairs.centers[block] != pairs.neighbors[block]
            values = self.near.pair_derivatives(block)[apart]
            rows, sums = sum_by_key(entries[block][apart], values)
            derivatives[rows] += sums

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""
        n_atoms, n_lm, n_channels, n_radial = self.values.shape
        jacobian = np.zeros((n_atoms, 3, 3, n_lm, n_channels * n_radial))
        if self.near is not None:
            jacobian += self.near.strain_jacobian()
        by_channel = jacobian.reshape(n_atoms, 9, n_lm, n_channels, n_radial)
        for atoms, present, far, background in self.far:
            by_channel[atoms, :, :, present] += far.strain_jacobian()
            change = far.volume_strain.reshape(9, 1, 1) * background
            by_channel[atoms, :, 0, present] += change
        return jacobian


def all_pairs(batch: StructureBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return all ordered pairs of distinct atoms of the same structure, by centre."""
    centers, movers = [np.zeros(0, dtype=np.intp)], [np.zeros(0, dtype=np.intp)]
    for start, stop in zip(batch.first_atom[:-1], batch.first_atom[1:], strict=True):
        i, j = np.divmod(
            np.arange((stop - start) * (stop - start - 1)), stop - start - 1
        )
        centers.append(start + i)
        movers.append(start + j + (j >= i))
    return np.concatenate(centers), np.concatenate(movers)
