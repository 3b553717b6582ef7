"""Files of other formats than extended XYZ, which ASE writes: what they lose."""

import tempfile
from pathlib import Path

import numpy as np
from ase.io import read as read_with_ase
from ase.io import write as write_with_ase
from ase.io.formats import filetype

from lodekit.errors import StructureFileError
from lodekit.quantities import quantity

from .targets import SOURCES_KEY


def check_other_format(path, properties):
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
    frame = _example(properties)
    with tempfile.TemporaryDirectory() as folder:
        lost = write_other(Path(folder) / path.name, path, [frame, frame])
    names = [name for name in properties if any(f"'{name}'" in text for text in lost)]
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
    results = {}
    for name, place in properties.items():
        if place == "results":
            shape = quantity(name).shape
            shape = (2, *shape) if quantity(name).per_atom else shape
            results[name] = np.ones(shape)[()]
        elif place == "arrays":
            frame.arrays[name] = np.ones((2, 3))
        else:
            frame.info[name] = 1.0
    frame.calc = SinglePointCalculator(frame, **results)
    return frame


def write_other(partial, path, frames):
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
    """Return the contents of a structure in words."""
    results = getattr(frame.calc, "results", {})
    names = [f"the result {key!r}" for key, v in results.items() if v is not None]
    names += [f"{key!r} in info" for key in frame.info]
    columns = set(frame.arrays) - {"numbers", "positions"}
    names += [f"{key!r} in arrays" for key in frame.arrays if key in columns]
    names += [f"the constraint {type(one).__name__}" for one in frame.constraints]
    if frame.pbc.any():
        names.append(f"the pbc {' '.join('FT'[int(flag)] for flag in frame.pbc)}")
    return dict.fromkeys(names)


def _without_sources(structure):
    if SOURCES_KEY not in structure.info:
        return structure
    copy = structure.copy()
    copy.calc = structure.calc
    del copy.info[SOURCES_KEY]
    return copy
