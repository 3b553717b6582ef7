"""The costs of a fit before it is made: weights, rows, memory and time.

The number of weights R has a bound by settings and environments, and is counted where
sparse points are chosen; memory follows from R by counting arrays, and times from the
speed of this machine: rows are made for a few atoms, and a product of matrices is
timed. With n rows, T targets and S evaluations of the evidence,

    time = n (c_0 + c_1 R) + (n R^2 + S (4/3 + T) R^3) / speed.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import blas

from lodekit.regression.environments import CANDIDATES_PER_POINT

from .left_out import KEPT_BYTES, LEAST_WORK, RELATIVE_ROWS

#: Matrices of R x R that are there at once beside the sums of T targets.
SQUARES = 5
#: Evaluations of the evidence that a search takes, about.
EVALUATIONS = 20
#: Bytes of a process that has imported everything, where nobody tells, and of rows that
#: are there at once.
EMPTY_BYTES, ROW_BYTES = 2.5e8, 9e8
#: Bytes of the compiled loops that a fit loads.
COMPILED_BYTES = 6e7
#: Rows and columns of the matrices that are timed.
TIMED_ROWS, TIMED_RANK = 600, 900


@dataclass
class Plan:
    """Size, memory and time of a fit.

    Attributes
    ----------
    n_weights : int
        Number of weights R.
    n_rows : dict of str to int
        By target.
    points : dict of str to dict
        Sparse points of every term and element.
    memory : float
        Bytes, with what the process has before.
    resident : float
        Bytes that the process has before.
    is_counted : bool
        Whether the number of weights is that of the fit, and no upper bound.
    seconds : float or None
        None where it is not known.
    available : float
        Bytes of memory that this machine has left.
    left_out : list of str
        Terms whose sources have no charges in these data.
    """

    n_weights: int
    n_rows: dict
    points: dict = field(default_factory=dict)
    memory: float = 0.0
    seconds: float | None = None
    resident: float = 0.0
    is_counted: bool = False
    available: float = np.inf
    left_out: list = field(default_factory=list)

    @property
    def fits(self) -> bool:
        """Whether the memory suffices."""
        return self.memory < self.available


def available_memory() -> float:
    """Return the bytes of memory that are free, infinity where nobody knows."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            lines = dict(line.split(":") for line in file)
        return 1024.0 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        pass
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return np.inf


def resident_memory() -> float:
    """Return the bytes of memory that this process has now."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return float(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError, AttributeError):
        return EMPTY_BYTES


def count_points(counts: dict, n_sparse: int, n_features: int, zeta: int) -> dict:
    """Return the sparse points of every element, and how many can be independent.

    Parameters
    ----------
    counts : dict of str to int
        Atoms by element.
    n_sparse : int
    n_features : int
        Features of the descriptor: points of a linear covariance are no more than
        these, and of a quadratic one no more than their products.
    zeta : int
    """
    largest = n_features
    if zeta >= 2:
        largest = n_features * (n_features + 1) // 2
    return {symbol: min(n_sparse, count, largest) for symbol, count in counts.items()}


def memory_of(n_weights: int, n_rows: dict, terms) -> float:
    """Return the bytes that a fit takes at its peak, beside those of the process.

    Parameters
    ----------
    n_weights : int
    n_rows : dict of str to int
    terms : iterable of (n_points, n_features, n_coefficients)
        Of every term: sparse points of all elements, features, and numbers that these
        are products of.
    """
    total, square = sum(n_rows.values()), 8.0 * n_weights**2
    selection = 0.0
    points = 0.0
    for n_points, n_features, n_coefficients in terms:
        width = 8.0 * n_features + 4.0 * n_coefficients
        points += n_points * width
        selection = max(selection, CANDIDATES_PER_POINT * n_points * width)
    if total < n_weights:
        rows = 8.0 * total * n_weights
        solving = 3.0 * rows + 5.0 * 8.0 * total**2 + 2.0 * square * (total > 0) / 2
    else:
        left = max(RELATIVE_ROWS * n_weights, LEAST_WORK / max(n_weights, 1) ** 2)
        kept = min(8.0 * n_weights * min(left, total), KEPT_BYTES)
        at_once = min(ROW_BYTES, 3.0 * 8.0 * n_weights * total)
        evidence = SQUARES * square
        solving = len(n_rows) * square + kept + max(at_once, evidence)
    return points + max(selection, solving)


def speed_of_products() -> float:
    """Return how many multiplications and additions a symmetric product does a second.

    One of them is counted for every two numbers.
    """
    rows = np.random.default_rng(0).normal(size=(TIMED_ROWS, TIMED_RANK))
    matrix = np.zeros((TIMED_RANK, TIMED_RANK), order="F")
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        blas.dsyrk(1.0, rows.T, 1.0, matrix, lower=1, overwrite_c=1)
        best = min(best, time.perf_counter() - start)
    return TIMED_ROWS * TIMED_RANK**2 / best


def seconds_of(n_weights: int, n_rows: dict, per_row: float, speed: float) -> float:
    """Return the seconds of a fit.

    Parameters
    ----------
    n_weights : int
    n_rows : dict of str to int
    per_row : float
        Seconds to make one row.
    speed : float
        See `speed_of_products`.
    """
    total = sum(n_rows.values())
    making = total * per_row
    if total < n_weights:
        size, other = total, n_weights
        adding = size**2 * other / speed
        solving = EVALUATIONS * (len(n_rows) + 3.0) * size**3 / speed
    else:
        adding = total * n_weights**2 / speed
        solving = EVALUATIONS * (len(n_rows) + 4.0 / 3.0) * n_weights**3 / speed
    return making + adding + solving
