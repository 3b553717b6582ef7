"""The far part of LODE on a particle mesh: linear cost for large structures."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import product

import numpy as np

from lodekit.descriptors.solid_harmonics import (
    derivatives_of,
    gradient_matrices,
    solid_harmonics,
)
from lodekit.numerics.mesh import Mesh

from .far import FarSum, tapered_factors
from .split import Split

#: Largest number of atoms whose derivatives of fields are held at a time.
BLOCK_SIZE = 2**11
#: Largest number of values on grids that are held at a time.
GRID_BLOCK_SIZE = 2**25


class MeshFarSum:
    """Far part of the coefficients of one periodic structure, and its derivatives.

    The same numbers as `FarSum`, to the accuracy of the split. With S_lm the solid
    harmonics and h_q, A_l the functions of `MeshTable`,

        c[i, lm, a n] = sum_q A_l[q, n] S_lm(d/dR_i) u_aq(R_i),
        u_aq(R) = (8 pi / V) sum over half of the k-vectors of
                  h_q(k) / k^2 Re conj(F_a(k)) exp(ik.R),

    so that there is one field for every species a and every q, whatever l and m are.
    Gradients are exact for the computed coefficients. The Jacobians, which grow with
    the square of the number of atoms anyway, are those of `FarSum`.

    Parameters
    ----------
    positions, cell, channels, split, prefactors, charges
        As in `FarSum`.
    """

    #: d(log volume)/d(strain)
    volume_strain = np.eye(3)

    def __init__(self, positions, cell, channels, split: Split, prefactors, charges):
        self.arguments = positions, cell, channels, split, prefactors, charges
        self.charges = charges
        self.table = split.mesh_table
        self.channels = channels
        self.n_channels = channels.max() + 1
        self.max_angular = len(prefactors) - 1
        self.mesh = Mesh(
            positions, cell, split.k_cutoff, self.table.spacing, self.table.order
        )
        self.volume = self.mesh.volume
        k = np.linalg.norm(self.mesh.k_vectors, axis=1)
        factors = tapered_factors(k, self.volume, split.k_cutoff)
        functions, slopes = self.table.evaluate(k)
        #: (8 pi / V) h_q(k) / k^2 and the derivative, (n_k, n_q)
        self.weights = factors[:, :1] * functions
        self.weight_slopes = factors[:, :1] * slopes + factors[:, 1:] * functions
        is_channel = channels[:, None] == np.arange(self.n_channels)
        #: conj(F_a(k)), shape (n_k, n_channels)
        self.sources = self.mesh.transform((is_channel * charges[:, None])[None])

    @cached_property
    def direct(self) -> FarSum:
        """The direct sum."""
        return FarSum(*self.arguments)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield the atoms in blocks of neighbours."""
        atoms = self.mesh.sorted_atoms
        for start in range(0, atoms.size, BLOCK_SIZE):
            yield atoms[start : start + BLOCK_SIZE]

    def field_blocks(self) -> Iterator[slice]:
        """Yield ranges of the fields q of one species."""
        largest = max(1, GRID_BLOCK_SIZE // int(np.prod(self.mesh.shape)))
        n_fields = self.weights.shape[1]
        n_blocks = -(-n_fields // largest)
        for block in range(n_blocks):
            yield slice(
                block * n_fields // n_blocks, (block + 1) * n_fields // n_blocks
            )

    def fields(self, channel: int, q: slice) -> np.ndarray:
        """Return some fields u_aq of a species on the grid."""
        return self.mesh.fields(self.sources[:, channel, None] * self.weights[:, q])

    def coefficients(self) -> np.ndarray:
        """Return the far part, (n_atoms, n_lm, n_channels, n_radial)."""
        rows = solid_harmonics(self.max_angular)
        n_radial = self.table.mixing.shape[2]
        shape = (self.channels.size, len(rows), self.n_channels, n_radial)
        total = np.zeros(shape)
        for channel, q in product(range(self.n_channels), self.field_blocks()):
            grids = self.fields(channel, q)
            for atoms in self.blocks():
                values = self.mesh.interpolate(grids, atoms, self.max_angular, rows)
                for l, mixing in enumerate(self.table.mixing):
                    lm = slice(l * l, (l + 1) ** 2)
                    part = values[lm] @ mixing[q]
                    total[atoms, lm, channel] += np.swapaxes(part, 0, 1)
            # before the next ones are made
            del grids
        return total

    def reverse(self, adjoint: np.ndarray, by_charges=None):
        """Turn d(scalar)/d(coefficients) into gradients.

        Those with respect to charges are added to ``by_charges``, (n_atoms,).

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (3, 3)
        """
        rows = solid_harmonics(self.max_angular)
        derivative_rows = np.concatenate(
            [derivatives_of(rows, self.max_angular, axis) for axis in range(3)]
        )
        positions = np.zeros((self.channels.size, 3))
        products = np.zeros((len(rows), 3, len(rows)))
        weight_adjoint = np.zeros(self.weights.shape)
        source_adjoint = np.zeros(self.sources.shape, dtype=complex)
        for channel, q in product(range(self.n_channels), self.field_blocks()):
            field_slopes = self.field_adjoint(adjoint[:, :, channel], q)
            spectra = self.mesh.transform(field_slopes, self.max_angular, rows)
            source_adjoint[:, channel] += np.sum(self.weights[:, q] * spectra, axis=1)
            sources = self.sources[:, channel, None].conj()
            weight_adjoint[:, q] += (sources * spectra).real
            grids = self.fields(channel, q)
            for atoms in self.blocks():
                some = field_slopes[:, atoms]
                gradients = self.mesh.interpolate(
                    grids, atoms, self.max_angular + 1, derivative_rows
                ).reshape(3, *some.shape)
                positions[atoms] += np.einsum("riq,xriq->ix", some, gradients)
                products += np.tensordot(some, gradients, ((1, 2), (2, 3)))
            del grids
        places = np.arange(self.channels.size), self.channels
        potential, *slopes = self.mesh.evaluate(source_adjoint, 1)
        if by_charges is not None:
            by_charges += potential[places]
        positions += (
            np.stack([slope[places] for slope in slopes], axis=1)
            * (self.charges[:, None])
        )
        return positions, self.reverse_strain(weight_adjoint, products)

    def field_adjoint(self, adjoint: np.ndarray, q: slice) -> np.ndarray:
        """Turn (n_atoms, n_lm, n_radial) into (n_lm, n_atoms, n_q)."""
        parts = []
        for l, mixing in enumerate(self.table.mixing):
            of_order = np.swapaxes(adjoint[:, l * l : (l + 1) ** 2], 0, 1)
            parts.append(np.ascontiguousarray(of_order) @ mixing[q].T)
        return np.concatenate(parts)

    def reverse_strain(self, weight_adjoint, products) -> np.ndarray:
        """Return the strain gradient: k-vectors and the volume change with the cell.

        ``products`` (n_lm, 3, n_lm) are sums over atoms of adjoints times derivatives
        of S_lm u. A strain turns d/dR_a into d/dR_a - sum_b e_ab d/dR_b.
        """
        k_vectors = self.mesh.k_vectors
        slopes = np.sum(weight_adjoint * self.weight_slopes, axis=1)
        slopes /= np.linalg.norm(k_vectors, axis=1)
        strain = -(k_vectors * slopes[:, None]).T @ k_vectors
        strain -= np.sum(weight_adjoint * self.weights) * self.volume_strain
        matrices = gradient_matrices(self.max_angular)
        return strain - np.einsum("alm,lbm->ab", matrices, products)

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain; see `FarSum`."""
        return self.direct.strain_jacobian()

    def fill_pair_derivatives(self, centers, movers, derivatives) -> None:
        """Fill d(c of centre)/d(R of mover) of pairs of atoms; see `FarSum`."""
        self.direct.fill_pair_derivatives(centers, movers, derivatives)


def make_far_sum(positions, cell, channels, split: Split, prefactors, charges):
    """Return the faster of `FarSum` and `MeshFarSum`, with their parameters."""
    n_channels = channels.max(initial=0) + 1
    volume = abs(np.linalg.det(cell))
    on_mesh = split.prefers_mesh(len(positions), volume, n_channels)
    far_sum = MeshFarSum if on_mesh else FarSum
    return far_sum(positions, cell, channels, split, prefactors, charges)
