"""A structure as one frame of extended XYZ, such that reading it gives it back.

ASE's writer rounds columns to eight decimals, leaves columns of some names out, splits
text at tabs and transposes matrices of nine numbers. Here every value is written so
that `comment_line` and `extended_xyz` read the same, as JSON where nothing simpler
does; what the format cannot hold is named.
"""

import json
import re
from itertools import chain

import numpy as np
from ase.constraints import FixAtoms, FixCartesian

from lodekit.errors import StructureError

from .building import FRAME_RESULTS
from .comment_line import (
    DEEPEST_JSON,
    MATRIX_KEYS,
    RESERVED_KEYS,
    parse_comment_line,
)
from .extended_xyz import COLUMN_NAMES
from .keys import TARGETS, calculator_results
from .stress import as_matrix
from .targets import SOURCES_KEY
from .values import as_numbers, has_length, nesting_depth

#: Types of columns by the kind of their ``dtype``.
_TYPES = {"f": "R", "i": "I", "u": "I", "b": "L", "U": "S", "O": "S"}
#: Names of columns that mean something else to whoever reads them.
_TAKEN = {"symbols", "positions", "numbers", "move_mask"}
_BARE = re.compile(r"[^\s=\"'{}\[\],\\]+")
_ESCAPED = re.compile(r'\\(["\\])')
_DECIMALS = 8


def format_frame(structure):
    """Return a structure as text, and what of it the text does not hold.

    Parameters
    ----------
    structure : ase.Atoms
        The structure. Its results, info, arrays and fixed atoms are written.

    Returns
    -------
    text : str
        The lines of the frame.
    losses : list of str
        What extended XYZ cannot hold, such as "the constraint FixBondLengths".

    Raises
    ------
    StructureError
        If a key has two values, or there are no atoms.
    """
    if not len(structure):
        raise StructureError("the structure has no atoms; remove it")
    info, arrays = _collect(structure)
    losses = []
    columns = _columns(structure, arrays, losses)
    layout = ":".join(f"{name}:{kind}:{len(w[0])}" for name, kind, w in columns)
    items = [f"Properties={layout if _BARE.fullmatch(layout) else _quote(layout)}"]
    if structure.cell.any():
        items.insert(0, f'Lattice="{_join(structure.cell[:].ravel())}"')
    for key, value in info.items():
        item = format_item(key, value)
        if item is None:
            losses.append(f"{key!r} of info, a value of type {type(value).__name__}")
        else:
            items.append(item)
    items.append(f'pbc="{_join(structure.pbc)}"')
    rows = zip(*(words for _, _, words in columns), strict=True)
    lines = [" ".join(chain.from_iterable(row)) for row in rows]
    return "\n".join([str(len(structure)), " ".join(items), *lines, ""]), losses


def _columns(structure, arrays, losses):
    """Return name, type and words, (n_atoms, n_columns), of every column."""
    columns = [
        ("species", "S", [[symbol] for symbol in structure.symbols]),
        ("pos", "R", _number_words(structure.positions)),
    ]
    mask = _move_mask(structure, losses)
    if mask is not None:
        columns.append(("move_mask", "L", _logical_words(mask)))
    if np.any(structure.get_celldisp()):
        losses.append("the displacement of the cell")
    for name, array in arrays.items():
        kind, words = _TYPES.get(array.dtype.kind), None
        if kind and _is_readable_name(name):
            words = _words(array.reshape(len(structure), -1), kind)
        if words is None:
            losses.append(f"the column {name!r}")
        else:
            columns.append((name, kind, words))
    return columns


def _collect(structure):
    """Return the items of the comment line and the columns, with results among them."""
    info = {key: structure.info[key] for key in structure.info if key != SOURCES_KEY}
    arrays = {
        key: array
        for key, array in structure.arrays.items()
        if key not in ("numbers", "positions")
    }
    renamed = {
        key: target.home_key
        for target in TARGETS.values()
        for key in target.keys
        if target.home == "arrays"
    }
    for key, value in calculator_results(structure).items():
        key = renamed.get(key, key)
        place = arrays if _is_of_atoms(key, value, structure) else info
        if key in place:
            raise StructureError(
                f"{key!r} is in the calculator and in info or arrays; remove one"
            )
        numbers = as_numbers(value)
        if place is arrays:
            value = np.asarray(value)
        elif key == "stress" and numbers is not None and numbers.size == 6:
            value = as_matrix(numbers.ravel())
        place[key] = value
    return info, arrays


def _is_of_atoms(key, value, structure):
    """Return whether a result has one row for each atom."""
    name = key.removesuffix("_std")
    if name in FRAME_RESULTS or (name in TARGETS and not TARGETS[name].per_atom):
        return False
    is_array = isinstance(value, np.ndarray) or as_numbers(value, "iufb") is not None
    return is_array and has_length(value, len(structure))


