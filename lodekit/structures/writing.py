"""Write structures so that nothing is lost and no half file is left."""

import bz2
import gzip
import lzma
import os
import warnings
from contextlib import contextmanager

from lodekit.errors import StructureError, StructureFileError
from lodekit.whole_files import check_destination, replaced_whole

from .batch import as_frames
from .formatting import format_frame
from .other_formats import check_other_format, write_other

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_XYZ_SUFFIXES = {".xyz", ".extxyz"}
#: Things that a format cannot hold which are named in one line.
MOST_LOSSES = 5


def write_structures(path, frames, overwrite=False):
    """Write structures to a file, all of them or none.

    Extended XYZ (.xyz, .extxyz, and these with .gz, .bz2, .xz) keeps everything in
    ``calc.results``, ``info`` and ``arrays``, matrices of atoms as columns of nine, and
    fixed atoms. ASE writes other formats, chosen by the suffix. The file appears only
    when it is complete.

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
            lost = [f"{loss} (frame {number})" for loss, number in writer.lost.items()]
            name = "extended XYZ"
        else:
            frames: list = []
            yield frames.extend
            lost, name = list(write_other(partial, path, frames)), "this format"
    if lost:
        dots = ", ..." if len(lost) > MOST_LOSSES else ""
        warnings.warn(
            f"{path}: {name} cannot hold {', '.join(lost[:MOST_LOSSES])}{dots}; it is "
            "left out",
            stacklevel=3,
        )


def frame_text(structure) -> str:
    """Return the lines of a structure in extended XYZ, with all that these can hold.

    Raises
    ------
    StructureError
        If two values would get one name.
    """
    return format_frame(structure)[0]


def is_xyz(path) -> bool:
    """Return whether a file is written as extended XYZ, by its suffixes."""
    suffixes = [
        suffix.lower() for suffix in path.suffixes if suffix.lower() not in _OPENERS
    ]
    return bool(suffixes) and suffixes[-1] in _XYZ_SUFFIXES


def check_format(path, properties):
    """Say now why a file of this name could not hold structures with predictions.

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
    if not is_xyz(path):
        check_other_format(path, properties)


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
    lost : dict of str to int
        What has no place in extended XYZ, in words, and the first frame that has it.
    """

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.n_frames, self.lost = 0, {}

    def write(self, frames):
        """Add frames."""
        for structure in frames:
            self.n_frames += 1
            try:
                text, lost = format_frame(structure)
            except StructureError as problem:
                raise StructureFileError(
                    f"{self.path}: frame {self.n_frames}: {problem}"
                ) from None
            for loss in lost:
                self.lost.setdefault(loss, self.n_frames)
            self.file.write(text)
