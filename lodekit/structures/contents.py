"""Contents of a file: every key and column, whether lodekit reads it or not."""

from collections import Counter

import numpy as np

from lodekit.errors import StructureError

from .comment_line import parse_value
from .keys import TARGETS
from .targets import SOURCES_KEY
from .values import as_numbers, has_length

#: Different values that are listed one by one.
_LISTED = 6
_LONGEST_VALUE = 24
_KINDS = {"f": "number", "i": "whole number", "u": "whole number"}


def describe_contents(frames):
    """Describe every key of the comment lines and every column of atoms.

    Parameters
    ----------
    frames : list of ase.Atoms
        From `read_structures`; keys that it moved are described under the names that
        they have in the file.

    Returns
    -------
    contents : list of dict
        "key", "of" ("frame" or "atoms"), "type", "shape", "frames" (how many have it),
        "values" (some of them as text) and "target" (what it is read as, or None), in
        the order of the file.
    """
    values = {}
    for structure in frames:
        for entry, value in _entries(structure):
            values.setdefault(entry, []).append(value)
    return [
        {"key": key, "of": of, **_describe(held, of), "target": target}
        for (key, of, target), held in values.items()
    ]


def _entries(structure):
    """Yield key, "frame" or "atoms" and target, with the value, of all there is."""
    sources = structure.info.get(SOURCES_KEY, {})
    homes = {(target.home, target.home_key): target for target in TARGETS.values()}
    results = getattr(structure.calc, "results", {})
    places = {"results": results, "info": structure.info, "arrays": structure.arrays}
    for place, held in places.items():
        for key, value in held.items():
            if key == SOURCES_KEY or (
                place == "arrays" and key in ("numbers", "positions")
            ):
                continue
            target = homes.get((place, key))
            of = "atoms" if place == "arrays" else "frame"
            if target is not None:
                key = sources.get(target.name, f":{key}").partition(":")[2]
                of = "atoms" if target.per_atom else "frame"
            elif place == "results" and has_length(value, len(structure)):
                of = "atoms"
            key = key.removeprefix("other_") if _is_rival(key) else key
            yield (key, of, None if target is None else target.name), value
    if structure.constraints:
        names = {type(constraint).__name__ for constraint in structure.constraints}
        yield ("constraints", "frame", None), ", ".join(sorted(names))


def _is_rival(key):
    """Return whether `normalize_targets` has given a key another name."""
    keys = {key for target in TARGETS.values() for key in target.keys}
    return key.startswith("other_") and key.removeprefix("other_") in keys


def _describe(values, of):
    """Return type, shape, number of frames and examples of the values of one key."""
    kinds = {_kind_of(value) for value in values}
    shapes = {_shape_of(value)[of == "atoms" :] for value in values}
    shape = shapes.pop() if len(shapes) == 1 else None
    return {
        "type": kinds.pop() if len(kinds) == 1 else "mixed",
        "shape": "varies" if shape is None else " x ".join(map(str, shape)),
        "frames": len(values),
        "values": _examples(values),
    }


def _kind_of(value):
    numbers = as_numbers(value, kinds="iufb")
    if numbers is not None:
        return _KINDS.get(numbers.dtype.kind, "true or false")
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "dictionary"
    if isinstance(value, (np.ndarray, str)):
        return "text"
    return "list" if isinstance(value, (list, tuple)) else type(value).__name__


def _shape_of(value):
    """Return the shape of numbers and of columns, the length of lists."""
    numbers = as_numbers(value, kinds="iufb")
    if numbers is None and isinstance(value, (list, tuple)):
        return (len(value),)
    return np.shape(numbers) if numbers is not None else getattr(value, "shape", ())


def _examples(values):
    """Return the values themselves where they are few, else their range or number."""
    numbers = [as_numbers(value) for value in values]
    if all(array is not None for array in numbers):
        flat = np.concatenate([np.ravel(array) for array in numbers])
        different = np.unique(flat) + 0.0  # no -0
        if different.size > _LISTED:
            return f"{different[0]:.5g} to {different[-1]:.5g}"
        if all(array.ndim for array in numbers):
            return ", ".join(f"{number:.5g}" for number in different)
    texts = [word for value in values for word in _words(value)]
    counts = Counter(texts)
    listed = [f"{text} ({count})" for text, count in counts.most_common(_LISTED)]
    if len(counts) > _LISTED:
        listed = [text for text, _ in counts.most_common(_LISTED // 2)]
        return f"{', '.join(listed)}, ... ({len(counts)} different)"
    return ", ".join(listed)


def _words(value):
    """Yield the texts of one value: of every atom where it is a column of text."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
        yield from map(str, value.ravel().tolist())
        return
    text = str(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value)
    text = " ".join(text.split())
    yield text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."


def info_value(structure, key):
    """Return the value of a key of the comment line, under its name in the file.

    None where the structure does not have it.
    """
    if key in structure.info:
        return structure.info[key]
    results = getattr(structure.calc, "results", {})
    for name, source in structure.info.get(SOURCES_KEY, {}).items():
        target = TARGETS[name]
        if source.partition(":")[2] == key and not target.per_atom:
            place = results if target.home == "results" else structure.info
            return place.get(target.home_key)
    value = as_numbers(results.get(key))
    return value.item() if value is not None and value.ndim == 0 else None


def matches(value, text):
    """Return whether a value is what a text says.

    >>> matches(300.0, "300"), matches(True, "true"), matches("a", "b")
    (True, True, False)
    """
    if value is None or str(value) == text:
        return value is not None
    try:
        wanted = parse_value("", text)
    except ValueError:
        return False
    first, second = (as_numbers(each, kinds="iufb") for each in (value, wanted))
    if first is None or second is None:
        return False
    is_same_kind = (first.dtype == bool) == (second.dtype == bool)
    return is_same_kind and np.array_equal(first, second)


def drop_key(frames, key):
    """Take a key or column away from structures, in place, as if it were not there.

    Raises
    ------
    StructureError
        If no structure has it, or it was read as a target.
    """
    n_there = 0
    for structure in frames:
        sources = structure.info.get(SOURCES_KEY, {})
        homes = {TARGETS[name].home_key for name in sources}
        results = getattr(structure.calc, "results", {})
        for held in (results, structure.info, structure.arrays):
            for name in {key, f"other_{key}"} - homes - {"numbers", "positions"}:
                n_there += held.pop(name, None) is not None
        for name, source in sources.items():
            if source.partition(":")[2] == key:
                raise StructureError(
                    f"{key!r} is read as {name}: choose what is used by name instead, "
                    "with --targets"
                )
    if not n_there:
        raise StructureError(f"no frame has the key {key!r} that is to be ignored")
