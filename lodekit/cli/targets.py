"""Which targets to fit, and what each frame counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from lodekit.errors import SettingsError, StructureError
from lodekit.quantities import quantity

from .unused import check_keys, warn

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from .kinds import Kind
    from .names_of_types import Settings

#: What a frame must be to have a target; see `lodekit.structures.checks.can_have`.
NEEDS = {
    "cell": "is periodic in three directions",
    "open": "is without periodic directions",
    "any": "has more than one atom",
}


def choose_targets(
    frames: list[Atoms], asked: Sequence[str] | None, kind: Kind, partial: bool = False
) -> list[str]:
    """Return the targets to fit: those asked for, or all that the frames have.

    A target that some frames lack is fitted where it is, and refused if three of four
    lack it, unless ``partial`` says that this is meant. Frames that cannot have it do
    not count: open ones have no stress, and single atoms no forces.

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures.
    asked : list of str or None
        Targets that the user named.
    kind : object
        Kind of model in `lodekit.cli.kinds`.
    partial : bool
        Whether most frames may lack a target.

    Raises
    ------
    StructureError
        If there is no target, most frames lack one, or a key that is not read looks
        like one.
    SettingsError
        If the kind of model cannot be fitted to a target.
    """
    from lodekit.observables.fields import fields_of
    from lodekit.structures import TARGETS, check_structures
    from lodekit.structures.checks import can_have

    for name in asked or ():
        if kind.targets and name not in kind.targets:
            raise SettingsError(
                f"this kind of model cannot be fitted to {name}; it can be fitted to "
                f"{', '.join(kind.targets)}"
            )
    wanted = list(asked or kind.default_targets)
    there = [name for name in wanted if any(_have(frames, name))]
    chosen = [
        name
        for name in there
        if any(_have([frame for frame in frames if can_have(frame, name)], name))
    ]
    check_keys(frames, [name for name in wanted if name in TARGETS], there)
    for name in there:
        if name not in chosen and not asked:
            needed = NEEDS[quantity(name).boundary]
            warn(f"{name} not used: no frame that has it {needed}")
    for name in () if asked else kind.targets:
        is_extra = not quantity(name).by_default and name not in wanted
        if is_extra and any(_have(frames, name)):
            warn(f"{name} not used: name it with --targets to fit it, too")
    told = list(getattr(kind, "told_by_fields", ()))
    if told and fields_of(frames) is None:
        told = []
    for name in asked or chosen or wanted[:1]:
        if name in told:
            continue
        if not partial:
            _check_most_have(frames, name, chosen)
        known = [name] if name in TARGETS else []
        check_structures(frames, known, allow_missing=True)
    return list(asked or dict.fromkeys([*chosen, *told[:1]]))


def _have(frames: list[Atoms], name: str) -> list[bool]:
    """Return for every frame whether it has a target, also one that cannot be read."""
    from lodekit.observables.tensors import read_tensor
    from lodekit.structures import TARGETS, find_target, get_target

    if name not in TARGETS:
        return [read_tensor(frame, name) is not None for frame in frames]
    return [
        find_target(frame, name) is not None or get_target(frame, name) is not None
        for frame in frames
    ]


def _check_most_have(frames: list[Atoms], name: str, chosen: list[str]) -> None:
    from lodekit.structures.checks import can_have, is_mostly_missing

    have = _have(frames, name)
    missing = [
        number
        for number, (frame, there) in enumerate(zip(frames, have, strict=True), start=1)
        if not there and can_have(frame, name)
    ]
    n_possible = sum(can_have(frame, name) for frame in frames)
    if any(have) and is_mostly_missing(len(missing), n_possible):
        others = " ".join(other for other in chosen if other != name)
        without = f", or leave it out with --targets {others}" if others else ""
        raise StructureError(
            f"{name} is missing in {len(missing)} of {n_possible} frames (the first is "
            f"frame {missing[0]}); fit it where it is with --partial{without}"
        )


def describe_sources(frames: list[Atoms], targets: list[str]) -> str:
    """Return which targets came from which keys of the file, and of how many frames.

    >>> describe_sources([], [])
    'none'
    """
    from lodekit.structures import TARGETS, find_target

    parts = []
    for name in targets:
        sources = set()
        for frame in frames if name in TARGETS else ():
            entry = find_target(frame, name)
            home = entry.source if entry is not None else ""
            sources.add(frame.info.get("target_keys", {}).get(name, home))
        keys = sorted(source.partition(":")[2] for source in sources if source)
        notes = [f"key {', '.join(keys)}"] if keys else []
        n_there = sum(_have(frames, name))
        if frames and not n_there:
            notes.append("told by frames in electric fields")
        elif n_there < len(frames):
            notes.append(f"in {n_there} of {len(frames)} frames")
        parts.append(f"{name} ({', '.join(notes)})" if notes else name)
    return ", ".join(parts) or "none"


def frame_weights(
    frames: list[Atoms], key: str | None, noise_by: Settings | None = None
) -> np.ndarray | list[float] | None:
    """Return the weight of every frame from its info, or None where all are alike.

    Parameters
    ----------
    frames : list of ase.Atoms
    key : str or None
        Info key of the weights.
    noise_by : dict, optional
        Factors of all noises of a frame by info key and its value.

    Raises
    ------
    StructureError
        If a frame has no positive number under the key.
    SettingsError
        If a factor is no positive number, or no frame has its value.
    """
    from lodekit.structures.contents import info_value, matches

    if key is None and not noise_by:
        return None
    weights = [1.0] * len(frames) if key is None else _read_weights(frames, key)
    for info_key, factors in (noise_by or {}).items():
        for value, factor in _check_factors(frames, info_key, factors):
            for index, frame in enumerate(frames):
                if matches(info_value(frame, info_key), value):
                    weights[index] /= factor**2
    return weights


def _check_factors(
    frames: list[Atoms], key: str, factors: Settings
) -> Iterator[tuple[str, float]]:
    """Yield values and factors of ``fit.noise_by``."""
    from lodekit.structures.contents import info_value, matches

    if not isinstance(factors, dict):
        raise SettingsError(
            f"fit.noise_by.{key} is a table of factors, such as "
            f"fit.noise_by.{key}={{surface = 2.0}}"
        )
    for value, factor in factors.items():
        is_number = isinstance(factor, (int, float)) and not isinstance(factor, bool)
        if not (is_number and 0 < factor < float("inf")):
            raise SettingsError(
                f"fit.noise_by.{key}.{value} must be a positive factor, got {factor!r}"
            )
        if not any(matches(info_value(frame, key), value) for frame in frames):
            raise SettingsError(
                f"fit.noise_by.{key}.{value}: no frame has {key}={value}; lodekit info "
                "lists the keys of a file with their values"
            )
        yield value, factor


def _read_weights(frames: list[Atoms], key: str) -> list[float]:
    """Return the weights that frames have under a key."""
    from lodekit.structures.values import as_numbers

    weights = []
    for number, frame in enumerate(frames, start=1):
        value = frame.info.get(key)
        weight = as_numbers(value)
        if weight is None or weight.size != 1 or not 0 < weight < float("inf"):
            raise StructureError(
                f"frame {number} has no positive weight under the key {key!r}, got "
                f"{value!r:.60}"
            )
        weights.append(float(weight.item()))
    return weights
