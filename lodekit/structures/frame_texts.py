"""A file of extended XYZ as lines of bounded length, cut into frames."""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import NamedTuple

from lodekit.errors import StructureFileError

#: Characters of one line, at the most. A small compressed file may hold gigabytes.
LONGEST_LINE = 10_000_000
#: Memory in bytes for the lines of one frame, at the most: some millions of atoms.
LARGEST_FRAME = 500_000_000
_BYTES_OF_LINE = 60  # of a line without characters
#: Characters of a message, at the most.
_LONGEST_MESSAGE = 500


class Place(NamedTuple):
    """A frame of a file, to say in one line where something is wrong.

    Frames and lines are counted from 1; ``line`` is None for files without lines.
    """

    path: str
    frame: int
    line: int | None = None

    def error(self, message, *, row=None, in_comment=False):
        """Return the error to raise; ``row`` is the index of an atom."""
        where = f"{self.path}: frame {self.frame}"
        if self.line is None:
            where += "" if row is None else f", atom {row + 1}"
        elif row is not None:
            where += f", line {self.line + 2 + row}"
        else:
            where += f", line {self.line + in_comment}"
        return StructureFileError(f"{where}: {one_line(message)}")


class FrameText(NamedTuple):
    """The lines of one frame and the place of its first line."""

    place: Place
    comment: str
    rows: list


def read_lines(file) -> Iterator[str]:
    """Return the lines of a file; of one that is too long, its beginning."""
    return iter(partial(file.readline, LONGEST_LINE + 1), "")


def iterate_frame_texts(lines, path):
    """Cut a file into frames.

    Blank lines between frames are skipped; a blank comment line is a comment line.

    Parameters
    ----------
    lines : iterator of str
        The lines of the file, from `read_lines`.
    path : str
        Name of the file for messages.

    Yields
    ------
    text : FrameText
        Lines of one frame, not parsed yet.
    """
    number = line = n_blank = 0
    for first in lines:
        line += 1
        place = Place(path, number + 1, line)
        if not first.strip():
            n_blank += len(first) + _BYTES_OF_LINE
            if n_blank > LONGEST_LINE:
                raise _too_long(place)
            continue
        number, n_blank = number + 1, 0
        n_atoms = _parse_count(first, place)
        comment = next(lines, "")
        if len(comment) > LONGEST_LINE:
            raise _too_long(place, in_comment=True)
        rows = list(_limited(islice(lines, n_atoms), place))
        if len(rows) < n_atoms:
            raise place.error(
                f"expected {n_atoms} atoms, but the file ends after {len(rows)}; "
                "the file is cut short or the number is wrong"
            )
        line += 1 + n_atoms
        yield FrameText(place, comment, rows)


def _parse_count(line, place):
    try:
        n_atoms = int(line if "_" not in line else "")  # Python reads 1_0 as 10
    except ValueError:
        hint = ""
        if place.frame > 1:
            hint = f"; frame {place.frame - 1} may have more atoms than its first line"
            hint += " says"
        raise place.error(
            f"expected the number of atoms, got {shorten(line)}{hint}"
        ) from None
    if n_atoms < 1:
        raise place.error(
            f"expected at least one atom, got {n_atoms}; remove the frame"
        )
    if n_atoms > LARGEST_FRAME / _BYTES_OF_LINE:
        raise place.error(
            f"expected the number of atoms, got {shorten(line)}, more than lodekit "
            "can read; the number is wrong"
        )
    return n_atoms


def _limited(rows, place):
    """Yield the rows of one frame as long as they are of a reasonable length."""
    left = LARGEST_FRAME
    for index, row in enumerate(rows):
        left -= len(row) + _BYTES_OF_LINE
        if len(row) > LONGEST_LINE:
            raise _too_long(place, row=index)
        if left < 0:
            raise place.error(
                f"the frame needs more than {LARGEST_FRAME / 1e6:.0f} MB, which is "
                "more than lodekit can read"
            )
        yield row


def _too_long(place, **where):
    return place.error(
        f"there are more than {LONGEST_LINE} characters where a line of extended XYZ "
        "should be",
        **where,
    )


def shorten(text, length=40):
    """Return the beginning of a text in quotes.

    >>> shorten(" abcdefgh ", 6)
    "'abc...'"
    """
    text = text.strip()
    return repr(text if len(text) <= length else text[: length - 3] + "...")


def one_line(message, length=_LONGEST_MESSAGE):
    r"""Return a message as one line of bounded length, its middle left out.

    >>> one_line("a\x1bb\nc"), one_line(40 * "ab", 20)
    ('a b c', 'abababa ... bababab')
    """
    half = (length - 5) // 2
    if len(message) > length:
        message = f"{message[:half]} ... {message[-half:]}"
    return "".join(letter if letter.isprintable() else " " for letter in message)
