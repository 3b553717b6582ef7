"""How far vectors are from those that are known, in units of a limit.

Known vectors x are centred and rotated to their principal directions, each divided by
the standard deviation along it, and represented by a few points z_p that are far apart.
The distance of another vector is min_p |z - z_p|. Its limit is what vectors usually
have that were left out of the points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.regression.selection import FarthestPointSelection

#: Principal directions and points that are kept, at the most.
N_DIRECTIONS, N_POINTS = 24, 300
#: Least standard deviation, relative to the largest root mean square of a component.
LEAST_SPREAD = 0.02
#: Parts of the known vectors that are left out in turn.
N_FOLDS = 5
#: The limit is `MARGIN` times the distance that this share of the owners do not exceed.
SHARE, MARGIN = 0.98, 1.5
#: Least limit, in standard deviations.
LEAST_LIMIT = 0.5


@dataclass
class KnownPoints:
    """Vectors that are known, and how far others may be from them.

    Attributes
    ----------
    mean : ndarray of shape (n_components,)
    directions : ndarray of shape (n_components, n_directions)
        Principal directions divided by the standard deviation along them.
    points : ndarray of shape (n_points, n_directions)
    limit : float
    """

    mean: np.ndarray
    directions: np.ndarray
    points: np.ndarray
    limit: float = 1.0

    @classmethod
    def of(cls, vectors: np.ndarray) -> KnownPoints:
        """Return the points of ``vectors`` (n, n_components), without a limit."""
        mean = vectors.mean(axis=0)
        offsets = vectors - mean
        variances, directions = np.linalg.eigh(offsets.T @ offsets / len(vectors))
        kept = slice(None, -N_DIRECTIONS - 1, -1)
        least = LEAST_SPREAD**2 * (vectors**2).mean(axis=0).max()
        spreads = np.sqrt(np.maximum(variances[kept], 0.0) + max(least, 1e-12))
        directions = directions[:, kept] / spreads
        coordinates = offsets @ directions
        chosen = FarthestPointSelection().select(coordinates, N_POINTS)
        return cls(mean, directions, coordinates[chosen])

    @classmethod
    def learn(cls, vectors, owners, folds) -> KnownPoints:
        """Return the points of vectors, with the limit of what is left out.

        Parameters
        ----------
        vectors : ndarray of shape (n, n_components)
        owners : ndarray of shape (n,)
            The frame of every vector.
        folds : ndarray of shape (n,)
            The part that it is left out with; -1 where it never is. Where these are
            all vectors or none, frames are left out, or vectors of a single frame.
        """
        frames = np.unique(owners, return_inverse=True)[1]
        known, farthest = cls.of(vectors), np.zeros(0)
        alone = np.arange(len(vectors))
        for split in (
            (frames, folds),
            (frames, frames % N_FOLDS),
            (alone, alone % N_FOLDS),
        ):
            if not farthest.size:
                farthest = cls.left_out(vectors, *split)
        if farthest.size:
            usual = MARGIN * np.quantile(farthest, SHARE)
            known.limit = max(float(usual), LEAST_LIMIT)
        # training frames are within the limit
        known.limit *= max(1.0, float(known.distances(vectors).max()))
        return known

    def extend(self, vectors: np.ndarray) -> None:
        """Add vectors (n, n_components) to those that are known; the limit may grow."""
        coordinates = (vectors - self.mean) @ self.directions
        points = np.concatenate([self.points, coordinates])
        self.points = points[FarthestPointSelection().select(points, N_POINTS)]
        self.limit *= max(1.0, float(self.distances(vectors).max()))

    @classmethod
    def left_out(cls, vectors, owners, folds) -> np.ndarray:
        """Return the largest distance of every owner from what others have."""
        farthest = [np.zeros(0)]
        for fold in range(folds.max(initial=-1) + 1):
            left = folds == fold
            if left.any() and not left.all():
                distances = cls.of(vectors[~left]).distances(vectors[left])
                farthest.append(largest_of(distances, owners[left]))
        return np.concatenate(farthest)

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """Return the distances of vectors, in units of the limit, (n,)."""
        coordinates = (vectors - self.mean) @ self.directions
        squares = np.einsum("nd,nd->n", coordinates, coordinates)[:, None] - 2.0 * (
            coordinates @ self.points.T
        )
        squares = (squares + np.einsum("pd,pd->p", self.points, self.points)).min(1)
        return np.sqrt(np.maximum(squares, 0.0)) / self.limit


def largest_of(values: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """Return the largest value of every owner that there is."""
    order = np.argsort(owners, kind="stable")
    starts = np.unique(owners[order], return_index=True)[1]
    return np.maximum.reduceat(values[order], starts)
