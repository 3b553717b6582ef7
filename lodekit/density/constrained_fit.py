"""Least squares in a metric, with integrals that are kept exactly."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from lodekit.errors import BasisError

#: Reciprocal condition number below which a metric is singular.
LEAST_CONDITION = 1e-14


def solve_constrained(
    metric: np.ndarray,
    projections: np.ndarray,
    constraints: np.ndarray | None = None,
    totals: np.ndarray | None = None,
) -> np.ndarray:
    """Return the c with least c.M c - 2 b.c among those with C c = g.

    Parameters
    ----------
    metric : ndarray of shape (n, n)
        M, symmetric and positive.
    projections : ndarray of shape (n,) or (n, n_densities)
        b, what M makes of the density that is expanded.
    constraints : ndarray of shape (n_constraints, n), optional
        C, such as numbers of electrons and dipoles of functions.
    totals : ndarray of shape (n_constraints,) or (n_constraints, n_densities), optional
        g.

    Returns
    -------
    coefficients : ndarray
        c, in the shape of ``projections``: M^-1 (b + C^T mu), with mu such that the
        constraints hold.

    Raises
    ------
    BasisError
        If M is singular or not positive.
    """
    scale = 1.0 / np.sqrt(np.maximum(np.diag(metric), np.finfo(float).tiny))
    factor = factorize(metric * np.outer(scale, scale))
    columns = projections.reshape(len(projections), -1)

    def solve(right):
        return scale[:, None] * linalg.cho_solve(factor, scale[:, None] * right)

    result = solve(columns)
    if constraints is not None and len(constraints):
        answers = solve(constraints.T)
        wanted = np.reshape(totals, (len(constraints), -1))
        # twice: what rounding leaves of the constraints after one step is large where
        # the metric is badly conditioned
        for _ in range(2):
            missing = wanted - constraints @ result
            result = result + answers @ np.linalg.solve(constraints @ answers, missing)
    return result.reshape(projections.shape)


def factorize(matrix: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the Cholesky factor of a matrix with a unit diagonal.

    Raises
    ------
    BasisError
        If it is singular, with the functions that are nearly the same.
    """
    norm = abs(matrix).sum(axis=0).max()
    try:
        factor = linalg.cho_factor(matrix, lower=True)
        condition = linalg.lapack.dpocon(factor[0], norm, uplo="L")[0]
    except linalg.LinAlgError:
        condition = 0.0
    if not condition > LEAST_CONDITION:
        values, vectors = linalg.eigh(matrix, subset_by_index=(0, 0))
        largest = np.sort(np.argsort(abs(vectors[:, 0]))[-2:]) + 1
        raise BasisError(
            "the metric is singular: functions are nearly combinations of others, most "
            f"of all {largest[0]} and {largest[1]} (least eigenvalue {values[0]:.2g}); "
            "use a smaller basis, or one without its most diffuse functions"
        )
    return factor
