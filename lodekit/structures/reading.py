"""Read structures and bring their targets into one form."""

import bz2
import gzip
import io
import lzma
import sys
import warnings
import zlib
from itertools import islice
from numbers import Integral
from pathlib import Path

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read as read_with_ase
from ase.io.formats import string2index

from lodekit.errors import SettingsError, StructureFileError

from .building import build_structure
from .cells import cell_problem
from .conversion import unit_factors
from .extended_xyz import parse_frame
from .frame_texts import Place, iterate_frame_texts, read_lines
from .keys import TARGETS, keys_of, known_target, resolve_keys
from .targets import (
    SOURCES_KEY,
    BadTarget,
    are_sources,
    normalize_targets,
    values_at,
)

_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_XYZ_SUFFIXES = {".xyz", ".extxyz"}


def read_structures(path, *, keys=None, units=None, index=None, targets=None):
    """Read all structures of a file, with their targets in eV, Å, e.

    Extended XYZ is read strictly: an ambiguous or broken line stops with one line that
    names file, frame and line. Other formats are read by ASE. Afterwards every known
    target is where `get_target` and ASE expect it, whatever its key was in the file;
    ``atoms.info["target_keys"]`` remembers the keys that were moved.

    Parameters
    ----------
    path : str or Path
        The file; extended XYZ may be compressed (.gz, .bz2, .xz).
    keys : dict, optional
        Keys of targets in this file, such as ``{"energy": "my_energy"}``.
    units : dict, optional
        Units of this file, such as ``{"energy": "Hartree", "length": "Bohr"}``; see
        `unit_factors`.
    index : int, slice or str, optional
        Which frames, counted from 0, such as ``-1``, ``slice(100)`` or ``"::10"``;
        all when left out.
    targets : iterable of str, optional
        Targets to look for; all known ones when left out. Named ones must have the
        right shape where they occur; others only cause a warning.

    Returns
    -------
    frames : list of ase.Atoms
        The structures.

    Raises
    ------
    StructureFileError
        If the file cannot be used as it is.
    SettingsError
        If a target, key, unit or index does not exist.
    """
    return [
        structure
        for structure, _ in iterate_structures(
            path, keys=keys, units=units, index=index, targets=targets
        )
    ]


def iterate_structures(
    path, *, keys=None, units=None, index=None, targets=None, originals=False
):
    """Do what `read_structures` does, one structure after the other.

    What concerns the whole file is told after its last structure.

    Parameters
    ----------
    path, keys, units, index, targets
        As in `read_structures`.
    originals : bool
        Whether to give every structure once more as it stands in the file: targets in
        eV, Å, e, but under the names and in the places that they have there.

    Yields
    ------
    structure : ase.Atoms
    original : ase.Atoms or None
    """
    key_map = resolve_keys(keys)
    length_factor, factors = unit_factors(units)
    wanted = {known_target(name).name for name in targets or ()} | set(keys or ())
    names = _names_to_find(wanted if targets is not None else TARGETS)
    first, found, misfits = None, set(), {}
    for structure, place in _iterate_structures(Path(path), index):
        _forget_sources(structure, place)
        if length_factor != 1.0:
            _scale_lengths(structure, length_factor, place)
        original = _copy(structure) if originals else None
        try:
            with np.errstate(all="ignore"):  # values that are not finite are refused
                present, unfit = normalize_targets(structure, key_map, factors, names)
            for problem in unfit:
                if problem.found.name in wanted:
                    raise problem
                misfits.setdefault(problem.found.name, (place, problem))
        except BadTarget as problem:
            in_comment = problem.found.place == "info" or problem.row is None
            raise place.error(
                str(problem), row=problem.row, in_comment=in_comment
            ) from None
        found.update(target.name for target in present)
        first = first or keys_of(structure)
        if originals:
            _convert(original, present, factors)
        yield structure, original
    _check_keys_were_found(path, first, keys, found)
    for place, problem in misfits.values():
        message = place.error(f"{problem}; it is left as it is", in_comment=True)
        warnings.warn(str(message), stacklevel=3)


def _copy(structure):
    """Return a copy with the results of the calculator."""
    copy = structure.copy()
    if structure.calc is not None:
        copy.calc = SinglePointCalculator(copy, **structure.calc.results)
    return copy


def _convert(structure, found, factors):
    """Convert targets to eV, Å, e where they stand in a structure."""
    for target in found:
        if factors[target.name] != 1.0:
            values = values_at(structure, target.place)
            values[target.key] = np.asarray(target.value) * factors[target.name]


