"""A process that was forked from one with threads runs on one thread.

GNU OpenMP, which Numba uses on Linux, does not survive a fork: its threads stay behind,
and Numba ends a child that enters a parallel loop, for which `multiprocessing.Pool`
waits for ever. A child that is limited to one thread needs none of the lost threads.
"""

import os
import sys

_forked = False


def is_forked() -> bool:
    """Return whether this process was forked from one with threads."""
    return _forked


def continue_on_one_thread() -> None:
    """Limit this process, just forked, to one thread if its parent had several."""
    global _forked
    try:
        layer = sys.modules["numba"].threading_layer()
    except (KeyError, ValueError):  # Numba is not imported, or has no threads yet
        return
    import numba

    from lodekit.threads import blas_libraries

    _forked = True
    if layer == "omp":
        from ctypes import CFUNCTYPE, c_int

        from numba.np.ufunc import omppool

        # It notes the number of this process, and starts nothing a second time.
        CFUNCTYPE(None, c_int)(omppool.launch_threads)(1)
    numba.set_num_threads(1)
    blas_libraries().limit(limits=1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=continue_on_one_thread)
