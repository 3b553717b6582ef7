"""LODE coefficients of slabs: structures that are periodic in two directions."""

from __future__ import annotations

import copy

import numpy as np

from lodekit.numerics.k_vectors import KVectors
from lodekit.structures.batch import StructureBatch

from .far import FarSum
from .far_mesh import make_far_sum
from .periodic import PeriodicExpansion
from .projections import PotentialProjections
from .split import Split, SplitChoice
from .truncation import tail_factors, truncated_transform_at_zero

#: The height of the cell is rounded up to whole multiples of this many Å, so that it
#: hardly ever changes along a trajectory.
HEIGHT_STEP = 4.0


class SlabKernel:
    """The potential truncated along the normal, the same for all slabs.

    Parameters
    ----------
    projections : PotentialProjections
    tolerance : float
        Wanted relative error of the coefficients.
    reach : float
        Distance in Å beyond which an atom is a point for the basis.
    """

    def __init__(
        self, projections: PotentialProjections, tolerance: float, reach: float
    ):
        p = projections
        self.projections = p
        self.reach = reach
        self.longest_exponent = -np.log(0.1 * tolerance)
        # tails are sums over exp(-(k s)^2 / 2) I_nl(k), as for p = 1
        coulomb = PotentialProjections(p.basis, p.max_angular, p.smearing, 1)
        self.tail = SplitChoice(coulomb, 2.0 * tolerance).split(0.0)

    def cell(self, positions, cell, pbc, pair_cutoff: float) -> np.ndarray:
        """Return both vectors of the plane, then the normal times twice the range.

        Images along the normal are beyond the range of truncated potentials, and of the
        near part.
        """
        first, second = cell[pbc]
        normal = np.cross(first, second)
        normal /= np.linalg.norm(normal)
        thickness = np.ptp(positions @ normal)
        height = max(2.0 * (thickness + self.reach), thickness + pair_cutoff)
        height = HEIGHT_STEP * np.ceil(height / HEIGHT_STEP)
        return np.stack([first, second, height * normal])

    def constant(self, half_height: float) -> np.ndarray:
        """Return the correction of c_n00 for a density of 1 / Å^3, shape (n_radial,).

        This is the k = 0 term of the truncated potential.
        """
        p = self.projections
        if p.exponent == 0:
            return np.zeros(p.basis.size)
        phi = truncated_transform_at_zero(p.exponent, p.smearing, half_height)
        return np.sqrt(4.0 * np.pi) * phi * p.basis.moments(0, 2) - p.at_zero_k


class TailSum(FarSum):
    """Sum over k-vectors of what truncation takes from the potential, with its sign.

    Parameters
    ----------
    positions, cell, channels, prefactors, charges
        As of `FarSum`; the third cell vector is the normal times twice the range.
    kernel : SlabKernel
    """

    def __init__(
        self, positions, cell, channels, kernel: SlabKernel, prefactors, charges
    ):
        super().__init__(positions, cell, channels, kernel.tail, prefactors, charges)
        half_height = 0.5 * np.linalg.norm(cell[2])
        self.normal = cell[2] / (2.0 * half_height)
        self.k = small_rows(self.k, self.normal, kernel.longest_exponent / half_height)
        self.grid_shape = (self.k.size, *self.grid_shape[1:])
        self.parallel = self.k.vectors - np.outer(
            self.k.vectors @ self.normal, self.normal
        )
        indices = np.rint(self.k.vectors @ self.normal * half_height / np.pi)
        self.tails, self.log_slopes = tail_factors(
            kernel.projections.exponent,
            kernel.projections.smearing,
            np.einsum("kd,kd->k", self.parallel, self.parallel),
            indices.astype(int),
            half_height,
        )
        self.factors = -self.tails[:, None] * FarSum.factors.func(self)

    @property
    def log_strain(self) -> np.ndarray:
        """d(log of the tail)/d(strain in the plane), (n_k, 3, 3)."""
        slopes = -2.0 * self.log_slopes[:, None, None]
        return slopes * self.parallel[:, :, None] * self.parallel[:, None, :]

    def reverse_weights(self, weight_adjoint: np.ndarray) -> np.ndarray:
        """Return the strain gradient, that of the tails included."""
        products = np.einsum("kq,kq->k", weight_adjoint, self.weights)
        tails = np.einsum("k,kab->ab", products, self.log_strain)
        return super().reverse_weights(weight_adjoint) + tails

    def strain_jacobian(self) -> np.ndarray:
        """Return derivatives, (n_atoms, 9, n_lm, n_channels, n_radial)."""
        jacobian = super().strain_jacobian()
        for axes, change in enumerate(self.log_strain.reshape(-1, 9).T):
            changed = copy.copy(self)
            changed.weights = self.weights * change[:, None]
            jacobian[:, axes] += changed.coefficients()
        return jacobian


