"""Predictions as part of a structure, beside the reference values."""

import numpy as np

from lodekit.structures.stress import as_matrix

REFERENCE = "REF_"
#: What ASE's calculators know; other predictions go to info and arrays.
_ASE_RESULTS = ("energy", "forces", "stress", "energies", "charges", "dipole")
#: Predictions with one row for every atom.
_PER_ATOM = (
    "forces",
    "energies",
    "charges",
    "atomic_dipoles",
    "atomic_quadrupoles",
    "electronegativities",
    "hardnesses",
    "electrostatic_forces",
)


def add_predictions(structure, result, prefix=""):
    """Store predictions in a structure, in place.

    Without a prefix, predictions become the results of the structure's calculator, and
    reference values that were there move to ``REF_`` names in info and arrays, where
    `lodekit.structures.read_structures` finds them as reference values again. With a
    prefix, predictions go to info and arrays, and nothing else changes.

    Parameters
    ----------
    structure : ase.Atoms
        The structure.
    result : dict
        Its predictions, as ``model.compute`` returns them.
    prefix : str
        Put before the names of predictions.
    """
    if not prefix:
        _set_reference_aside(structure, result)
    results = {}
    for name, value in result.items():
        if name in _ASE_RESULTS and not prefix:
            results[name] = value
        elif name.removesuffix("_std") in _PER_ATOM:
            structure.arrays[prefix + name] = np.asarray(value)
        elif name == "quadrupole":  # as reference values are written
            structure.info[prefix + name] = as_matrix(value).ravel()
        else:
            structure.info[prefix + name] = value
    if results:
        from ase.calculators.singlepoint import SinglePointCalculator

        structure.calc = SinglePointCalculator(structure, **results)


def _set_reference_aside(structure, predicted):
    """Move what the calculator of the file holds, or is predicted, to ``REF_`` names.

    Targets that have their home in info, such as the quadrupole, move where they are
    among the names ``predicted``.
    """
    from lodekit.structures import TARGETS

    results = dict(getattr(structure.calc, "results", {}))
    for name in predicted:
        if name in TARGETS and name in structure.info:
            results[name] = structure.info.pop(name)
    for name, value in results.items():
        is_target = name in TARGETS
        key = f"{REFERENCE}{name}" if is_target else name
        per_atom = TARGETS[name].per_atom if is_target else _has_rows(value, structure)
        place = structure.arrays if per_atom else structure.info
        place.setdefault(key, np.asarray(value) if per_atom else value)
    structure.calc = None


def _has_rows(value, structure):
    return np.ndim(value) > 0 and len(value) == len(structure)
