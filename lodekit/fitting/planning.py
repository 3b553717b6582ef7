"""Fits that stop when their rows are next: what they take is known by then.

fitting = reach(model, frames)
fitting.problem.rank  # number of weights
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar = ContextVar("planned", default=False)


class Reached(Exception):
    """A fit came to its rows; ``fitting`` is a `lodekit.fitting.fit.Fitting`."""

    def __init__(self, fitting):
        super().__init__("rows are next")
        self.fitting = fitting


def stop_if_planned(fitting) -> None:
    """End a fit that is only planned."""
    if _current.get():
        raise Reached(fitting)


@contextmanager
def in_full():
    """Let fits in this block be made, such as those that sparse points wait for."""
    token = _current.set(False)
    try:
        yield
    finally:
        _current.reset(token)


def reach(model, frames):
    """Return the state of the first fit of a model when its rows are next.

    Sparse points are chosen by then. The model is not fitted.

    Parameters
    ----------
    model : estimator
    frames : list of ase.Atoms

    Returns
    -------
    fitting : lodekit.fitting.fit.Fitting
    """
    token = _current.set(True)
    try:
        model.fit(frames)
    except Reached as reached:
        return reached.fitting
    finally:
        _current.reset(token)
    raise ValueError("this model was fitted without rows")
