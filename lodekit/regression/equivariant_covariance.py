"""The scalar factor of equivariant covariances: powers of an invariant kernel."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator

from .covariances import CovarianceValues, PolynomialCovariance


class EquivariantCovariance(BaseEstimator):
    """f in K(i, m)_ab = f(i, m) p_i[a] . p_m[b], a function of invariants P.

    f = (P_i . P_m)^(zeta - 1) / (abs(P_i) abs(P_m))^zeta: all features are divided by
    the length of the invariants of their environment, and order 0 with all channels
    has the covariance of `PolynomialCovariance`.

    Parameters
    ----------
    zeta : int
        Power: the body order grows with it.
    normalize : {"each", "mean"}
        Divide by the length of the invariants of every environment, or by the root mean
        square length of those of the sparse points.

    References
    ----------
    A. Grisafi, D. M. Wilkins, G. Csányi, M. Ceriotti, Phys. Rev. Lett. 120, 036002
    (2018), Eq. 6.
    """

    def __init__(self, zeta=2, normalize="each"):
        self.zeta = zeta
        self.normalize = normalize

    @property
    def scalar(self) -> PolynomialCovariance:
        """The covariance of scalars with the same parameters."""
        return PolynomialCovariance(self.zeta, self.normalize)

    @property
    def moves_lengths(self) -> bool:
        """Whether derivatives need ``shifts``: features divided by their own length."""
        return self.normalize == "each"

    def point_scales(self, points: np.ndarray) -> np.ndarray:
        """Return the scales of sparse points, (n_points,), which need no features."""
        return self.scalar.point_scales(points)

    def evaluate(
        self, features: np.ndarray, points: np.ndarray, point_scales=None
    ) -> CovarianceValues:
        """Return f of invariants ``features`` with ``points`` and its derivatives.

        Parameters
        ----------
        features : ndarray of shape (n_environments, n_invariants)
        points : ndarray of shape (n_points, n_invariants)
        point_scales : ndarray of shape (n_points,), optional
            Those of `point_scales`, where they are known.
        """
        cosines, scales, inverse_squares = self.scalar.cosines(
            features, points, point_scales
        )
        values = cosines ** (self.zeta - 1) * scales

        def derive():
            below = np.zeros_like(cosines)
            if self.zeta > 1:
                below = (self.zeta - 1) * cosines ** (self.zeta - 2) * scales
            return below * scales, -self.zeta * values * inverse_squares

        return CovarianceValues(values, derive)

    def matrix(self, features, points, point_scales=None) -> np.ndarray:
        """Return only f, (n_environments, n_points)."""
        return self.evaluate(features, points, point_scales).values
