"""Amplitudes of terms: how much of the charges, or atomic moments, each may explain.

A term that the data do not need gets a small amplitude, and costs nothing.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.evidence import most_probable

from .noise import DEFAULT_NOISES, held_out_errors

#: Rows of this name are no data but a condition that charges fulfil.
CONDITION = "total_charge"
#: Factor between noises that are tried on held-out frames, how often, and the gain of
#: the logarithm of errors that is worth it.
RAISE, MAX_RAISES, LEAST_GAIN = 10.0**0.5, 6, 0.01
TINY = 1e-300


def columns_of(kernels: list, start: int) -> list[slice]:
    """Return the weights of every kernel, which follow each other."""
    stops = start + np.cumsum([kernel.rank for kernel in kernels])
    return [slice(b - k.rank, b) for k, b in zip(kernels, stops, strict=True)]


def choose_amplitudes(kernels: list, start: int, given: dict):
    """Return what `fit_rows` asks for noises, which amplifies kernels as well.

    Both make the targets most probable, given the total charges; held-out frames may
    raise the noises.

    Parameters
    ----------
    kernels : list of SparseKernel or TensorKernel
        In the order of the weights, which begin at ``start``.
    given : dict of str to float or "auto"
        Noise of every target.
    """
    return partial(amplify, kernels, start, given)


def amplify(kernels, start: int, given: dict, equations, kept: list) -> dict:
    """Choose noises and amplitudes, and change kernels and their rows in place."""
    names = list(given)
    is_free = [given[name] == "auto" and name != CONDITION for name in names]
    noises = [DEFAULT_NOISES[n] if given[n] == "auto" else given[n] for n in names]
    columns = columns_of(kernels, start)
    noises, amplitudes = most_probable(
        equations.evidence(names, columns),
        np.array(noises, float),
        np.array(is_free),
        names.index(CONDITION) if CONDITION in names else None,
    )
    scales = np.ones(columns[-1].stop)
    for kernel, own, amplitude in zip(kernels, columns, amplitudes, strict=True):
        kernel.amplify(amplitude)
        scales[own] = amplitude
    equations.scale(scales)
    for _, rows, _ in kept:
        rows.matrix[...] *= scales
    found = dict(zip(names, noises.tolist(), strict=True))
    free = [name for name, own in zip(names, is_free, strict=True) if own]
    return raise_noises(found, free, equations, kept)


def raise_noises(noises: dict, free: list, equations, kept: list) -> dict:
    """Return noises, the free ones times a factor of at least 1.

    Rows of one structure miss in the same direction, which makes probable noises too
    small. The factor is what predicts held-out frames best, in the geometric mean of
    the errors of the targets. With fewer rows than weights, such as few dipoles, those
    held out are too few to tell.
    """
    if not kept or not free or isinstance(equations, DualEquations):
        return noises

    def loss(trial):
        errors = held_out_errors(equations.solve(trial), kept)
        return np.mean(np.log([errors[name] + TINY for name in free if name in errors]))

    least = loss(noises)
    for _ in range(MAX_RAISES):
        trial = {n: v * RAISE if n in free else v for n, v in noises.items()}
        found = loss(trial)
        if found >= least - LEAST_GAIN:
            break
        noises, least = trial, found
    return noises
