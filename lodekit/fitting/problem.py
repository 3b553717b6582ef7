"""The interface between a fit and its problem, and the result of a fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Protocol

import numpy as np

from lodekit.regression.dual_equations import DualSolution
from lodekit.regression.normal_equations import Solution


class Problem(Protocol):
    """Rows of targets with their frames, weights and kernels.

    Attributes
    ----------
    frames : list of ase.Atoms
    names : list of str
        Targets, and conditions such as the total charge.
    rank : int
        Number of weights.
    kernels : list
        Kernels whose amplitudes are chosen, with ``rank`` and ``amplify(factor)``.
    first_column : int
        Where their weights begin.
    n_rows : ndarray of shape (n_frames,)
        Number of rows of every frame.
    n_linear : int or None
        The first so many weights are those in which residuals are linear; None for all.
    solver : {"cholesky", "qr"}
    units : dict of str to str
        Units of rows by target.
    progress : bool
    """

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, Rows (with indices of frames) and weights of rows.

        Rows are linear in all weights, the values such that residuals at ``weights``
        are those of the model itself.
        """

    def content(self):
        """Yield arrays that tell this problem from others: targets, sparse points."""

    def start(self, noises: dict) -> np.ndarray:
        """Return the weights to start from, where residuals are not linear."""

    def forget(self) -> None:
        """Drop what is kept from step to step, where residuals are not linear."""


@dataclass
class FitResult:
    """Weights, posterior, noises and errors of a fit.

    Attributes
    ----------
    weights : ndarray of shape (rank,)
    solution : Solution or DualSolution
        Posterior of the weights, linearised where it has to be.
    noises : dict of str to float
        Noise of every target, in units of its rows.
    std_scales : dict of str to float
        Calibration factor of standard deviations by target.
    errors : dict of str to float
        RMSE of every target on groups that were left out.
    n_rows : dict of str to int
    n_groups, n_left_out : int
        Groups of like frames, and how many of them were left out one at a time.
    outliers : list of Outlier
        Frames with a noise of their own.
    n_steps : int
        Points that Gauss-Newton steps have gone through; 0 for linear problems.
    """

    weights: np.ndarray
    solution: Solution | DualSolution
    noises: dict
    std_scales: dict
    errors: dict
    n_rows: dict
    n_groups: int
    n_left_out: int
    outliers: list = field(default_factory=list)
    n_steps: int = 0

    def summary(self) -> dict:
        """Return the facts of a fit for people, in plain numbers."""
        return {
            "effective_rank": self.solution.effective_rank,
            "condition_number": self.solution.condition_number,
            "noises": self.noises,
            "std_scales": self.std_scales,
            "held_out_errors": self.errors,
            "n_rows": self.n_rows,
            "n_groups": self.n_groups,
            "n_left_out": self.n_left_out,
            "outliers": [asdict(outlier) for outlier in self.outliers],
            "n_steps": self.n_steps,
        }
