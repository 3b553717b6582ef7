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
    """

    def __init__(self, covariance: PolynomialCovariance, points, coefficients):
        self.covariance = covariance
        scaled = points * covariance.point_scales(points)[:, None]
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
    """A sum of any covariances.

    Parameters
    ----------
    covariance : PolynomialCovariance or another
    points : ndarray of shape (n_points, n_features)
    coefficients : ndarray of shape (n_points,) or (n_atoms, n_points)
    constants : dict, optional
        What the covariance can be told of the points, see `PointKernel.constants`.
    """

    def __init__(self, covariance, points, coefficients, constants=None):
        self.covariance = covariance
        self.points = points
        self.coefficients = coefficients
        self.constants = constants or {}

    def evaluate(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the sum and its derivatives, see `PolynomialSum.evaluate`."""
        covariances = self.covariance.evaluate(features, self.points, **self.constants)
        values = (covariances.values * self.coefficients).sum(axis=1)
        gradients = (covariances.slopes * self.coefficients) @ self.points
        shifts = (covariances.shifts * self.coefficients).sum(axis=1)
        return values, gradients + shifts[:, None] * features


def weighted_sum(covariance, points, coefficients, constants=None):
    """Return the sum that costs least where it is evaluated for many atoms."""
    if needs_no_points(covariance, points.shape, np.inf):
        return PolynomialSum(covariance, points, coefficients)
    return PointSum(covariance, points, coefficients, constants)


def needs_no_points(covariance, shape: tuple[int, int], n_atoms: float) -> bool:
    """Return whether a `PolynomialSum` costs less for ``n_atoms`` atoms.

    With a square of features, 2 n_points n_features products of an atom become
    n_features^2, after n_points n_features^2 for the square itself; half of the former
    where the covariances are shared with other sums.
    """
    if not isinstance(covariance, PolynomialCovariance) or covariance.zeta > 2:
        return False
    n_points, n_features = shape
    if covariance.zeta == 1:
        return True
    if n_atoms == np.inf:
        return n_features <= 1.5 * n_points
    return n_atoms * (n_points - n_features) > n_points * n_features