class SlabSum:
    """Far part of the coefficients of a slab, with the methods of `FarSum`.

    Strain acts on the positions and on the vectors of the plane.

    Parameters
    ----------
    positions, cell, channels, split, prefactors, charges
        As of `FarSum`; the third cell vector is the normal times twice the range.
    kernel : SlabKernel
    """

    def __init__(self, positions, cell, channels, split, prefactors, charges, kernel):
        self.positions = positions
        self.channels = channels
        sources = positions, cell, channels
        self.sums = [make_far_sum(*sources, split, prefactors, charges)]
        if kernel.projections.exponent > 0:
            self.sums.append(TailSum(*sources, kernel, prefactors, charges))
        height = np.linalg.norm(cell[2])
        self.normal = np.outer(cell[2], cell[2]) / height**2
        self.volume = self.sums[0].volume
        self.volume_strain = np.eye(3) - self.normal
        self.constant_of_charge = kernel.constant(0.5 * height) / self.volume
        totals = np.bincount(channels, charges)[:, None]
        self.constant = totals * self.constant_of_charge

    def coefficients(self) -> np.ndarray:
        """Return the far part, (n_atoms, n_lm, n_channels, n_radial)."""
        values = sum(part.coefficients() for part in self.sums)
        values[:, 0] += self.constant
        return values

    def reverse(self, adjoint: np.ndarray, by_charges=None):
        """Turn d(scalar)/d(coefficients) into gradients; see `FarSum.reverse`."""
        parts = [part.reverse(adjoint, by_charges) for part in self.sums]
        if by_charges is not None:
            totals = adjoint[:, 0].sum(axis=0) @ self.constant_of_charge
            by_charges += totals[self.channels]
        gradients = sum(part[0] for part in parts)
        strain = sum(part[1] for part in parts)
        strain -= np.sum(adjoint[:, 0] * self.constant) * np.eye(3)
        return gradients, self.to_plane(strain, self.positions.T @ gradients)

    def to_plane(self, strain: np.ndarray, moves: np.ndarray) -> np.ndarray:
        """Return derivatives for a strain of the plane and the positions.

        Parameters
        ----------
        strain : ndarray of shape (3, 3, ...)
            Derivatives for a strain of the cell with its third vector, which has no
            physical meaning.
        moves : ndarray of shape (3, 3, ...)
            Sum over atoms of position times gradient.
        """
        normal, plane = self.normal, self.volume_strain
        # a plane that tilts turns the whole cell
        tilted = np.einsum("ca,dc...,db->ab...", plane, moves - strain, normal)
        return (
            np.einsum("ac,cb...->ab...", plane, strain)
            + np.einsum("ac,cb...->ab...", normal, moves)
            + tilted
        )

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, as `FarSum`."""
        jacobian = sum(part.strain_jacobian() for part in self.sums)
        for diagonal in (0, 4, 8):
            jacobian[:, diagonal, 0] -= self.constant
        strain = np.moveaxis(jacobian.reshape(-1, 3, 3, *jacobian.shape[2:]), 0, 2)
        changed = self.to_plane(strain, self.moves(strain.shape))
        return np.moveaxis(changed, 2, 0).reshape(jacobian.shape)

    def moves(self, shape: tuple) -> np.ndarray:
        """Return position times gradient, (3, 3, n_atoms, n_lm, n_channels, n)."""
        n_atoms, n_lm, n_radial = shape[2], shape[3], shape[5]
        moves = np.zeros(shape)
        everyone = np.arange(n_atoms)
        derivatives = np.empty((n_atoms, 3, n_lm, n_radial))
        for center in range(n_atoms):
            self.fill_pair_derivatives(np.full(n_atoms, center), everyone, derivatives)
            between = self.positions - self.positions[center]
            products = np.einsum("ja,jbmn->jabmn", between, derivatives)
            for channel in range(shape[4]):
                of_channel = products[self.channels == channel].sum(axis=0)
                moves[:, :, center, :, channel] = of_channel
        return moves

    def fill_pair_derivatives(self, centers, movers, derivatives) -> None:
        """Fill d(c of centre)/d(R of mover), as `FarSum`."""
        total = np.zeros_like(derivatives)
        for part in self.sums:
            part.fill_pair_derivatives(centers, movers, derivatives)
            total += derivatives
        derivatives[...] = total


class SlabExpansion(PeriodicExpansion):
    """LODE expansion of slabs that share one range separation.

    Parameters
    ----------
    batch, channels, values, split, prefactors, charges
        As of `PeriodicExpansion`.
    kernel : SlabKernel
    """

    def __init__(
        self,
        batch: StructureBatch,
        channels,
        values,
        split: Split,
        prefactors,
        charges,
        kernel: SlabKernel,
    ):
        self.kernel = kernel
        super().__init__(batch, channels, values, split, prefactors, charges)

    def far_sum(self, structure: int, channels, split: Split, prefactors) -> SlabSum:
        """Return the far part of a structure, channels counted without gaps."""
        batch = self.batch
        atoms = slice(*batch.first_atom[structure : structure + 2])
        positions = batch.positions[atoms]
        cell = self.kernel.cell(
            positions, batch.cells[structure], batch.pbc[structure], split.pair_cutoff
        )
        arguments = positions, cell, channels, split, prefactors
        return SlabSum(*arguments, self.charges[atoms], self.kernel)


def small_rows(k: KVectors, normal: np.ndarray, largest: float) -> KVectors:
    """Return the rows, along the third axis, whose part in the plane is small."""
    first = k.vectors[k.first_column[:-1]]
    parallel = first - np.outer(first @ normal, normal)
    rows = np.linalg.norm(parallel, axis=1) < largest
    sizes = np.diff(k.first_column)
    return KVectors(
        vectors=np.ascontiguousarray(k.vectors[np.repeat(rows, sizes)]),
        rows=k.rows[rows],
        first_column=np.concatenate([[0], np.cumsum(sizes[rows])]).astype(np.intp),
    )
