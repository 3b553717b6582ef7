"""Predictions of several processes, as rows of fits are shared by them.

How many there are is said by ``--jobs`` or ``--dask``, see `options.use_processes`.
"""

import os
from itertools import islice

#: Pieces of work for every process before results are written.
PIECES = 4


def predict_shared(model, frames, properties, more, advance=len):
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


def map_pieces(work, pieces, *arguments):
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


def run_share(work, count, caller, *arguments):
    """Return ``work(*arguments)``, by a share of the cores."""
    from lodekit.fitting.shared_rows import one_of

    with one_of(count, caller):
        return work(*arguments)


def predict_piece(frames, model, properties, more):
    """Return the predictions of some frames."""
    from .prediction import compute_piece

    return compute_piece(model, frames, properties, **more)
