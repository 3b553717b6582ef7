"""The grammar of extended XYZ files: lines to checked columns, frame after frame.

ASE's reader loses frames after a blank line, ignores extra columns and takes
``pbc="t t f"`` for T T T. Here every line and every word is accounted for.
"""

from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np

from .comment_line import parse_comment_line, parse_real
from .frame_texts import shorten

_LOGICALS = dict.fromkeys(("T", "true", "True", "TRUE", "t"), True)
_LOGICALS |= dict.fromkeys(("F", "false", "False", "FALSE", "f"), False)
_KINDS = {"R": "a number", "I": "a whole number", "L": "T or F"}
_DTYPES = {"R": float, "I": np.int64, "L": bool, "S": object}
#: Entries of ``Properties``, at the most.
MOST_COLUMNS = 100_000
#: Columns that ASE calls by another name.
COLUMN_NAMES = {
    "pos": "positions",
    "species": "symbols",
    "Z": "numbers",
    "charge": "charges",
}


class Column(NamedTuple):
    """One entry of ``Properties``: a block of columns of one kind."""

    name: str
    kind: str
    first: int
    count: int


def parse_frame(text):
    """Parse one frame.

    Parameters
    ----------
    text : FrameText
        Lines of the frame.

    Returns
    -------
    info : dict
        Items of the comment line, without ``Properties``.
    columns : dict of ndarray
        Arrays of shape (n_atoms,) or (n_atoms, n_columns), by ASE's names.
    """
    try:
        info = parse_comment_line(text.comment)
        layout = parse_properties(str(info.pop("Properties", "species:S:1:pos:R:3")))
    except ValueError as problem:
        raise text.place.error(str(problem), in_comment=True) from None
    words = _split_rows(text, layout)
    # Python reads 1_0 as 10; a number with an underscore must be refused.
    strict = any("_" in row for row in text.rows)
    columns = {}
    for column in layout:
        block = words[column.first : column.first + column.count]
        try:
            values = _convert(block, column.kind, strict)
        except (ValueError, OverflowError):
            raise _bad_word(block, column, text.place) from None
        columns[COLUMN_NAMES.get(column.name, column.name)] = values
    return info, columns


@lru_cache(maxsize=8)
def parse_properties(properties):
    """Turn ``Properties=species:S:1:pos:R:3`` into a tuple of `Column`.

    >>> [column.name for column in parse_properties("species:S:1:pos:R:3")]
    ['species', 'pos']
    """
    fields = properties.split(":")
    names, kinds, counts = fields[::3], fields[1::3], fields[2::3]
    if len(fields) % 3 or not all(count.isdecimal() and int(count) for count in counts):
        raise ValueError(
            "Properties must be name:type:columns triples such as "
            f"species:S:1:pos:R:3, got {shorten(properties)}"
        )
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"Properties names more than {MOST_COLUMNS} columns")
    layout, first = [], 0
    for name, kind, count in zip(names, kinds, map(int, counts), strict=True):
        if kind not in ("R", "I", "S", "L"):
            raise ValueError(
                f"Properties gives {name!r} the type {kind!r}; it must be R, I, S or L"
            )
        layout.append(Column(name, kind, first, count))
        first += count
    _check_layout(layout)
    return tuple(layout)


def _check_layout(layout):
    kinds = {}
    for column in layout:
        name = COLUMN_NAMES.get(column.name, column.name)
        if name in kinds:
            raise ValueError(f"Properties names two columns {name!r}; keep one")
        kinds[name] = column
    position = kinds.get("positions")
    if position is None or (position.kind, position.count) != ("R", 3):
        raise ValueError("Properties must name the positions as pos:R:3")
    symbols, numbers = kinds.get("symbols"), kinds.get("numbers")
    if symbols is None and numbers is None:
        raise ValueError("Properties must name the species as species:S:1 or Z:I:1")
    if symbols is not None and (symbols.kind, symbols.count) != ("S", 1):
        raise ValueError("Properties must give the species as species:S:1")
    if numbers is not None and (numbers.kind, numbers.count) != ("I", 1):
        raise ValueError("Properties must give the atomic numbers as Z:I:1")


def _split_rows(text, layout):
    """Return the words of the frame, column by column."""
    n_words = layout[-1].first + layout[-1].count
    rows = []
    for index, row in enumerate(text.rows):
        words = row.split()
        if len(words) != n_words:
            raise _wrong_width(text, layout, index, len(words))
        rows.append(words)
    return list(zip(*rows, strict=True))


def _wrong_width(text, layout, index, n_words):
    """Return the error for a row with another number of words than columns."""
    wanted = layout[-1].first + layout[-1].count
    described = ":".join(f"{c.name}:{c.kind}:{c.count}" for c in layout)
    message = f"expected {wanted} columns ({described:.300}), got {n_words}"
    if n_words == 1:
        n_atoms = len(text.rows)
        message += f"; the frame may have fewer atoms than the {n_atoms} it announces"
    elif n_words > wanted:
        message += "; name every column in Properties"
    else:
        message += "; the line is cut short or numbers run together"
    return text.place.error(message, row=index)


def _convert(block, kind, strict):
    """Convert the words of one entry to an array, columns side by side."""
    words = list(chain.from_iterable(block))
    if kind == "L":
        words = [_parse_logical(word) for word in words]
    elif kind != "S":
        convert = float if kind == "R" else int
        try:
            words = list(map(_parse_strictly(convert) if strict else convert, words))
        except ValueError:
            # Slower, but this knows Fortran's exponents.
            convert = parse_real if kind == "R" else int
            words = list(map(_parse_strictly(convert), words))
    values = np.array(words, dtype=_DTYPES[kind])
    if len(block) == 1:
        return values
    return np.ascontiguousarray(values.reshape(len(block), -1).T)


def _parse_strictly(convert):
    def parse(word):
        if "_" in word:
            raise ValueError(word)
        return convert(word)

    return parse


def _parse_logical(word):
    if word not in _LOGICALS:
        raise ValueError(word)
    return _LOGICALS[word]


def _bad_word(block, column, place):
    """Return the error for the first word of a block that cannot be converted."""
    for row, words in enumerate(zip(*block, strict=True)):
        for word in words:
            try:
                _convert([(word,)], column.kind, strict=True)
            except (ValueError, OverflowError):
                message = (
                    f"expected {_KINDS[column.kind]} for {column.name!r}, "
                    f"got {shorten(word)}"
                )
                if set(word) == {"*"}:
                    message += "; the number did not fit its field when it was written"
                return place.error(message, row=row)
    raise AssertionError("every word of the block can be converted")
