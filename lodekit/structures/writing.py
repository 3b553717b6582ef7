"""Write structures so that nothing is lost and no half file is left."""

import os
import warnings

from ase.io import write as write_with_ase

from lodekit.errors import StructureError, StructureFileError
from lodekit.whole_files import check_destination, replaced_whole

from .batch import as_frames
from .formatting import format_frame
from .targets import SOURCES_KEY

_XYZ_SUFFIXES = {".xyz", ".extxyz"}


def write_structures(path, frames, overwrite=False):
    """Write structures to a file, all of them or none.

    Extended XYZ (.xyz, .extxyz) keeps everything in ``calc.results``, ``info`` and
    ``arrays``, matrices of atoms as columns of nine, and fixed atoms. ASE writes other
    formats, chosen by the suffix. The file appears only when it is complete.

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
        If extended XYZ cannot hold something; one line says what is left out.
    """
    frames = as_frames(frames)
    path = check_destination(path, overwrite, StructureFileError)
    if not frames:
        raise StructureFileError(f"{path}: there are no structures to write")
    with replaced_whole(path, StructureFileError) as partial:
        if path.suffix.lower() in _XYZ_SUFFIXES:
            _write_xyz(partial, path, frames)
        else:
            _write_other(partial, path, frames)


def _write_xyz(partial, path, frames):
    first_losses = {}
    with open(partial, "x", encoding="utf-8") as file:
        for number, structure in enumerate(frames, start=1):
            try:
                text, losses = format_frame(structure)
            except StructureError as problem:
                raise StructureFileError(f"{path}: frame {number}: {problem}") from None
            for loss in losses:
                first_losses.setdefault(loss, number)
            file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if first_losses:
        listed = [f"{loss} (frame {n})" for loss, n in first_losses.items()]
        dots = ", ..." if len(listed) > 5 else ""
        warnings.warn(
            f"{path}: extended XYZ cannot hold {', '.join(listed[:5])}{dots}; it is "
            "left out",
            stacklevel=4,
        )


def frame_text(structure) -> str:
    """Return the lines of a structure in extended XYZ, with all that these can hold.

    Raises
    ------
    StructureError
        If two values would get one name.
    """
    return format_frame(structure)[0]


def _write_other(partial, path, frames):
    try:
        write_with_ase(partial, [_without_sources(frame) for frame in frames])
    except OSError:
        raise
    except Exception as problem:  # ASE's writers raise whatever does not fit them
        reason = " ".join(str(problem).split())
        raise StructureFileError(
            f"{path}: ASE cannot write it ({type(problem).__name__}: {reason:.120})"
        ) from None


def _without_sources(structure):
    if SOURCES_KEY not in structure.info:
        return structure
    copy = structure.copy()
    copy.calc = structure.calc
    del copy.info[SOURCES_KEY]
    return copy