def _move_mask(structure, losses):
    """Return which atoms, or coordinates, may move; None where all may."""
    is_fixed = np.zeros((len(structure), 3), dtype=bool)
    for constraint in structure.constraints:
        if isinstance(constraint, FixAtoms):
            is_fixed[constraint.index] = True
        elif isinstance(constraint, FixCartesian):
            is_fixed[constraint.index] |= constraint.mask
        else:
            losses.append(f"the constraint {type(constraint).__name__}")
    if not is_fixed.any():
        return None
    by_atom = (is_fixed == is_fixed[:, :1]).all()
    return ~is_fixed[:, :1] if by_atom else ~is_fixed


def _is_readable_name(name):
    """Return whether a column of this name is read under the same name."""
    if not isinstance(name, str) or COLUMN_NAMES.get(name, name) in _TAKEN:
        return False
    return bool(name) and _fits_into_line(name) and not {":", '"', "\\"} & set(name)


def _fits_into_line(text):
    """Return whether a text can be written, and ends no line."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False
    return "\n" not in text and "\r" not in text


def _words(block, kind):
    """Return the words of a column, (n_atoms, n_columns), None if they cannot be."""
    if block.shape[1] == 0:
        return None
    if kind == "R":
        return _number_words(block)
    if kind == "L":
        return _logical_words(block)
    words = block.tolist()
    if kind == "I":
        fits = block.max() <= np.iinfo(np.int64).max
        return [[f"{value:8d}" for value in row] for row in words] if fits else None
    return words if all(map(_is_word, chain.from_iterable(words))) else None


def _is_word(text):
    """Return whether a text is one word of a line."""
    return isinstance(text, str) and text.split() == [text] and _fits_into_line(text)


def _number_words(block):
    """Return real numbers as words that are read as the same numbers.

    With eight decimals where these are all they have, as they stand in most files.
    """
    block = np.asarray(block, dtype=float)
    scale = 10.0**_DECIMALS
    with np.errstate(all="ignore"):
        is_short = (np.rint(block * scale) / scale == block).all()
    if is_short and np.abs(block).max() < 2.0**53 / scale:
        return [[f"{value:16.8f}" for value in row] for row in block.tolist()]
    return [[f"{value!r:>16}" for value in row] for row in block.tolist()]


def _logical_words(block):
    return [["T" if value else "F" for value in row] for row in block.tolist()]


def format_item(key, value):
    """Return ``key=value`` as it stands in a comment line, None if it cannot.

    >>> format_item("label", "two words"), format_item("flag", True)
    ('label="two words"', 'flag=T')
    """
    if not isinstance(key, str) or key.lower() in RESERVED_KEYS:
        return None
    if not _fits_into_line(key):
        return None
    names = [name for name in (key, _quote(key)) if _reads_as(f"{name}=0", key, 0)]
    if not names:
        return None
    name = names[0]
    # ASE takes the next item for an empty text: it becomes JSON
    if isinstance(value, str) and value and _fits_into_line(value):
        text = value if _BARE.fullmatch(value) else _quote(value)
        if _reads_as(f"{name}={text}", key, value):
            return f"{name}={text}"
    text = _simple_text(key, value)
    if text is None:
        text = _json_text(value)
    return None if text is None else f"{name}={text}"


def _reads_as(item, key, value):
    """Return whether an item of a comment line is read as a key with a value."""
    try:
        items = parse_comment_line(item)
    except ValueError:
        return False
    if list(items) != [key] or type(items[key]) is not type(value):
        return False
    return items[key] == value


def _simple_text(key, value):
    """Return a number, a truth value or a row of them as text, None for all else."""
    array = as_numbers(value, kinds="iufb")
    if array is None or array.dtype == object:
        return None
    if array.ndim == 0:
        return _join(array.ravel())
    if key in MATRIX_KEYS and array.shape == (3, 3):
        return f'"{_join(array.T.ravel())}"'  # column after column
    return f'"{_join(array)}"' if array.ndim == 1 and array.size > 1 else None


def _join(values):
    """Return numbers and truth values as words with spaces between."""
    names = {True: "T", False: "F"}
    values = np.asarray(values).tolist()
    return " ".join(names[v] if isinstance(v, bool) else repr(v) for v in values)


def _json_text(value):
    """Return any value as quoted JSON, None where it has no form in JSON."""
    try:
        text = json.dumps(value, default=_json_form)
    except (TypeError, ValueError, RecursionError):
        return None
    if nesting_depth(value) > DEEPEST_JSON:
        return None
    # A backslash before a quotation mark would be read as one that ends the value.
    text = _ESCAPED.sub(lambda match: f"\\u{ord(match[1]):04x}", text)
    return _quote(f"_JSON {text}")


def _json_form(value):
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "iufbU":
        return value.tolist()
    raise TypeError


def _quote(text):
    return '"' + text.replace('"', '\\"') + '"'
