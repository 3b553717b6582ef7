"""Covariance functions of environments, and what their derivatives need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator


@dataclass
class CovarianceValues:
    """Covariances of environments with sparse points, and their derivatives.

    With features p_i and points P_m, the derivative of k(i, m) along any change dp_i is
    ``slopes[i, m] (dp_i . P_m) + shifts[i, m] (dp_i . p_i)``.

    Attributes
    ----------
    values, slopes, shifts : ndarray of shape (n_environments, n_points)
    """

    values: np.ndarray
    slopes: np.ndarray
    shifts: np.ndarray


class PolynomialCovariance(BaseEstimator):
    """k(p, P) = (p . P)^zeta, of features divided by their lengths unless told not to.

    Parameters
    ----------
    zeta : int
        Power: body order grows with it.
    normalize : bool
        Whether features are divided by their lengths. An environment without features
        (no neighbours) then has covariance zero with everything.

    References
    ----------
    A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013), Eq. 36.
    """

    def __init__(self, zeta=2, normalize=True):
        self.zeta = zeta
        self.normalize = normalize

    def check(self) -> None:
        """Raise ``ValueError`` unless ``zeta`` is a whole number of at least 1."""
        if self.zeta != int(self.zeta) or self.zeta < 1:
            raise ValueError(
                f"zeta must be a whole number of at least 1, got {self.zeta}"
            )

    def evaluate(self, features: np.ndarray, points: np.ndarray) -> CovarianceValues:
        """Return the covariances of ``features`` with ``points`` and their derivatives.

        Parameters
        ----------
        features : ndarray of shape (n_environments, n_features)
        points : ndarray of shape (n_points, n_features)
        """
        self.check()
        cosines = features @ points.T
        if not self.normalize:
            below = cosines ** (self.zeta - 1)
            return CovarianceValues(
                below * cosines, self.zeta * below, np.zeros_like(below)
            )
        lengths = np.sqrt(np.einsum("if,if->i", features, features))
        inverse = safe_inverse(lengths)[:, None]
        point_lengths = np.sqrt(np.einsum("mf,mf->m", points, points))
        inverses = inverse * safe_inverse(point_lengths)
        cosines *= inverses
        below = cosines ** (self.zeta - 1)
        values = below * cosines
        return CovarianceValues(
            values, self.zeta * below * inverses, -self.zeta * values * inverse**2
        )

    def matrix(self, features: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return only the covariances, (n_environments, n_points)."""
        return self.evaluate(features, points).values


def safe_inverse(lengths: np.ndarray) -> np.ndarray:
    """Return 1 / length, and 0 where the length is 0."""
    empty = lengths == 0.0
    return np.where(empty, 0.0, 1.0 / np.where(empty, 1.0, lengths))
