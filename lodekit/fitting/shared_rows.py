"""Rows of a fit that several processes make, on one machine or on many.

Rows of frames are independent of each other, and their sums add up: every process makes
the rows of its share of the frames, adds them to equations of its own, and sends one
sum, or a few: those that `lodekit.fitting.assembly` adds in pairs. How many processes
there are is said by joblib,

    with joblib.parallel_config("loky", n_jobs=4):
        model.fit(frames)

or with the backend "dask" by the client of a cluster of dask.
"""

from __future__ import annotations

import os
import pickle
import time
from contextlib import contextmanager
from itertools import pairwise

import joblib
import numpy as np

from lodekit.logs import LOG, as_before, be_quiet
from lodekit.threads import limit_threads

from .assembly import PairedSums, add_rows, cut, parts_of, portions
from .progress import count_item, shared_bar

#: Frames for every process, at the least: fewer are not worth one.
LEAST_FRAMES = 2


def n_processes() -> int:
    """Return how many processes joblib was told to use, 1 where it was not."""
    asked = joblib.Parallel().n_jobs
    return 1 if asked in (None, 0, 1) else joblib.effective_n_jobs(asked)


def n_shares(n_frames: int) -> int:
    """Return how many processes share the frames, 1 where nobody asked for more."""
    return max(1, min(n_processes(), n_frames // LEAST_FRAMES))


def assemble_shared(fitting, kept, frames: np.ndarray, count: int):
    """Return equations with the rows of frames, made by processes.

    Parameters
    ----------
    fitting : lodekit.fitting.fit.Fitting
        Of a linear problem.
    kept : KeptGroups
        Takes the rows that are to be left out.
    frames : ndarray of int
    count : int
        Number of processes.
    """
    n_rows = fitting.problem.n_rows
    n_parts = max(parts_of(fitting, frames), 1 << (count - 1).bit_length())
    parts = cut(frames, n_rows, n_parts)
    n_portions = sum(1 for part in parts for _ in portions(part, n_rows))
    places = pairwise(len(parts) * i // count for i in range(count + 1))
    show = fitting.problem.progress
    lap, fitting.lap = fitting.lap, None  # not for other processes
    stage, fitting.stage = fitting.stage, None
    try:
        packed = pack(fitting)
        with shared_bar(n_portions, "rows", count, show) as counts:
            sums = joblib.Parallel()(
                joblib.delayed(sum_share)(
                    packed, parts[a:b], a, (number, count), os.getpid(), counts
                )
                for number, (a, b) in enumerate(places)
            )
    finally:
        fitting.lap, fitting.stage = lap, stage
    LOG.info(
        "processor seconds of %d processes: %s",
        len(sums),
        [round(seconds, 2) for *_, seconds in sums],
    )
    paired = PairedSums(fitting.equations)
    for sizes, made, parts_kept, _ in sums:
        for size, arrays in zip(sizes, made, strict=True):
            equations = fitting.equations()
            equations.set_arrays(arrays)
            paired.push(equations, size)
        for group, blocks in parts_kept.items():
            kept.parts.setdefault(group, []).extend(blocks)
    return paired.total()


def pack(fitting) -> np.ndarray:
    """Return an object as bytes, once for all processes.

    As an array, which joblib shares among processes of one machine, and dask sends to
    every worker once.
    """
    return np.frombuffer(pickle.dumps(fitting, pickle.HIGHEST_PROTOCOL), dtype=np.uint8)


def sum_share(packed: np.ndarray, parts: list, first: int, place, caller: int, counts):
    """Return sums of parts of the frames, rows that are kept, processor seconds.

    Parts, numbered from ``first``, whose like another process has are sums for
    themselves. ``place`` is the number of this process and how many there are,
    ``counts`` the file of `shared_bar`.
    """
    start = time.process_time()
    fitting = pickle.loads(packed)
    paired, kept = PairedSums(fitting.equations, first), fitting.kept_groups()
    number, count = place
    with one_of(count, caller):
        for part in parts:
            for portion in portions(part, fitting.problem.n_rows):
                add_rows(paired.open(), kept, fitting.rows(portion))
                count_item(counts, number)
            paired.close()
    arrays = [equations.get_arrays() for equations in paired.sums]
    return paired.sizes, arrays, kept.parts, time.process_time() - start


@contextmanager
def one_of(count: int, caller: int):
    """Take a share of the cores, in silence, where this is not the calling process.

    Parameters
    ----------
    count : int
        Number of processes.
    caller : int
        Number of the process that shares the work.
    """
    n_threads = None
    with as_before():
        if os.getpid() != caller:
            be_quiet()
            n_threads = max(1, (os.cpu_count() or 1) // count)
        with limit_threads(n_threads):
            yield
