"""Structures in a form that ASE writes to extended XYZ without losing anything."""

import json
import re

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian
from ase.io.extxyz import escape, per_atom_properties, per_config_properties

from lodekit.errors import StructureError

from .comment_line import parse_comment_line
from .keys import TARGETS, calculator_results
from .targets import SOURCES_KEY

#: Names of extended XYZ itself, in small letters: no key may be called so.
_RESERVED_KEYS = {"lattice", "properties", "pbc"}
_RESERVED_COLUMNS = {"species", "pos", "symbols", "move_mask", "z"}
_COLUMN = re.compile(r"[^\s:=\"'{}\[\]]+")


def ready_for_xyz(structure):
    """Return a copy that ASE writes without losing or refusing anything.

    Returns
    -------
    copy : ase.Atoms
        Everything in ``calc.results``, ``info`` and ``arrays``; matrices of atoms are
        columns of nine.
    lost : list of str
        What extended XYZ cannot hold, in words.

    Raises
    ------
    StructureError
        For a value in two places, and for names and texts that would be read as
        something else.
    """
    copy = structure.copy()
    copy.info.pop(SOURCES_KEY, None)
    known = _place_results(copy, calculator_results(structure))
    for key, array in copy.arrays.items():
        _check_column(key, array)
        if array.ndim > 2:
            copy.arrays[key] = array.reshape(len(copy), -1)
    lost = _lost_in_xyz(structure)
    info, copy.info = copy.info, {}
    for key, value in info.items():
        if str(key).lower() in _RESERVED_KEYS:
            raise StructureError(
                f"{key!r} in info has a meaning of its own in extended XYZ; rename it"
            )
        if key in TARGETS["mep_points"].keys:
            # ASE writes (3, 3) column after column, all other shapes row after row
            value = np.ravel(value)
        try:
            copy.info[str(key)] = _info_value(str(key), value)
        except (TypeError, ValueError):
            lost.append(f"the {type(value).__name__} {key!r} in info")
    if known:
        copy.calc = SinglePointCalculator(copy, **known)
    return copy, lost


def _place_results(copy, results):
    """Put results into info and arrays; return those that ASE writes by itself."""
    known = {}
    for key, value in results.items():
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
    return known


def _check_column(key, array):
    """Check that a column comes back as what it is."""
    if key in ("numbers", "positions"):
        return
    if key.lower() in _RESERVED_COLUMNS or not _COLUMN.fullmatch(key):
        raise StructureError(f"a column cannot be called {key!r}; rename the array")
    if array.dtype.kind not in "iufbUSO":
        raise StructureError(
            f"a column cannot hold {array.dtype.name}, as the array {key!r} does"
        )
    if array.dtype.kind in "USO":
        for text in map(str, np.ravel(array)):
            if len(text.split()) != 1:
                raise StructureError(
                    f"a column holds words, the array {key!r} has the text {text!r}"
                )


def _lost_in_xyz(structure):
    """Return what of a structure has no place in extended XYZ, in words."""
    lost = [
        f"the constraint {type(constraint).__name__}"
        for constraint in structure.constraints
        if not isinstance(constraint, (FixAtoms, FixCartesian))
    ]
    if np.any(structure.get_celldisp()):
        lost.append("the displacement of the cell")
    return lost


def _info_value(key, value):
    """Return what ASE has to write so that ``value`` comes back.

    Texts that would be read as something else, such as "12", "T", an empty one or one
    with tabs, and None are written as JSON.
    """
    if isinstance(value, str):
        text = str(value)
        return text if _is_plain(key, text) else _as_json(text)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iufb" and value.size > 1:
        return value
    if isinstance(value, (bool, int, float, np.bool_, np.integer, np.floating)):
        return value
    return _as_json(_plain(value))


def _is_plain(key, text):
    """Return whether a text comes back when it is written as it is.

    Readers differ in what they make of nothing but blanks, and of a second "=".
    """
    if not text.strip() or "=" in text:
        return False
    try:
        return parse_comment_line(f"{escape(key)}={escape(text)}") == {key: text}
    except ValueError:
        return False


def _as_json(value):
    """Return JSON in which no text has quotes, which would end the item."""
    text = json.dumps(value, ensure_ascii=False)
    return "_JSON " + text.replace("\\\\", "\\u005c").replace('\\"', "\\u0022")


def _plain(value):
    """Return a value with lists and numbers of Python instead of NumPy's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return _plain(value.tolist())
    return value
