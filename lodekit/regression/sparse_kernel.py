"""The sparse-kernel feature map of one descriptor: environments to latents.

An atomic latent of species s is a_i = Phi_i w with Phi = K_NM L^-T, where M are the
sparse points of the species, without those that others determine, and K_MM = L L^T.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from lodekit.descriptors.power_spectrum import PowerSpectrum, PowerSpectrumFeatures
from lodekit.structures.batch import StructureBatch

from .covariance_gradients import MovingFactor, add_linear_gradients
from .covariances import PolynomialCovariance
from .point_kernel import (
    KernelPoints,
    PointKernel,
    project,
    triangular_projection,
)
from .weighted_sums import PointSum, weighted_sum


class SparsePoints(KernelPoints):
    """Sparse points of one centre species, for a scalar latent.

    Features Phi are covariances with the points times ``projection``.
    """


@dataclass
class SparseKernel(PointKernel):
    """Feature map of one descriptor and covariance.

    Attributes
    ----------
    descriptor : PowerSpectrum
    covariance : PolynomialCovariance
    species : ndarray of shape (n_species,)
        Sorted atomic numbers of centres and neighbours.
    points : dict of int to SparsePoints
        Sparse points by centre species; a species without entry contributes nothing.
    amplitude : float
        Prior standard deviation of the latent, in units of the covariance.
    """

    descriptor: PowerSpectrum
    covariance: PolynomialCovariance
    species: np.ndarray
    points: dict[int, SparsePoints] = field(default_factory=dict)
    amplitude: float = field(default=1.0, init=False)
    _transfers: dict = field(default_factory=dict, init=False, repr=False)
    _constants: dict = field(default_factory=dict, init=False, repr=False)
    _sums: dict = field(default_factory=dict, init=False, repr=False)
    _coefficients: dict = field(default_factory=dict, init=False, repr=False)

    def set_points(self, species: int, features: np.ndarray, rcond: float) -> None:
        """Store sparse points and build their projection.

        Points are left out of it that the others determine, see
        `triangular_projection`.
        """
        covariances = self.covariance.matrix(features, features)
        projection = triangular_projection(covariances, rcond)
        self._transfers.clear()
        self.points[int(species)] = SparsePoints(features, projection)

    def set_environments(self, species: int, coefficients, rcond: float) -> None:
        """Store environments as sparse points, no more of them than have to be.

        Parameters
        ----------
        species : int
        coefficients : tuple of ndarray of shape (n_points, n_lm, n_q)
            Expansion coefficients, in single precision: a sparse point need not be an
            environment to all digits.
        rcond : float
            See `set_points`.
        """
        factors = [factor.astype(float) for factor in coefficients]
        self.set_points(species, self.descriptor.multiply(*factors), rcond)
        self.points[int(species)].compress(coefficients)

    def write_rows(self, batch: StructureBatch, features, rows, known=None) -> None:
        """Write Phi to ``rows``, (n_atoms, rank).

        ``known`` are the `covariance_values` of the atoms by species, made where None.
        """
        rows[...] = 0.0
        for species, points in self.points.items():
            atoms = np.flatnonzero(batch.species == species)
            if atoms.size:
                if known is None:
                    values = self.covariances(features[atoms], species)
                else:
                    values = known[species].values
                rows[atoms, self.columns[species]] = values @ points.projection

    def adjoint(self, batch: StructureBatch, features, coefficients, known):
        """Return the derivatives of latents by the features, (n_atoms, n_features).

        Parameters
        ----------
        coefficients : dict of int to ndarray of shape (n_structures, n_points)
            By species, of every structure.
        known : dict of int to CovarianceValues
            Of the atoms of every species.
        """
        adjoint = np.zeros_like(features)
        for species, points in self.points.items():
            atoms = np.flatnonzero(batch.species == species)
            if atoms.size:
                alpha = coefficients[species][batch.structure_of_atom[atoms]]
                covariances = known[species]
                shifts = np.einsum("im,im->i", covariances.shifts, alpha)
                adjoint[atoms] = (covariances.slopes * alpha) @ points.features
                adjoint[atoms] += shifts[:, None] * features[atoms]
        return adjoint

    def covariances(self, features: np.ndarray, species: int) -> np.ndarray:
        """Return covariances of features with the points of a species."""
        points = self.points[species].features
        return self.covariance.matrix(features, points, **self.constants(species))

    def energy_rows(self, batch: StructureBatch, features: np.ndarray) -> np.ndarray:
        """Return Phi summed over the atoms of each structure, (n_structures, rank)."""
        rows = np.zeros((batch.n_structures, self.rank))
        for species, points in self.points.items():
            atoms = np.flatnonzero(batch.species == species)
            values = self.covariances(features[atoms], species)
            totals = sum_structures(batch, atoms, values)
            rows[:, self.columns[species]] = totals @ points.projection
        return rows

    def force_rows(
        self, batch: StructureBatch, state: PowerSpectrumFeatures, scales=None
    ) -> np.ndarray:
        """Return minus d(sum_i scales_i Phi_i)/dR, (n_atoms, 3, rank).

        ``scales`` (n_atoms,) are 1 where None: rows of forces.
        """
        rows = np.empty((batch.n_atoms, 3, self.rank))
        factors = self.moving_factors(batch, state)
        for species, points in self.points.items():
            point_rows = np.zeros((batch.n_atoms, 3, 1, len(points.features)))
            if self.covariance.is_linear:
                for moving in factors:
                    self.add_linear(batch, moving, species, scales, point_rows[:, :, 0])
            else:
                atoms, *slopes = self.scaled_slopes(batch, state, species, scales)
                self.add_position_rows(
                    factors, state, species, atoms, *slopes, point_rows
                )
            rows[:, :, self.columns[species]] = project(point_rows, points.projection)
        return rows

    def add_linear(self, batch, moving: MovingFactor, species, scales, rows) -> None:
        """Add what one factor contributes to rows (n_atoms, 3, n_points) of forces."""
        chosen = (batch.species == species) * 1.0
        points = self.points[species].features
        slopes = self.covariance.evaluate(points[:1], points).slopes[0]
        weights = moving.factor.weights(points, self.descriptor.n_angular)
        add_linear_gradients(
            moving,
            slopes[:, None, None, None] * weights,
            chosen if scales is None else chosen * scales,
            rows,
        )

    def strain_rows(
        self, batch: StructureBatch, state: PowerSpectrumFeatures, scales=None
    ) -> np.ndarray:
        """Return d(sum_i scales_i Phi_i)/d(strain), (n_structures, 6, rank).

        Voigt order xx, yy, zz, yz, xz, xy of the symmetric part; divided by the volume
        they are the rows of the stress.
        """
        rows = np.empty((batch.n_structures, 6, self.rank))
        for species, points in self.points.items():
            atoms, *slopes = self.scaled_slopes(batch, state, species, scales)
            point_rows = np.zeros((batch.n_structures, 6, 1, len(points.features)))
            self.add_strain_rows(batch, state, species, atoms, *slopes, point_rows)
            rows[:, :, self.columns[species]] = project(point_rows, points.projection)
        return rows

    def scaled_slopes(self, batch, state, species: int, scales=None):
        """Return the atoms of a species, and slopes and shifts of all atoms."""
        atoms = np.flatnonzero(batch.species == species)
        scales = np.ones(batch.n_atoms) if scales is None else scales
        factors = scales[atoms, None, None]
        _, *slopes = self.evaluate_species(batch, state.features, species, factors)
        return atoms, *slopes

    def coefficients(self, weights: np.ndarray) -> dict[int, np.ndarray]:
        """Turn weights (..., rank) into coefficients (..., n_points) by species.

        The last ones are kept, one vector and one matrix: models ask for the same again
        and again.
        """
        known = self._coefficients.get(weights.ndim)
        if known and known[0] == self.amplitude and np.array_equal(known[1], weights):
            return known[2]
        coefficients = {
            z: weights[..., self.columns[z]] @ points.projection.T
            for z, points in self.points.items()
        }
        known = self.amplitude, np.array(weights), coefficients
        self._coefficients[weights.ndim] = known
        return coefficients

    def contract(
        self, batch: StructureBatch, features: np.ndarray, coefficients: dict
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return atomic latents and their derivatives with respect to the features.

        Parameters
        ----------
        coefficients : dict of int to ndarray of shape (n_points,)
            By species: ``projection @ weights``; (n_structures, n_points) where every
            structure has weights of its own.

        Returns
        -------
        latents : ndarray of shape (n_atoms,)
        adjoint : ndarray of shape (n_atoms, n_features)
        """
        latents = np.zeros(batch.n_atoms)
        adjoint = np.zeros_like(features)
        for species in self.points:
            atoms = np.flatnonzero(batch.species == species)
            if not atoms.size:
                continue
            alpha = coefficients[species]
            if alpha.ndim == 1:
                total = self.weighted_sum(species, alpha)
            else:
                alpha = alpha[batch.structure_of_atom[atoms]]
                points = self.points[species].features
                constants = self.constants(species)
                total = PointSum(self.covariance, points, alpha, constants)
            latents[atoms], adjoint[atoms] = total.evaluate(features[atoms])
        return latents, adjoint

    def weighted_sum(self, species: int, coefficients: np.ndarray):
        """Return the sum over points, made once for the same array of coefficients."""
        points = self.points[species].features
        known = self._sums.get(species)
        if known is None or known[0] is not points or known[1] is not coefficients:
            constants = self.constants(species)
            total = weighted_sum(self.covariance, points, coefficients, constants)
            known = self._sums[species] = points, coefficients, total
        return known[2]


def sum_structures(batch: StructureBatch, atoms: np.ndarray, values: np.ndarray):
    """Sum rows of ``atoms`` (n, n_columns) over the structures they belong to."""
    ones = np.ones(atoms.size)
    place = (batch.structure_of_atom[atoms], np.arange(atoms.size))
    return sparse.csr_array((ones, place), (batch.n_structures, atoms.size)) @ values
