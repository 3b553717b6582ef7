"""Values that files give to keys: what they are, and whether two are the same."""

from numbers import Number, Real

import numpy as np


def as_numbers(value, kinds="iuf"):
    """Return a value as an array of numbers, or None when it is something else.

    Lists with text in them are not converted: NumPy would give every entry the room of
    the longest text.

    Parameters
    ----------
    value : object
        Such as a number, an array, or what JSON holds.
    kinds : str
        Kinds of ``dtype`` that count as numbers.
    """
    if isinstance(value, (list, tuple)) and not _has_numbers_only(value):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError):  # lists of different lengths; 400 digits
        return None
    return array if array.dtype.kind in kinds else None


def is_number(value) -> bool:
    """Return whether ``value`` is a real number and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _has_numbers_only(values):
    """Return whether nested lists hold numbers and arrays of numbers alone."""
    level = list(values)
    while level := [entry for entry in level if not _is_numeric(entry)]:
        if not all(isinstance(entry, (list, tuple)) for entry in level):
            return False
        level = [inner for entry in level for inner in entry]
    return True


def _is_numeric(entry):
    return isinstance(entry, (Number, np.generic, np.ndarray))


def has_length(value, length):
    """Return whether a value is an array or a list of this length.

    >>> has_length([1, [2]], 2), has_length("ab", 2), has_length(2.0, 1)
    (True, False, False)
    """
    if isinstance(value, np.ndarray):
        return value.ndim > 0 and len(value) == length
    return isinstance(value, (list, tuple)) and len(value) == length


def nesting_depth(value):
    """Return how deep lists and dictionaries are nested in a value.

    >>> nesting_depth(1), nesting_depth([1, {"a": [2]}])
    (0, 3)
    """
    depth, level = 0, [value]
    while level := [entry for entry in level if isinstance(entry, (list, dict))]:
        depth += 1
        level = [
            inner
            for entry in level
            for inner in (entry.values() if isinstance(entry, dict) else entry)
        ]
    return depth
