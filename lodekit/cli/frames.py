"""Structures of the commands: read, chosen and checked, all of them or in pieces."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lodekit.errors import StructureError

from . import prediction
from .sources import find_sources, join_names

if TYPE_CHECKING:
    from ase import Atoms


def read_frames(
    names: str | Sequence[str],
    keys: dict[str, str] | None = None,
    units: dict[str, str] | None = None,
    where: dict[str, str] | None = None,
    check: bool = True,
) -> list[Atoms]:
    """Read structures, choose some, and check that every one of them makes sense.

    Parameters
    ----------
    names : str or sequence of str
        Files, see `lodekit.cli.sources`.
    keys, units : dict, optional
        As in `lodekit.structures.read_structures`.
    where : dict, optional
        Info keys and the values that chosen frames have there.
    check : bool
        Whether structures must make sense.

    Returns
    -------
    frames : list of ase.Atoms
        The chosen frames.
    """
    from lodekit.structures import check_structures

    choice, path = Choice(where), join_names(names)
    pairs = iterate_sources(names, keys=keys or None, units=units or None)
    frames = [frame for frame, _ in pairs if choice.takes(frame)]
    choice.check(path)
    try:
        if check:
            check_structures(frames)
    except StructureError as problem:
        raise StructureError(f"{path}: {problem}") from None
    return frames


def iterate_sources(
    names: str | Sequence[str], **options: Any
) -> Iterator[tuple[Atoms, Atoms]]:
    """Yield the structures of all files, as `lodekit.structures.iterate_structures`."""
    from lodekit.structures import iterate_structures

    for path, part in find_sources(names):
        yield from iterate_structures(path, index=part, **options)


@dataclass
class Piece:
    """Structures of a file that go to the model at once.

    Attributes
    ----------
    n_before : int
        Chosen structures before these.
    frames : list of ase.Atoms
        As models take them.
    originals : list of ase.Atoms
        As they stand in the file, see `lodekit.structures.iterate_structures`.
    """

    n_before: int
    frames: list[Atoms]
    originals: list[Atoms]


def read_pieces(
    names: str | Sequence[str],
    keys: dict[str, str] | None = None,
    units: dict[str, str] | None = None,
    where: dict[str, str] | None = None,
    originals: bool = False,
) -> Iterator[Piece]:
    """Read and check structures as `read_frames` does, a piece at a time.

    Yields
    ------
    piece : Piece
        Of at most `CHUNK_ATOMS` atoms, or one structure, and `CHUNK_FRAMES` frames.
    """
    piece, n_atoms, choice = Piece(0, [], []), 0, Choice(where)
    path = join_names(names)
    for pair in iterate_sources(
        names, keys=keys or None, units=units or None, originals=originals
    ):
        if not choice.takes(pair[0]):
            continue
        n_frames, more = len(piece.frames), len(pair[0])
        if (
            n_frames == prediction.CHUNK_FRAMES
            or n_frames
            and n_atoms + more > prediction.CHUNK_ATOMS
        ):
            _check_piece(piece, path)
            yield piece
            piece, n_atoms = Piece(piece.n_before + n_frames, [], []), 0
        n_atoms += more
        piece.frames.append(pair[0])
        piece.originals.append(pair[1])
    choice.check(path)
    _check_piece(piece, path)
    yield piece


def _check_piece(piece: Piece, path: str) -> None:
    """Check structures; what looks odd about a file is told once."""
    from lodekit.structures import check_structures

    with warnings.catch_warnings():
        if piece.n_before:
            warnings.simplefilter("ignore")
        try:
            check_structures(piece.frames, n_before=piece.n_before)
        except StructureError as problem:
            raise StructureError(f"{path}: {problem}") from None


class Choice:
    """The frames whose info has some values under some keys.

    Parameters
    ----------
    where : dict or None
        Values by key.
    """

    def __init__(self, where: dict[str, str] | None) -> None:
        self.where = {key: str(value) for key, value in (where or {}).items()}
        self.values: dict[str, set] = {key: set() for key in self.where}
        self.matched = dict.fromkeys(self.where, False)

    def takes(self, frame: Atoms) -> bool:
        """Return whether a frame is chosen; remember the values that it has."""
        from lodekit.structures.contents import info_value, matches

        for key, value in self.where.items():
            held = info_value(frame, key)
            if held is not None:
                self.values[key].add(str(held))
            if not matches(held, value):
                return False
            self.matched[key] = True
        return True

    def check(self, path: str) -> None:
        """Raise an error if there is a key that no frame has with its value."""
        for key, values in self.values.items():
            if self.matched[key]:
                continue
            some = ", ".join(sorted(values)[:8])
            there = f"it is {some}" if values else "no frame has that key"
            raise StructureError(
                f"{path}: no frame has {key}={self.where[key]}; {there}"
            )
