"""A problem whose frames count more or less than others."""

from __future__ import annotations

import numpy as np


class WeightedProblem:
    """A `lodekit.fitting.fit.Problem` with a weight for every frame.

    Noise variances of the rows of a frame are divided by its weight. Everything else is
    that of the problem.

    Parameters
    ----------
    problem : Problem
    weights : ndarray of shape (n_frames,)
    """

    def __init__(self, problem, weights: np.ndarray):
        self._problem, self._weights = problem, weights

    def __getattr__(self, name: str):
        """Return an attribute of the problem."""
        if name.startswith("_"):  # an object that is unpickled has no problem yet
            raise AttributeError(name)
        return getattr(self._problem, name)

    def content(self):
        """Yield the weights, and what tells the problem from others."""
        yield self._weights
        yield from self._problem.content()

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights of rows."""
        for name, rows, weights_of_rows in self._problem.rows(weights, frames):
            yield name, rows, weights_of_rows * self._weights[rows.frames]
