"""Predictions as part of a structure, beside what it has already."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lodekit.errors import SettingsError, StructureError
from lodekit.quantities import quantity
from lodekit.structures.stress import as_matrix

if TYPE_CHECKING:
    from ase import Atoms

REFERENCE = "REF_"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def check_prefix(prefix: str, properties: list[str]) -> None:
    """Check that names with a prefix are words, and no names of reference values.

    Parameters
    ----------
    prefix : str
        From the command line; an empty one is always right.
    properties : list of str
        Predictions that get it.
    """
    from lodekit.structures import TARGETS

    if prefix and not _NAME.fullmatch(prefix):
        raise SettingsError(
            f"--prefix {prefix!r}: a prefix begins with a letter and has letters, "
            "digits and _ only, such as gap_"
        )
    references = {key for target in TARGETS.values() for key in target.keys}
    for name in properties:
        if prefix and prefix + name in references:
            raise SettingsError(
                f"--prefix {prefix}: {prefix + name} is the name of a reference value; "
                "choose another prefix, such as gap_"
            )


def place_of(name: str, prefix: str = "", per_atom: Collection[str] = ()) -> str:
    """Return where a prediction goes: "results", "info" or "arrays".

    ``per_atom`` are names, besides those known, of what has a row for every atom.
    """
    known = quantity(name)
    if known.in_ase and known.name == name and not prefix:
        return "results"
    has_rows = known.per_atom or known.name in per_atom
    return "arrays" if has_rows else "info"


def check_room(structure: Atoms, names: Sequence[str], prefix: str = "") -> None:
    """Check that predictions take no place that something else has.

    Parameters
    ----------
    structure : ase.Atoms
    names : iterable of str
        Predictions.
    prefix : str
        Put before their names.

    Raises
    ------
    StructureError
        If a value that is there would be lost.
    """
    taken = _values(structure)
    for name in names:
        if prefix and prefix + name in taken:
            raise StructureError(
                f"{prefix + name} is there already; choose another --prefix"
            )
    for name in () if prefix else _in_the_way(structure, names):
        if _aside(name) in taken:
            raise StructureError(
                f"{name} and {_aside(name)} are there, and predictions leave room for "
                "one of them; choose a --prefix for the predictions, such as gap_"
            )


def add_predictions(
    structure: Atoms,
    result: dict[str, Any],
    prefix: str = "",
    per_atom: Collection[str] = (),
) -> None:
    """Store predictions in a structure, in place.

    Without a prefix, predictions become the results of the structure's calculator. What
    is in their way moves to info and arrays: targets to ``REF_`` names, under which
    `lodekit.structures.read_structures` finds reference values, anything else to
    ``other_`` names. With a prefix, predictions go to info and arrays, and nothing else
    changes.

    Parameters
    ----------
    structure : ase.Atoms
        The structure.
    result : dict
        Its predictions, as ``model.compute`` returns them.
    prefix : str
        Put before the names of predictions.
    per_atom : iterable of str
        Predictions, besides those known, with one row for every atom.

    Raises
    ------
    StructureError
        If a value that is there would be lost.
    """
    check_room(structure, list(result), prefix)
    if not prefix:
        _set_aside(structure, result)
    results = {}
    for name, value in result.items():
        place, key = place_of(name, prefix, per_atom), prefix + name
        if name == "quadrupole":  # as reference values are written
            value = as_matrix(value).ravel()
        if place == "results":
            results[name] = value
        elif place == "arrays":
            rows = np.asarray(value)
            if rows.ndim > 2:  # a column holds a row of numbers
                rows = rows.reshape(len(rows), -1)
            structure.arrays[key] = rows
        else:  # readers differ in how they order a matrix
            flat = np.ravel(value) if np.ndim(value) > 1 else value
            structure.info[key] = flat
    if results:
        from ase.calculators.singlepoint import SinglePointCalculator

        structure.calc = SinglePointCalculator(structure, **results)


def _values(structure: Atoms) -> dict[str, Any]:
    """Return everything that a structure has by name."""
    results = getattr(structure.calc, "results", {})
    return {**structure.arrays, **structure.info, **results}


def _in_the_way(structure: Atoms, predicted: Collection[str]) -> list[str]:
    """Return the names that have to move to make room for predictions.

    The targets among the results of the file's calculator all move: ASE allows results
    of one origin only.
    """
    from lodekit.structures import TARGETS

    results = getattr(structure.calc, "results", {})
    names = [name for name in results if name in TARGETS or name in predicted]
    named = {**structure.info, **structure.arrays}
    return [*names, *(name for name in named if name in predicted)]


def _aside(name: str) -> str:
    """Return the name that a value gets to make room for a prediction."""
    from lodekit.structures import TARGETS

    return f"{REFERENCE}{name}" if name in TARGETS else f"other_{name}"


def _set_aside(structure: Atoms, predicted: Collection[str]) -> None:
    """Move what is in the way of predictions, and the results of the calculator."""
    names = _in_the_way(structure, predicted)
    values = dict(getattr(structure.calc, "results", {}))
    columns = {*structure.arrays}
    structure.calc = None
    for place in (structure.info, structure.arrays):
        values.update({name: place.pop(name) for name in names if name in place})
    for name, value in values.items():
        key = _aside(name) if name in names else name
        if name in columns or _has_rows(name, value, structure):
            structure.arrays[key] = np.asarray(value)
        else:
            structure.info[key] = value


def _has_rows(name: str, value: Any, structure: Atoms) -> bool:
    from lodekit.structures import TARGETS

    if name in TARGETS:
        return TARGETS[name].per_atom
    return np.ndim(value) > 0 and len(value) == len(structure)
