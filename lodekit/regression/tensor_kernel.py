"""Atomic tensors, linear in weights: the sparse-kernel feature map of multipoles.

Environments i and m with density coefficients C (2 l + 1, n_q) of one l, for all
neighbour species and radial functions q, have the covariance of tensors of order l

    K(i, m)_ab = k(i, m) sum_q C_i[a, q] C_m[b, q] / s,

with a, b real spherical harmonics, k a covariance of invariant features and s the mean
of |C_m|^2 / (2 l + 1). It turns with both environments, and vanishes where symmetry
allows no tensor.

References
----------
A. Grisafi, D. M. Wilkins, G. Csányi, M. Ceriotti, Phys. Rev. Lett. 120, 036002 (2018);
here the tensors come from pairs, and many-body terms from k alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lodekit.descriptors.power_spectrum import PowerSpectrum, PowerSpectrumFeatures
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

from .covariances import PolynomialCovariance
from .environments import choose_environments
from .point_kernel import PointKernel, project, triangular_projection
from .stored_points import PointStore
from .tensor_gradients import HarmonicEntries
from .tensor_points import TensorPoints, WeightedPoints, read_tensor_points

#: Eigenvalues of K_MM below this times the largest are dropped.
RCOND = 1e-10


@dataclass
class TensorKernel(PointKernel):
    """Feature map of atomic tensors t_i = Phi_i w.

    Attributes
    ----------
    order : int
        l: 1 for vectors, 2 for symmetric matrices without trace.
    descriptor : PowerSpectrum
        Its left factor gives C.
    covariance : PolynomialCovariance
    species : ndarray of shape (n_species,)
        Sorted atomic numbers.
    points : dict of int to TensorPoints
        By centre species; a species without entry has no tensors.
    amplitude : float
        Prior standard deviation of the tensors, in units of the covariance.
    """

    order: int
    descriptor: PowerSpectrum
    covariance: PolynomialCovariance
    species: np.ndarray
    points: dict[int, TensorPoints]
    amplitude: float = field(default=1.0, init=False)
    _transfers: dict = field(default_factory=dict, init=False, repr=False)
    _constants: dict = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def select(
        cls,
        frames,
        order,
        descriptor,
        covariance,
        species,
        n_sparse,
        random_state=None,
        compact=False,
    ):
        """Choose at most ``n_sparse`` points per species as `choose_environments`.

        A species whose atoms have no harmonics of this order gets no points; for
        ``compact`` see `select_sparse_points`.

        Raises
        ------
        ValueError
            If the descriptor has no harmonics of this order.
        """
        if descriptor.n_angular <= order:
            raise ValueError(
                f"atomic multipoles of order {order} need a first descriptor with a "
                f"max_angular of at least {order}, got {descriptor.n_angular - 1}"
            )
        kernel = cls(order, descriptor, covariance, species, {})
        chosen = choose_environments(
            frames, kernel, n_sparse, random_state=random_state, single=compact
        )
        for z, (_, features, coefficients) in chosen.items():
            if compact:
                factors = [factor.astype(float) for factor in coefficients]
                features = descriptor.multiply(*factors)
            tensors = coefficients[0][:, kernel.harmonics].astype(float)
            scale = np.mean(np.einsum("maq,maq->m", tensors, tensors))
            scale = float(scale / tensors.shape[1])
            if scale > 0.0:
                kernel.set_points(z, features, tensors, scale)
                if compact:
                    kernel.points[int(z)].compress(coefficients)
        return kernel

    def set_points(self, species: int, features, tensors, scale: float) -> None:
        """Store sparse points with coefficients C and build their projection."""
        points = TensorPoints(
            features, np.empty((0, 0)), tensors=tensors / scale, scale=scale
        )
        covariances = self.covariances(features, tensors, points)
        points.base = points.projection = triangular_projection(covariances, RCOND)
        self._transfers.clear()
        self.points[int(species)] = points

    @property
    def harmonics(self) -> slice:
        """Where the harmonics of this order stand among all."""
        return slice(self.order**2, (self.order + 1) ** 2)

    def covariances(
        self, features, tensors, points: TensorPoints, constants: dict | None = None
    ) -> np.ndarray:
        """Return K of n environments with the points, (n (2 l + 1), n_points (...)).

        ``constants`` are those of the points for the covariance, where they are known.
        """
        n_components, n_q = tensors.shape[1:]
        products = tensors.reshape(-1, n_q) @ points.tensors.reshape(-1, n_q).T
        shape = (len(tensors), n_components, len(points.tensors), n_components)
        constants = constants or {}
        scalars = self.covariance.matrix(features, points.features, **constants)
        products.reshape(shape)[...] *= scalars[:, None, :, None]
        return products

    def rows(self, batch: StructureBatch, state: PowerSpectrumFeatures) -> np.ndarray:
        """Return Phi, (n_atoms, 2 l + 1, rank), of what the descriptor evaluated."""
        tensors = np.ascontiguousarray(state.left.coefficients[:, self.harmonics])
        n_components = tensors.shape[1]
        rows = np.zeros((batch.n_atoms, n_components, self.rank))
        for z, columns in self.columns.items():
            points = self.points[z]
            atoms = np.flatnonzero(batch.species == z)
            values = self.covariances(
                state.features[atoms], tensors[atoms], points, self.constants(z)
            )
            shape = (atoms.size, n_components, columns.stop - columns.start)
            rows[atoms, :, columns] = (values @ points.projection).reshape(shape)
        return rows

    def reverse(self, batch: StructureBatch, state, weights, adjoint):
        """Return the derivatives of sum_i adjoint_i . t_i.

        Parameters
        ----------
        batch : StructureBatch
        state : PowerSpectrumFeatures
        weights : ndarray of shape (rank,)
        adjoint : ndarray of shape (n_atoms, 2 l + 1)

        Returns
        -------
        features : ndarray of shape (n_atoms, n_features)
            By the invariant features.
        tensors : ndarray of shape (n_atoms, 2 l + 1, n_q)
            By C.
        """
        return self.pull(state, self.weigh_points(batch, state, weights), adjoint)

    def weigh_points(self, batch, state, weights) -> list[WeightedPoints]:
        """Return sparse points times weights, for derivatives with any adjoint."""
        weighted = []
        for z, columns in self.columns.items():
            points = self.points[z]
            atoms = np.flatnonzero(batch.species == z)
            coefficients = points.projection @ weights[columns]
            coefficients = coefficients.reshape(len(points.tensors), -1)
            directions = np.einsum("mbq,mb->mq", points.tensors, coefficients)
            values = self.covariance_values(state.features[atoms], z)
            weighted.append(WeightedPoints(atoms, points, directions, values))
        return weighted

    def pull(self, state, weighted: list[WeightedPoints], adjoint: np.ndarray):
        """Return derivatives by features and by tensors, for `reverse`."""
        tensors = state.left.coefficients[:, self.harmonics]
        by_features, by_tensors = np.zeros_like(state.features), np.zeros(tensors.shape)
        for part in weighted:
            atoms, values = part.atoms, part.covariances
            pulled = np.einsum("iaq,ia->iq", tensors[atoms], adjoint[atoms])
            pulled = pulled @ part.directions.T
            by_features[atoms] = (pulled * values.slopes) @ part.points.features
            shifts = (pulled * values.shifts).sum(axis=1)
            by_features[atoms] += shifts[:, None] * state.features[atoms]
            means = values.values @ part.directions
            by_tensors[atoms] = adjoint[atoms][:, :, None] * means[:, None]
        return by_features, by_tensors

    def atom_gradients(self, batch: StructureBatch, state, weights) -> np.ndarray:
        """Return the derivatives of every component of every t_i at fixed weights.

        Parameters
        ----------
        batch : StructureBatch
        state : PowerSpectrumFeatures
        weights : ndarray of shape (rank,)

        Returns
        -------
        gradients : ndarray of shape (n_atoms, 2 l + 1, n_atoms, 3)
            Of the first atom by the position of the second.
        """
        return self.each_component(batch, state, weights, state.atom_gradients)

    def atom_strain_gradients(self, batch: StructureBatch, state, weights):
        """Do what `atom_gradients` does, for strain: (n_atoms, 2 l + 1, 3, 3)."""
        return self.each_component(batch, state, weights, state.atom_strain_gradients)

    def each_component(self, batch, state, weights, differentiate) -> np.ndarray:
        """Stack ``differentiate(by_features, by_coefficients)`` of components of t."""
        weighted = self.weigh_points(batch, state, weights)
        by_coefficients = np.zeros_like(state.left.coefficients)
        gradients = []
        for component in np.eye(2 * self.order + 1):
            adjoint = np.broadcast_to(component, (batch.n_atoms, component.size))
            by_features, by_tensors = self.pull(state, weighted, adjoint)
            by_coefficients[:, self.harmonics] = by_tensors
            gradients.append(differentiate(by_features, by_coefficients))
        return np.stack(gradients, axis=1)

    def force_rows(
        self, batch: StructureBatch, state: PowerSpectrumFeatures, adjoint: np.ndarray
    ) -> np.ndarray:
        """Return minus d(sum_i adjoint_i . Phi_i)/dR, (n_atoms, 3, rank).

        ``adjoint`` has shape (n_atoms, 2 l + 1).
        """
        rows = np.empty((batch.n_atoms, 3, self.rank))
        factors = self.moving_factors(batch, state)
        first = state.factors[0]
        entries = HarmonicEntries.of_positions(
            first, self.harmonics, adjoint, first.n_channels
        )
        for z, points in self.points.items():
            point_rows = np.zeros((batch.n_atoms, 3, *points.tensors.shape[1::-1]))
            values, *slopes = self.scaled_covariances(batch, state, z, adjoint)
            atoms = np.flatnonzero(batch.species == z)
            self.add_position_rows(factors, state, z, atoms, *slopes, point_rows)
            entries.add_rows(batch.species == z, values, points.tensors, point_rows)
            rows[:, :, self.columns[z]] = project(point_rows, points.projection)
        return rows

    def strain_rows(
        self, batch: StructureBatch, state: PowerSpectrumFeatures, adjoint: np.ndarray
    ) -> np.ndarray:
        """Return d(sum_i adjoint_i . Phi_i)/d(strain), (n_structures, 6, rank).

        Voigt order xx, yy, zz, yz, xz, xy of the symmetric part.
        """
        rows = np.empty((batch.n_structures, 6, self.rank))
        first = state.factors[0]
        entries = HarmonicEntries.of_strain(
            first,
            self.harmonics,
            adjoint,
            first.n_channels,
            batch.structure_of_atom,
        )
        for z, points in self.points.items():
            point_rows = np.zeros((batch.n_structures, 6, *points.tensors.shape[1::-1]))
            values, *slopes = self.scaled_covariances(batch, state, z, adjoint)
            atoms = np.flatnonzero(batch.species == z)
            self.add_strain_rows(batch, state, z, atoms, *slopes, point_rows)
            entries.add_rows(batch.species == z, values, points.tensors, point_rows)
            rows[:, :, self.columns[z]] = project(point_rows, points.projection)
        return rows

    def scaled_covariances(self, batch, state, species: int, adjoint):
        """Return k, slopes and shifts, those times sum_aq y_ia C_i[a, q] C_m[b, q]."""
        atoms = np.flatnonzero(batch.species == species)
        tensors = self.points[species].tensors.swapaxes(0, 1)
        n_components, n_points, n_q = tensors.shape
        coefficients = state.left.coefficients[atoms, self.harmonics]
        pulled = np.einsum("iaq,ia->iq", coefficients, adjoint[atoms])
        scales = pulled @ tensors.reshape(-1, n_q).T
        scales = scales.reshape(-1, n_components, n_points)
        return self.evaluate_species(batch, state.features, species, scales)

    def get_state(self, name: str, store: PointStore) -> tuple[dict, dict]:
        """Return settings and arrays (named ``name/...``) for a model file.

        Environments go to ``store``; tensors are part of them where their coefficients
        are known.
        """
        settings, arrays = store.add(self, name)
        settings["scales"] = {str(z): points.scale for z, points in self.points.items()}
        for z, points in self.points.items():
            if not points.coefficients:
                arrays[f"{name}/{z}/tensors"] = points.tensors
        return settings, arrays

    @classmethod
    def from_state(cls, stored: StoredModel, settings: dict, name: str, order, scalar):
        """Rebuild a kernel from what `get_state` returned.

        Parameters
        ----------
        stored : StoredModel
        settings : dict
        name : str
            Before the names of arrays.
        order : int
        scalar : SparseKernel
            With its descriptor and covariance.
        """
        parts = scalar.descriptor, scalar.covariance, scalar.species
        kernel = cls(order, *parts, {})
        read_tensor_points(stored, settings, name, kernel)
        return kernel
