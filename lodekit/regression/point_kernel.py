"""The base of kernels with sparse points, of scalars and of tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import lapack

from lodekit.descriptors.power_spectrum import PowerSpectrumFeatures
from lodekit.structures.batch import StructureBatch

from .covariance_gradients import (
    MovingFactor,
    PointTransfers,
    add_position_gradients,
    add_strain_gradients,
    own_transfers,
)
from .rounding import round_bits


@dataclass
class KernelPoints:
    """Sparse points of one centre species, and the map from covariances to features.

    Attributes
    ----------
    features : ndarray of shape (n_points, n_features)
    projection : ndarray of shape (n_points * n_components, rank)
        P: covariances with the points times it are features Phi of the latent.
    coefficients : tuple of ndarray of shape (n_points, n_lm, n_q)
        Expansion coefficients that ``features`` are products of, one array for each
        factor of the descriptor; empty where they are not known.
    base : ndarray of shape (n_points * n_components, rank)
        P for an amplitude of 1.
    """

    features: np.ndarray
    projection: np.ndarray
    coefficients: tuple = field(default=(), kw_only=True)
    base: np.ndarray | None = field(default=None, kw_only=True)

    def __post_init__(self):
        """Take the projection as that of an amplitude of 1."""
        if self.base is None:
            self.base = self.projection

    @property
    def rank(self) -> int:
        """Number of directions kept."""
        return self.projection.shape[1]

    #: Significant bits of a projection.
    n_bits = 40

    def compress(self, coefficients) -> None:
        """Keep no more points, and no more of their digits, than have to be.

        Points that the others determine are left out, and the projection is rounded:
        any map P gives features of a latent with a prior, and that of a rounded one
        differs by less than what rows are known to.

        Parameters
        ----------
        coefficients : sequence of ndarray of shape (n_points, n_lm, n_q)
            Those that the features are products of, in single precision.
        """
        self.coefficients = tuple(coefficients)
        projection = round_bits(self.projection, self.n_bits)
        n_components = len(projection) // max(1, len(self.features))
        projection = projection.reshape(len(self.features), n_components, self.rank)
        used = projection.any(axis=(1, 2))
        shape = int(used.sum()) * n_components, self.rank
        self.base = self.projection = projection[used].reshape(shape)
        self.keep(used)

    def keep(self, used: np.ndarray) -> None:
        """Keep some of the points, but for the projection."""
        self.features = np.ascontiguousarray(self.features[used])
        self.coefficients = tuple(factor[used] for factor in self.coefficients)


class PointKernel:
    """A feature map with sparse points by centre species, (n_points, n_features).

    A subclass has the attributes ``descriptor``, ``covariance``, ``species``,
    ``points`` (each a `KernelPoints`), ``amplitude`` and the dicts ``_transfers`` and
    ``_constants``. Rows before the projection have an axis of components: one for
    scalars, 2 l + 1 for tensors.
    """

    def amplify(self, factor: float) -> None:
        """Multiply Phi: the prior standard deviation of what it gives."""
        self.amplitude *= float(factor)
        for points in self.points.values():
            points.projection = self.amplitude * points.base

    def share(self, descriptor) -> None:
        """Take an equal descriptor, whose features are made once."""
        self.descriptor = descriptor

    @property
    def columns(self) -> dict[int, slice]:
        """Columns of every species in a row of Phi."""
        columns, start = {}, 0
        for species, points in self.points.items():
            columns[species] = slice(start, start + points.projection.shape[1])
            start = columns[species].stop
        return columns

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(points.projection.shape[1] for points in self.points.values())

    def constants(self, species: int) -> dict:
        """Return arguments of the covariance that depend on the points, made once."""
        features = self.points[species].features
        known = self._constants.get(species)
        if known is None or known[0] is not features:
            known = self._constants[species] = (
                features,
                constants_of(self.covariance, features),
            )
        return known[1]

    def covariance_values(self, features: np.ndarray, species: int):
        """Return covariances of features with the points, and their derivatives."""
        points = self.points[species].features
        return self.covariance.evaluate(features, points, **self.constants(species))

    def moving_factors(self, batch, state) -> list[MovingFactor]:
        """Return the factors of the features with their derivatives by positions."""
        return [
            MovingFactor.from_factor(factor, batch.n_atoms) for factor in state.factors
        ]

    def add_position_rows(
        self, factors, state, species: int, atoms, slopes, shifts, rows
    ) -> None:
        """Add minus the position gradients of k of ``atoms`` with their points.

        Shapes are those of `add_position_gradients`; ``factors`` are those
        of `moving_factors`.
        """
        for moving in factors:
            transfers = self.transfers(moving.factor, species)
            diagonal = self.own_transfers(moving.factor, state, atoms)
            add_position_gradients(
                moving, transfers, atoms, diagonal, slopes, shifts, rows
            )

    def add_strain_rows(
        self, batch, state, species: int, atoms, slopes, shifts, rows
    ) -> None:
        """Add the strain gradients of k of ``atoms`` with their points."""
        for factor in state.factors:
            transfers = self.transfers(factor, species)
            diagonal = self.own_transfers(factor, state, atoms)
            places = batch.structure_of_atom
            add_strain_gradients(
                factor, transfers, atoms, diagonal, slopes, shifts, places, rows
            )

    def transfers(self, factor, species: int) -> PointTransfers:
        """Return the arrays that depend on the sparse points only, made once."""
        key = (species, factor.side)
        if key not in self._transfers:
            self._transfers[key] = PointTransfers(
                factor,
                self.points[species].features,
                self.descriptor.n_angular,
                factor.n_channels,
            )
        return self._transfers[key]

    def own_transfers(self, factor, state: PowerSpectrumFeatures, atoms):
        """Return t_i of ``atoms``, None where features keep their lengths."""
        if not self.covariance.moves_lengths:
            return None
        return own_transfers(
            factor,
            state.features,
            atoms,
            self.descriptor.n_angular,
            factor.n_channels,
        )

    def evaluate_species(self, batch: StructureBatch, features, species: int, scales):
        """Return covariances of all atoms with the points, zero for other species.

        Parameters
        ----------
        features : ndarray of shape (n_atoms, n_features)
        scales : ndarray of shape (n, n_components, n_points or 1)
            Factors of slopes and shifts, for the n atoms of the species.

        Returns
        -------
        values : ndarray of shape (n_atoms, n_points)
        slopes, shifts : ndarray of shape (n_atoms, n_components, n_points)
        """
        points = self.points[species].features
        atoms = np.flatnonzero(batch.species == species)
        covariances = self.covariance_values(features[atoms], species)
        values = np.zeros((batch.n_atoms, len(points)))
        slopes = np.zeros((batch.n_atoms, scales.shape[1], len(points)))
        shifts = np.zeros_like(slopes)
        values[atoms] = covariances.values
        slopes[atoms] = covariances.slopes[:, None] * scales
        shifts[atoms] = covariances.shifts[:, None] * scales
        return values, slopes, shifts


def constants_of(covariance, points: np.ndarray) -> dict:
    """Return constants of the points of a covariance; nothing for simple ones."""
    if not hasattr(covariance, "point_scales"):
        return {}
    return {"point_scales": covariance.point_scales(points)}


def project(rows: np.ndarray, projection: np.ndarray) -> np.ndarray:
    """Multiply rows by a projection.

    Parameters
    ----------
    rows : ndarray of shape (n, n_axes, n_components, n_points)
    projection : ndarray of shape (n_points * n_components, rank)

    Returns
    -------
    projected : ndarray of shape (n, n_axes, rank)
    """
    n, n_axes, n_components, n_points = rows.shape
    turned = projection.reshape(n_points, n_components, -1).swapaxes(0, 1)
    turned = turned.reshape(projection.shape)
    return (rows.reshape(n * n_axes, -1) @ turned).reshape(n, n_axes, -1)


def triangular_projection(covariances: np.ndarray, rcond: float) -> np.ndarray:
    """Return P with P^T K P = 1, the inverse of a Cholesky factor of K.

    A pivoted decomposition tells which rows and columns of K the others determine:
    their rows of P are zero. The others, in their order, are the upper triangle L^-T of
    their K = L L^T.

    Parameters
    ----------
    covariances : ndarray of shape (n, n)
        K.
    rcond : float
        A row is determined by others where these leave less than this times the trace
        of its variance.

    Returns
    -------
    projection : ndarray of shape (n, rank)
        P.

    References
    ----------
    H. Harbrecht, M. Peters, R. Schneider, Appl. Numer. Math. 62, 428 (2012).
    """
    tolerance = rcond * np.trace(covariances)
    if not tolerance > 0.0:
        return np.zeros((len(covariances), 0))
    factor, pivots, rank, _ = lapack.dpstrf(covariances, lower=1, tol=tolerance)
    kept = np.sort(pivots[:rank]) - 1
    # the order of the pivots depends on the last digits, that of the rows does not
    ordered, failed = lapack.dpotrf(covariances[np.ix_(kept, kept)], lower=1)
    if failed:
        kept, ordered = pivots[:rank] - 1, factor[:rank, :rank]
    inverse, _ = lapack.dtrtri(np.tril(ordered), lower=1)
    projection = np.zeros((len(covariances), rank))
    projection[kept] = inverse.T
    return projection
