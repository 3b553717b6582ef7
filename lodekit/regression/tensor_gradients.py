"""Derivatives of tensor covariances: what the harmonics of an environment add.

With y_i the adjoint of the tensor of atom i and s_imb = sum_aq y_ia C_i[a,q] C_m[b,q],

    sum_a y_ia dK(i, m)_ab = dk(i, m) s_imb + k(i, m) sum_aq y_ia dC_i[a, q] C_m[b, q].

The first part is that of scalars with 2 l + 1 scales, in `covariance_gradients`. The
second one is here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.descriptors.pair_expansion import sum_by_key
from lodekit.descriptors.power_spectrum import Factor
from lodekit.kernels.force_rows import add_tensor_rows
from lodekit.threads import map_threads

#: Sparse points taken at a time: sums of a block stay in the cache.
POINT_BLOCK = 128


@dataclass
class HarmonicEntries:
    """Derivatives of sum_a y_ia C_i[a], sorted by row and channel.

    Attributes
    ----------
    keys : ndarray of shape (n_entries,)
        Row times the number of channels, plus channel. A row is an atom for forces and
        a structure for strain.
    centers : ndarray of shape (n_entries,)
    derivatives : ndarray of shape (n_entries, n_axes, n_radial)
        Their sign is that of the rows: minus the derivatives for forces.
    n_channels : int
    """

    keys: np.ndarray
    centers: np.ndarray
    derivatives: np.ndarray
    n_channels: int

    @classmethod
    def sort(cls, keys, centers, derivatives, n_channels: int):
        """Sort entries."""
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], centers[order], derivatives[order], n_channels)

    @classmethod
    def of_positions(
        cls, factor: Factor, harmonics: slice, adjoint: np.ndarray, n_channels: int
    ):
        """Make entries for rows of forces: a mover's, and the centre's opposite.

        ``adjoint`` (n_atoms, 2 l + 1) is y, ``harmonics`` say where those of l stand.
        """
        jacobian = factor.jacobian
        derivatives = np.einsum(
            "exan,ea->exn",
            jacobian.derivatives[:, :, harmonics],
            adjoint[jacobian.centers],
        )
        targets, sums = sum_by_key(
            jacobian.centers * n_channels + jacobian.channels, derivatives
        )
        return cls.sort(
            np.concatenate([jacobian.movers * n_channels + jacobian.channels, targets]),
            np.concatenate([jacobian.centers, targets // n_channels]),
            np.concatenate([-derivatives, sums]),
            n_channels,
        )

    @classmethod
    def of_strain(cls, factor: Factor, harmonics, adjoint, n_channels, structures):
        """Do what `of_positions` does, for rows of strain."""
        jacobian = factor.voigt_jacobian[:, :, harmonics]
        derivatives = np.einsum("ixaq,ia->ixq", jacobian, adjoint)
        n_atoms, n_axes, n_q = derivatives.shape
        derivatives = derivatives.reshape(n_atoms, n_axes, n_channels, -1)
        derivatives = derivatives.swapaxes(1, 2)
        keys = structures[:, None] * n_channels + np.arange(n_channels)
        return cls.sort(
            keys.ravel(),
            np.repeat(np.arange(n_atoms), n_channels),
            derivatives.reshape(n_atoms * n_channels, n_axes, n_q // n_channels),
            n_channels,
        )

    def add_rows(self, is_center, values, tensors, rows) -> None:
        """Add the gradients of sum_iaq k(i, m) y_ia C_i[a, q] C_m[b, q] at fixed k.

        Parameters
        ----------
        is_center : ndarray of shape (n_atoms,)
            Environments i of the sum.
        values : ndarray of shape (n_atoms, n_points)
            k(i, m).
        tensors : ndarray of shape (n_points, n_components, n_q)
            C_m.
        rows : ndarray of shape (n_rows, n_axes, n_components, n_points)
        """
        used = np.flatnonzero(is_center[self.centers])
        centers = self.centers[used]
        derivatives = np.ascontiguousarray(self.derivatives[used])
        groups, first = np.unique(self.keys[used], return_index=True)
        first = np.append(first, used.size)
        targets, channels = np.divmod(groups, self.n_channels)
        n_points, n_components, n_q = tensors.shape
        tensors = tensors.reshape(n_points, n_components, self.n_channels, -1)
        tensors = tensors.transpose(2, 1, 3, 0)

        def add_block(start):
            block = slice(start, start + POINT_BLOCK)
            own_values = np.ascontiguousarray(values[:, block])
            own_tensors = np.ascontiguousarray(tensors[..., block])
            target = np.zeros((*rows.shape[:3], own_values.shape[1]))
            groups = first, targets, channels
            add_tensor_rows(
                derivatives, centers, own_values, own_tensors, *groups, target
            )
            rows[..., block] += target

        map_threads(add_block, range(0, n_points, POINT_BLOCK))
