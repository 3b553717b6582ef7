"""Least squares of what is not linear in the weights: damped Gauss-Newton steps.

Around the weights v, residuals are r(w) = y - J w with the exact Jacobian, and y such
that r(v) are the residuals themselves. With noises s and unit priors,

    (A + m) w = J^T y / s^2 + m v,    A = 1 + J^T J / s^2,

where the damping m is 0 unless a step has raised the loss. Weights in which residuals
are linear are not damped but eliminated.

References
----------
K. Levenberg, Q. Appl. Math. 2, 164 (1944); J. Nocedal, S. J. Wright, Numerical
Optimization (Springer, 2006), Sec. 10.3; L. Kaufman, BIT 15, 49 (1975), for the
elimination; H. B. Nielsen, Damping parameter in Marquardt's method (Technical
University of Denmark, 1999).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

#: Relative change of the loss that ends the iteration, and the most steps.
LEAST_DECREASE, MAX_STEPS = 5e-3, 30
#: Damping relative to the mean diagonal, and the factor between levels of damping.
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


def minimise(linearise, weights: np.ndarray, n_linear: int = 0) -> Minimum:
    """Find the weights of least loss by Gauss-Newton steps.

    Weights in which the residuals are linear are eliminated: whatever the others are,
    they have their best values. Steps that raise the loss are taken back and damped.

    Parameters
    ----------
    linearise : callable
        Returns A (lower triangle), J^T y / s^2 and the loss at some weights. The loss
        is the sum of squared residuals over noises, plus that of the weights.
    weights : ndarray of shape (rank,)
        To start from.
    n_linear : int
        The first so many weights are those in which residuals are linear.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is not positive definite, which only non-finite or absurdly scaled rows do.
    """
    point, n_steps = descend(lambda w: Point(w, n_linear, *linearise(w)), weights)
    return Minimum(point.weights, point.full_factor(), point.loss, n_steps)


def descend(point_at, weights: np.ndarray) -> tuple:
    """Return the point of least loss that damped steps find, and the steps tried.

    Parameters
    ----------
    point_at : callable
        Returns the problem linearised at some weights, a `DampedPoint`.
    weights : ndarray of shape (rank,)
        To start from.
    """
    point = point_at(weights)
    damping, n_steps = 0.0, 0
    while n_steps < MAX_STEPS:
        n_steps += 1
        trial = point.step(damping)
        new = point_at(trial)
        ended = abs(point.loss - new.loss) <= LEAST_DECREASE * point.loss
        if new.loss <= point.loss:
            damping *= relief(point.loss - new.loss, point.expected_decrease(trial))
            point = new
        else:
            damping = point.shorten(damping, trial)
        if ended:
            break
    return point, n_steps


class DampedPoint:
    """A linearised problem from which damped steps start.

    A subclass has ``weights``, ``loss``, ``mean_diagonal`` (of A), ``step(damping)``
    and ``expected_decrease(trial)``.
    """

    #: The first so many weights are eliminated.
    n_linear = 0

    def shorten(self, damping: float, failed: np.ndarray) -> float:
        """Return the damping with which a step is half as long as one that failed."""
        start = self.weights[self.n_linear :]
        longest = 0.5 * np.linalg.norm(failed[self.n_linear :] - start)
        least = FIRST_DAMPING * self.mean_diagonal
        while True:
            damping = max(least, DAMPING_FACTOR * damping)
            change = self.step(damping)[self.n_linear :] - start
            if np.linalg.norm(change) <= longest:
                return damping


class Point(DampedPoint):
    """A linearised problem with its linear weights eliminated.

    Parameters
    ----------
    weights : ndarray of shape (rank,)
        Where it was linearised; the linear ones get their best values.
    n_linear : int
    matrix, moment, loss
        See `minimise`.
    """

    def __init__(self, weights, n_linear, matrix, moment, loss):
        linear, rest = slice(n_linear), slice(n_linear, None)
        self.weights, self.n_linear, self.loss = weights.copy(), n_linear, loss
        self.matrix, self.moment = matrix[rest, rest], moment[rest]
        if n_linear:
            self.factor = linalg.cholesky(matrix[linear, linear], lower=True)
            self.cross = linalg.solve_triangular(
                self.factor, matrix[rest, linear].T, lower=True
            )
            left = linalg.solve_triangular(self.factor, moment[linear], lower=True)
            self.matrix = self.matrix - self.cross.T @ self.cross
            self.moment = self.moment - self.cross.T @ left
            projected = left - self.cross @ weights[rest]
            best = linalg.solve_triangular(
                self.factor, projected, lower=True, trans="T"
            )
            change = self.factor.T @ (best - weights[linear])
            self.loss -= float(change @ change)
            self.weights[linear] = best

    @property
    def mean_diagonal(self) -> float:
        """Mean of the diagonal of A, without that of eliminated weights."""
        return np.trace(self.matrix) / len(self.matrix)

    def expected_decrease(self, trial: np.ndarray) -> float:
        """Return how much less the loss were if residuals were linear."""
        start = self.weights[self.n_linear :]
        change = trial[self.n_linear :] - start
        # the matrix is a lower triangle
        product = linalg.blas.dsymv(1.0, self.matrix, 2.0 * start + change, lower=1)
        return float(change @ (2.0 * self.moment - product))

    def step(self, damping: float) -> np.ndarray:
        """Return the weights after a step."""
        start = self.weights[self.n_linear :]
        factor = damped_factor(self.matrix, damping)
        trial = self.weights.copy()
        trial[self.n_linear :] = linalg.cho_solve(
            (factor, True), self.moment + damping * start
        )
        if self.n_linear:
            change = self.cross @ (trial[self.n_linear :] - start)
            trial[: self.n_linear] -= linalg.solve_triangular(
                self.factor, change, lower=True, trans="T"
            )
        return trial

    def full_factor(self) -> np.ndarray:
        """Return the lower Cholesky factor of A."""
        block = damped_factor(self.matrix, 0.0)
        if not self.n_linear:
            return block
        rank = self.weights.size
        factor = np.zeros((rank, rank), order="F")
        factor[: self.n_linear, : self.n_linear] = self.factor
        factor[self.n_linear :, : self.n_linear] = self.cross.T
        factor[self.n_linear :, self.n_linear :] = block
        return factor


def relief(decrease: float, expected: float) -> float:
    """Return the factor of the damping after a step that has lowered the loss.

    By the gain, the decrease over the expected one [Nielsen 1999].
    """
    gain = decrease / expected if expected > 0.0 else 1.0
    return float(np.clip(1.0 - (2.0 * gain - 1.0) ** 3, 1.0 / DAMPING_FACTOR, 2.0))


def damped_factor(matrix: np.ndarray, damping: float) -> np.ndarray:
    """Return the lower Cholesky factor of A + m."""
    damped = np.array(matrix, order="F")
    damped[np.diag_indices_from(damped)] += damping
    return linalg.cholesky(damped, lower=True, overwrite_a=True)
