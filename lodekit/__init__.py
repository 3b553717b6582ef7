"""Kernel models for atoms, with long-range electrostatics."""

from importlib import import_module

from ._version import __version__

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
