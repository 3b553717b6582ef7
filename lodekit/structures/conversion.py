"""Declared units of a file to the factors that bring its targets to eV, Å, e."""

from lodekit.errors import SettingsError, suggest
from lodekit.quantities import TARGETS
from lodekit.units import ENERGY_UNITS, LENGTH_UNITS

_POWERS = {1: "", 2: "^2", 3: "^3"}


def unit_factors(units=None):
    """Return the factors that bring lengths and targets to eV, Å, e.

    Parameters
    ----------
    units : dict, optional
        The unit of "energy" and of "length", from which every target follows, and
        units of single targets that differ, such as
        ``{"energy": "Hartree", "forces": "Hartree/Bohr", "dipole": "Debye"}``.
        Left out means eV and Angstrom.

    Returns
    -------
    length_factor : float
        Factor for positions and cells.
    factors : dict of float
        Factor for every target, by name.
    """
    units = dict(units or {})
    energy = _lookup("energy", units.pop("energy", "eV"), ENERGY_UNITS)
    length = _lookup("length", units.pop("length", "Angstrom"), LENGTH_UNITS)
    factors = {
        name: energy**target.energy_power * length**target.length_power
        for name, target in TARGETS.items()
    }
    for name, unit in units.items():
        if name not in TARGETS:
            raise SettingsError(
                f"units are declared for energy, length and targets, not for {name!r}"
                f"{suggest(name, ['energy', 'length', *TARGETS])}; targets are "
                f"{', '.join(TARGETS)}"
            )
        factors[name] = _lookup(name, unit, units_of_target(TARGETS[name]))
    return length, factors


def units_of_target(target):
    """Return the factors of all units that a target can be declared in.

    >>> sorted(units_of_target(TARGETS["dipole"]))
    ['Debye', 'e*Angstrom', 'e*Bohr', 'e*nm']
    """
    named = dict(target.file_units)
    if target.energy_power < 0:
        lengths, energies = _POWERS[target.length_power], _POWERS[-target.energy_power]
        for energy, energy_factor in ENERGY_UNITS.items():
            for length, length_factor in LENGTH_UNITS.items():
                factor = energy_factor**target.energy_power
                factor *= length_factor**target.length_power
                named[f"e^3*{length}{lengths}/{energy}{energies}"] = factor
    elif target.energy_power and target.length_power:
        power = _POWERS[-target.length_power]
        for energy, energy_factor in ENERGY_UNITS.items():
            for length, length_factor in LENGTH_UNITS.items():
                factor = energy_factor * length_factor**target.length_power
                named[f"{energy}/{length}{power}"] = factor
    elif target.energy_power:
        named |= ENERGY_UNITS
    elif target.length_power:
        charge = "e*" if target.unit.startswith("e") else ""
        for length, factor in LENGTH_UNITS.items():
            named[f"{charge}{length}{_POWERS[target.length_power]}"] = (
                factor**target.length_power
            )
    else:
        named["e"] = 1.0
    return named


def _lookup(name, unit, known):
    if unit not in known:
        raise SettingsError(
            f"unknown unit {unit!r} of {name}{suggest(unit, known, 0.8)}; lodekit "
            f"knows {', '.join(known)}"
        )
    return known[unit]
