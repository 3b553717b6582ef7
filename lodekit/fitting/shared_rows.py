"""Rows of a fit that several processes make, on one machine or on many.

Rows of frames are independent of each other, and their sums add up: every process makes
the rows of its share of the frames, adds them to equations of its own, and sends one
sum. How many processes there are is said by joblib,

    with joblib.parallel_config("loky", n_jobs=4):
        model.fit(frames)

or with the backend "dask" by the client of a cluster of dask.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager

import joblib
import numpy as np

from lodekit.logs import LOG, as_before, be_quiet
from lodekit.threads import limit_threads

#: Frames for every process, at the least: fewer are not worth one.
LEAST_FRAMES = 2


def n_processes() -> int:
    """Return how many processes joblib was told to use, 1 where it was not."""
    asked = joblib.Parallel().n_jobs
    return 1 if asked in (None, 0, 1) else joblib.effective_n_jobs(asked)


def n_shares(n_frames: int) -> int:
    """Return into how many shares the frames go, 1 where nobody asked for more."""
    return max(1, min(n_processes(), n_frames // LEAST_FRAMES))


def add_shared_rows(fitting, equations, kept, count: int) -> None:
    """Add the rows of all frames to equations and kept rows, made by processes.

    Parameters
    ----------
    fitting : lodekit.fitting.fit.Fitting
        Of a linear problem.
    equations : NormalEquations
    kept : KeptGroups
    count : int
        Number of shares.
    """
    shares = split_groups(fitting.groups, count, fitting.problem.n_rows)
    lap, fitting.lap = fitting.lap, None  # not for other processes
    try:
        sums = joblib.Parallel()(
            joblib.delayed(sum_share)(fitting, share, count, os.getpid())
            for share in shares
        )
    finally:
        fitting.lap = lap
    total: dict = {}
    seconds = [round(spent, 2) for *_, spent in sums]
    LOG.info("processor seconds of %d processes: %s", len(sums), seconds)
    for arrays, parts, _ in sums:
        for name, array in arrays.items():
            total[name] = total[name] + array if name in total else array
        for group, blocks in parts.items():
            kept.parts.setdefault(group, []).extend(blocks)
    equations.set_arrays(total)


def split_groups(groups: np.ndarray, count: int, work=None) -> list[np.ndarray]:
    """Return the frames of shares of about equal work, each group in one of them.

    Parameters
    ----------
    groups : ndarray of shape (n_frames,)
        Number of the group of every frame.
    count : int
    work : ndarray of shape (n_frames,), optional
        Work that every frame is, such as its number of rows; the same where None.
    """
    sizes = np.bincount(groups, work)
    share_of_group, loads = np.zeros(len(sizes), dtype=np.intp), np.zeros(count)
    for group in np.argsort(-sizes, kind="stable"):  # the largest first
        share = int(loads.argmin())
        share_of_group[group] = share
        loads[share] += sizes[group]
    owners = share_of_group[groups]
    shares = [np.flatnonzero(owners == share) for share in range(count)]
    return [share for share in shares if share.size]


def sum_share(fitting, frames: np.ndarray, count: int, caller: int):
    """Return sums of the rows of some frames, rows that are kept, processor seconds."""
    equations, kept = fitting.equations(), fitting.kept_groups()
    start = time.process_time()
    with one_of(count, caller):
        fitting.add_rows(equations, kept, frames)
    return equations.get_arrays(), kept.parts, time.process_time() - start


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
