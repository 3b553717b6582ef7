"""Which targets to fit, and what each frame counts."""

from lodekit.errors import SettingsError, StructureError


def choose_targets(frames, asked, kind):
    """Return the targets to fit: those asked for, or all that the frames have.

    A target that only some frames have is refused unless the others cannot have it, as
    stress without a cell.

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures.
    asked : list of str or None
        Targets that the user named.
    kind : object
        Kind of model in `lodekit.cli.kinds`.

    Raises
    ------
    StructureError
        If there is no target, or one is missing in some frames.
    SettingsError
        If the kind of model cannot be fitted to a target.
    """
    from lodekit.structures import check_structures

    fitted = kind.default_targets
    chosen = list(asked or [])
    for name in chosen:
        if name not in kind.targets:
            raise SettingsError(
                f"this kind of model cannot be fitted to {name}; it can be fitted to "
                f"{', '.join(kind.targets)}"
            )
    if not chosen:
        present = {name: _count(frames, name) for name in fitted}
        chosen = [name for name, (n_there, _) in present.items() if n_there]
        for name in chosen:
            n_there, n_possible = present[name]
            if n_there < n_possible:
                others = " ".join(other for other in chosen if other != name)
                raise StructureError(
                    f"{name} is missing in {n_possible - n_there} of {n_possible} "
                    "frames; leave these frames out, or name what to fit, such as "
                    f"--targets {others or fitted[0]}"
                )
    for name in chosen or fitted[:1]:
        check_structures(_capable(frames, name) or frames, [name])
    return chosen


def _capable(frames, name):
    """Return the frames that can have a target."""
    if name == "stress":
        return [frame for frame in frames if frame.pbc.all()]
    if name in ("dipole", "quadrupole", "mep"):
        return [frame for frame in frames if not frame.pbc.any()]
    return frames


def _count(frames, name):
    from lodekit.structures import find_target, get_target

    capable = _capable(frames, name)
    n_there = sum(
        find_target(frame, name) is not None or get_target(frame, name) is not None
        for frame in capable
    )
    return n_there, len(capable)


def describe_sources(frames, targets):
    """Return which targets came from which keys of the file.

    >>> describe_sources([], [])
    'none'
    """
    from lodekit.structures import find_target

    parts = []
    for name in targets:
        sources = set()
        for frame in frames:
            found = find_target(frame, name)
            home = found.source if found is not None else ""
            sources.add(frame.info.get("target_keys", {}).get(name, home))
        keys = sorted(source.partition(":")[2] for source in sources if source)
        parts.append(f"{name} (key {', '.join(keys)})" if keys else name)
    return ", ".join(parts) or "none"


def frame_weights(frames, key):
    """Return the weight of every frame from its info, or None without a key.

    Raises
    ------
    StructureError
        If a frame has no positive number under the key.
    """
    from lodekit.structures.values import as_numbers

    if key is None:
        return None
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
