"""Keys that look like targets and are not read as such.

A file may call its energies ``Energy``, ``dft_energy`` or ``E``. What a key looks like
is told by its name and by the shape of its values; a vector for every atom looks like
forces whatever it is called.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lodekit.quantities import TARGETS

from .keys import find_target
from .targets import SOURCES_KEY
from .values import as_numbers

#: Parts of the names of what is no target, though a name of one is in it.
_OTHERS = (
    *("std", "sigma", "weight", "error", "uncert", "variance", "noise", "unit", "mask"),
    *("type", "label", "kinetic", "fermi", "gap", "repulsion", "zeropoint", "zpe"),
    *("density", "scale", "factor", "max", "min", "mean", "average", "cutoff", "count"),
    *("fragment", "initial", "nuclear", "energies", "points", "polariz"),
)
_SPINS = ("spin", "multiplicity", "unpaired")
#: Parts of the names of vectors that are no forces.
_VECTORS = (
    *("veloc", "vel", "moment", "displace", "spin", "mag", "dipole", "field", "center"),
    *("centre", "wannier", "posit", "coord", "frac", "scaled", "std", "shift"),
)
#: Sums of initial charges in e below which they are rounding.
_ROUNDING = 0.05


class Lookalike(NamedTuple):
    """A key that looks like a target and is not read as one.

    Attributes
    ----------
    key : str
        As it stands in the file.
    target : str
        What it looks like.
    n_frames : int
        In how many frames.
    by_name : bool
        Whether the name tells, or the shape alone.
    """

    key: str
    target: str
    n_frames: int
    by_name: bool


def find_lookalikes(frames, targets):
    """Return the keys that look like some targets and are not read as such.

    Parameters
    ----------
    frames : list of ase.Atoms
        From `read_structures`.
    targets : iterable of str
        Names of the targets of interest.

    Returns
    -------
    lookalikes : list of Lookalike
        Those told by their names first.
    """
    counts = {}
    for structure in frames:
        for place, key, value in _unused(structure):
            for target in targets:
                by_name = _looks_like(target, key)
                by_shape = target == "forces" and place == "arrays"
                may_be = by_name or (by_shape and _may_be_forces(key))
                if may_be and _fits(target, place, value, len(structure)):
                    entry = key.removeprefix("other_"), target, by_name
                    counts[entry] = counts.get(entry, 0) + 1
    lookalikes = [
        Lookalike(key, target, count, by_name)
        for (key, target, by_name), count in counts.items()
    ]
    return sorted(lookalikes, key=lambda one: not one.by_name)


def _unused(structure):
    """Yield place, key and value of what is read as no target."""
    homes = {(target.home, target.home_key) for target in TARGETS.values()}
    homes -= {("results", "free_energy")}
    results = getattr(structure.calc, "results", {})
    places = {"results": results, "info": structure.info, "arrays": structure.arrays}
    for place, values in places.items():
        for key, value in values.items():
            if (place, key) not in homes and key != SOURCES_KEY:
                yield place, key, value


def _fits(target, place, value, n_atoms):
    """Return whether a value has the shape of a target."""
    numbers = as_numbers(value)
    if numbers is None:
        return False
    sizes = TARGETS[target].sizes
    if TARGETS[target].per_atom:
        has_rows = place == "arrays" or numbers.ndim > 0
        return has_rows and numbers.size in [n_atoms * size for size in sizes]
    return place != "arrays" and numbers.size in sizes


@lru_cache(maxsize=10_000)
def _looks_like(target, key):
    """Return whether a key has the name of a target."""
    name = _letters(key.removeprefix("other_"))
    if name in TARGETS[target].other_names:
        return True
    has_part = any(part in name for part in TARGETS[target].words)
    return has_part and not any(part in name for part in _OTHERS)


@lru_cache(maxsize=10_000)
def _may_be_forces(key):
    """Return whether a vector of this name may be the force on an atom."""
    return not any(part in _letters(key) for part in _VECTORS)


def _letters(key):
    """Return the letters and digits of a key in small letters.

    >>> _letters("E_tot")
    'etot'
    """
    return re.sub(r"[\W_]+", "", key).lower()


def hidden_total_charge(structure):
    """Say where a total charge may be that no key gives, or return None.

    Returns
    -------
    hint : str or None
        The end of a sentence: what looks like a total charge, and what to do.
    """
    if find_target(structure, "total_charge") is not None:
        return None
    for key, value in structure.info.items():
        if _looks_like("total_charge", key):
            number = as_numbers(value)
            if number is not None and number.size == 1 and number.any():
                return (
                    f"{key!r} = {number.item():g} looks like it: use it with --key "
                    f"total_charge={key} (in Python keys={{'total_charge': {key!r}}}), "
                    f"or leave it aside (lodekit fit --ignore {key})"
                )
    charges = as_numbers(structure.arrays.get("initial_charges", ()))
    total = 0.0 if charges is None else float(charges.sum())
    if abs(total) <= _ROUNDING:
        return None
    return (
        f"the initial charges of its atoms sum to {total:g} e: write total_charge into "
        "the comment line (atoms.info), or take the initial charges away (lodekit fit "
        "--ignore initial_charges)"
    )


def spin_keys(structure):
    """Return the keys of the comment line that give a spin, with their numbers."""
    spins = {}
    for key, value in structure.info.items():
        number = as_numbers(value)
        is_one = number is not None and number.size == 1 and np.isfinite(number).all()
        if is_one and any(part in _letters(key) for part in _SPINS):
            spins[key] = number.item()
    return spins
