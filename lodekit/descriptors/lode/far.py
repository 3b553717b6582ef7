"""The far part of LODE: a direct sum over k-vectors by matrix products."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.kernels.lode_far import add_phase_gradients
from lodekit.kernels.pair_expansion import (
    differentiate_pairs,
    expand_pairs,
    reverse_pairs,
)
from lodekit.numerics.k_vectors import KVectors
from lodekit.numerics.smooth_step import smooth_step

from .split import TAPER, Split

#: Largest number of phases (two for an atom and a k-vector) held at a time.
BLOCK_SIZE = 2**20
#: Largest number of pairs of atoms whose derivatives are made at a time.
PAIR_BLOCK_SIZE = 2**12


class FarSum:
    """Far part of the coefficients of one periodic structure, and its derivatives.

    c[i, lm, a p] = (8 pi / V) sum over half of the k-vectors of f_lp(k) Y_lm(k) times
    the real part of i^l exp(ik.R_i) conj(F_a(k)), with F_a(k) the sum of exp(ik.R_j)
    over the atoms j of species a. Splitting the phases in cosines and sines makes it
    one product of real matrices; f_lp(k) Y_lm(k) comes from the same loop as the
    expansion of pairs, with k-vectors in place of neighbours.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    cell : ndarray of shape (3, 3)
        Cell vectors in Å, one per row.
    channels : ndarray of shape (n_atoms,)
        Species of every atom, counted from 0 without gaps.
    split : Split
    prefactors : ndarray of shape (n_l, n_l)
        Norms of the spherical harmonics.
    charges : ndarray of shape (n_atoms,)
        Of the sources.
    """

    #: d(log volume)/d(strain)
    volume_strain = np.eye(3)

    def __init__(self, positions, cell, channels, split: Split, prefactors, charges):
        self.channels = channels
        self.charges = charges
        self.split = split
        self.volume = abs(np.linalg.det(cell))
        self.k = KVectors.within(cell, split.k_cutoff)
        self.fractional = np.ascontiguousarray(positions @ np.linalg.inv(cell))
        is_channel = channels == np.arange(channels.max() + 1)[:, None]
        #: charges in the row of their channel
        self.by_channel = is_channel * charges
        far = split.far
        self.radial_arguments = (far.values, far.spacing, prefactors)
        sizes = [len(mode) for mode in split.far_radial]
        l_of_lm = np.repeat(np.arange(len(sizes)), 2 * np.arange(len(sizes)) + 1)
        used = np.arange(far.n_radial) < np.array(sizes)[l_of_lm][:, None]
        #: which of the (lm, p) are there, and which of these have odd l
        self.used = np.flatnonzero(used.ravel())
        self.is_odd = np.repeat(l_of_lm % 2, far.n_radial)[self.used]
        self.grid_shape = (self.k.size, l_of_lm.size, 1, far.n_radial)
        #: all (lm, p); there may be no k-vector for them in a small cell
        self.n_functions = used.size

    @cached_property
    def factors(self) -> np.ndarray:
        """(8 pi / V) taper(k) / k^2 and its derivative, (n_k, 2)."""
        k = np.linalg.norm(self.k.vectors, axis=1)
        return tapered_factors(k, self.volume, self.split.k_cutoff)

    @cached_property
    def weights(self) -> np.ndarray:
        """(8 pi / V) f_lp(k) Y_lm(k), shape (n_k, n_q), q the used (lm, p)."""
        weights = np.zeros(self.grid_shape)
        ones = np.arange(self.k.size + 1)
        where = np.zeros(self.k.size, dtype=np.intp)
        arguments = (self.factors, ones, *self.radial_arguments)
        expand_pairs(self.k.vectors, where, *arguments, weights)
        return weights.reshape(self.k.size, self.n_functions)[:, self.used]

    def blocks(self, n_rows: int):
        """Yield slices of rows of k-vectors and of the k-vectors in them."""
        for rows in self.k.blocks(max(BLOCK_SIZE // (2 * n_rows), 64)):
            yield rows, self.k.columns(rows)

    def right_side(self, structure_factors, weights) -> np.ndarray:
        """Return the coefficients of the phases, (2 * n_k, n_channels * n_q).

        Parameters
        ----------
        structure_factors : ndarray of shape (n_channels, 2 * n_k)
            Sums of the phases over the atoms of a species.
        weights : ndarray of shape (n_k, n_q)
        """
        n_k = len(weights)
        real, imaginary = structure_factors.T[:n_k], structure_factors.T[n_k:]
        even, odd = weights * (1 - self.is_odd), weights * self.is_odd
        cosines = real[..., None] * even[:, None] + imaginary[..., None] * odd[:, None]
        sines = imaginary[..., None] * even[:, None] - real[..., None] * odd[:, None]
        return np.concatenate([cosines, sines]).reshape(2 * n_k, -1)

    def coefficients(self) -> np.ndarray:
        """Return the far part, (n_atoms, n_lm, n_channels, n_radial)."""
        n_atoms = len(self.fractional)
        total = np.zeros((n_atoms, len(self.by_channel) * self.used.size))
        for rows, columns in self.blocks(n_atoms):
            phases = self.k.phases(self.fractional, rows)
            total += phases @ self.right_side(
                self.by_channel @ phases, self.weights[columns]
            )
        return self.to_radial(total.reshape(n_atoms, -1, self.used.size))

    def to_radial(self, far: np.ndarray) -> np.ndarray:
        """Turn (n_rows, n_channels, n_q) into (n_rows, n_lm, n_channels, n_radial)."""
        parts = []
        for l, (columns, mode) in enumerate(self.columns_of_l()):
            part = far[..., columns].reshape(*far.shape[:2], 2 * l + 1, len(mode))
            parts.append(np.swapaxes(part @ mode, 1, 2))
        return np.concatenate(parts, axis=1)

    def from_radial(self, adjoint: np.ndarray) -> np.ndarray:
        """Transpose of `to_radial`."""
        parts = []
        for l, (_, mode) in enumerate(self.columns_of_l()):
            part = adjoint[:, l * l : (l + 1) ** 2] @ mode.T
            parts.append(
                np.swapaxes(part, 1, 2).reshape(len(adjoint), adjoint.shape[2], -1)
            )
        return np.concatenate(parts, axis=2)

    def columns_of_l(self):
        """Yield the columns q of every l and the matrix from far to all functions."""
        start = 0
        for l, mode in enumerate(self.split.far_radial):
            stop = start + (2 * l + 1) * len(mode)
            yield slice(start, stop), mode
            start = stop

    def reverse(self, adjoint: np.ndarray, by_charges=None):
        """Turn d(scalar)/d(coefficients) into gradients.

        Those with respect to charges are added to ``by_charges``, (n_atoms,).

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (3, 3)
        """
        far = self.from_radial(adjoint)
        far = far.reshape(len(far), -1)
        positions = np.zeros((len(far), 3))
        weight_adjoint = np.empty((self.k.size, self.used.size))
        for rows, columns in self.blocks(len(far)):
            phases = self.k.phases(self.fractional, rows)
            factors = self.by_channel @ phases
            weights = self.weights[columns]
            right = self.right_side(factors, weights)
            cosines, sines = (phases.T @ far).reshape(
                2, len(weights), -1, self.used.size
            )
            common, weight_adjoint[columns] = self.reverse_right_side(
                cosines, sines, factors, weights
            )
            if by_charges is not None:
                by_charges += np.einsum("ik,ik->i", phases, common[self.channels])
            # every atom is a centre, and a source of the fields of the others
            phase_adjoint = far @ right.T
            phase_adjoint += self.charges[:, None] * common[self.channels]
            vectors = np.ascontiguousarray(self.k.vectors[columns].T)
            add_phase_gradients(phases, phase_adjoint, vectors, positions)
        return positions, self.reverse_weights(weight_adjoint)

    def reverse_right_side(self, cosines, sines, structure_factors, weights):
        """Transpose of `right_side`: gradients for structure factors and weights."""
        n_k = len(weights)
        even, odd = weights * (1 - self.is_odd), weights * self.is_odd
        real, imaginary = structure_factors[:, :n_k], structure_factors[:, n_k:]
        real_adjoint = np.einsum("kaq,kq->ak", cosines, even)
        real_adjoint -= np.einsum("kaq,kq->ak", sines, odd)
        imaginary_adjoint = np.einsum("kaq,kq->ak", cosines, odd)
        imaginary_adjoint += np.einsum("kaq,kq->ak", sines, even)
        from_even = np.einsum("kaq,ak->kq", cosines, real)
        from_even += np.einsum("kaq,ak->kq", sines, imaginary)
        from_odd = np.einsum("kaq,ak->kq", cosines, imaginary)
        from_odd -= np.einsum("kaq,ak->kq", sines, real)
        common = np.concatenate([real_adjoint, imaginary_adjoint], axis=1)
        return np.ascontiguousarray(common), np.where(self.is_odd, from_odd, from_even)

    def reverse_weights(self, weight_adjoint: np.ndarray) -> np.ndarray:
        """Return the strain gradient: k-vectors and the volume change with the cell."""
        adjoint = np.zeros((self.k.size, self.n_functions))
        adjoint[:, self.used] = weight_adjoint
        gradients = np.empty((self.k.size, 3))
        reverse_pairs(
            adjoint.reshape(self.grid_shape),
            self.k.vectors,
            np.zeros(self.k.size, dtype=np.intp),
            self.factors,
            np.arange(self.k.size + 1),
            *self.radial_arguments,
            gradients,
        )
        volume_part = np.sum(weight_adjoint * self.weights) * np.eye(3)
        return -gradients.T @ self.k.vectors - volume_part

    def weight_derivatives(self) -> np.ndarray:
        """Return d(weights)/d(k-vector), shape (n_k, 3, n_q)."""
        n_k, n_lm, _, n_far = self.grid_shape
        derivatives = np.empty((n_k, 3, n_lm, n_far))
        differentiate_pairs(
            self.k.vectors, self.factors, *self.radial_arguments, derivatives
        )
        return derivatives.reshape(n_k, 3, self.n_functions)[:, :, self.used]

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain.

        Their shape is (n_atoms, 9, n_lm, n_channels, n_radial).
        """
        n_atoms, n_channels = len(self.fractional), len(self.by_channel)
        change = (
            -self.weight_derivatives()[:, :, None] * self.k.vectors[:, None, :, None]
        )
        change -= np.eye(3)[:, :, None] * self.weights[:, None, None]
        change = change.reshape(self.k.size, 9, self.used.size)
        total = np.zeros((9, n_atoms, n_channels * self.used.size))
        for rows, columns in self.blocks(n_atoms):
            phases = self.k.phases(self.fractional, rows)
            factors = self.by_channel @ phases
            for axes in range(9):
                right = self.right_side(
                    factors, np.ascontiguousarray(change[columns, axes])
                )
                total[axes] += phases @ right
        parts = [self.to_radial(t.reshape(n_atoms, n_channels, -1)) for t in total]
        return np.stack(parts, axis=1)

    def fill_pair_derivatives(self, centers, movers, derivatives) -> None:
        """Fill d(c of centre)/d(R of mover) of pairs of atoms, all images together.

        ``derivatives`` has the shape (n_pairs, 3, n_lm, n_radial).
        """
        for start in range(0, centers.size, PAIR_BLOCK_SIZE):
            block = slice(start, start + PAIR_BLOCK_SIZE)
            between = self.fractional[movers[block]] - self.fractional[centers[block]]
            total = np.zeros((len(between), 3 * self.used.size))
            for rows, columns in self.blocks(len(between)):
                phases = self.k.phases(between, rows)
                vectors = self.k.vectors[columns]
                slopes = vectors[:, :, None] * self.weights[columns][:, None]
                right = np.concatenate(
                    [slopes * self.is_odd, slopes * (self.is_odd - 1)]
                )
                total += phases @ right.reshape(len(right), -1)
            far = self.to_radial(total.reshape(len(between), 3, -1))
            far = np.swapaxes(far, 1, 2)
            derivatives[block] = far * self.charges[movers[block], None, None, None]


def tapered_factors(k: np.ndarray, volume: float, k_cutoff: float) -> np.ndarray:
    """Return (8 pi / V) taper(k) / k^2 and its derivative, (k.size, 2)."""
    width = TAPER * k_cutoff
    step, slope, _ = smooth_step((k - k_cutoff) / width + 1.0)
    value = 8.0 * np.pi / volume * step / k**2
    change = 8.0 * np.pi / volume * slope / width / k**2 - 2.0 * value / k
    return np.stack([value, change], axis=1)
