"""Derivatives of covariances with sparse points: rows of forces and of strain.

Moving an atom changes the expansion coefficients c_i of the environments around it, and
these change the covariances with the points m:

    dk(i, m) = slopes[i, m] sum_q dc_i[q] T_i[q, m] + shifts[i, m] sum_q dc_i[q] t_i[q]

with q the joint index of channel, lm and n. T_i[q, m] is the reverse pass of the power
spectrum at i for the features of point m, t_i[q] the one for its own features. One T_i
serves all neighbours of i, so that products of dc_i with the other factor, many more
numbers than dc_i itself, are never made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.descriptors.power_spectrum import Factor
from lodekit.kernels.force_rows import add_force_rows, add_strain_rows
from lodekit.threads import map_threads

#: Environments and sparse points taken at a time: T_i of a block stays in the cache.
CENTER_BLOCK = 8
POINT_BLOCK = 128


@dataclass
class MovingFactor:
    """A factor of the features with its derivatives as one matrix.

    Attributes
    ----------
    factor : Factor
    movers, channels : ndarray of shape (n_entries,)
    derivatives : ndarray of shape (n_entries * 3, n_lm * n_radial)
    first : ndarray of shape (n_atoms, n_channels + 1)
        Entries of an atom and a channel are ``first[atom, channel]`` to
        ``first[atom, channel + 1]``.
    """

    factor: Factor
    movers: np.ndarray
    channels: np.ndarray
    derivatives: np.ndarray
    first: np.ndarray

    @classmethod
    def from_factor(cls, factor: Factor, n_atoms: int):
        """Find the entries of every atom and channel."""
        jacobian, n_channels = factor.jacobian, factor.n_channels
        keys = jacobian.centers * n_channels + jacobian.channels
        wanted = np.arange(n_atoms)[:, None] * n_channels + np.arange(n_channels + 1)
        n_entries, n_axes, n_lm, n_radial = jacobian.derivatives.shape
        return cls(
            factor,
            jacobian.movers,
            jacobian.channels,
            jacobian.derivatives.reshape(n_entries * n_axes, n_lm * n_radial),
            np.searchsorted(keys, wanted),
        )


class PointTransfers:
    """Matrices T_i of environments for the sparse points, in blocks of points.

    Parameters
    ----------
    factor : Factor
        Of any batch: the arrays that are kept do not depend on it.
    points : ndarray of shape (n_points, n_features)
    n_l, n_channels : int
    """

    def __init__(self, factor: Factor, points: np.ndarray, n_l: int, n_channels: int):
        self.n_channels = n_channels
        self.blocks = [
            slice(start, min(start + POINT_BLOCK, len(points)))
            for start in range(0, len(points), POINT_BLOCK)
        ]
        #: by block (n_l, n_partner, n_own * n_points)
        self.weights = [
            partner_first(factor.weights(points[block], n_l)) for block in self.blocks
        ]

    def matrices(self, partner: np.ndarray, index: int) -> np.ndarray:
        """Return T_i for one block of points.

        Parameters
        ----------
        partner : ndarray of shape (n_centers, n_lm, n_partner)
            Coefficients of the other factor.
        index : int

        Returns
        -------
        matrices : ndarray of shape (n_centers, n_channels, n_lm * n_radial, n_points)
        """
        n_centers, n_lm, n_partner = partner.shape
        weights = self.weights[index]
        n_columns = weights.shape[2] // self.n_channels
        out = np.empty((n_centers, self.n_channels, n_lm, n_columns))
        for l, weight in enumerate(weights):
            lm = slice(l * l, (l + 1) ** 2)
            rows = partner[:, lm].reshape(n_centers * (2 * l + 1), n_partner) @ weight
            rows = rows.reshape(n_centers, 2 * l + 1, self.n_channels, n_columns)
            out[:, :, lm] = rows.swapaxes(1, 2)
        size = self.blocks[index].stop - self.blocks[index].start
        n_q = n_lm * n_columns // size
        return out.reshape(n_centers, self.n_channels, n_q, size)


def partner_first(weights: np.ndarray) -> np.ndarray:
    """Turn axes of (n_points, n_l, n_own, n_partner) to (n_l, n_partner, last)."""
    n_points, n_l, n_own, n_partner = weights.shape
    turned = weights.transpose(1, 3, 2, 0)
    return np.ascontiguousarray(turned).reshape(n_l, n_partner, n_own * n_points)


def own_transfers(factor: Factor, features, atoms, n_l: int, n_channels: int):
    """Return t_i of ``atoms``, (n, n_channels, n_lm * n_radial)."""
    partner = factor.partner[atoms]
    weights = factor.weights(features[atoms], n_l)
    parts = [
        partner[:, l * l : (l + 1) ** 2] @ weights[:, l].swapaxes(1, 2)
        for l in range(n_l)
    ]
    transfers = np.concatenate(parts, axis=1)
    n_atoms, n_lm, n_own = transfers.shape
    n_radial = n_own // n_channels
    transfers = transfers.reshape(n_atoms, n_lm, n_channels, n_radial).swapaxes(1, 2)
    return transfers.reshape(n_atoms, n_channels, n_lm * n_radial)


def add_position_gradients(
    moving: MovingFactor,
    transfers: PointTransfers,
    atoms,
    diagonal,
    slopes,
    shifts,
    rows,
) -> None:
    """Add minus the gradients of sum_i k(i, m) to the rows of forces.

    Parameters
    ----------
    atoms : ndarray of shape (n,)
        Environments i of the sum.
    diagonal : ndarray of shape (n, n_channels, n_lm * n_radial) or None
        t_i; None where features are not divided by their own length.
    slopes, shifts : ndarray of shape (n_atoms, n_components, n_points)
    rows : ndarray of shape (n_atoms, 3, n_components, n_points)
        Components differ in slopes and shifts alone.
    """

    def add_block(index):
        block = transfers.blocks[index]
        some = np.ascontiguousarray(slopes[:, :, block])
        more = np.ascontiguousarray(shifts[:, :, block])
        target = np.zeros((*rows.shape[:3], some.shape[2]))
        for start in range(0, len(atoms), CENTER_BLOCK):
            chosen = atoms[start : start + CENTER_BLOCK]
            matrices = transfers.matrices(moving.factor.partner[chosen], index)
            for place, atom in enumerate(chosen):
                first = moving.first[atom]
                n_entries = first[-1] - first[0]
                projections = np.empty((3 * n_entries, some.shape[2]))
                along = np.zeros(3 * n_entries)
                for channel, matrix in enumerate(matrices[place]):
                    part = slice(3 * first[channel], 3 * first[channel + 1])
                    local = slice(part.start - 3 * first[0], part.stop - 3 * first[0])
                    derivatives = moving.derivatives[part]
                    np.matmul(derivatives, matrix, out=projections[local])
                    if diagonal is not None:
                        along[local] = derivatives @ diagonal[start + place, channel]
                add_force_rows(
                    projections.reshape(n_entries, 3, some.shape[2]),
                    along.reshape(n_entries, 3),
                    some,
                    more,
                    atom,
                    moving.movers[first[0] : first[-1]],
                    target,
                )
        rows[..., block] += target

    map_threads(add_block, range(len(transfers.blocks)))


def add_linear_gradients(moving: MovingFactor, weights, scales, rows):
    """Add minus the gradients of sum_i scales_i p_i . P_m to the rows of forces.

    The sum over environments comes first here, which saves most of the work.

    Parameters
    ----------
    weights : ndarray of shape (n_points, n_l, n_own, n_partner)
        What d(p . P_m) is linear in, see `Factor.weights`.
    scales : ndarray of shape (n_atoms,)
        Zero for atoms that are not among the environments i of the sum.
    rows : ndarray of shape (n_atoms, 3, n_points)
    """
    n_points, n_l, n_own, n_partner = weights.shape
    n_channels = moving.first.shape[1] - 1
    n_radial = n_own // n_channels
    counts = moving.first[:, -1] - moving.first[:, 0]
    owners = np.repeat(np.arange(len(counts)), counts)
    derivatives = moving.derivatives.reshape(len(owners), 3, n_l**2, n_radial)
    partner = moving.factor.partner * scales[:, None, None]
    sums = np.zeros((len(counts), 3, n_l, n_channels, n_radial, n_partner))
    used = np.flatnonzero(scales[owners])
    keys = moving.movers[used] * n_channels + moving.channels[used]
    order = np.argsort(keys, kind="stable")
    targets, starts = np.unique(keys[order], return_index=True)
    stops = np.append(starts, order.size)[1:]
    for key, start, stop in zip(targets, starts, stops, strict=True):
        atom, channel = divmod(key, n_channels)
        entries = used[order[start:stop]]
        add_products(
            derivatives[entries], partner[owners[entries]], sums[atom, :, :, channel]
        )
    for atom in range(len(counts)):
        if scales[atom] == 0.0:
            continue
        for channel in range(n_channels):
            entries = slice(*moving.first[atom, channel : channel + 2])
            total = -derivatives[entries].sum(axis=0, keepdims=True)
            add_products(total, partner[atom][None], sums[atom, :, :, channel])
    sums = sums.reshape(3 * len(counts), n_l * n_own * n_partner)
    rows -= (sums @ weights.reshape(n_points, -1).T).reshape(rows.shape)


def add_products(derivatives, partners, sums) -> None:
    """Add sum_e,m derivatives[e, x, lm, n] partners[e, lm, q] to sums (x, l, n, q)."""
    n_radial, n_partner = derivatives.shape[3], partners.shape[2]
    for l in range(sums.shape[1]):
        lm = slice(l * l, (l + 1) ** 2)
        right = partners[:, lm].reshape(len(partners) * (2 * l + 1), n_partner)
        left = derivatives[:, :, lm].transpose(1, 3, 0, 2)
        left = left.reshape(3 * n_radial, len(right))
        sums[:, l] += (left @ right).reshape(3, n_radial, n_partner)


def add_strain_gradients(
    factor: Factor, transfers, atoms, diagonal, slopes, shifts, structures, rows
) -> None:
    """Add the strain gradients of sum_i k(i, m) to rows of strain derivatives.

    Parameters
    ----------
    structures : ndarray of shape (n_atoms,)
        Structure of an atom.
    rows : ndarray of shape (n_structures, 6, n_components, n_points)
        The other parameters are those of `add_position_gradients`.
    """
    jacobian = factor.voigt_jacobian[atoms]
    n_lm, n_q = jacobian.shape[2:]
    shape = (len(atoms), 6, n_lm, transfers.n_channels, n_q // transfers.n_channels)
    jacobian = jacobian.reshape(shape).swapaxes(2, 3)
    jacobian = jacobian.reshape(len(atoms), 6, n_lm * n_q)
    along = np.zeros((len(atoms), 6))
    if diagonal is not None:
        along = np.einsum(
            "ixq,iq->ix", jacobian, diagonal.reshape(len(atoms), n_lm * n_q)
        )

    def add_block(index):
        block = transfers.blocks[index]
        target = np.zeros((*rows.shape[:3], block.stop - block.start))
        for start in range(0, len(atoms), CENTER_BLOCK):
            some = slice(start, start + CENTER_BLOCK)
            chosen = atoms[some]
            matrices = transfers.matrices(factor.partner[chosen], index)
            matrices = matrices.reshape(len(chosen), n_lm * n_q, target.shape[3])
            add_strain_rows(
                jacobian[some] @ matrices,
                along[some],
                np.ascontiguousarray(slopes[chosen, :, block]),
                np.ascontiguousarray(shifts[chosen, :, block]),
                structures[chosen],
                target,
            )
        rows[..., block] += target

    map_threads(add_block, range(len(transfers.blocks)))
