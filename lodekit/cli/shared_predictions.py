"""Predictions of several processes, as rows of fits are shared by them.

How many there are is said by ``--jobs`` or ``--dask``, see `options.use_processes`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.models.model import Model

#: Pieces of work for every process before results are written.
PIECES = 4


def predict_shared(
    model: Model,
    frames: list[Atoms],
    properties: list[str],
    more: dict[str, Any],
    advance: Callable[[Any], Any] = len,
) -> list[dict[str, Any]]:
    """Return the predictions of frames, in their order.

    Parameters
    ----------
    model : estimator
        A fitted model.
    frames : list of ase.Atoms
    properties : list of str
    more : dict
        Field or displacement.
    advance : callable
        Called with results as they come.
    """
    from lodekit.fitting.shared_rows import n_processes

    from .prediction import chunks

    pieces = [frames[start:stop] for start, stop in chunks(frames, n_processes())]
    results = []
    for piece in map_pieces(predict_piece, pieces, model, properties, more):
        results += piece
        advance(piece)
    return results


def map_pieces(
    work: Callable[..., Any], pieces: Iterable[list[Atoms]], *arguments: Any
) -> Iterator[Any]:
    """Yield ``work(piece, *arguments)`` of an iterable, in order, by all processes.

    Some pieces at a time, so that a long file is never in memory as a whole.
    """
    import joblib

    from lodekit.fitting.shared_rows import n_processes

    count, pieces = n_processes(), iter(pieces)
    if count == 1:
        for piece in pieces:
            yield work(piece, *arguments)
        return
    with joblib.Parallel() as pool:
        while some := list(islice(pieces, PIECES * count)):
            yield from pool(
                joblib.delayed(run_share)(work, count, os.getpid(), piece, *arguments)
                for piece in some
            )


def run_share(
    work: Callable[..., Any], count: int, caller: int, *arguments: Any
) -> Any:
    """Return ``work(*arguments)``, by a share of the cores."""
    from lodekit.fitting.shared_rows import one_of

    with one_of(count, caller):
        return work(*arguments)


def predict_piece(
    frames: list[Atoms], model: Model, properties: list[str], more: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the predictions of some frames."""
    from .prediction import compute_piece

    return compute_piece(model, frames, properties, **more)
