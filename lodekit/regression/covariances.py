"""Covariance functions of environments, and what their derivatives need."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from functools import cached_property

import numpy as np
from sklearn.base import BaseEstimator


class CovarianceValues:
    """Covariances of environments with sparse points, and their derivatives.

    With features p_i and points P_m, the derivative of k(i, m) along any change dp_i is
    ``slopes[i, m] (dp_i . P_m) + shifts[i, m] (dp_i . p_i)``.

    Parameters
    ----------
    values : ndarray of shape (n_environments, n_points)
    derive : callable
        Returns slopes and shifts, of the same shape; called when they are needed.
    """

    def __init__(self, values: np.ndarray, derive: Callable[[], tuple]):
        self.values, self.derive = values, derive

    @cached_property
    def derivatives(self) -> tuple[np.ndarray, np.ndarray]:
        """Slopes and shifts."""
        return self.derive()

    @property
    def slopes(self) -> np.ndarray:
        """(n_environments, n_points)."""
        return self.derivatives[0]

    @property
    def shifts(self) -> np.ndarray:
        """(n_environments, n_points)."""
        return self.derivatives[1]


class PolynomialCovariance(BaseEstimator):
    """k(p, P) = (c + p . P)^zeta, of normalised features.

    Parameters
    ----------
    zeta : int
        Power: the body order grows with it.
    normalize : {"each", "mean"}
        Divide features by their own length (an environment without features, such as an
        atom without neighbours, then has p . P = 0 with everything), or all of them by
        the root mean square length of the sparse points. The second keeps the size of
        features: a potential that is twice as large stays twice as large.
    offset : float
        The constant c >= 0: with c > 0 all powers up to zeta take part.

    References
    ----------
    A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013), Eq. 36.
    """

    def __init__(self, zeta=2, normalize="each", offset=0.0):
        self.zeta = zeta
        self.normalize = normalize
        self.offset = offset

    def check(self) -> None:
        """Raise ``ValueError`` for parameters out of range."""
        is_number = isinstance(self.zeta, numbers.Real)
        if not is_number or self.zeta % 1 or self.zeta < 1:
            raise ValueError(
                f"zeta must be a whole number of at least 1, got {self.zeta!r}"
            )
        if self.normalize not in ("each", "mean"):
            raise ValueError(
                f"normalize must be 'each' or 'mean', got {self.normalize!r}"
            )
        if not self.offset >= 0:
            raise ValueError(f"offset must not be negative, got {self.offset}")

    @property
    def moves_lengths(self) -> bool:
        """Whether derivatives need ``shifts``: features divided by their own length."""
        return self.normalize == "each"

    @property
    def is_linear(self) -> bool:
        """Whether the covariance is linear in the features of an environment."""
        return self.zeta == 1 and not self.moves_lengths

    def evaluate(
        self, features: np.ndarray, points: np.ndarray, point_scales=None
    ) -> CovarianceValues:
        """Return the covariances of ``features`` with ``points`` and their derivatives.

        Parameters
        ----------
        features : ndarray of shape (n_environments, n_features)
        points : ndarray of shape (n_points, n_features)
        point_scales : ndarray of shape (n_points,), optional
            Those of `point_scales`, where they are known.
        """
        cosines, scales, inverse_squares = self.cosines(features, points, point_scales)

        def derive():
            below = self.zeta * (self.offset + cosines) ** (self.zeta - 1)
            return below * scales, -below * cosines * inverse_squares

        return CovarianceValues((self.offset + cosines) ** self.zeta, derive)

    def matrix(self, features, points, point_scales=None) -> np.ndarray:
        """Return only the covariances, (n_environments, n_points)."""
        return self.evaluate(features, points, point_scales).values

    def cosines(self, features, points, point_scales=None) -> tuple:
        """Return p . P, its factor of products of features, and 1 / |p|^2.

        The last is 0 where features are not divided by their own length.
        """
        self.check()
        if point_scales is None:
            point_scales = self.point_scales(points)
        inverse = self.feature_scales(features)[:, None]
        scales = inverse * point_scales
        cosines = features @ points.T
        cosines *= scales
        return cosines, scales, inverse**2 if self.moves_lengths else 0.0 * inverse

    def point_scales(self, points: np.ndarray) -> np.ndarray:
        """Return the factors of sparse points in p . P, (n_points,)."""
        squares = np.einsum("mf,mf->m", points, points)
        if self.normalize == "mean":
            squares[:] = squares.mean() if squares.size else 0.0
            return safe_inverse(squares)
        return safe_inverse(np.sqrt(squares))

    def feature_scales(self, features: np.ndarray) -> np.ndarray:
        """Return the factors of environments in p . P, (n_environments,)."""
        if self.normalize == "mean":
            return np.ones(len(features))
        return safe_inverse(np.sqrt(np.einsum("if,if->i", features, features)))


def safe_inverse(lengths: np.ndarray) -> np.ndarray:
    """Return 1 / length, and 0 where the length is 0."""
    empty = lengths == 0.0
    return np.where(empty, 0.0, 1.0 / np.where(empty, 1.0, lengths))
