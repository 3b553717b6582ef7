"""Targets in one shape, one unit and one place.

`normalize_targets` moves what a file calls ``REF_energy``, ``my_energy`` or ``virial``
to the home that `keys.TARGETS` names, converted to eV, Å, e. `get_target` reads it from
there, and from structures that never went through `read_structures`.
"""

import math

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.errors import StructureError

from .keys import (
    TARGETS,
    calculator_results,
    find_by_keys,
    known_target,
    resolve_keys,
)
from .stress import as_matrix, as_voigt, disagreement, stress_from_virial
from .values import as_numbers

#: Key in ``atoms.info`` under which the sources of moved targets are remembered.
SOURCES_KEY = "target_keys"
_SMALLEST_VOLUME = 1e-6  # Å³; below there is no cell and a virial stays a virial


class BadTarget(StructureError):
    """A target has the wrong kind, shape or value; ``row`` is the atom, if one."""

    def __init__(self, found, message, row=None, is_shape=False):
        name = found.name
        if found.key != name:
            name += f" (key {found.key!r})"
        super().__init__(f"{name} {message}")
        self.found = found
        self.row = row
        self.is_shape = is_shape


def get_target(structure, name, keys=None):
    """Return a target of a structure in its shape and in eV, Å, e.

    A stress is also made from a virial and the other way round. The values of a
    structure that did not come from `read_structures` must be in eV, Å, e already.

    Parameters
    ----------
    structure : ase.Atoms
        The structure.
    name : str
        A name in `TARGETS`, such as "energy", "forces" or "total_charge".
    keys : dict, optional
        Key map as in `resolve_keys`; not needed after `read_structures`.

    Returns
    -------
    value : float, ndarray or None
        A float for a scalar; (n_atoms,), (n_atoms, 3) or (n_atoms, 3, 3) for a target
        of atoms; (6,) in Voigt order for stress and virial, (n,) for the mep, (n, 3)
        for its points, (3,) or (3, 3) otherwise.
        None when the structure does not have the target.

    Raises
    ------
    BadTarget
        If the value is not numbers of that shape, or not finite.
    """
    target = known_target(name)
    key_map = resolve_keys(keys)
    results = calculator_results(structure)
    entry = find_by_keys(structure, results, target, key_map[name])
    if entry is None and name in ("stress", "virial"):
        return _from_its_partner(structure, results, name, key_map)
    if entry is None:
        return None
    value = shape_target(target, entry, len(structure))
    check_finite(target, entry, value)
    return float(value) if value.ndim == 0 else value


def _from_its_partner(structure, results, name, key_map):
    partner = TARGETS["virial" if name == "stress" else "stress"]
    entry = find_by_keys(structure, results, partner, key_map[partner.name])
    volume = _volume(structure)
    if entry is None or volume is None:
        return None
    value = shape_target(partner, entry, len(structure))
    check_finite(partner, entry, value)
    with np.errstate(over="ignore"):
        is_stress = name == "stress"
        value = stress_from_virial(value, volume) if is_stress else -value * volume
    check_finite(partner, entry, value)
    return value


def _volume(structure):
    """Return the volume of the cell in Å³, None where there is no cell."""
    with np.errstate(over="ignore"):
        volume = structure.cell.volume
    return volume if _SMALLEST_VOLUME <= volume < math.inf else None


