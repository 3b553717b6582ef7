"""Fitting weights to streams of rows: noises, calibration, and the final solution."""

from __future__ import annotations

from dataclasses import dataclass

from lodekit.regression.dual_equations import DualEquations, DualSolution
from lodekit.regression.normal_equations import NormalEquations, Solution

from .noise import calibrate, choose_noises, held_out_errors, most_probable_noises


@dataclass
class RowFit:
    """What came out of a fit.

    Attributes
    ----------
    solution : Solution or DualSolution
    noises : dict of str to float
        Noise of every target, in units of its rows.
    std_scale : float
        Calibration factor of standard deviations; 1 without held-out rows.
    held_out_errors : dict of str to float
        RMSE of every target on held-out rows.
    n_rows : dict of str to int
    """

    solution: Solution | DualSolution
    noises: dict
    std_scale: float
    held_out_errors: dict
    n_rows: dict


def fit_rows(
    train, held_out, rank: int, given: dict, progress: bool, lap, n_rows=None
) -> RowFit:
    """Fit weights by normal equations, or in the space of rows where these are few.

    Parameters
    ----------
    train, held_out : iterable of (name, Rows, weights)
        Rows of each target; those held out choose noises and calibrate standard
        deviations, then join the fit. Few rows choose noises by their probability.
    rank : int
        Number of weights.
    given : dict of str to float or "auto"
        Noise of every target.
    progress : bool
    lap : callable
        Called with "rows" and "solution" when these are there.
    n_rows : int, optional
        Number of all rows. Fewer than weights, they are kept, with their covariances.
    """
    few = n_rows is not None and n_rows < rank
    equations = DualEquations(rank) if few else NormalEquations(rank, given)
    for name, rows, weights in train:
        equations.add(name, rows.matrix, rows.values, weights)
    kept = list(held_out)
    lap("rows")
    if few:
        noises = most_probable_noises(equations, given, progress)
    else:
        noises = choose_noises(equations.grams, kept, given, progress)
    solution = equations.solve(noises)
    std_scale = calibrate(solution, kept)
    errors = held_out_errors(solution, kept)
    for name, rows, weights in kept:
        equations.add(name, rows.matrix, rows.values, weights)
    if kept:
        solution = equations.solve(noises)
    lap("solution")
    return RowFit(solution, noises, std_scale, errors, equations.n_rows())
