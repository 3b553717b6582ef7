"""The sparse-kernel feature map of one descriptor: environments to latents.

An atomic latent of species s is a_i = Phi_i w with Phi = K_NM U Lambda^(-1/2), where M
are the sparse points of the species and K_MM = U Lambda U^T without its null
directions.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg, sparse

from lodekit.descriptors.power_spectrum import PowerSpectrum, PowerSpectrumFeatures
from lodekit.kernels.force_rows import add_force_rows, add_strain_rows
from lodekit.structures.batch import StructureBatch

from .covariances import PolynomialCovariance

#: Bytes that the largest temporary array of a block of force rows may take.
BLOCK_BYTES = 64e6


@dataclass
class SparsePoints:
    """Sparse points of one centre species.

    Attributes
    ----------
    features : ndarray of shape (n_points, n_features)
    projection : ndarray of shape (n_points, rank)
        U Lambda^(-1/2): covariances with the points times it are features Phi.
    """

    features: np.ndarray
    projection: np.ndarray

    @property
    def rank(self) -> int:
        """Number of directions kept."""
        return self.projection.shape[1]


@dataclass
class SparseKernel:
    """Feature map of one descriptor and covariance.

    Attributes
    ----------
    descriptor : PowerSpectrum
    covariance : PolynomialCovariance
    species : ndarray of shape (n_species,)
        Sorted atomic numbers of centres and neighbours.
    points : dict of int to SparsePoints
        Sparse points by centre species; a species without entry contributes nothing.
    """

    descriptor: PowerSpectrum
    covariance: PolynomialCovariance
    species: np.ndarray
    points: dict[int, SparsePoints] = field(default_factory=dict)
    _weights: dict = field(default_factory=dict, init=False, repr=False)

    def set_points(self, species: int, features: np.ndarray, rcond: float) -> None:
        """Store sparse points and build their projection.

        Directions of K_MM with eigenvalues below ``rcond`` times the largest are
        dropped.
        """
        covariances = self.covariance.matrix(features, features)
        eigenvalues, vectors = linalg.eigh(covariances)
        kept = eigenvalues > rcond * eigenvalues[-1]
        # C order, as it comes back from a model file: products then agree to the bit
        projection = np.ascontiguousarray(vectors[:, kept] / np.sqrt(eigenvalues[kept]))
        self._weights.clear()
        self.points[int(species)] = SparsePoints(features, projection)

    @property
    def columns(self) -> dict[int, slice]:
        """Columns of every species in a row of Phi."""
        columns, start = {}, 0
        for species, points in self.points.items():
            columns[species] = slice(start, start + points.rank)
            start += points.rank
        return columns

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(points.rank for points in self.points.values())

    def energy_rows(self, batch: StructureBatch, features: np.ndarray) -> np.ndarray:
        """Return Phi summed over the atoms of each structure, (n_structures, rank)."""
        rows = np.zeros((batch.n_structures, self.rank))
        for species, points in self.points.items():
            atoms = np.flatnonzero(batch.species == species)
            values = self.covariance.matrix(features[atoms], points.features)
            totals = sum_structures(batch, atoms, values)
            rows[:, self.columns[species]] = totals @ points.projection
        return rows

    def force_rows(
        self, batch: StructureBatch, state: PowerSpectrumFeatures
    ) -> np.ndarray:
        """Return the rows of the forces, minus d Phi / d R, (n_atoms, 3, rank)."""
        rows = np.empty((batch.n_atoms, 3, self.rank))
        factors = [
            (factor, factor.expansion.jacobian(), self.moving_size(factor))
            for factor in state.factors()
        ]
        for species, points in self.points.items():
            own = np.zeros((batch.n_atoms, 3, len(points.features)))
            evaluated = self.evaluate_species(batch, state.features, species)
            for factor, jacobian, size in factors:
                centers_match = batch.species[jacobian.centers] == species
                for channel in range(self.species.size):
                    entries = np.flatnonzero(
                        centers_match & (jacobian.channels == channel)
                    )
                    moving = slice(channel * size, (channel + 1) * size)
                    self.add_entries(
                        factor,
                        jacobian,
                        entries,
                        moving,
                        evaluated,
                        state,
                        species,
                        own,
                    )
            rows[:, :, self.columns[species]] = own @ points.projection
        return rows

    def strain_rows(
        self, batch: StructureBatch, state: PowerSpectrumFeatures
    ) -> np.ndarray:
        """Return the rows of the strain derivatives, (n_structures, 6, rank).

        Voigt order xx, yy, zz, yz, xz, xy of the symmetric part; divided by the volume
        they are the rows of the stress.
        """
        rows = np.zeros((batch.n_structures, 6, self.rank))
        structures = batch.structure_of_atom
        for factor in state.factors():
            jacobian = voigt_jacobian(factor.expansion.strain_jacobian())
            for species, points in self.points.items():
                atoms = np.flatnonzero(batch.species == species)
                own = np.zeros((batch.n_structures, 6, len(points.features)))
                weights = self.point_weights(factor, species, slice(None))
                slopes, shifts = self.evaluate_species(batch, state.features, species)
                step = max(1, int(BLOCK_BYTES / (48.0 * sum(weights.shape))))
                for start in range(0, atoms.size, step):
                    block = atoms[start : start + step]
                    projections, along = self.project_entries(
                        factor, jacobian[block], block, slice(None), state, weights
                    )
                    add_strain_rows(
                        projections,
                        along,
                        slopes[block],
                        shifts[block],
                        structures[block],
                        own,
                    )
                rows[:, :, self.columns[species]] += own @ points.projection
        return rows

    def project_entries(self, factor, derivatives, centers, moving, state, weights):
        """Project feature derivatives on the sparse points and on the environments.

        Returns
        -------
        projections : ndarray of shape (n_entries, n_axes, n_points)
        own : ndarray of shape (n_entries, n_axes)
            Zero where features are not normalised: it is not needed then.
        """
        products = factor.products(derivatives, centers)
        shape = (*products.shape[:2], len(weights))
        projections = products.reshape(-1, weights.shape[1]) @ weights.T
        own = np.zeros(products.shape[:2])
        if self.covariance.moves_lengths:
            atoms, place = np.unique(centers, return_inverse=True)
            mine = factor.weights(
                state.features[atoms], self.descriptor.n_angular, moving
            )
            own = np.einsum("exf,ef->ex", products, mine[place])
        return projections.reshape(shape), own

    def point_weights(self, factor, species: int, moving: slice) -> np.ndarray:
        """Return the sparse points as `Factor.products` needs them, made once."""
        key = (species, factor.side, moving.start)
        if key not in self._weights:
            features = self.points[species].features
            self._weights[key] = factor.weights(
                features, self.descriptor.n_angular, moving
            )
        return self._weights[key]

    def moving_size(self, factor) -> int:
        """Return the number of radial functions of one species of a factor."""
        return factor.expansion.coefficients.shape[2] // self.species.size

    def evaluate_species(self, batch, features, species):
        """Return slopes and shifts for all atoms, zero rows for other species."""
        points = self.points[species]
        atoms = np.flatnonzero(batch.species == species)
        values = self.covariance.evaluate(features[atoms], points.features)
        slopes = np.zeros((batch.n_atoms, len(points.features)))
        shifts = np.zeros_like(slopes)
        slopes[atoms], shifts[atoms] = values.slopes, values.shifts
        return slopes, shifts

    def add_entries(
        self, factor, jacobian, entries, moving, evaluated, state, species, rows
    ):
        """Add the force rows of Jacobian ``entries``, in blocks of bounded size."""
        if entries.size == 0:
            return
        weights = self.point_weights(factor, species, moving)
        step = max(1, int(BLOCK_BYTES / (24.0 * sum(weights.shape))))
        for start in range(0, entries.size, step):
            block = entries[start : start + step]
            centers = jacobian.centers[block]
            projections, along = self.project_entries(
                factor, jacobian.derivatives[block], centers, moving, state, weights
            )
            add_force_rows(
                projections, along, *evaluated, centers, jacobian.movers[block], rows
            )

    def contract(
        self, batch: StructureBatch, features: np.ndarray, coefficients: dict
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return atomic latents and their derivatives with respect to the features.

        Parameters
        ----------
        coefficients : dict of int to ndarray of shape (n_points,)
            By species: ``projection @ weights``.

        Returns
        -------
        latents : ndarray of shape (n_atoms,)
        adjoint : ndarray of shape (n_atoms, n_features)
        """
        latents = np.zeros(batch.n_atoms)
        adjoint = np.zeros_like(features)
        for species, points in self.points.items():
            atoms = np.flatnonzero(batch.species == species)
            own = features[atoms]
            values = self.covariance.evaluate(own, points.features)
            alpha = coefficients[species]
            latents[atoms] = values.values @ alpha
            adjoint[atoms] = (values.slopes * alpha) @ points.features
            adjoint[atoms] += (values.shifts @ alpha)[:, None] * own
        return latents, adjoint


def sum_structures(batch: StructureBatch, atoms: np.ndarray, values: np.ndarray):
    """Sum rows of ``atoms`` (n, n_columns) over the structures they belong to."""
    ones = np.ones(atoms.size)
    place = (batch.structure_of_atom[atoms], np.arange(atoms.size))
    return sparse.csr_array((ones, place), (batch.n_structures, atoms.size)) @ values


def voigt_jacobian(jacobian: np.ndarray) -> np.ndarray:
    """Return the symmetric part of (n, 3, 3, ...) as (n, 6, ...), Voigt order."""
    first, second = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    return 0.5 * (jacobian[:, first, second] + jacobian[:, second, first])
