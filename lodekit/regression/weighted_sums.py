"""Sums of covariances with sparse points at given weights, sum_m alpha_m k(p, P_m).

With u(p) = p / |p| or p itself and U_m the points times their constant scale, the
covariance is k = (c + u . U_m)^zeta. A sum of powers up to two does not need the points
any more:

    sum_m alpha_m (c + u . U_m)   = c a + u . v,               a = sum_m alpha_m,
    sum_m alpha_m (c + u . U_m)^2 = c^2 a + 2 c u . v + u . B u,

with v = sum_m alpha_m U_m and B = sum_m alpha_m U_m U_m^T. Large coefficients of
opposite signs then cancel once, and not with other rounding errors in every structure.
"""

from __future__ import annotations

import numpy as np

from .covariances import PolynomialCovariance


class PolynomialSum:
    """A sum of covariances of power one or two, without its points.

    Parameters
    ----------
    covariance : PolynomialCovariance
        With ``zeta`` 1 or 2.
    points : ndarray of shape (n_points, n_features)
    coefficients : ndarray of shape (n_points,)
        alpha.
    point_scales : ndarray of shape (n_points,), optional
        Those of `PolynomialCovariance.point_scales`, where they are known.
    """

    def __init__(self, covariance, points, coefficients, point_scales=None):
        self.covariance = covariance
        if point_scales is None:
            point_scales = covariance.point_scales(points)
        scaled = points * point_scales[:, None]
        offset, zeta = covariance.offset, covariance.zeta
        self.constant = offset**zeta * coefficients.sum()
        self.linear = zeta * offset ** (zeta - 1) * (coefficients @ scaled)
        self.square = (scaled.T * coefficients) @ scaled if zeta == 2 else None

    def evaluate(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum and its derivatives.

        Parameters
        ----------
        features : ndarray of shape (n_atoms, n_features)

        Returns
        -------
        values : ndarray of shape (n_atoms,)
        gradients : ndarray of shape (n_atoms, n_features)
        """
        scales = self.covariance.feature_scales(features)
        along = scales * (features @ self.linear)
        values = self.constant + along
        gradients = self.linear
        if self.square is not None:
            products = scales[:, None] * (features @ self.square)
            squares = scales * np.einsum("if,if->i", features, products)
            values, along = values + squares, along + 2.0 * squares
            gradients = gradients + 2.0 * products
        gradients = scales[:, None] * gradients
        if self.covariance.moves_lengths:
            gradients -= (along * scales**2)[:, None] * features
        return values, gradients


class PointSum:
    """A sum of covariances of any power.

    Parameters
    ----------
    covariance : PolynomialCovariance
    points : ndarray of shape (n_points, n_features)
    coefficients : ndarray of shape (n_points,) or (n_atoms, n_points)
    point_scales : ndarray of shape (n_points,), optional
        Those of `PolynomialCovariance.point_scales`, where they are known.
    """

    def __init__(self, covariance, points, coefficients, point_scales=None):
        self.covariance = covariance
        self.points = points
        self.coefficients = coefficients
        if point_scales is None:
            point_scales = covariance.point_scales(points)
        self.point_scales = point_scales

    def evaluate(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum and its derivatives, see `PolynomialSum.evaluate`."""
        covariance, zeta = self.covariance, self.covariance.zeta
        scales = covariance.feature_scales(features)
        cosines = features @ self.points.T
        cosines *= scales[:, None] * self.point_scales
        weights = self.coefficients * (covariance.offset + cosines) ** (zeta - 1)
        values = np.einsum("im,im->i", weights, covariance.offset + cosines)
        gradients = (weights * (zeta * self.point_scales)) @ self.points
        gradients *= scales[:, None]
        if covariance.moves_lengths:
            along = zeta * np.einsum("im,im->i", weights, cosines)
            gradients -= (along * scales**2)[:, None] * features
        return values, gradients


def weighted_sum(
    covariance: PolynomialCovariance, points, coefficients, point_scales=None
):
    """Return the sum whose evaluation costs least.

    A square of features replaces two products with the points by one with itself.
    """
    n_points, n_features = points.shape
    is_small = n_features <= 1.5 * n_points
    if covariance.zeta == 1 or (covariance.zeta == 2 and is_small):
        return PolynomialSum(covariance, points, coefficients, point_scales)
    return PointSum(covariance, points, coefficients, point_scales)
