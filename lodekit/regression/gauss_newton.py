"""Least squares of what is not linear in the weights: damped Gauss-Newton steps.

Around the weights v, residuals are r(w) = y - J w with the exact Jacobian, and y such
that r(v) are the residuals themselves. With noises s and unit priors,

    (A + m) w = J^T y / s^2 + m v,    A = 1 + J^T J / s^2,

where the damping m is 0 unless a step has raised the loss.

References
----------
K. Levenberg, Q. Appl. Math. 2, 164 (1944); J. Nocedal, S. J. Wright, Numerical
Optimization (Springer, 2006), Sec. 10.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

#: Relative change of the loss that ends the iteration, and the most steps.
LEAST_DECREASE, MAX_STEPS = 1e-3, 30
#: Damping relative to the mean diagonal, and its factor after a step that failed.
FIRST_DAMPING, DAMPING_FACTOR = 1e-6, 10.0


@dataclass
class Minimum:
    """Where an iteration has ended.

    Attributes
    ----------
    weights : ndarray of shape (rank,)
    factor : ndarray of shape (rank, rank)
        Lower Cholesky factor of A there: A^-1 is the covariance of the posterior, as
        far as residuals are linear.
    loss : float
    n_steps : int
        Steps that were tried.
    """

    weights: np.ndarray
    factor: np.ndarray
    loss: float
    n_steps: int


def minimise(linearise, weights: np.ndarray) -> Minimum:
    """Find the weights of least loss by Gauss-Newton steps.

    Steps that raise the loss are taken back and damped.

    Parameters
    ----------
    linearise : callable
        Returns A (lower triangle), J^T y / s^2 and the loss at some weights. The loss
        is the sum of squared residuals over noises, plus that of the weights.
    weights : ndarray of shape (rank,)
        To start from.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is not positive definite, which only non-finite or absurdly scaled rows do.
    """
    matrix, moment, loss = linearise(weights)
    scale = FIRST_DAMPING * np.trace(matrix) / len(matrix)
    damping, n_steps = 0.0, 0
    while n_steps < MAX_STEPS:
        n_steps += 1
        factor = damped_factor(matrix, damping)
        trial = linalg.cho_solve((factor, True), moment + damping * weights)
        new = linearise(trial)
        ended = abs(loss - new[2]) <= LEAST_DECREASE * loss
        if new[2] <= loss:
            weights, (matrix, moment, loss) = trial, new
            damping /= DAMPING_FACTOR
        else:
            damping = max(scale, DAMPING_FACTOR * damping)
        if ended:
            break
    return Minimum(weights, damped_factor(matrix, 0.0), loss, n_steps)


def damped_factor(matrix: np.ndarray, damping: float) -> np.ndarray:
    """Return the lower Cholesky factor of A + m."""
    damped = matrix.copy(order="F")
    damped[np.diag_indices_from(damped)] += damping
    return linalg.cholesky(damped, lower=True, overwrite_a=True)
