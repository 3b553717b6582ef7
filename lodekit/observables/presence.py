"""Targets that all, some or no structures have."""

from __future__ import annotations

from lodekit.structures import frame_name
from lodekit.structures.checks import is_mostly_missing


def is_present(name: str, values, possible, is_asked: bool) -> bool:
    """Return whether frames have a target, False where none has it.

    Parameters
    ----------
    name : str
    values : list
        What every frame has, None where it lacks the target.
    possible : list of bool
        Whether every frame can have it.
    is_asked : bool
        Whether the user named it.

    Raises
    ------
    ValueError
        If none has a target that is asked for, or most lack one that is not.
    """
    if all(value is None for value in values):
        if is_asked:
            raise ValueError(f"target '{name}' is in none of the {len(values)} frames")
        return False
    missing = [
        index
        for index, (value, can) in enumerate(zip(values, possible, strict=True))
        if can and value is None
    ]
    if not is_asked and is_mostly_missing(len(missing), sum(possible)):
        raise ValueError(
            f"target '{name}' is missing in {len(missing)} of {sum(possible)} frames "
            f"(first: {frame_name(missing[0])}); name the targets, with '{name}' to "
            "use it where it is, or without it"
        )
    return True
