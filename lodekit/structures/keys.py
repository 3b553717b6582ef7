"""The key map: which names in a structure stand for which target."""

from typing import Any, NamedTuple

import numpy as np

from lodekit.errors import SettingsError, StructureError, suggest
from lodekit.quantities import TARGETS

from .values import has_length

#: Accepted keys of every target where a user names none, the preferred one first.
DEFAULT_KEYS = {name: target.keys for name, target in TARGETS.items()}


class FoundTarget(NamedTuple):
    """A target as it stands in a structure, before any conversion.

    ``place`` is "results" (of ``atoms.calc``), "info" or "arrays".
    """

    name: str
    key: str
    place: str
    value: Any

    @property
    def source(self):
        """Place and key as one word, such as "info:REF_energy"."""
        return f"{self.place}:{self.key}"


def parse_key_options(options):
    """Turn command-line options ``target=key`` into a key map.

    >>> parse_key_options(["energy=my_energy"])
    {'energy': 'my_energy'}
    """
    keys = {}
    for option in options:
        name, separator, key = option.partition("=")
        if not (name and separator and key):
            raise SettingsError(
                f"a key option is written target=key, such as energy=REF_energy, "
                f"got {option!r}"
            )
        if name in keys:
            raise SettingsError(f"the key of target {name!r} is given twice")
        keys[name] = key
    resolve_keys(keys)
    return keys


def known_target(name):
    """Return the target called ``name`` or say which targets there are."""
    if name not in TARGETS:
        raise SettingsError(
            f"unknown target {name!r}{suggest(name, TARGETS)}; lodekit knows "
            f"{', '.join(TARGETS)}"
        )
    return TARGETS[name]


def resolve_keys(keys=None):
    """Return the keys to look for, for every target.

    Parameters
    ----------
    keys : dict, optional
        Target names and the key, or the list of keys, to use instead of the
        default ones. Only these are then looked for.

    Returns
    -------
    key_map : dict of tuple of str
        For every target its accepted keys, the preferred one first.
    """
    if not keys:
        return DEFAULT_KEYS
    key_map = dict(DEFAULT_KEYS)
    for name, chosen in keys.items():
        known_target(name)
        chosen = (chosen,) if isinstance(chosen, str) else tuple(chosen)
        if not chosen or not all(isinstance(key, str) and key for key in chosen):
            raise SettingsError(f"the key of target {name!r} must be a word")
        if TARGETS[name].per_atom and "charge" in chosen:
            chosen += ("charges",)  # ASE's name of a column called charge
        key_map[name] = chosen
    return key_map


def calculator_results(structure):
    """Return the results stored in the structure's calculator, computing nothing."""
    calculator = structure.calc
    results = getattr(calculator, "results", None)
    if not results:
        return {}
    computed = getattr(calculator, "atoms", None)
    if computed is not None and not np.array_equal(
        computed.positions, structure.positions
    ):
        raise StructureError(
            "the calculator of this structure holds results of other positions; "
            "compute them again or store them in a SinglePointCalculator"
        )
    return results


def find_target(structure, name, keys=None):
    """Look for a target in a structure and say where it was.

    ``atoms.calc.results`` is searched before ``atoms.info`` and ``atoms.arrays``, key
    after key; nothing is computed or converted.

    Parameters
    ----------
    structure : ase.Atoms
        The structure to search.
    name : str
        A name in `TARGETS`.
    keys : dict, optional
        Key map as in `resolve_keys`.

    Returns
    -------
    found : FoundTarget or None
        Key, place and raw value; None when the structure does not have it.
    """
    target = known_target(name)
    results = calculator_results(structure)
    return find_by_keys(structure, results, target, resolve_keys(keys)[name])


def find_by_keys(structure, results, target, keys):
    """Look for one target under the given keys; see `find_target`."""
    values = structure.arrays if target.per_atom else structure.info
    for key in keys:
        if key in results:
            return FoundTarget(target.name, key, "results", results[key])
        if key in values:
            place = "arrays" if target.per_atom else "info"
            return FoundTarget(target.name, key, place, values[key])
        if target.per_atom and key in structure.info:
            value = structure.info[key]
            # A scalar is no value of atoms: charge=1 of an ion is its total charge.
            if has_length(value, len(structure)):
                return FoundTarget(target.name, key, "info", value)
    return None


def keys_of(structure):
    """Return the keys in results, info and arrays, positions and species left out."""
    results = getattr(structure.calc, "results", {})
    arrays = [key for key in structure.arrays if key not in ("numbers", "positions")]
    return sorted({*results, *structure.info, *arrays})