def parse_structures(text: str, name: str) -> list:
    """Return the structures of a text that `frame_text` wrote, as they stand there.

    Parameters
    ----------
    text : str
        Extended XYZ in eV, Å and e, under ASE's names.
    name : str
        Name of its file for messages.
    """
    texts = iterate_frame_texts(read_lines(io.StringIO(text)), name)
    return [build_structure(*parse_frame(frame), frame.place) for frame in texts]


def _names_to_find(names):
    names = set(names)
    if names & {"stress", "virial"}:
        names |= {"stress", "virial"}
    return [name for name in TARGETS if name in names]


def _check_keys_were_found(path, first, keys, found):
    for name, key in (keys or {}).items():
        if name not in found and not (name == "virial" and "stress" in found):
            raise StructureFileError(
                f"{path}: no frame has the key {key!r} asked for as {name}; the first "
                f"frame has {', '.join(first or ()) or 'no keys'}"
            )


def _forget_sources(structure, place):
    """Take away the record of an earlier reading; other values may not be under it."""
    if not are_sources(structure.info.pop(SOURCES_KEY, {})):
        raise place.error(
            f"the key {SOURCES_KEY!r} is where lodekit keeps under which keys targets "
            "were; rename it",
            in_comment=True,
        )


def _scale_lengths(structure, factor, place):
    with np.errstate(over="ignore"):
        structure.arrays["positions"] *= factor
        structure.set_cell(structure.cell[:] * factor)
    problem = cell_problem(structure.cell[:], structure.pbc)
    if not np.isfinite(structure.positions).all():
        problem = "positions are not finite"
    if problem:
        raise place.error(f"{problem} (after conversion to Å)", in_comment=True)
    if getattr(structure.calc, "atoms", None) is not None:
        structure.calc.atoms = structure.copy()


def _iterate_structures(path, index):
    """Yield the chosen structures with their places."""
    chosen = _as_slice(index)
    n_frames = 0
    try:
        if not path.exists():
            raise StructureFileError(f"{path}: there is no such file")
        if not path.is_file():
            raise StructureFileError(f"{path}: this is not a file")
        iterate = _iterate_xyz if _is_xyz(path) else _iterate_other
        for structure, place in iterate(path, chosen):
            n_frames += 1
            yield structure, place
    except UnicodeDecodeError:
        raise StructureFileError(
            f"{path}: this is not a text file in UTF-8; convert it"
        ) from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as problem:
        reason = getattr(problem, "strerror", None) or " ".join(str(problem).split())
        raise StructureFileError(f"{path}: cannot be read ({reason})") from None
    if not n_frames:
        raise StructureFileError(f"{path}: holds no structures{_at(index)}")


def _at(index):
    return "" if index is None else f" at index {index}"


def _as_slice(index):
    if index is None:
        return slice(None)
    try:
        chosen = string2index(index) if isinstance(index, str) else index
        if isinstance(chosen, Integral):
            chosen = slice(chosen, chosen + 1 or None)
        chosen.indices(0)  # raises where bounds are no numbers, or the step is 0
        bounds = [abs(bound or 0) for bound in (chosen.start, chosen.stop, chosen.step)]
        if max(bounds) > sys.maxsize:
            raise ValueError("no file has as many frames")
    except (ValueError, TypeError, AttributeError):
        raise SettingsError(
            f"index must be a number, a slice or a text such as '::10', got {index!r}"
        ) from None
    return chosen


def _is_xyz(path):
    suffixes = [suffix for suffix in path.suffixes if suffix not in _OPENERS]
    if suffixes and suffixes[-1].lower() in _XYZ_SUFFIXES:
        return True
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = read_lines(file)
        return next(lines, "").strip().isdecimal() and "Properties=" in next(lines, "")


def _iterate_xyz(path, chosen):
    opener = _OPENERS.get(path.suffix, open)
    with opener(path, "rt", encoding="utf-8-sig") as file:
        texts = iterate_frame_texts(read_lines(file), str(path))
        bounds = (chosen.start or 0, chosen.stop or 0, chosen.step or 1)
        if min(bounds) < 0:
            texts = list(texts)[chosen]
        else:
            texts = islice(texts, chosen.start, chosen.stop, chosen.step)
        for text in texts:
            info, columns = parse_frame(text)
            yield build_structure(info, columns, text.place), text.place


def _iterate_other(path, chosen):
    try:
        frames = read_with_ase(path, index=slice(None), do_not_split_by_at_sign=True)
    except OSError:
        raise
    except Exception as problem:  # ASE's readers raise whatever their parsers raise
        reason = " ".join(str(problem).split()) or "no reason given"
        raise StructureFileError(
            f"{path}: ASE cannot read it ({type(problem).__name__}: {reason:.120})"
        ) from None
    numbered = [
        (structure, Place(str(path), number))
        for number, structure in enumerate(frames, start=1)
    ]
    yield from numbered[chosen]
