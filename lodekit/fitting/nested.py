"""Fits to more and more frames, with one pass over the rows of all of them.

    with nested_fits([first, more, everything]) as nested:
        model.fit(frames)

Rows of frames add up: each fit takes the sums of the one before, and adds the rows of
the frames that it has more. All fits have what a model learns before its rows are made:
sparse points, the baseline, charges of sources; noises, amplitudes and weights are
those of each. The last is the fit that would be made without the others.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from contextvars import ContextVar
from copy import copy
from dataclasses import dataclass, field

import numpy as np

from lodekit.regression.dual_equations import DualEquations

from .assembly import add_rows
from .problem import FitResult
from .sums import sum_rows

_current: ContextVar = ContextVar("nested", default=None)


@dataclass
class NestedFit:
    """One fit of several.

    Attributes
    ----------
    result : FitResult
    amplitudes : list of float
        Factors by which the amplitudes of kernels were multiplied.
    seconds : float
        From the beginning of the first fit to the end of this one.
    """

    result: FitResult
    amplitudes: list
    seconds: float


@dataclass
class NestedFits:
    """Results of fits to more and more frames.

    Attributes
    ----------
    members : list of ndarray of int
        Frames of each fit, ascending; each has those before.
    fits : list of list of NestedFit
        Of every linear problem that was fitted, by number of frames.
    """

    members: list
    fits: list = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)


class Amplitude:
    """The amplitude of a kernel in one fit; the kernel stays as it is."""

    def __init__(self, kernel):
        self.rank, self.factor = kernel.rank, 1.0

    def amplify(self, factor: float) -> None:
        """Multiply the amplitude."""
        self.factor *= float(factor)


@contextmanager
def nested_fits(members):
    """Make the linear fits in this block to parts of their frames as well.

    Parameters
    ----------
    members : list of ndarray of int
        Frames of each fit, ascending; each has those before, the last one has all.

    Yields
    ------
    nested : NestedFits
    """
    nested = NestedFits(members)
    with using(nested):
        yield nested


@contextmanager
def using(nested):
    """Let fits in this block add what they find to `NestedFits`, None for nothing."""
    token = _current.set(nested)
    try:
        yield
    finally:
        _current.reset(token)


def current_nested() -> NestedFits | None:
    """Return the fits that the present block asks for, None outside of one."""
    return _current.get()


def fit_nested(fitting, nested: NestedFits):
    """Fit to all members of `NestedFits`, and return the result of the last.

    Parameters
    ----------
    fitting : lodekit.fitting.fit.Fitting
        Of a linear problem, to all frames.
    nested : NestedFits
    """
    kept, sums, n_before = fitting.kept_groups(), None, np.zeros(0, dtype=np.intp)
    fits = []
    for members in nested.members:
        part = copy(fitting)
        part.take_frames(members)
        part.kernels = [Amplitude(kernel) for kernel in fitting.kernels]
        new = np.setdiff1d(members, n_before)
        sums = add_frames(part, sums, kept, new)
        assembled = copy_of(sums, part), kept.of_frames(members, part.leavable)
        result = part.run(assembled)
        amplitudes = [kernel.factor for kernel in part.kernels]
        seconds = time.perf_counter() - nested.start
        fits.append(NestedFit(result, amplitudes, seconds))
        n_before = members
    for kernel, amplitude in zip(fitting.kernels, amplitudes, strict=True):
        kernel.amplify(amplitude)
    nested.fits.append(fits)
    return result


def add_frames(part, sums, kept, frames: np.ndarray):
    """Return the equations of more frames and those before, which may be None."""
    equations = part.equations()
    if isinstance(equations, DualEquations):
        equations = sums or equations
        add_rows(equations, kept, part.rows(frames))
        return equations
    more = part.assemble(kept, frames)
    if sums is None:
        return more
    if isinstance(sums, DualEquations):
        sums = sum_rows(sums, part.problem.names)
    sums.merge(more)
    return sums


def copy_of(sums, part):
    """Return equations with the same rows, which may be scaled."""
    equations = part.equations()
    arrays = sums.get_arrays().items()
    equations.set_arrays({name: np.array(array, order="K") for name, array in arrays})
    return equations


def amplify(kernels: list, fit: NestedFit, last: NestedFit) -> None:
    """Give kernels the amplitudes of a fit; they have those of the last one."""
    factors = zip(fit.amplitudes, last.amplitudes, strict=True)
    for kernel, (amplitude, before) in zip(kernels, factors, strict=False):
        kernel.amplify(amplitude / before)
