"""Sums of rows of an interrupted fit, in a file from which the fit goes on.

    with resumable("model.partial"):
        model.fit(frames)

Rows take most of the time of a fit. Their sums are written from time to time and when
the fit is interrupted; the same fit in the same block later begins where they end. The
file is removed when the block succeeds.
"""

from __future__ import annotations

import hashlib
import json
import time
import zipfile
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import numpy as np

from lodekit.errors import CheckpointError
from lodekit.whole_files import written_whole

#: Seconds of work between two writings, and the least that is worth one.
INTERVAL, LEAST_SECONDS = 120.0, 20.0

_current: ContextVar = ContextVar("checkpoint", default=None)


@contextmanager
def resumable(path):
    """Let fits in this block go on where they were interrupted, and keep their sums.

    Parameters
    ----------
    path : str or Path
        File of the sums, which need not exist.

    Yields
    ------
    checkpoint : Checkpoint

    Raises
    ------
    CheckpointError
        If the file is there and holds something else.
    """
    checkpoint = Checkpoint(Path(path))
    token = _current.set(checkpoint)
    try:
        yield checkpoint
        checkpoint.path.unlink(missing_ok=True)
    finally:
        _current.reset(token)


def next_stage(problem):
    """Return the stage of the present checkpoint for a fit, None outside of a block."""
    checkpoint = _current.get()
    return None if checkpoint is None else Stage(checkpoint, problem)


class Checkpoint:
    """A file with the sums of one stage of a fit: the one that was interrupted.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    n_kept : int
        Frames whose rows the file holds in sums, after an interrupt.
    """

    def __init__(self, path: Path):
        self.path = path
        self.n_kept = 0
        self.meta: dict = {}
        self.arrays: dict = {}
        if path.exists():
            self.read()

    def read(self) -> None:
        """Read the file."""
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = dict(file)
            self.meta = json.loads(arrays.pop("meta").tobytes())
            self.arrays = arrays
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as problem:
            raise CheckpointError(
                f"{self.path}: these are no sums of an interrupted fit ({problem}); "
                "remove the file, or fit without --resume"
            ) from None

    def write(self, meta: dict, arrays: dict) -> None:
        """Replace the file."""
        text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        with written_whole(self.path, CheckpointError) as file:
            np.savez(file, meta=text, **arrays)
        self.n_kept = meta["n_done"]


class Stage:
    """One fit of those in a block.

    Parameters
    ----------
    checkpoint : Checkpoint
    problem : Problem
        See `lodekit.fitting.fit`.
    """

    def __init__(self, checkpoint: Checkpoint, problem):
        self.checkpoint = checkpoint
        self.fingerprint = fingerprint(problem)
        self.last = time.monotonic()

    @property
    def kept(self) -> tuple[dict, dict] | None:
        """Meta data and arrays that were kept of this very fit."""
        meta = self.checkpoint.meta
        if meta.get("fingerprint") != self.fingerprint:
            return None
        return meta, self.checkpoint.arrays

    def is_due(self, after: float | None = None) -> bool:
        """Return whether so many seconds (`INTERVAL`) passed since sums were kept."""
        return time.monotonic() - self.last > (INTERVAL if after is None else after)

    def keep(self, meta: dict, arrays: dict) -> None:
        """Write what is known of this fit."""
        self.checkpoint.write({**meta, "fingerprint": self.fingerprint}, arrays)
        self.last = time.monotonic()


def fingerprint(problem) -> str:
    """Return a hash of what is fitted: frames, targets and sparse points.

    Rows of other frames, weights, targets or sparse points have another one.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([*problem.names, problem.rank, problem.solver]).encode())
    for atoms in problem.frames:
        for array in (atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc):
            digest.update(np.ascontiguousarray(array).tobytes())
    for array in problem.content():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
