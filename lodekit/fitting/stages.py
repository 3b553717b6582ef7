"""Rows of a fit in portions, after which their sums are kept so that it can go on."""

from __future__ import annotations

import numpy as np

from .checkpoint import LEAST_SECONDS
from .left_out import KeptGroups
from .noises import CONDITION

#: Rows after which the sums of a fit may be kept, so that it can be continued.
PORTION_ROWS = 2000


def assemble_in_stages(fitting, equations, kept: KeptGroups) -> None:
    """Add the rows of all frames, in portions after which their sums may be kept.

    Begins where an interrupted fit has ended, and writes sums when it is interrupted.
    """
    stage, n_frames = fitting.stage, len(fitting.everything)
    n_done, own_noise = 0, fitting.own_noise
    known = stage.kept
    if known is not None and known[0]["own_noise"] == as_lists(own_noise):
        meta, arrays = known
        n_done = meta["n_done"]
        for holder, prefix in ((equations, "equations/"), (kept, "kept/")):
            holder.set_arrays(
                {
                    name.removeprefix(prefix): array
                    for name, array in arrays.items()
                    if name.startswith(prefix)
                }
            )

    def keep():
        parts = {"equations/": equations.get_arrays(), "kept/": kept.get_arrays()}
        arrays = {p + n: a for p, named in parts.items() for n, a in named.items()}
        stage.keep({"n_done": n_done, "own_noise": as_lists(own_noise)}, arrays)

    is_whole = True
    try:
        for portion in portions(fitting.everything[n_done:], fitting.problem.n_rows):
            collected = list(fitting.rows(portion))
            is_whole = False
            for name, rows, weights in collected:
                rows.places = equations.add(name, rows.matrix, rows.values, weights)
                if name != CONDITION:
                    kept.add(name, rows, weights)
            is_whole, n_done = True, int(portion[-1]) + 1
            if n_done < n_frames and stage.is_due():
                keep()
    except BaseException:
        if is_whole and 0 < n_done < n_frames and stage.is_due(LEAST_SECONDS):
            keep()
        raise


def as_lists(own_noise: dict) -> dict:
    """Return noises of frames as plain numbers."""
    return {name: factors.tolist() for name, factors in own_noise.items()}


def portions(frames: np.ndarray, n_rows: np.ndarray):
    """Yield frames, ascending, some `PORTION_ROWS` rows at a time."""
    first = 0
    counts = np.cumsum(n_rows[frames])
    while first < len(frames):
        before = counts[first - 1] if first else 0
        stop = int(np.searchsorted(counts, before + PORTION_ROWS, side="right"))
        stop = max(stop, first + 1)
        yield frames[first:stop]
        first = stop
