"""Features of density coefficients: kernels of every order, by element and l.

The coefficients of atom i in shell n of its element are c[n, m] = Phi_i[m] . w[n], with
Phi of order l. Their changes by a perturbation with the potential v around the atom
(`lodekit.density.perturbations`) are tensors of l coupled with v of every order k,

    c'[n, m] = sum_k,a v_i[k, a] sum_lambda,mu C(l m, k a; lambda mu)
               Phi^lambda_i[mu] . w^k,lambda[n]

with lambda = abs(l - k) to l + k, pseudotensors where l + k + lambda is odd. For a
uniform field k = 1 only.

References
----------
A. M. Lewis, P. Lazzaroni, M. Rossi, J. Chem. Phys. 159, 014103 (2023).
"""

from __future__ import annotations

import numpy as np

from lodekit.descriptors.clebsch_gordan import clebsch_gordan
from lodekit.structures.batch import StructureBatch

from .basis import DensityBasis
from .perturbations import PointCharges, UniformField

#: Tensors of higher orders are left out of products with v.
MAX_ORDER = 4


class DensityFeatures:
    """The feature map of coefficients, or of their changes by a perturbation.

    Parameters
    ----------
    basis : DensityBasis
    species : ndarray of shape (n_species,)
    perturbation : UniformField or PointCharges, optional
        None for coefficients.

    Attributes
    ----------
    kernels : dict of (order, sigma) to list of EquivariantKernel
        One for each term; empty until they are set.
    """

    def __init__(
        self,
        basis: DensityBasis,
        species: np.ndarray,
        perturbation: UniformField | PointCharges | None = None,
    ):
        self.basis, self.species = basis, species
        self.perturbation = perturbation
        self.kernels: dict = {}

    @property
    def n_cases(self) -> int:
        """Arrays of coefficients of a structure: one, or one for each axis."""
        return 1 if self.perturbation is None else self.perturbation.n_cases

    @property
    def channels(self) -> dict[tuple[int, int], int]:
        """Number of shells by atomic number and l."""
        return {
            (z, l): n_shells
            for z in self.species.tolist()
            for l, n_shells in enumerate(self.basis.counts(z))
            if n_shells
        }

    def parts(self, l: int) -> list[tuple[int, tuple[int, int]]]:
        """Return the orders that shells of l take features of.

        Returns
        -------
        parts : list of (k, (order, sigma))
            With the order of v that features are coupled with, 0 without one.
        """
        if self.perturbation is None:
            return [(0, (l, 1))]
        return [
            (k, (order, (-1) ** (l + k + order)))
            for k in self.perturbation.orders
            for order in range(abs(l - k), min(l + k, max(l + 1, MAX_ORDER)) + 1)
        ]

    def orders(self, z: int) -> set[tuple[int, int]]:
        """Return order and sigma of all features of an element."""
        momenta = [l for number, l in self.channels if number == z]
        return {key for l in momenta for _, key in self.parts(l)}

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Order and sigma of all features."""
        return sorted(set().union(*(self.orders(z) for z in self.species.tolist())))

    def shapes(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Return numbers of shells and of features by element and l."""
        return {
            (z, l): (n_shells, sum(self.rank(key, z) for _, key in self.parts(l)))
            for (z, l), n_shells in self.channels.items()
        }

    def rank(self, key: tuple[int, int], z: int) -> int:
        """Return the number of features of an order, all terms together."""
        points = [kernel.points.get(z) for kernel in self.kernels[key]]
        return sum(
            kernel_points.rank for kernel_points in points if kernel_points is not None
        )

    def evaluate(self, frames, perturbation=None) -> dict:
        """Return features by element and l.

        Parameters
        ----------
        frames : list of ase.Atoms
        perturbation : UniformField, optional
            Another one than that of the fit, with the same orders.

        Returns
        -------
        features : dict of (z, l) to ndarray of shape (n_cases, n_atoms, 2 l + 1, rank)
            Of the atoms of the element in their order.
        """
        batch = StructureBatch.from_frames(frames)
        perturbation = perturbation or self.perturbation
        cache: dict = {}
        states = {
            key: [kernel.evaluate(batch, cache) for kernel in kernels]
            for key, kernels in self.kernels.items()
        }
        potentials = {} if perturbation is None else perturbation.at_atoms(frames)
        features, known = {}, {}
        for z, l in self.channels:
            is_element, parts = batch.species == z, []
            for k, key in self.parts(l):
                if (key, z) not in known:
                    known[key, z] = rows_of(states[key], key[0], z, is_element)
                if perturbation is None:
                    parts.append(known[key, z][None])
                else:
                    potential = potentials[k][:, is_element]
                    parts.append(couple(known[key, z], potential, l, k, key[0]))
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
            n_shells, rank = weights[key].shape
            product = rows.reshape(np.prod(rows.shape[:3]), rank) @ weights[key].T
            values[key] = product.reshape(*rows.shape[:3], n_shells).swapaxes(2, 3)
        return values


def rows_of(states: list, order: int, z: int, is_element: np.ndarray) -> np.ndarray:
    """Return the features of an element of all terms, (n_atoms, 2 order + 1, rank)."""
    rows = [state.species_rows(z) for state in states if z in state.kernel.points]
    empty = np.zeros((int(np.sum(is_element)), 2 * order + 1, 0))
    return np.concatenate([empty, *rows], axis=2)


def couple(rows, potential, l: int, k: int, order: int) -> np.ndarray:
    """Return features of l, (n_cases, n_atoms, 2 l + 1, rank).

    Parameters
    ----------
    rows : ndarray of shape (n_atoms, 2 order + 1, rank)
    potential : ndarray of shape (n_cases, n_atoms, 2 k + 1)
    """
    coupling = clebsch_gordan(l, k, order)
    matrices = np.einsum("cia,mab->cimb", potential, coupling, optimize=True)
    return matrices @ rows
