"""Fitting weights to streams of rows: noises, calibration, and the final solution."""

from __future__ import annotations

from dataclasses import dataclass

from lodekit.regression.dual_equations import DualEquations, DualSolution
from lodekit.regression.normal_equations import NormalEquations, Solution

from .noise import calibrate, held_out_errors


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
    train, held_out, equations: NormalEquations | DualEquations, choose_noises, lap
) -> RowFit:
    """Fit weights by normal equations, or in the space of rows where these are few.

    Parameters
    ----------
    train, held_out : iterable of (name, Rows, weights)
        Rows of each target; those held out calibrate standard deviations, then join the
        fit.
    equations : NormalEquations or DualEquations
        Without rows.
    choose_noises : callable
        ``choose_noises(equations, kept)`` returns the noise of every target, from the
        equations of the rows to train and the list of those held out.
    lap : callable
        Called with "rows" and "solution" when these are there.
    """
    for name, rows, weights in train:
        equations.add(name, rows.matrix, rows.values, weights)
    kept = list(held_out)
    lap("rows")
    noises = choose_noises(equations, kept)
    solution = equations.solve(noises)
    std_scale = calibrate(solution, kept)
    errors = held_out_errors(solution, kept)
    for name, rows, weights in kept:
        equations.add(name, rows.matrix, rows.values, weights)
    if kept:
        solution = equations.solve(noises)
    lap("solution")
    return RowFit(solution, noises, std_scale, errors, equations.n_rows())
