"""Kernel models for atoms, with long-range electrostatics."""

import os
from importlib import import_module

# These two prepare Numba for processes that fork and for files of its cache.
from . import compiled_code, forks  # noqa: F401
from ._version import __version__

# Threads of OpenBLAS wait for work for some 20 ms after a product, on the cores that
# compiled loops then want: on two cores, LODE features of 216 atoms take 11 ms with
# short waits, 18 to 35 without. It is read when NumPy is imported.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

_HOMES = {
    "load_model": "lodekit.model_file",
    "read_structures": "lodekit.structures",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    """Import a public name when it is first used, so that the CLI starts fast."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'lodekit' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
