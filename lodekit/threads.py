"""How many cores compiled loops and linear algebra may use."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from lodekit.forks import is_forked

#: Predictions for fewer atoms run on one thread.
FEW_ATOMS = 50
#: Variables that the libraries read once, when they are imported.
_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


def check_n_threads(n_threads):
    """Return a number of threads as an int, or say that it is none."""
    if isinstance(n_threads, bool) or n_threads != int(n_threads) or n_threads < 1:
        raise ValueError(
            f"the number of threads must be a whole number from 1, got {n_threads!r}"
        )
    return int(n_threads)


@contextmanager
def limit_threads(n_threads):
    """Run the block on at most ``n_threads`` cores, Numba and BLAS together.

    Numba cannot use more threads than it started with (``NUMBA_NUM_THREADS``, usually
    the number of cores), and a process that was forked after a prediction has one.

    Parameters
    ----------
    n_threads : int or None
        Number of threads; None changes nothing.

    Examples
    --------
    >>> import numba
    >>> with limit_threads(1):
    ...     numba.get_num_threads()
    1
    """
    if n_threads is None:
        yield
        return
    n_threads = check_n_threads(n_threads)
    if is_forked():
        n_threads = 1
    import numba

    before = numba.get_num_threads()
    most = getattr(numba.config, "NUMBA_NUM_THREADS")  # noqa: B009
    numba.set_num_threads(min(n_threads, most))
    try:
        with blas_libraries().limit(limits=n_threads):
            yield
    finally:
        numba.set_num_threads(before)


def threads_for(frames):
    """Limit the block to one thread where the structures have few atoms together.

    Threads would wait for each other longer than they work, on a machine that others
    use as well ten times as long.

    Parameters
    ----------
    frames : list of ase.Atoms
    """
    n_atoms = sum(len(atoms) for atoms in frames)
    return limit_threads(1 if n_atoms < FEW_ATOMS else None)


@cache
def blas_libraries():
    """Return the controller of BLAS threads, made once: it takes 3 ms."""
    import scipy.linalg  # noqa: F401  (its BLAS is another one than NumPy's)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def map_threads(function, items) -> None:
    """Call ``function`` with every item, on as many threads as Numba may use.

    BLAS runs on one thread in each call, so that results do not depend on the number of
    threads. The function must not start parallel loops of Numba.
    """
    import numba

    n_threads = min(numba.get_num_threads(), len(items))
    with blas_libraries().limit(limits=1):
        if n_threads < 2:
            for item in items:
                function(item)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            list(pool.map(function, items))


def request_threads(n_threads):
    """Ask libraries that are not imported yet for at most ``n_threads`` threads.

    Does nothing once Numba or NumPy is there: they have read their variables, and Numba
    refuses a variable that changes later.

    Parameters
    ----------
    n_threads : int
        Number of threads.
    """
    n_threads = check_n_threads(n_threads)
    if "numba" in sys.modules or "numpy" in sys.modules:
        return
    for name in _VARIABLES:
        os.environ[name] = str(n_threads)
