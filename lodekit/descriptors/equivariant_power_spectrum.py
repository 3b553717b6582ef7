"""Equivariant products of two spherical expansions: lambda-SOAP and lambda-LODE."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn.base import BaseEstimator

from lodekit.kernels.equivariants import couple_expansions, reverse_couple
from lodekit.structures.batch import StructureBatch, as_frames

from .channels import Channels, ProductPlan, all_channels, coupled_pairs
from .expansion import Expansion


class EquivariantPowerSpectrum(BaseEstimator):
    """Products of one or two spherical expansions that turn like spherical harmonics.

    p^lambda_mu[l1 q1 l2 q2] = sum_m1m2 C(l1 m1 l2 m2; lambda mu) left[l1 m1, q1]
    right[l2 m2, q2], with C the Clebsch-Gordan coefficients of real harmonics and q the
    joint index of neighbour species and radial function. The sign sigma =
    (-1)^(l1 + l2 + lambda) is 1 for tensors, which an inversion multiplies by
    (-1)^lambda, and -1 for pseudotensors.

    Parameters
    ----------
    left, right : SphericalExpansion or LodeSphericalExpansion
        Density x density where ``right`` is None, density x potential otherwise.
    max_lambda : int, optional
        Largest order; the sum of both ``max_angular`` where None.
    selection : ChannelSelection, optional
        The channels to compute; all where None.

    References
    ----------
    A. Grisafi, D. M. Wilkins, G. Csányi, M. Ceriotti, Phys. Rev. Lett. 120, 036002
    (2018); A. Grisafi, M. Ceriotti, J. Chem. Phys. 151, 204105 (2019).
    """

    def __init__(self, left, right=None, max_lambda=None, selection=None):
        self.left = left
        self.right = right
        self.max_lambda = max_lambda
        self.selection = selection

    @property
    def max_order(self) -> int:
        """Largest order.

        Raises
        ------
        ValueError
            If ``max_lambda`` is no whole number, or the expansions do not reach it.
        """
        largest = self.left.max_angular + (self.right or self.left).max_angular
        if self.max_lambda is None:
            return largest
        if self.max_lambda not in range(largest + 1):
            raise ValueError(
                f"max_lambda must be a whole number from 0 to {largest}, the sum of "
                f"the max_angular of both expansions, got {self.max_lambda!r}"
            )
        return int(self.max_lambda)

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Order and sigma of all features."""
        if self.selection is not None:
            return self.selection.keys
        shapes = self.left.max_angular, (self.right or self.left).max_angular
        keys = [(o, s) for o in range(self.max_order + 1) for s in (1, -1)]
        return [key for key in keys if len(coupled_pairs(*key, *shapes, False))]

    def take_expansions(self, descriptor) -> None:
        """Take the expansions of a `PowerSpectrum`, which are equal to these."""
        self.left, self.right = descriptor.left, descriptor.right

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter."""
        return max(self.left.reach, (self.right or self.left).reach)

    def channels(self, order: int, sigma: int, center: int, species) -> Channels:
        """Return the channels of ``order`` and ``sigma`` for one centre species.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers of all neighbours that may occur.
        """
        if self.selection is not None:
            return self.selection.channels(order, sigma, center, self, species)
        left, right = (
            side and (side.max_angular, side.n_channels(species) * side.n_radial)
            for side in (self.left, self.right)
        )
        return all_channels(order, sigma, left, right)

    def couple(self, order: int, sigma: int, center: int, species, left, right=None):
        """Return the features of one species of centres from expansion coefficients.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers of all neighbours that may occur.
        left, right : ndarray of shape (n, n_lm, n_q)
            Coefficients of both factors; a square has one.

        Returns
        -------
        features : ndarray of shape (n, 2 order + 1, n_channels)
        """
        plan = self.channels(order, sigma, center, species).plan
        flat, atoms = np.empty(len(left) * plan.size), np.arange(len(left))
        other = left if right is None else right
        couple_expansions(left, other, atoms, *plan.arguments, flat)
        return plan.split(flat, len(left))[0]

    def evaluate(
        self, batch: StructureBatch, species: np.ndarray, cache: dict | None = None
    ) -> EquivariantFeatures:
        """Expand the surroundings of all atoms of ``batch``.

        Features of an order are made when they are asked for.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers of all neighbours that may occur.
        cache : dict, optional
            Features and expansions of this batch by descriptor, see
            `PowerSpectrum.evaluate`.
        """
        cache = {} if cache is None else cache
        if id(self) not in cache:
            expansions = []
            for side in (self.left, self.right):
                if side is not None and id(side) not in cache:
                    cache[id(side)] = side.expand(batch, species)
                expansions.append(cache.get(id(side)))
            cache[id(self)] = EquivariantFeatures(
                self, batch.species, species, *expansions
            )
        return cache[id(self)]

    def compute(self, frames, neighbors_to_properties=False):
        """Return the features as a ``TensorMap`` with featomic's names.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        neighbors_to_properties : bool
            One block for all neighbour species, instead of one for each pair.

        Returns
        -------
        TensorMap
            Keys ``o3_lambda, o3_sigma, center_type`` and, unless they are among the
            properties, ``neighbor_1_type, neighbor_2_type``; samples ``system, atom``,
            components ``o3_mu``, properties ``l_1, l_2, n_1, n_2``.
        """
        from .equivariant_tensor_map import equivariant_tensor_map

        batch = StructureBatch.from_frames(as_frames(frames))
        species = np.unique(batch.species)
        if self.selection is not None:
            species = np.union1d(species, self.selection.species)
        features = self.evaluate(batch, species)
        return equivariant_tensor_map(features, batch, neighbors_to_properties)


@dataclass
class EquivariantFeatures:
    """Features of one batch by order, sigma and centre species, and derivatives.

    Attributes
    ----------
    descriptor : EquivariantPowerSpectrum
    centers : ndarray of shape (n_atoms,)
        Atomic numbers of all atoms.
    species : ndarray of shape (n_species,)
        Species of the channels.
    left, right : Expansion
        ``right`` is None for the product of an expansion with itself.
    """

    descriptor: EquivariantPowerSpectrum
    centers: np.ndarray
    species: np.ndarray
    left: Expansion
    right: Expansion | None
    _blocks: dict = field(default_factory=dict, init=False, repr=False)

    def block(self, order: int, sigma: int, center: int) -> np.ndarray:
        """Return the features of all atoms of one species, made once.

        Returns
        -------
        features : ndarray of shape (n_centers, 2 order + 1, n_channels)
            Atoms in ascending order.
        """
        key = order, sigma, int(center)
        if key not in self._blocks:
            atoms = np.flatnonzero(self.centers == center)
            self._blocks[key] = self.values(*key, atoms)
        return self._blocks[key]

    def values(self, order: int, sigma: int, center: int, atoms: np.ndarray):
        """Compute the features of some atoms of one species, in their order.

        Returns
        -------
        features : ndarray of shape (n, 2 order + 1, n_channels)
        """
        plan = self.plan(order, sigma, center)
        flat = np.empty(atoms.size * plan.size)
        couple_expansions(*self.coefficients, atoms, *plan.arguments, flat)
        return plan.split(flat, atoms.size)[0]

    @property
    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients of both factors."""
        return self.left.coefficients, (self.right or self.left).coefficients

    def plan(self, order: int, sigma: int, center: int) -> ProductPlan:
        """Return the index arrays that the compiled loops over channels read."""
        channels = self.descriptor.channels(order, sigma, center, self.species)
        return channels.plan

    def reverse_product(self, adjoints: dict) -> list[np.ndarray]:
        """Turn d(scalar)/d(features) into that by the coefficients of each factor.

        Parameters
        ----------
        adjoints : dict of (order, sigma, center) to ndarray
            Of the shapes that `block` has.

        Returns
        -------
        gradients : list of ndarray of shape (n_atoms, n_lm, n_q)
            Of one factor where it is multiplied with itself, of two otherwise.
        """
        gradients = [np.zeros_like(self.left.coefficients)]
        if self.right is not None:
            gradients.append(np.zeros_like(self.right.coefficients))
        for (order, sigma, center), adjoint in adjoints.items():
            reverse_couple(
                *self.coefficients,
                np.flatnonzero(self.centers == center),
                *self.plan(order, sigma, center).arguments,
                np.ascontiguousarray(adjoint).ravel(),
                gradients[0],
                gradients[-1],
            )
        return gradients

    def reverse(self, adjoints: dict) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(features) into gradients of positions and of strain.

        Parameters
        ----------
        adjoints : dict of (order, sigma, center) to ndarray
            Of the shapes that `block` has.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
            In featomic's order of indices, see `Expansion.reverse`.
        """
        left, *right = self.reverse_product(adjoints)
        positions, strain = self.left.reverse(left)
        for gradients in right:
            more_positions, more_strain = self.right.reverse(gradients)
            positions, strain = positions + more_positions, strain + more_strain
        return positions, strain
