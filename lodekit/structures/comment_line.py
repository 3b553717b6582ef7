"""The comment line of an extended XYZ frame: key=value pairs into a dictionary."""

import json
import re

import numpy as np

from lodekit.quantities import TARGETS

from .values import as_numbers, nesting_depth

_QUOTED = r'"[^"\\]*(?:\\.[^"\\]*)*"' + r"|'[^'\\]*(?:\\.[^'\\]*)*'"
_ITEM = re.compile(
    rf"""(?P<key>{_QUOTED}|[^\s="'{{}}\[\]]+)(?=[\s=]|$)
    (?:\s*=(?:\s*(?P<value>{_QUOTED}
            |\{{[^{{}}]*\}}
            |\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]
            |[^\s"'{{\[=][^\s"]*)(?=\s|$)
        |(?P<empty>(?=\s|$))))?
    \s*""",
    re.VERBOSE,
)
# "comment= energy=1.0" is what ASE writes for an empty comment: the value is empty,
# it is not "energy=1.0".
_NEXT_ITEM = re.compile(r"=\s+[^\s=\"']+=")
_ESCAPED = re.compile(r"\\([\"'])")
_FORTRAN_REAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)[dD][+-]?\d+")
_BOOLEANS = dict.fromkeys(("T", "true", "True", "TRUE"), True)
_BOOLEANS |= dict.fromkeys(("F", "false", "False", "FALSE"), False)
#: Keys whose nine numbers are a matrix, column after column.
MATRIX_KEYS = {name for name, target in TARGETS.items() if target.shape == (6,)}
#: Keys whose value stays text; uid is an identifier even if it looks like a number.
_TEXT_KEYS = {"Properties", "uid"}
#: Lists in lists of JSON, at the most: copies of structures follow them.
DEEPEST_JSON = 50
RESERVED_KEYS = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}


def parse_comment_line(line):
    """Return the keys and values of a comment line.

    Values become int, float, bool, str, lists of bool, arrays of numbers, or what
    follows ``_JSON``; nine numbers of `MATRIX_KEYS` become a (3, 3) array. A line
    without any ``=`` is free text and comes back as ``{"comment": line}``.

    Parameters
    ----------
    line : str
        The line, with or without its end.

    Returns
    -------
    items : dict
        Values by key.

    Raises
    ------
    ValueError
        If the line cannot be read or a key occurs twice.

    Examples
    --------
    >>> parse_comment_line('energy=-1.5 pbc="T T F" label=water')
    {'energy': -1.5, 'pbc': [True, True, False], 'label': 'water'}
    """
    line = line.strip()
    if "=" not in line:
        return {"comment": line} if line else {}
    items = {}
    for key, text in _split_items(line):
        if key in items and not (text is None and items[key] is True):
            raise ValueError(f"key {key!r} occurs twice; keep one")
        proper = RESERVED_KEYS.get(key.lower(), key)
        if key != proper:
            raise ValueError(f"key {key!r} must be spelled {proper!r}")
        items[key] = parse_value(key, text)
    return items


def _split_items(line):
    """Yield (key, text) pairs; text is None for a word without a value."""
    position = 0
    while position < len(line):
        match = _ITEM.match(line, position)
        if match is None or match.end() == position:
            raise _unreadable(line, position)
        key, text, end = match["key"], match["value"], match.end()
        if text is not None and "=" in text:
            following = _NEXT_ITEM.match(line, match.end("key"))
            if following is not None:
                text, end = "", match.start("value")
        if match["empty"] is not None:
            text = ""
        if end < len(line) and line[end] == "=":
            raise _unreadable(line, position)
        yield _unquote(key), text
        position = end


def _unreadable(line, position):
    excerpt = line[position : position + 30]
    return ValueError(
        f"the comment line cannot be read from {excerpt!r} on; a value with spaces, "
        'quotes or brackets is written key="value"'
    )


def _unquote(text):
    if text[:1] in ("'", '"'):
        text = text[1:-1]
        if "\\" in text:
            text = _ESCAPED.sub(r"\1", text)
    return text


def parse_value(key, text):
    """Convert the text of one value as its form, and for some keys its name, asks."""
    if text is None:
        return True
    if text.startswith("[["):
        return _parse_nested(text)
    text = text[1:-1] if text[:1] in ("{", "[") else _unquote(text)
    if text.startswith("_JSON "):
        return _parse_json(key, text[6:])
    if key in _TEXT_KEYS:
        return text
    words = (text.replace(",", " ") if "," in text else text).split()
    value = _parse_booleans(words)
    if value is None and "_" not in text:  # Python reads 1_0 as 10, here it is a label
        kinds = (float, parse_real) if "." in text else (int, float)
        value = _parse_numbers(words, kinds)
    if value is None:
        return text
    if key in MATRIX_KEYS and np.shape(value) == (9,):
        return value.reshape(3, 3).T
    return value


def _parse_numbers(words, kinds):
    """Return an int, a float or an array; None when a word is not a number."""
    if not words:
        return None
    for convert in kinds:
        try:
            numbers = list(map(convert, words))
            break
        except ValueError:
            continue
    else:
        return None
    if len(numbers) == 1:
        return numbers[0]
    for dtype in (type(numbers[0]), float):
        try:
            return np.array(numbers, dtype=dtype)
        except OverflowError:  # of 64 bits, or of more than 308 digits
            continue
    return None


def parse_real(word):
    """Return a float; Fortran's double precision form 1.0D+00 is one too.

    >>> parse_real("1.5D+01")
    15.0
    """
    try:
        return float(word)
    except ValueError:
        if _FORTRAN_REAL.fullmatch(word):
            return float(word.replace("D", "e").replace("d", "e"))
        raise


def _parse_booleans(words):
    if not words or words[0] not in _BOOLEANS:
        return None
    values = [_BOOLEANS.get(word) for word in words]
    if None in values:
        return None
    return values[0] if len(values) == 1 else values


def _parse_nested(text):
    """Read the two-dimensional form [[1, 2], [3, 4]]; another form stays text."""
    try:
        array = as_numbers(json.loads(text))
    except (ValueError, RecursionError):
        return text
    return text if array is None else array.astype(float)


def _parse_json(key, text):
    try:
        value = json.loads(text)
        depth = nesting_depth(value)
    except ValueError:
        raise ValueError(f"the value of key {key!r} is not valid JSON") from None
    except RecursionError:
        depth = np.inf
    if depth > DEEPEST_JSON:
        raise ValueError(
            f"the JSON of key {key!r} is nested more than {DEEPEST_JSON} deep"
        )
    array = as_numbers(value, kinds="ifb")
    return value if array is None else array
