"""Fits that are interrupted leave their sums behind, and say where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .main import say
from .unused import warn


@contextmanager
def resumable_fit(output: str, n_frames: int, resume: bool) -> Iterator[None]:
    """Keep the sums of a fit that is interrupted, and say where.

    Parameters
    ----------
    output : str
        The file of the model.
    n_frames : int
    resume : bool
        Whether sums that are there are used.
    """
    from lodekit.fitting.checkpoint import resumable

    path = Path(output).with_name(f"{Path(output).name}.partial")
    if path.exists() and not resume:
        warn(f"{path}: sums of an interrupted fit are not used without --resume")
        path.unlink()
    with resumable(path) as checkpoint:
        try:
            yield
        except BaseException:
            if checkpoint.n_kept:
                say(
                    f"sums of {checkpoint.n_kept} of {n_frames} structures are kept in "
                    f"{path}; the same command with --resume continues"
                )
            raise
