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

from lodekit.density.basis import DensityBasis
from lodekit.descriptors.clebsch_gordan import clebsch_gordan
from lodekit.fitting.progress import progress_bar
from lodekit.regression.environments import choose_environments
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.structures.batch import StructureBatch
from lodekit.terms.tensors import (
    build_tensor_terms,
    choose_tensor_terms,
    density_terms,
)

#: Harmonics of order 1 are y, z, x.
AXES = [2, 0, 1]
#: Atoms of each species whose features tell channels apart: every one has as many
#: vectors as its order has components.
N_ENVIRONMENTS = 30


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
        own = [l for number, l in self.channels if number == z]
        return {key for l in own for key, _ in self.parts(l)}

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
        return sum(own.rank for own in points if own is not None)

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
                own = known[key, z]
                if self.is_response:
                    own = np.einsum("amk,ikr->aimr", coupling, own, optimize=True)
                    parts.append(own)
                else:
                    parts.append(own[None])
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
        for key, own in features.items():
            product = own.reshape(-1, own.shape[3]) @ weights[key].T
            values[key] = product.reshape(*own.shape[:3], -1).swapaxes(2, 3)
        return values


def select_kernels(model, frames, features: DensityFeatures, random_state) -> dict:
    """Return the kernels of every order and sigma, with their sparse points.

    Points are chosen once for all orders, and stored for the elements that have shells
    of an order.
    """
    terms = choose_tensor_terms(
        model,
        frames,
        features.keys,
        random_state,
        default=lambda _: build_tensor_terms({"terms": density_terms()}),
        n_environments=N_ENVIRONMENTS,
    )
    kernels: dict = {key: [] for key in features.keys}
    for descriptor, invariants, covariance, n_sparse in terms:
        made = {
            key: EquivariantKernel(
                *key, descriptor, invariants, covariance, features.species
            )
            for key in features.keys
        }
        chosen = choose_environments(
            frames,
            made[features.keys[0]],
            n_sparse,
            selection=model.selection,
            random_state=random_state,
            single=True,
        )
        for key in progress_bar(features.keys, "sparse points", model.progress):
            for z, (_, _, coefficients) in chosen.items():
                if key in features.orders(z):
                    made[key].set_environments(z, coefficients)
            kernels[key].append(made[key])
    return kernels
