"""Rows of a fit folded into equations: by one process or several, with the same sums.

Sums of rounded numbers depend on their order, and weights of badly conditioned
equations on the last digit of sums. Frames are therefore cut into parts, as many as
their number of rows asks for, whoever adds them up; the sums of parts are added in
pairs, (1 + 2) + (3 + 4) and so on. As many processes as there are parts make the same
additions as one.
"""

from __future__ import annotations

import numpy as np

from lodekit.regression.normal_equations import NormalEquations

from .checkpoint import LEAST_SECONDS
from .left_out import KeptGroups
from .noises import CONDITION
from .progress import progress_bar

#: Rows that are made between two looks at the clock, after which sums may be kept.
PORTION_ROWS = 2000
#: Rows of a part, at the least, and the largest number of parts, a power of two.
PART_ROWS, MAX_PARTS = 250, 64
#: Memory that sums of parts may take beside the total, in units of the matrices that
#: choosing noises needs, or in bytes.
PART_SQUARES, PART_BYTES = 5, 2.5e8


def count_parts(n_rows: int, rank: int, n_targets: int) -> int:
    """Return into how many parts a sum of so many rows goes: a power of two.

    With 2^k parts, k + 1 sums of ``n_targets`` matrices are there at once.
    """
    square = 8.0 * rank**2
    affordable = max(PART_SQUARES, PART_BYTES / square) / n_targets
    useful = np.log2(max(n_rows / PART_ROWS, 1.0))
    return 2 ** int(min(affordable, useful, np.log2(MAX_PARTS)))


def cut(frames: np.ndarray, n_rows: np.ndarray, count: int) -> list[np.ndarray]:
    """Return parts of frames that follow each other, with about equal work.

    Parameters
    ----------
    frames : ndarray of int
    n_rows : ndarray
        Work of every frame of the problem, such as its number of rows.
    count : int
        Number of parts, of which some may be empty.
    """
    work = n_rows[frames]
    middles = np.cumsum(work) - work / 2
    bounds = work.sum() * np.arange(1, count) / count
    return np.split(frames, np.searchsorted(middles, bounds))


class PairedSums:
    """Sums of parts, added in pairs in an order that depends on their number alone.

    Parameters
    ----------
    make : callable
        Returns equations without rows.
    first : int
        Number of the first part among all.

    Attributes
    ----------
    sizes : list of int
        Numbers of parts, powers of two, of the sums that wait for their like.
    sums : list of NormalEquations
        These sums.
    current : NormalEquations or None
        The part that rows are added to.
    """

    def __init__(self, make, first: int = 0):
        self.make, self.next = make, first
        self.sizes: list[int] = []
        self.sums: list = []
        self.current = None

    def open(self):
        """Return the equations of the part that rows are added to."""
        if self.current is None:
            self.current = self.make()
        return self.current

    def close(self) -> None:
        """End a part."""
        self.push(self.open(), 1)
        self.current = None

    def push(self, equations, size: int) -> None:
        """Add the sum of ``size`` parts, a power of two."""
        start, self.next = self.next, self.next + size
        while self.sizes[-1:] == [size] and (start - size) % (2 * size) == 0:
            before = self.sums.pop()
            before.merge(equations)
            start -= self.sizes.pop()
            equations, size = before, 2 * size
        self.sizes.append(size)
        self.sums.append(equations)

    def total(self):
        """Return the sum of all parts."""
        equations = self.sums.pop()
        while self.sums:
            before = self.sums.pop()
            before.merge(equations)
            equations = before
        self.sizes = []
        return equations

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return all sums by name, for `set_arrays`."""
        named = enumerate([*self.sums, self.open()])
        arrays = {
            f"{i}/{n}": a
            for i, equations in named
            for n, a in equations.get_arrays().items()
        }
        return {**arrays, "sizes": np.array(self.sizes, dtype=int)}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over sums from `get_arrays`."""
        self.sizes = arrays["sizes"].tolist()
        self.next = sum(self.sizes)
        made = [self.make() for _ in range(len(self.sizes) + 1)]
        for number, equations in enumerate(made):
            equations.set_arrays(take_named(arrays, f"{number}/"))
        *self.sums, self.current = made


