"""Atomic tensors of one batch: values, rows and their derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lodekit.descriptors.equivariant_power_spectrum import EquivariantFeatures
from lodekit.descriptors.factor_gradients import contract_factors, contract_strain
from lodekit.descriptors.power_spectrum import Factor, PowerSpectrumFeatures
from lodekit.structures.batch import StructureBatch

from .covariance_gradients import MovingFactor
from .covariances import CovarianceValues
from .equivariant_rows import SpeciesRows
from .point_kernel import project
from .sparse_kernel import sum_structures

if TYPE_CHECKING:
    from .equivariant_kernel import EquivariantKernel, EquivariantPoints


@dataclass
class WeightedPoints:
    """Atoms of one species, and their sparse points at given weights.

    Attributes
    ----------
    species : int
    atoms : ndarray of shape (n,)
    points : EquivariantPoints
    directions : ndarray of shape (n_points, n_channels)
        t_ia = sum_mc f(i, m) p_i[a, c] directions[m, c].
    covariances : CovarianceValues
        f and its derivatives.
    """

    species: int
    atoms: np.ndarray
    points: EquivariantPoints
    directions: np.ndarray
    covariances: CovarianceValues


@dataclass
class EquivariantState:
    """Tensors t_i = Phi_i w of the atoms of a batch.

    Attributes
    ----------
    kernel : EquivariantKernel
    batch : StructureBatch
    invariants : PowerSpectrumFeatures
    equivariants : EquivariantFeatures
    """

    kernel: EquivariantKernel
    batch: StructureBatch
    invariants: PowerSpectrumFeatures
    equivariants: EquivariantFeatures

    def atoms(self, species: int) -> np.ndarray:
        """Return the atoms of a species."""
        return np.flatnonzero(self.batch.species == species)

    def tensors(self, species: int) -> np.ndarray:
        """Return p of the atoms of a species, (n, 2 order + 1, n_channels)."""
        return self.equivariants.block(self.kernel.order, self.kernel.sigma, species)

    @property
    def n_components(self) -> int:
        """Components of a tensor."""
        return 2 * self.kernel.order + 1

    def species_rows(self, species: int) -> np.ndarray:
        """Return Phi of the atoms of a species, (n, 2 order + 1, own rank)."""
        kernel, atoms = self.kernel, self.atoms(species)
        points, features = kernel.points[species], self.invariants.features[atoms]
        constants = kernel.constants(species)
        tensors = self.tensors(species)
        values = kernel.covariances(features, tensors, points, constants)
        values = values @ points.projection
        return values.reshape(atoms.size, self.n_components, values.shape[1])

    def rows(self) -> np.ndarray:
        """Return Phi, (n_atoms, 2 order + 1, rank)."""
        rows = np.zeros((self.batch.n_atoms, self.n_components, self.kernel.rank))
        for z, columns in self.kernel.columns.items():
            rows[self.atoms(z), :, columns] = self.species_rows(z)
        return rows

    def structure_rows(self) -> np.ndarray:
        """Return Phi summed over atoms, (n_structures, 2 order + 1, rank)."""
        kernel, batch = self.kernel, self.batch
        rows = np.zeros((batch.n_structures, self.n_components, kernel.rank))
        for z, columns in kernel.columns.items():
            atoms, points = self.atoms(z), kernel.points[z]
            features = self.invariants.features[atoms]
            constants = kernel.constants(z)
            values = kernel.covariances(features, self.tensors(z), points, constants)
            n_columns = self.n_components * values.shape[1]
            totals = sum_structures(batch, atoms, values.reshape(-1, n_columns))
            totals = totals.reshape(-1, values.shape[1]) @ points.projection
            rows[:, :, columns] = totals.reshape(len(rows), self.n_components, -1)
        return rows

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return t, (n_atoms, 2 order + 1), for weights (rank,)."""
        values = np.zeros((self.batch.n_atoms, self.n_components))
        for weighted in self.weigh_points(weights):
            means = weighted.covariances.values @ weighted.directions
            values[weighted.atoms] = np.einsum(
                "iac,ic->ia", self.tensors(weighted.species), means
            )
        return values

    def weigh_points(self, weights: np.ndarray) -> list[WeightedPoints]:
        """Return sparse points times weights, for values and derivatives."""
        weighted = []
        for z, columns in self.kernel.columns.items():
            atoms, points = self.atoms(z), self.kernel.points[z]
            coefficients = points.projection @ weights[columns]
            coefficients = coefficients.reshape(len(points.tensors), -1)
            directions = np.einsum("mbc,mb->mc", points.tensors, coefficients)
            features = self.invariants.features[atoms]
            covariances = self.kernel.covariance_values(features, z)
            weighted.append(WeightedPoints(z, atoms, points, directions, covariances))
        return weighted

    def gradients(self, weights: np.ndarray, adjoint: np.ndarray):
        """Return the derivatives of sum_i adjoint_i . t_i.

        Parameters
        ----------
        weights : ndarray of shape (rank,)
        adjoint : ndarray of shape (n_atoms, 2 order + 1)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((self.batch.n_structures, 3, 3))
        sums = self.expansion_adjoints(self.weigh_points(weights), adjoint)
        for factor, by_coefficients in sums:
            more_positions, more_strain = factor.expansion.reverse(by_coefficients)
            positions += more_positions
            strain += more_strain
        return positions, strain

    def expansion_adjoints(
        self, weighted: list[WeightedPoints], adjoint
    ) -> list[tuple]:
        """Return every expansion, as a factor, with d(sum adjoint . t)/d(coefficients).

        Expansions that invariants and tensors share occur once.
        """
        by_features, by_tensors = self.feature_adjoints(weighted, adjoint)
        parts = zip(
            [*self.invariants.factors, *self.tensor_factors],
            [
                *self.invariants.reverse_product(by_features),
                *self.equivariants.reverse_product(by_tensors),
            ],
            strict=True,
        )
        sums: dict = {}
        for factor, values in parts:
            key = id(factor.expansion)
            sums[key] = factor, sums.get(key, (factor, 0.0))[1] + values
        return list(sums.values())

    def feature_adjoints(self, weighted: list[WeightedPoints], adjoint: np.ndarray):
        """Return d(sum_i adjoint_i . t_i) by invariants, and by tensors of species."""
        by_features, by_tensors = np.zeros_like(self.invariants.features), {}
        for points in weighted:
            atoms, values = points.atoms, points.covariances
            tensors = self.tensors(points.species)
            pulled = (
                np.einsum("iac,ia->ic", tensors, adjoint[atoms]) @ points.directions.T
            )
            by_features[atoms] = (pulled * values.slopes) @ points.points.features
            shifts = (pulled * values.shifts).sum(axis=1)
            by_features[atoms] += shifts[:, None] * self.invariants.features[atoms]
            means = values.values @ points.directions
            key = self.kernel.order, self.kernel.sigma, points.species
            by_tensors[key] = adjoint[atoms][:, :, None] * means[:, None]
        return by_features, by_tensors

    @cached_property
    def tensor_factors(self) -> list[Factor]:
        """The expansions of the tensors; those of the invariants where they are shared.

        A shared factor has its Jacobian made once.
        """
        left, right = self.equivariants.left, self.equivariants.right
        if left is self.invariants.left and right is self.invariants.right:
            return self.invariants.factors
        if right is None:
            return [Factor(left, left.coefficients, "square")]
        return [
            Factor(left, right.coefficients, "left"),
            Factor(right, left.coefficients, "right"),
        ]

    def atom_gradients(self, weights: np.ndarray) -> np.ndarray:
        """Return the derivatives of every component of every t_i.

        Returns
        -------
        gradients : ndarray of shape (n_atoms, 2 order + 1, n_atoms, 3)
            Of the first atom by the position of the second.
        """
        return self.each_component(weights, contract_factors)

    def atom_strain_gradients(self, weights: np.ndarray) -> np.ndarray:
        """Do what `atom_gradients` does, for strain: (n_atoms, 2 order + 1, 3, 3)."""
        return self.each_component(weights, contract_strain)

    def each_component(self, weights: np.ndarray, contract) -> np.ndarray:
        """Stack ``contract(factors, adjoints)`` of components of t."""
        weighted, gradients = self.weigh_points(weights), []
        for component in np.eye(self.n_components):
            adjoint = np.broadcast_to(component, (self.batch.n_atoms, component.size))
            factors, adjoints = zip(
                *self.expansion_adjoints(weighted, adjoint), strict=True
            )
            gradients.append(contract(factors, adjoints))
        return np.stack(gradients, axis=1)

    def gradient_rows(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of sum_i adjoint_i . Phi_i.

        Parameters
        ----------
        adjoint : ndarray of shape (n_atoms, 2 order + 1)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3, rank)
        strain : ndarray of shape (n_structures, 6, rank)
        """
        return self.position_rows(adjoint), self.strain_rows(adjoint)

    def strain_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Phi_i)/d(strain), (n_structures, 6, rank).

        Voigt order xx, yy, zz, yz, xz, xy of the symmetric part.
        """
        strain = np.empty((self.batch.n_structures, 6, self.kernel.rank))
        for z, columns in self.kernel.columns.items():
            rows = SpeciesRows(self, z, adjoint).strain()
            strain[:, :, columns] = project(rows, self.kernel.points[z].projection)
        return strain

    def position_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Phi_i)/dR, (n_atoms, 3, rank)."""
        positions = np.empty((self.batch.n_atoms, 3, self.kernel.rank))
        for z, columns in self.kernel.columns.items():
            rows = SpeciesRows(self, z, adjoint).positions()
            positions[:, :, columns] = project(rows, self.kernel.points[z].projection)
        return positions

    @cached_property
    def moving(self) -> dict[int, MovingFactor]:
        """Factors by id with derivatives by positions, each Jacobian made once."""
        factors = {id(f): f for f in [*self.invariants.factors, *self.tensor_factors]}
        n_atoms = self.batch.n_atoms
        return {
            key: MovingFactor.from_factor(factor, n_atoms)
            for key, factor in factors.items()
        }
