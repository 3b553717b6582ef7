"""The cache of compiled loops: what Numba does not survive there, lodekit does.

Numba keeps machine code beside the loops or in the home folder. It refuses to import
them where neither can be written, and passes on every error of a damaged file or a full
disk. Here all of these mean that loops are compiled once more.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache

_announce: Callable[[str], None] | None = None


@contextmanager
def announced_compilation(announce: Callable[[str], None]) -> Iterator[None]:
    """Call ``announce`` with one line when the block has to compile something."""
    global _announce
    before, _announce = _announce, announce
    try:
        yield
    finally:
        _announce = before


class LoopCache:
    """The cache of one compiled function: no file of it can stop a computation.

    Parameters
    ----------
    files : numba.core.caching.FunctionCache or NullCache
        The cache that Numba made for the function.
    """

    def __init__(self, files):
        self._files = files

    def __getattr__(self, name):
        """Leave everything else to Numba."""
        return getattr(self._files, name)

    def load_overload(self, signature, target_context):
        """Return the code compiled for a signature before, None where there is none."""
        global _announce
        try:
            compiled = self._files.load_overload(signature, target_context)
        except Exception:  # unpickling damaged files raises nearly anything
            compiled = None
            with suppress(OSError):
                self._files.flush()
        if compiled is None and _announce:
            announce, _announce = _announce, None
            announce("compiling loops, once: the first run takes up to a minute longer")
        return compiled

    def save_overload(self, signature, compiled) -> None:
        """Keep what was compiled, where the disk has room."""
        with suppress(OSError):
            self._files.save_overload(signature, compiled)


@cache
def warn_of_missing_cache() -> None:
    """Say once that every run compiles."""
    warnings.warn(
        "compiled loops cannot be kept, as neither the installation nor the home "
        "folder can be written: every run compiles them, for up to a minute; set "
        "NUMBA_CACHE_DIR to a folder that can be written",
        RuntimeWarning,
        stacklevel=1,
    )


def use_loop_caches() -> None:
    """Make Numba use `LoopCache` for all functions of ``lodekit.kernels``."""
    from numba.core.dispatcher import Dispatcher

    enable_caching = Dispatcher.enable_caching

    def enable_loop_caching(dispatcher):
        if not dispatcher.py_func.__module__.startswith("lodekit.kernels."):
            enable_caching(dispatcher)
            return
        try:
            enable_caching(dispatcher)
        except RuntimeError:
            warn_of_missing_cache()
        dispatcher._cache = LoopCache(dispatcher._cache)

    Dispatcher.enable_caching = enable_loop_caching


class _KernelsFinder:
    """Finds nothing: it prepares Numba when compiled loops are first imported."""

    def find_spec(self, name, path=None, target=None):
        """Return None, so that the import goes on as usual."""
        if name == "lodekit.kernels":
            sys.meta_path.remove(self)
            use_loop_caches()


sys.meta_path.insert(0, _KernelsFinder())
