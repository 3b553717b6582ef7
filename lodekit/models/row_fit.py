"""Fitting weights to streams of rows: noises, calibration, and the final solution."""

from __future__ import annotations

from dataclasses import dataclass

from lodekit.regression.normal_equations import Gram, Solution, solve_normal_equations

from .noise import calibrate, choose_noises, held_out_errors


@dataclass
class RowFit:
    """What came out of a fit.

    Attributes
    ----------
    solution : Solution
    noises : dict of str to float
        Noise of every target, in units of its rows.
    std_scale : float
        Calibration factor of standard deviations; 1 without held-out rows.
    held_out_errors : dict of str to float
        RMSE of every target on held-out rows.
    n_rows : dict of str to int
    """

    solution: Solution
    noises: dict
    std_scale: float
    held_out_errors: dict
    n_rows: dict


def fit_rows(train, held_out, rank: int, given: dict, progress: bool, lap) -> RowFit:
    """Fit weights by normal equations.

    Parameters
    ----------
    train, held_out : iterable of (name, Rows, weights)
        Rows of each target; those held out choose noises and calibrate standard
        deviations, then join the fit.
    rank : int
        Number of weights.
    given : dict of str to float or "auto"
        Noise of every target.
    progress : bool
    lap : callable
        Called with "rows" and "solution" when these are there.
    """
    grams = {name: Gram(rank) for name in given}
    for name, rows, weights in train:
        grams[name].add(rows.matrix, rows.values, weights)
    kept = list(held_out)
    lap("rows")
    noises = choose_noises(grams, kept, given, progress)
    solution = solve_normal_equations(grams, noises)
    std_scale = calibrate(solution, kept)
    errors = held_out_errors(solution, kept)
    for name, rows, weights in kept:
        grams[name].add(rows.matrix, rows.values, weights)
    if kept:
        solution = solve_normal_equations(grams, noises)
    lap("solution")
    n_rows = {name: gram.n_rows for name, gram in grams.items()}
    return RowFit(solution, noises, std_scale, errors, n_rows)
