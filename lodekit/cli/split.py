"""Parts of a file to fit to, to judge by, and to keep: ``lodekit fit --split``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodekit.errors import SettingsError

if TYPE_CHECKING:
    from ase import Atoms

#: What the parts are called.
PARTS = ("train", "validation", "test")


def part_paths(stem: Path, shares: Sequence[float]) -> dict[str, Path]:
    """Return the files of all parts by name.

    Raises
    ------
    SettingsError
        If there are not two or three shares.
    """
    if len(shares) not in (2, 3):
        raise SettingsError(
            "--split takes two shares or three, of the frames to fit to, to judge by "
            f"and to keep, such as 0.8 0.1 0.1, got {len(shares)}"
        )
    names = PARTS[: len(shares)]
    return {name: stem.with_name(f"{stem.name}.{name}.xyz") for name in names}


def split_and_write(
    frames: list[Atoms],
    shares: Sequence[float],
    groups: list[str] | None,
    stem: Path | None,
    overwrite: bool,
) -> tuple[dict[str, Any], list[str]]:
    """Split frames and write the parts.

    Parameters
    ----------
    frames : list of ase.Atoms
    shares : list of float
    groups : list of str or None
        Names of groups of like frames; found where None.
    stem : Path or None
        How the files begin; nothing is written where None.
    overwrite : bool

    Returns
    -------
    parts : dict of str to ndarray
        Indices of frames.
    lines : list of str
        What people are told.
    """
    from lodekit.fitting.groups import split_frames
    from lodekit.structures import write_structures

    paths = {} if stem is None else part_paths(stem, shares)
    try:
        indices = split_frames(frames, shares, groups)
    except ValueError as problem:
        raise SettingsError(f"--split: {problem}") from None
    parts = dict(zip(PARTS, indices, strict=False))
    lines = []
    for name, chosen in parts.items():
        line = f"{name}: {len(chosen)} structures"
        if stem is not None:
            path = paths[name]
            some = [frames[i] for i in chosen]
            write_structures(path, some, overwrite=overwrite)
            line += f", in {path}"
        lines.append(line)
    return parts, lines