def take_named(arrays: dict, prefix: str) -> dict:
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def portions_of(frames: np.ndarray, fitting) -> list[tuple[np.ndarray, bool]]:
    """Return portions of frames, and whether a part of the sums ends with them."""
    if not fitting.is_linear:  # rows of batches are kept from step to step
        return [(frames, True)]
    steps: list[tuple[np.ndarray, bool]] = []
    n_rows = fitting.problem.n_rows
    for part in cut(frames, n_rows, parts_of(fitting, frames)):
        steps += [(portion, False) for portion in portions(part, n_rows)]
        steps.append((part[:0], True))
    return steps


def parts_of(fitting, frames: np.ndarray) -> int:
    """Return into how many parts the sums of frames go, 1 where rows are kept."""
    equations = fitting.equations()
    if not isinstance(equations, NormalEquations):
        return 1
    n_rows = int(fitting.problem.n_rows[frames].sum())
    return count_parts(n_rows, equations.rank, len(equations.grams))


def assemble(fitting, kept: KeptGroups, frames: np.ndarray):
    """Return equations with the rows of frames; those to be left out are kept.

    Begins where an interrupted fit has ended, and writes sums when it is interrupted.

    Parameters
    ----------
    fitting : lodekit.fitting.fit.Fitting
    kept : KeptGroups
    frames : ndarray of int
    """
    paired, done = PairedSums(fitting.equations), 0
    stage = fitting.stage if fitting.is_linear else None
    if stage is not None:
        done = take_up(stage, fitting.own_noise, paired, kept)
    steps = portions_of(frames, fitting)
    numbers = np.cumsum([len(portion) for portion, _ in steps])
    show = (
        fitting.problem.progress and sum(len(numbers) > 0 for numbers, _ in steps) > 2
    )

    def keep():
        parts = {"sums/": paired.get_arrays(), "kept/": kept.get_arrays()}
        arrays = {p + n: a for p, named in parts.items() for n, a in named.items()}
        own_noise = as_lists(fitting.own_noise)
        meta = {"n_done": int(numbers[done - 1]), "n_steps": done}
        stage.keep({**meta, "own_noise": own_noise}, arrays)

    is_whole, is_begun = True, stage is not None and done > 0
    try:
        for portion, ends in progress_bar(steps[done:], "rows", show):
            made = fitting.rows(portion) if len(portion) else ()
            if stage is not None:  # all of them, or none
                made = list(made)
            is_whole = False
            add_rows(paired.open(), kept, made)
            if ends:
                paired.close()
            is_whole, done = True, done + 1
            is_begun = stage is not None and 0 < numbers[done - 1] < len(frames)
            if is_begun and stage.is_due():
                keep()
    except BaseException:
        if is_begun and is_whole and stage.is_due(LEAST_SECONDS):
            keep()
        raise
    return paired.total()


def take_up(stage, own_noise: dict, paired: PairedSums, kept: KeptGroups) -> int:
    """Take over the sums of an interrupted fit; return the number of steps done."""
    known = stage.kept
    if known is None or known[0].get("own_noise") != as_lists(own_noise):
        return 0
    meta, arrays = known
    paired.set_arrays(take_named(arrays, "sums/"))
    kept.set_arrays(take_named(arrays, "kept/"))
    return meta["n_steps"]


def add_rows(equations, kept: KeptGroups, parts) -> None:
    """Add rows to equations, and those of some groups to be left out.

    Parameters
    ----------
    equations
        Normal equations, or such with the same methods.
    kept : KeptGroups
    parts : iterable of (name, Rows, weights)
    """
    for name, rows, weights in parts:
        rows.places = equations.add(name, rows.matrix, rows.values, weights)
        if name != CONDITION:
            kept.add(name, rows, weights)


def as_lists(own_noise: dict) -> dict:
    """Return noises of frames as plain numbers."""
    return {name: factors.tolist() for name, factors in own_noise.items()}


def portions(frames: np.ndarray, n_rows: np.ndarray):
    """Yield frames, some `PORTION_ROWS` rows at a time."""
    first = 0
    counts = np.cumsum(n_rows[frames])
    while first < len(frames):
        before = counts[first - 1] if first else 0
        stop = int(np.searchsorted(counts, before + PORTION_ROWS, side="right"))
        stop = max(stop, first + 1)
        yield frames[first:stop]
        first = stop
