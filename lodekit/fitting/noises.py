"""Noises of targets and amplitudes of kernels: how they are chosen.

Both are those that make the targets most probable (`lodekit.regression.evidence`). What
a model cannot describe counts as noise there, as if it were independent from row to
row; errors of the rows of one structure are not. All noises together are therefore
multiplied by the factor with which frames that are left out one at a time are predicted
best. Whole groups of like frames would ask for noises that are too large: those with
which a model gives up what it knows of the molecules it was fitted to.

A kernel that the data do not need gets a small amplitude, and costs nothing.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError

from lodekit.quantities import QUANTITIES
from lodekit.regression.evidence import most_probable

#: Noises to start from, by target; of tensors, in units of their spread over the root
#: of the number of atoms.
DEFAULT_NOISES = {
    **{
        name: quantity.noise
        for name, quantity in QUANTITIES.items()
        if quantity.noise is not None
    },
    "tensor": 1e-1,
}
#: Rows of this name are no data but a condition that charges fulfil.
CONDITION = "total_charge"
#: Factor between noises that are tried on groups left out, how often, and the gain of
#: the logarithm of errors that is worth it.
FACTOR, MAX_TRIALS, LEAST_GAIN = 10.0**0.5, 4, 0.01
TINY = 1e-300


def read_noises(names, given: dict) -> dict[str, float]:
    """Return the noise of every target, the default where it is "auto" or missing."""
    noises = {name: given.get(name, "auto") for name in names}
    return {
        name: DEFAULT_NOISES[name] if noise == "auto" else float(noise)
        for name, noise in noises.items()
    }


def free_noises(names, given: dict) -> list[str]:
    """Return the targets whose noise is to be chosen."""
    return [
        name
        for name in names
        if given.get(name, "auto") == "auto" and name != CONDITION
    ]


def columns_of(kernels: list, start: int) -> list[slice]:
    """Return the weights of every kernel, which follow each other from ``start``."""
    stops = start + np.cumsum([kernel.rank for kernel in kernels])
    return [slice(b - k.rank, b) for k, b in zip(kernels, stops, strict=True)]


def most_probable_noises(equations, noises: dict, free: list, columns: list):
    """Return noises and amplitudes that make the rows of equations most probable.

    Parameters
    ----------
    equations : NormalEquations or DualEquations
    noises : dict of str to float
        To start from.
    free : list of str
        Names of the noises that are varied.
    columns : list of slice
        Weights of every kernel whose amplitude is varied.

    Returns
    -------
    noises : dict of str to float
    amplitudes : ndarray of shape (n_kernels,)
    """
    names = list(noises)
    values, amplitudes = most_probable(
        equations.evidence(names, columns),
        np.array(list(noises.values()), float),
        np.array([name in free for name in names]),
        names.index(CONDITION) if CONDITION in names else None,
    )
    pairs = zip(names, values.tolist(), strict=True)
    return {n: value if n in free else noises[n] for n, value in pairs}, amplitudes


def scale_noises(equations, kept, noises: dict, free: list) -> dict:
    """Return noises, the free ones times the factor that predicts best.

    Parameters
    ----------
    equations : NormalEquations or DualEquations
    kept : KeptGroups
        Rows that are left out, frame by frame; the loss is the geometric mean of the
        errors of their targets.
    noises : dict of str to float
    free : list of str
    """
    measured = set(free) & kept.names
    if not measured:
        return noises

    def loss(trial):
        if not equations.bear(trial):
            return np.inf
        try:
            left_out = kept.leave_out(equations.solve(trial), trial, single=True)
            errors = left_out.errors()
        except LinAlgError:  # a noise too small for the digits of the rows
            return np.inf
        return np.mean(np.log([errors[name] + TINY for name in measured]))

    first = least = loss(noises)
    for factor in (FACTOR, 1.0 / FACTOR):
        for _ in range(MAX_TRIALS):
            trial = {n: v * factor if n in free else v for n, v in noises.items()}
            value = loss(trial)
            if not value < least - LEAST_GAIN:
                break
            noises, least = trial, value
        if least < first:
            break
    return noises
