"""Gauss-Newton steps from rows, whether there are fewer of them than weights or not.

With fewer rows J than weights, a step with the damping m is found in the space of rows:
(1 + m) w + J^T S^-1 J w = J^T S^-1 y + m v has the solution

    w = c + J^T (J J^T + (1 + m) S)^-1 (y - J c),    c = m v / (1 + m),

the posterior mean for a prior about c and noises that are larger by (1 + m)^(1/2).
"""

from __future__ import annotations

import numpy as np

from .dual_equations import DualEquations
from .evidence import multiply
from .gauss_newton import DampedPoint, Point
from .normal_equations import weighted_sums


def point_of(equations, noises: dict, weights: np.ndarray) -> DampedPoint:
    """Return the problem that damped steps start from, see `gauss_newton.descend`.

    Parameters
    ----------
    equations : NormalEquations or DualEquations
        Of rows linearised at the weights, with values such that residuals there are
        those of the model.
    noises : dict of str to float
    weights : ndarray of shape (rank,)
    """
    if isinstance(equations, DualEquations):
        return RowPoint(equations, noises, weights)
    loss = float(weights @ weights)
    for name, gram in equations.grams.items():
        squares = multiply(gram.matrix, weights) - 2.0 * gram.moment
        loss += (gram.square + float(weights @ squares)) / noises[name] ** 2
    return Point(weights, 0, *weighted_sums(equations.grams, noises), loss)


class RowPoint(DampedPoint):
    """A linearised problem with fewer rows than weights.

    Parameters
    ----------
    equations : DualEquations
    noises : dict of str to float
    weights : ndarray of shape (rank,)
    """

    def __init__(self, equations, noises, weights):
        self.equations, self.noises, self.weights = equations, noises, weights
        self.loss = self.loss_at(weights)

    def loss_at(self, weights: np.ndarray) -> float:
        """Return the loss if residuals are linear."""
        misses = self.equations.residuals(weights)
        variances = self.equations.variances(self.noises)
        return float(weights @ weights + np.sum(misses**2 / variances))

    def expected_decrease(self, trial: np.ndarray) -> float:
        """Return how much less the loss were if residuals were linear."""
        return self.loss - self.loss_at(trial)

    @property
    def mean_diagonal(self) -> float:
        """Mean of the diagonal of A."""
        diagonal = self.equations.squares / self.equations.variances(self.noises)
        return 1.0 + diagonal.sum() / self.weights.size

    def step(self, damping: float) -> np.ndarray:
        """Return the weights after a step."""
        center = damping / (1.0 + damping) * self.weights
        root = np.sqrt(1.0 + damping)
        noises = {name: root * noise for name, noise in self.noises.items()}
        return center + self.equations.shifted(center).solve(noises).weights
