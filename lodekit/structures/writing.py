"""Write structures so that nothing is lost and no half file is left."""

import io
import os

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write as write_with_ase
from ase.io.extxyz import per_atom_properties, per_config_properties

from lodekit.errors import StructureError, StructureFileError
from lodekit.whole_files import check_destination, replaced_whole

from .batch import as_frames
from .keys import TARGETS, calculator_results
from .targets import SOURCES_KEY

_XYZ_SUFFIXES = {".xyz", ".extxyz"}


def write_structures(path, frames, overwrite=False):
    """Write structures to a file, all of them or none.

    Extended XYZ (.xyz, .extxyz) keeps everything in ``calc.results``, ``info`` and
    ``arrays``, matrices of atoms as columns of nine. ASE writes other formats, chosen
    by the suffix. The file appears only when it is complete.

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
    with open(partial, "x", encoding="utf-8") as file:
        for number, structure in enumerate(frames, start=1):
            try:
                file.write(frame_text(structure))
            except StructureError as problem:
                raise StructureFileError(f"{path}: frame {number}: {problem}") from None
        file.flush()
        os.fsync(file.fileno())


def frame_text(structure) -> str:
    """Return the lines of a structure in extended XYZ, with all that it carries.

    Raises
    ------
    StructureError
        If two values would get one name.
    """
    text = io.StringIO()
    write_with_ase(text, _ready_for_xyz(structure), format="extxyz")
    return text.getvalue()


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


def _ready_for_xyz(structure):
    """Return a copy that ASE writes without losing or refusing anything."""
    copy = structure.copy()
    copy.info.pop(SOURCES_KEY, None)
    known = {}
    for key, value in calculator_results(structure).items():
        if key in copy.info or key in copy.arrays:
            raise StructureError(
                f"{key!r} is in the calculator and in info or arrays; remove one"
            )
        if key == "born_effective_charges":
            copy.arrays[TARGETS["becs"].home_key] = np.asarray(value)
        elif key in per_config_properties or key in per_atom_properties:
            known[key] = value
        elif np.ndim(value) and len(value) == len(copy):
            copy.arrays[key] = np.asarray(value)
        else:
            copy.info[key] = value
    for key, array in copy.arrays.items():
        if array.ndim > 2:
            copy.arrays[key] = array.reshape(len(copy), -1)
    copy.info = {key: _info_value(value) for key, value in copy.info.items()}
    for key in set(TARGETS["mep_points"].keys) & set(copy.info):
        # ASE writes (3, 3) column after column, all other shapes row after row
        copy.info[key] = np.ravel(copy.info[key])
    if known:
        copy.calc = SinglePointCalculator(copy, **known)
    return copy


def _info_value(value):
    # ASE writes an empty text as "key= ", and readers take the next item for its value;
    # it writes None as "key", which is read as True; a line break would end the line.
    if value is None:
        return "_JSON null"
    if isinstance(value, str):
        return " ".join(value.splitlines()) or '_JSON ""'
    return value
