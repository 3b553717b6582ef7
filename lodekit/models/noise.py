"""Noise levels and the calibration of standard deviations, from held-out frames."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError

from lodekit.regression.evidence import LARGEST_ROUNDING
from lodekit.regression.normal_equations import Gram, Solution, solve_normal_equations

from .progress import progress_bar

#: Noises where there are no held-out frames: eV/atom, eV/Å, eV/Å^3, e, e·Å, e·Å², V.
DEFAULT_NOISES = {
    "energy": 1e-3,
    "forces": 3e-2,
    "stress": 1e-3,
    "charges": 1e-2,
    "dipole": 2e-2,
    "quadrupole": 1e-1,
    "mep": 2e-2,
    # of charges before they are conditioned; no model of environments is exact
    "total_charge": 2e-2,
}
#: Factors between neighbouring noise levels in the search.
STEPS = (10.0**0.5, 10.0**0.25)
FARTHEST_FACTOR = 1e5
#: Rows whose standard deviations are computed at once, which are copied.
JOINED_ROWS = 500
#: Factorisations that the search may cost.
MAX_TRIALS = 40


def choose_noises(
    grams: dict[str, Gram], kept: list, given: dict, progress: bool = False
) -> dict[str, float]:
    """Return the noise of every target, searching those given as "auto".

    Held-out errors are minimised, measured in units of `DEFAULT_NOISES`: 1 meV/atom
    weighs as much as 30 meV/Å. Each trial costs one factorisation. Noises beside which
    the unit prior is lost to rounding are left out.

    Parameters
    ----------
    grams : dict of str to Gram
        Sums over the frames that are not held out.
    kept : list of (name, Rows, weights)
        Rows of held-out frames.
    given : dict of str to float or "auto"
    """

    def loss(trial):
        if not resolves(grams, trial):
            return np.inf
        return held_out_loss(solve_normal_equations(grams, trial), kept)

    own = {name: given[name] for name in grams}
    return search_noises(loss if kept else None, own, progress)


def resolves(grams: dict[str, Gram], noises: dict) -> bool:
    """Return whether noises leave digits for the unit prior in the normal equations."""
    diagonal = sum(np.diag(grams[n].matrix) / noises[n] ** 2 for n in grams)
    return bool(diagonal.max() * np.finfo(float).eps <= LARGEST_ROUNDING)


def search_noises(loss, given: dict, progress: bool) -> dict[str, float]:
    """Minimise ``loss(noises)`` over the noises given as "auto".

    A pattern search over factors of each noise and of all together, from
    `DEFAULT_NOISES`; without ``loss`` these are taken.
    """
    noises = {
        name: DEFAULT_NOISES[name] if noise == "auto" else float(noise)
        for name, noise in given.items()
    }
    free = [name for name, noise in given.items() if noise == "auto"]
    if loss is None or not free:
        return noises
    moves = [[name] for name in free] + ([free] if len(free) > 1 else [])
    tried: dict[tuple, float] = {}

    def known_loss(trial):
        key = tuple(round(float(np.log10(trial[name])), 6) for name in trial)
        if key not in tried:
            try:
                tried[key] = loss(trial)
            except LinAlgError:  # a noise too small for the digits of the rows
                tried[key] = np.inf
        return tried[key]

    for step in progress_bar(STEPS, "noise levels", progress):
        improved = True
        while improved and len(tried) < MAX_TRIALS:
            improved = False
            for move in reversed(moves):
                for factor in (1.0 / step, step):
                    trial = scale_noises(noises, move, factor)
                    least = known_loss(noises)
                    if known_loss(trial) < least - 1e-3 * abs(least):
                        noises, improved = trial, True
                        break
    return noises


def scale_noises(noises: dict, names: list, factor: float) -> dict:
    """Return noises, some times ``factor``, kept in reach of the defaults."""
    scaled = dict(noises)
    for name in names:
        limits = DEFAULT_NOISES[name] * np.array([1 / FARTHEST_FACTOR, FARTHEST_FACTOR])
        scaled[name] = float(np.clip(noises[name] * factor, *limits))
    return scaled


def held_out_loss(solution: Solution, kept: list) -> float:
    """Return the length of the held-out errors in units of `DEFAULT_NOISES`."""
    errors = held_out_errors(solution, kept)
    scaled = [error / DEFAULT_NOISES[name] for name, error in errors.items()]
    return float(np.linalg.norm(scaled))


def held_out_errors(solution: Solution, kept: list) -> dict[str, float]:
    """Return the RMSE of every target on the held-out rows, in the rows' units."""
    squares: dict[str, list] = {}
    for name, rows, _ in kept:
        residuals = rows.values - rows.matrix @ solution.weights
        squares.setdefault(name, []).append(residuals**2)
    return {
        name: float(np.sqrt(np.concatenate(parts).mean()))
        for name, parts in squares.items()
    }


def calibrate(solution: Solution, kept: list) -> float:
    """Return the factor that makes standard deviations match held-out residuals.

    The maximum-likelihood scale: root mean of (residual / standard deviation)^2 over
    the rows of one target, the first of those in `DEFAULT_NOISES`.

    References
    ----------
    F. Musil, M. J. Willatt, M. A. Langovoy, M. Ceriotti, J. Chem. Theory Comput. 15,
    906 (2019), Eq. 13.
    """
    names = {name for name, _, _ in kept}
    for target in DEFAULT_NOISES:
        if target in names:
            break
    else:
        return 1.0
    ratios = []
    for own in join_rows([rows for name, rows, _ in kept if name == target]):
        matrix = np.concatenate([rows.matrix for rows in own])
        deviations = solution.standard_deviations(matrix)
        known = deviations > 0.0  # not of environments without features
        residuals = np.concatenate([rows.values for rows in own])
        residuals -= matrix @ solution.weights
        ratios.append(residuals[known] / deviations[known])
    ratios = np.concatenate(ratios)
    return float(np.sqrt(np.mean(ratios**2))) if ratios.size else 1.0


def join_rows(parts: list):
    """Yield lists of parts of some `JOINED_ROWS` rows: one pass over the posterior."""
    joined: list = []
    for rows in parts:
        joined.append(rows)
        if sum(len(own.values) for own in joined) >= JOINED_ROWS:
            yield joined
            joined = []
    if joined:
        yield joined
