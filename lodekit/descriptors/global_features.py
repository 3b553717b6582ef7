"""Features of whole structures, their reverse pass, and the base of descriptors."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from lodekit.structures.batch import StructureBatch, as_frames, frame_name


@dataclass
class GlobalFeatures:
    """Features of one structure and the way back to its positions.

    Attributes
    ----------
    features : ndarray of shape (n_features,)
    unit_vectors : ndarray of shape (n_atoms, n_atoms, 3)
        From the second atom to the first.
    slopes : callable
        Turns adjoints (..., n_features) into derivatives of their products with the
        features by the distance of two atoms, (..., n_atoms, n_atoms), symmetric.
    """

    features: np.ndarray
    unit_vectors: np.ndarray
    slopes: callable

    def reverse(self, adjoint: np.ndarray) -> np.ndarray:
        """Turn d(scalar)/d(features) into gradients by positions.

        Parameters
        ----------
        adjoint : ndarray of shape (..., n_features)

        Returns
        -------
        gradients : ndarray of shape (..., n_atoms, 3)
        """
        slopes = self.slopes(np.asarray(adjoint, dtype=float))
        return np.einsum("...ij,ijx->...ix", slopes, self.unit_vectors)

    def jacobian(self) -> np.ndarray:
        """Return d(features)/d(positions), shape (n_features, n_atoms, 3)."""
        return self.reverse(np.eye(self.features.size))


class GlobalDescriptor(BaseEstimator):
    """Base of the descriptors of whole structures: a scikit-learn transformer.

    A subclass has ``n_features(n_species)`` and ``_evaluate(distances, channels,
    species)``, which returns features and ``slopes``; see `GlobalFeatures`. The
    diagonal of the distances is infinite, ``channels`` are indices of species. Its
    arguments are positive numbers, those in ``LEAST`` whole numbers of at least that.
    """

    LEAST: ClassVar[dict] = {}

    def fit(self, frames, y=None):
        """Learn which species there are."""
        frames = as_frames(frames)
        if not frames:
            raise ValueError("frames must hold at least one structure, got none")
        self.species_ = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
        return self

    def transform(self, frames) -> np.ndarray:
        """Return the features of every structure, (n_structures, n_features)."""
        check_is_fitted(self, "species_")
        batch = StructureBatch.from_frames(frames)
        rows = [features.features for features in self.evaluate(batch, self.species_)]
        return np.reshape(rows, (len(rows), self.n_features(self.species_.size)))

    def fit_transform(self, frames, y=None) -> np.ndarray:
        """Learn which species there are and return the features."""
        return self.fit(frames).transform(frames)

    def evaluate(self, batch: StructureBatch, species: np.ndarray) -> list:
        """Return `GlobalFeatures` of every structure of ``batch``.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers of all atoms that may occur.

        Raises
        ------
        ValueError
            For periodic structures, species that are not in ``species``, two atoms on
            one point, and arguments out of range.
        """
        self._check_arguments()
        if batch.pbc.any():
            number = int(np.flatnonzero(batch.pbc.any(axis=1))[0])
            raise ValueError(
                f"{type(self).__name__} describes structures without periodic "
                f"directions, {frame_name(number)} has pbc "
                f"{batch.pbc[number].tolist()}; use LODE"
            )
        foreign = np.setdiff1d(batch.species, species)
        if foreign.size:
            raise ValueError(
                f"atomic number {foreign[0]} is not among those of the fit, "
                f"{np.asarray(species).tolist()}"
            )
        parts = map(batch.structure, range(batch.n_structures))
        return [self._evaluate_one(part, species) for part in parts]

    def _check_arguments(self):
        for name, value in self.get_params().items():
            least = self.LEAST.get(name)
            kind, what = (numbers.Real, "a positive number")
            if least is not None:
                kind, what = (numbers.Integral, f"a whole number of at least {least}")
            fits = isinstance(value, kind) and 0 < value < np.inf
            if not fits or value < (least or 0):
                raise ValueError(f"{name} must be {what}, got {value!r}")

    def _evaluate_one(self, structure, species) -> GlobalFeatures:
        vectors = structure.positions[:, None] - structure.positions
        distances = np.linalg.norm(vectors, axis=2)
        np.fill_diagonal(distances, np.inf)
        if (distances == 0.0).any():
            first, second = np.argwhere(distances == 0.0)[0]
            raise ValueError(f"atoms {first + 1} and {second + 1} are on one point")
        channels = np.searchsorted(species, structure.species)
        features, slopes = self._evaluate(distances, channels, species)
        return GlobalFeatures(features, vectors / distances[..., None], slopes)
