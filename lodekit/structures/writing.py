"""Write structures so that nothing is lost and no half file is left."""

import bz2
import gzip
import io
import lzma
import os
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ase.io import read as read_with_ase
from ase.io import write as write_with_ase
from ase.io.formats import filetype

from lodekit.errors import StructureError, StructureFileError
from lodekit.whole_files import check_destination, replaced_whole

from .batch import as_frames
from .targets import SOURCES_KEY
from .xyz_frames import ready_for_xyz

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_XYZ_SUFFIXES = {".xyz", ".extxyz"}


def write_structures(path, frames, overwrite=False):
    """Write structures to a file, all of them or none.

    Extended XYZ (.xyz, .extxyz, and these with .gz, .bz2, .xz) keeps everything in
    ``calc.results``, ``info`` and ``arrays``, matrices of atoms as columns of nine. ASE
    writes other formats, chosen by the suffix. The file appears only when it is
    complete.

    Parameters
    ----------
    path : str or Path
        The file to write.
    frames : list of ase.Atoms
        The structures, or one of them.
    overwrite : bool
        Replace a file that exists.

    Raises
    ------
    StructureFileError
        If the file exists already, or cannot be written; what was there stays.

    Warns
    -----
    UserWarning
        With one line that names what the format cannot hold.
    """
    frames = as_frames(frames)
    path = check_destination(path, overwrite, StructureFileError)
    if not frames:
        raise StructureFileError(f"{path}: there are no structures to write")
    with structure_writer(path) as write:
        write(frames)


@contextmanager
def structure_writer(path):
    """Give a function that adds structures to a file.

    It may be called many times; the file becomes ``path``, or takes its place, if the
    block succeeds. Extended XYZ is written as it comes, other formats in the end.

    Parameters
    ----------
    path : Path
        From `check_destination`.
    """
    with replaced_whole(path, StructureFileError) as partial:
        if is_xyz(path):
            with _opener(path)(partial, "xt", encoding="utf-8") as file:
                writer = XyzWriter(file, path)
                yield writer.write
            _sync(partial)
            lost = writer.lost
        else:
            frames: list = []
            yield frames.extend
            lost = _write_other(partial, path, frames)
    if lost:
        warnings.warn(
            f"{path}: this format does not hold {', '.join(lost)}", stacklevel=3
        )


def frame_text(structure) -> str:
    """Return the lines of a structure in extended XYZ, with all that it carries.

    Raises
    ------
    StructureError
        If two values would get one name.
    """
    return _frame_text(structure)[0]


def _frame_text(structure) -> tuple[str, list]:
    """Return the lines of a structure, and what has no place in them."""
    ready, lost = ready_for_xyz(structure)
    text = io.StringIO()
    write_with_ase(text, ready, format="extxyz")
    return text.getvalue(), lost


def is_xyz(path) -> bool:
    """Return whether a file is written as extended XYZ, by its suffixes."""
    suffixes = [own.lower() for own in path.suffixes if own.lower() not in _OPENERS]
    return bool(suffixes) and suffixes[-1] in _XYZ_SUFFIXES


def check_format(path, properties):
    """Say now why a file of this name could not hold structures with predictions.

    Two structures with these properties are written to a folder of their own and read
    again.

    Parameters
    ----------
    path : Path
        The file that will be written.
    properties : dict of str to ("results" or "info" or "arrays")
        Names of the predictions and where they will be.

    Raises
    ------
    StructureFileError
        If ASE does not know the format, or it loses a prediction.
    """
    if is_xyz(path):
        return
    frame = _example(properties)
    with tempfile.TemporaryDirectory() as folder:
        lost = _write_other(Path(folder) / path.name, path, [frame, frame])
    names = [name for name in properties if any(f"'{name}'" in own for own in lost)]
    if names:
        raise StructureFileError(
            f"{path}: this format cannot hold {', '.join(names)}; write .xyz, which "
            "holds everything"
        )


def _example(properties):
    """Return a structure with some value of every property."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    frame = Atoms("H2", [[0, 0, 0], [0, 0, 1]], cell=[3, 3, 3], pbc=True)
    shapes = {"stress": (6,), "dipole": (3,), "forces": (2, 3)}
    results = {}
    for name, place in properties.items():
        if place == "results":
            shape = shapes.get(name, (2,) if name in ("energies", "charges") else ())
            results[name] = np.ones(shape)[()]
        elif place == "arrays":
            frame.arrays[name] = np.ones((2, 3))
        else:
            frame.info[name] = 1.0
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


def _opener(path):
    return _OPENERS.get(path.suffix.lower(), open)


def _sync(partial):
    with open(partial, "rb") as file:
        os.fsync(file.fileno())


class XyzWriter:
    """Frames of extended XYZ, one after the other.

    Parameters
    ----------
    file : text file
    path : Path
        For messages.

    Attributes
    ----------
    lost : dict
        What has no place in extended XYZ, in words; the values mean nothing.
    """

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.n_frames, self.lost = 0, {}

    def write(self, frames):
        """Add frames."""
        for structure in frames:
            self.n_frames += 1
            try:
                text, lost = _frame_text(structure)
            except StructureError as problem:
                raise StructureFileError(
                    f"{self.path}: frame {self.n_frames}: {problem}"
                ) from None
            self.lost.update(dict.fromkeys(lost))
            self.file.write(text)


def _write_other(partial, path, frames):
    """Let ASE write frames, and return what it loses, as keys of a dictionary."""
    ready = [_without_sources(frame) for frame in frames]
    try:
        form = filetype(path.name, read=False)
        write_with_ase(partial, ready, format=form)
    except OSError:
        raise
    except Exception as problem:  # ASE's writers raise whatever does not fit them
        reason = " ".join(str(problem).split())
        raise StructureFileError(
            f"{path}: ASE cannot write it ({type(problem).__name__}: {reason:.120})"
        ) from None
    try:
        again = read_with_ase(partial, index=slice(None), format=form)
    except Exception:  # formats that are written only, such as images
        again = []
    lost: dict = {}
    for number, frame in enumerate(ready):
        other = again[number] if number < len(again) else None
        lost.update(dict.fromkeys(_missing(frame, other)))
    return lost


def _missing(frame, other):
    """Return in words what of a structure is not in the one that was read again."""
    before = _contents(frame)
    after = {} if other is None else _contents(other)
    return [words for words in before if words not in after]


def _contents(frame):
    """Return what a structure has, in words."""
    results = getattr(frame.calc, "results", {})
    names = [f"the result {key!r}" for key, v in results.items() if v is not None]
    names += [f"{key!r} in info" for key in frame.info]
    own = set(frame.arrays) - {"numbers", "positions"}
    names += [f"{key!r} in arrays" for key in frame.arrays if key in own]
    names += [f"the constraint {type(own).__name__}" for own in frame.constraints]
    if frame.pbc.any():
        names.append(f"the pbc {' '.join('FT'[int(own)] for own in frame.pbc)}")
    return dict.fromkeys(names)


def _without_sources(structure):
    if SOURCES_KEY not in structure.info:
        return structure
    copy = structure.copy()
    copy.calc = structure.calc
    del copy.info[SOURCES_KEY]
    return copy