def shape_target(target, found, n_atoms):
    """Return the raw value of a found target as float64 in the target's shape.

    Raises
    ------
    BadTarget
        If the value is not numbers or has another number of them.
    """
    value = as_numbers(found.value)
    if value is None:
        raise BadTarget(
            found, f"must be numbers, got {found.value!r:.60}", is_shape=True
        )
    value = value.astype(float, copy=False)
    if target.name in ("stress", "virial"):
        try:
            return as_voigt(value)
        except ValueError as problem:
            raise BadTarget(found, str(problem), is_shape=value.size != 9) from None
    shape = (n_atoms, *target.shape) if target.per_atom else target.shape
    if None in shape:
        shape = (max(1, value.size // math.prod(shape[1:])), *shape[1:])
    if value.size != math.prod(shape):
        raise BadTarget(
            found, f"must have shape {shape}, got {value.shape}", is_shape=True
        )
    return value.reshape(shape)


def check_finite(target, found, value):
    """Raise `BadTarget` when a shaped value holds NaN or infinity."""
    if math.isfinite(value.sum()) or np.isfinite(value).all():
        return
    row, where = None, ""
    if target.per_atom:
        row = int(np.argmin(np.isfinite(value).reshape(len(value), -1).all(axis=1)))
        where = f" at atom {row + 1}"
    raise BadTarget(
        found,
        f"is not finite{where}; correct it, or leave it out where it is unknown",
        row,
    )


def are_sources(value):
    """Return whether a value is what `SOURCES_KEY` remembers: sources by target.

    >>> are_sources({"energy": "info:REF_energy"}), are_sources("energy")
    (True, False)
    """
    return isinstance(value, dict) and all(
        name in TARGETS and isinstance(source, str) and ":" in source
        for name, source in value.items()
    )


def normalize_targets(structure, key_map, factors, names):
    """Convert targets to eV, Å, e and move them to their homes, in place.

    Another value that would be found under the same target is kept under
    ``other_<key>``. Targets whose shape does not fit stay where they are.

    Parameters
    ----------
    structure : ase.Atoms
        Structure as it stands in a file, lengths converted already.
    key_map : dict of tuple of str
        From `resolve_keys`.
    factors : dict of float
        From `conversion.unit_factors`.
    names : iterable of str
        Targets to look for.

    Returns
    -------
    present : list of FoundTarget
        What was found, as it stood in the file.
    misfits : list of BadTarget
        Targets that have another shape than lodekit expects.

    Raises
    ------
    BadTarget
        If a value is not finite or stress and virial contradict each other.
    """
    present, misfits = [], []
    results = {} if structure.calc is None else structure.calc.results
    keys = {*results, *structure.info, *structure.arrays}
    for name in names:
        if keys.isdisjoint(key_map[name]):
            continue
        target = TARGETS[name]
        entry = find_by_keys(structure, results, target, key_map[name])
        if entry is None:
            continue
        try:
            value = shape_target(target, entry, len(structure))
        except BadTarget as problem:
            if not problem.is_shape:
                raise
            misfits.append(problem)
            continue
        check_finite(target, entry, value)
        value = value * factors[name]
        check_finite(target, entry, value)
        present.append(entry)
        _settle(structure, target, entry, value, key_map)
        results = {} if structure.calc is None else structure.calc.results
    if any(entry.name == "virial" for entry in present):
        _turn_virial_into_stress(structure, present)
    return present, misfits


def _settle(structure, target, found, value, key_map):
    """Store a converted value at the target's home."""
    at_home = (found.place, found.key) == (target.home, target.home_key)
    if not at_home:
        _remove(structure, found)
        structure.info.setdefault(SOURCES_KEY, {})[target.name] = found.source
    if not at_home or key_map[target.name] is not target.keys:
        _set_aside_rivals(structure, target, found if at_home else None)
    if len(target.shape) >= 2:  # readers differ in how they order a matrix
        value = value.reshape(-1, 9) if target.per_atom else value.ravel()
    if target.name == "virial":
        value = as_matrix(value)
    if value.ndim == 0:
        value = float(value)
    if target.home == "results" and structure.calc is None:
        structure.calc = SinglePointCalculator(structure)
    values_at(structure, target.home)[target.home_key] = value


def values_at(structure, place):
    """Return the dictionary "results" (of the calculator), "info" or "arrays"."""
    return structure.calc.results if place == "results" else getattr(structure, place)


def _remove(structure, found):
    del values_at(structure, found.place)[found.key]


def _set_aside_rivals(structure, target, keep):
    """Rename values that `get_target` would find instead of the chosen one."""
    place = "arrays" if target.per_atom else "info"
    for key in target.keys:
        while True:
            results = calculator_results(structure)
            rival = find_by_keys(structure, results, target, (key,))
            if rival is None or (keep is not None and rival.source == keep.source):
                break
            _remove(structure, rival)
            values, name = values_at(structure, place), f"other_{key}"
            while name in values:
                name = f"other_{name}"
            values[name] = rival.value


def _turn_virial_into_stress(structure, present):
    """Replace a virial by the stress that it means; both must agree."""
    volume = _volume(structure)
    if volume is None:
        return
    virial = as_voigt(structure.info.pop("virial"))
    entries = {entry.name: entry for entry in present}
    if "stress" in entries:
        problem = disagreement(structure.calc.results["stress"], virial, volume)
        if problem:
            raise BadTarget(entries["virial"], problem)
        return
    if structure.calc is None:
        structure.calc = SinglePointCalculator(structure)
    stress = stress_from_virial(virial, volume)
    check_finite(TARGETS["stress"], entries["virial"], stress)
    structure.calc.results["stress"] = stress
    sources = structure.info.setdefault(SOURCES_KEY, {})
    sources.pop("virial", None)
    sources["stress"] = entries["virial"].source
