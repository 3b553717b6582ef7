"""Structure files as they are named on the command line: slices and patterns.

``water.xyz@:100`` is the first hundred structures of a file, as in ASE, and
``'runs/*.xyz'`` all files that fit the pattern. A file that has such a name is itself.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from lodekit.errors import StructureFileError

#: Letters of a pattern.
_WILD = "*?["


def find_sources(names: str | Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the files of some names, each with the part of it that is wanted.

    Parameters
    ----------
    names : str or sequence of str

    Returns
    -------
    sources : list of (str, str or None)
        Path, and slice as a text.

    Raises
    ------
    StructureFileError
        If no file fits a pattern.
    """
    names = [names] if isinstance(names, (str, Path)) else names
    return [source for name in names for source in _expand(str(name))]


def paths_of(names: str | Sequence[str]) -> list[str]:
    """Return the files of some names."""
    return [path for path, _ in find_sources(names)]


def _expand(name: str) -> list[tuple[str, str | None]]:
    if Path(name).exists():
        return [(name, None)]
    path, sign, text = name.rpartition("@")
    part: str | None = text
    if not (sign and path and set(text) <= set("0123456789:+-") and text):
        path, part = name, None
    if not any(letter in path for letter in _WILD) or Path(path).exists():
        return [(path, part)]
    paths = sorted(other for other in glob.glob(path) if Path(other).is_file())
    if not paths:
        raise StructureFileError(f"{name}: no file fits this pattern")
    return [(other, part) for other in paths]


def join_names(names: str | Sequence[str]) -> str:
    """Return how messages call one or several files.

    >>> join_names(["a.xyz", "b.xyz@:10"])
    'a.xyz and b.xyz@:10'
    """
    names = [names] if isinstance(names, (str, Path)) else list(names)
    *most, last = [str(name) for name in names]
    if len(most) > 3:
        return f"{len(names)} files ({most[0]}, ..., {last})"
    return f"{', '.join(most)} and {last}" if most else last
