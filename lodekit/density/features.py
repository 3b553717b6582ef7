"""Features of density coefficients: kernels of every order, by element and l.

The coefficients of atom i in shell n of its element are c[n, m] = Phi_i[m] . w[n], with
Phi of order l. Their changes in a uniform field along a are tensors of l coupled with
the vector of the field,

    c'[n, m, a] = sum_lambda,mu C(l m, 1 a; lambda mu) Phi^lambda_i[mu] . w^lambda[n]

with lambda = l - 1, l (a pseudotensor) and l + 1.

References
----------
A. M. Lewis, P. Lazzaroni, M. Rossi, J. Chem. Phys. 159, 014103 (2023).
"""

from __future__ import annotations

import numpy as np

from lodekit.descriptors.clebsch_gordan import clebsch_gordan
from lodekit.structures.batch import StructureBatch

from .basis import DensityBasis

#: Harmonics of order 1 are y, z, x.
AXES = [2, 0, 1]


class DensityFeatures:
    """The feature map of coefficients, or of their changes in a field.

    Parameters
    ----------
    basis : DensityBasis
    species : ndarray of shape (n_species,)
    is_response : bool

    Attributes
    ----------
    kernels : dict of (order, sigma) to list of EquivariantKernel
        One for each term; empty until they are set.
    """

    def __init__(self, basis: DensityBasis, species: np.ndarray, is_response: bool):
        self.basis, self.species = basis, species
        self.is_response = is_response
        self.kernels: dict = {}

    @property
    def n_cases(self) -> int:
        """Arrays of coefficients of a structure: one, or one for each axis."""
        return 3 if self.is_response else 1

    @property
    def channels(self) -> dict[tuple[int, int], int]:
        """Number of shells by atomic number and l."""
        return {
            (z, l): n_shells
            for z in self.species.tolist()
            for l, n_shells in enumerate(self.basis.counts(z))
            if n_shells
        }

    def parts(self, l: int) -> list[tuple[tuple[int, int], np.ndarray]]:
        """Return the orders that shells of l take features of.

        Returns
        -------
        parts : list of (key, coupling)
            Order and sigma, and C, (n_cases, 2 l + 1, 2 order + 1).
        """
        if not self.is_response:
            return [((l, 1), np.eye(2 * l + 1)[None])]
        return [
            (
                (order, (-1) ** (l + 1 + order)),
                clebsch_gordan(l, 1, order)[:, AXES].swapaxes(0, 1),
            )
            for order in range(abs(l - 1), l + 2)
        ]

    def orders(self, z: int) -> set[tuple[int, int]]:
        """Return order and sigma of all features of an element."""
        momenta = [l for number, l in self.channels if number == z]
        return {key for l in momenta for key, _ in self.parts(l)}

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Order and sigma of all features."""
        return sorted(set().union(*(self.orders(z) for z in self.species.tolist())))

    def shapes(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return numbers of shells and of features by element and l."""
        return {
            (z, l): (n_shells, sum(self.rank(key, z) for key, _ in self.parts(l)))
            for (z, l), n_shells in self.channels.items()
        }

    def rank(self, key: tuple[int, int], z: int) -> int:
        """Return the number of features of an order, all terms together."""
        points = [kernel.points.get(z) for kernel in self.kernels[key]]
        return sum(
            kernel_points.rank for kernel_points in points if kernel_points is not None
        )

    def evaluate(self, batch: StructureBatch) -> dict:
        """Return features by element and l.

        Returns
        -------
        features : dict of (z, l) to ndarray of shape (n_cases, n_atoms, 2 l + 1, rank)
            Of the atoms of the element in their order.
        """
        cache: dict = {}
        states = {
            key: [kernel.evaluate(batch, cache) for kernel in kernels]
            for key, kernels in self.kernels.items()
        }
        features, known = {}, {}
        for z, l in self.channels:
            parts = []
            for key, coupling in self.parts(l):
                if (key, z) not in known:
                    rows = [
                        state.species_rows(z)
                        for state in states[key]
                        if z in state.kernel.points
                    ]
                    n_atoms = int(np.sum(batch.species == z))
                    empty = np.zeros((n_atoms, 2 * key[0] + 1, 0))
                    known[key, z] = np.concatenate([empty, *rows], axis=2)
                rows = known[key, z]
                if self.is_response:
                    rows = np.einsum("amk,ikr->aimr", coupling, rows, optimize=True)
                    parts.append(rows)
                else:
                    parts.append(rows[None])
            features[z, l] = np.concatenate(parts, axis=3)
        return features

    def values(self, features: dict, weights: dict) -> dict:
        """Return coefficients by element and l, (n_cases, n_atoms, n_shells, 2 l + 1).

        Parameters
        ----------
        features : dict
            What `evaluate` returned.
        weights : dict of (z, l) to ndarray of shape (n_shells, rank)
        """
        values = {}
        for key, rows in features.items():
            product = rows.reshape(-1, rows.shape[3]) @ weights[key].T
            values[key] = product.reshape(*rows.shape[:3], -1).swapaxes(2, 3)
        return values
