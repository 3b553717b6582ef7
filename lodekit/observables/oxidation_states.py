"""Whole charges of the elements: oxidation states, given or found.

A polarization M = sum_i q_i R_i + d_i with whole charges q that sum to the total charge
carries a whole charge with every atom that goes through a periodic cell, whatever the
atomic dipoles d are.
"""

from __future__ import annotations

import numbers
from itertools import product

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from lodekit.errors import StructureError
from lodekit.structures import frame_name, get_target

#: Oxidation states in compounds, the most usual one first.
COMMON = {
    **dict.fromkeys(("Li", "Na", "K", "Rb", "Cs", "Ag"), (1,)),
    **dict.fromkeys(("Be", "Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Ni", "Hg"), (2,)),
    **dict.fromkeys(("B", "Al", "Sc", "Ga", "Y", "In", "La", "Gd", "Lu"), (3,)),
    **dict.fromkeys(("Si", "Ge", "Zr", "Hf"), (4,)),
    **dict.fromkeys(("Nb", "Ta"), (5,)),
    **dict.fromkeys(("F", "Cl", "Br", "I"), (-1,)),
    "H": (1, -1),
    "C": (4, -4, 2),
    "N": (-3, 5, 3),
    "O": (-2, -1),
    "P": (5, 3, -3),
    "S": (-2, 6, 4),
    "Se": (-2, 4, 6),
    "Te": (-2, 4, 6),
    "As": (3, 5, -3),
    "Sb": (3, 5, -3),
    "Bi": (3, 5),
    "Ti": (4, 3, 2),
    "V": (5, 4, 3, 2),
    "Cr": (3, 6, 2),
    "Mn": (2, 4, 3, 7),
    "Fe": (3, 2),
    "Co": (2, 3),
    "Cu": (2, 1),
    "Mo": (6, 4),
    "W": (6, 4),
    "Sn": (4, 2),
    "Pb": (2, 4),
    "Tl": (1, 3),
    "Ce": (4, 3),
}
#: Whole charges that are tried on either side of the mean Born charge.
MOST_STEPS = 2
#: Combinations of charges of the elements that are tried at the most.
MOST_COMBINATIONS = 200_000


def read_oxidation_states(given, species) -> np.ndarray:
    """Return the charges that the user gives, by species in their order.

    Parameters
    ----------
    given : dict of str or int to int
        By symbol or atomic number, of every species.
    species : ndarray of shape (n_species,)

    Raises
    ------
    ValueError
        For what is no element, no whole number, or missing.
    """
    charges = {}
    for key, value in dict(given).items():
        number = atomic_numbers.get(key, key)
        is_number = isinstance(number, numbers.Integral) and number > 0
        if not is_number:
            raise ValueError(f"oxidation_states: {key!r} is no element")
        is_real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not is_real or float(value) != round(value):
            symbol = chemical_symbols[number]
            raise ValueError(
                f"the oxidation state of {symbol} must be a whole number, got {value!r}"
            )
        charges[int(number)] = int(value)
    for number in species:
        if int(number) not in charges:
            raise ValueError(
                f"oxidation_states lacks {chemical_symbols[number]}; give a whole "
                "number for every element, 0 for one that stays neutral"
            )
    return np.array([charges[int(z)] for z in species], dtype=float)


def choose_oxidation_states(given, frames, species, born_charges) -> np.ndarray:
    """Return the charges that the user gives, or those found where None.

    See `read_oxidation_states`, `find_oxidation_states` and `check_oxidation_states`.
    """
    if given is None:
        charges = find_oxidation_states(frames, species, born_charges)
    else:
        charges = read_oxidation_states(given, species)
    check_oxidation_states(frames, species, charges)
    return charges


def total_charge(atoms) -> float:
    """Return the total charge of a structure in e: 0 where it is not given."""
    value = get_target(atoms, "total_charge")
    return 0.0 if value is None else float(value)


def check_oxidation_states(frames, species, charges) -> None:
    """Check that the charges of every structure sum to its total charge.

    Raises
    ------
    StructureError
    """
    for index, atoms in enumerate(frames):
        total = float(charges[np.searchsorted(species, atoms.numbers)].sum())
        wanted = total_charge(atoms)
        if abs(total - wanted) > 1e-6:
            named = ", ".join(
                f"{chemical_symbols[z]} {q:+g}"
                for z, q in zip(species, charges, strict=True)
            )
            raise StructureError(
                f"{frame_name(index)}: the oxidation states {named} sum to {total:+g} "
                f"and its total charge is {wanted:+g}; give oxidation_states that sum "
                "to it, or total_charge in the file"
            )


def find_oxidation_states(frames, species, born_charges) -> np.ndarray:
    """Return whole charges of the elements that make every structure neutral.

    Open neutral structures need none: 0 for all. Otherwise usual oxidation states, the
    ones nearest to the mean Born charges where there are several; where none of them
    suit, the whole numbers nearest to the mean Born charges; 0 without these.

    Parameters
    ----------
    frames : list of ase.Atoms
    species : ndarray of shape (n_species,)
    born_charges : list of ndarray of shape (n_atoms, 3, 3) or None
        Of every frame, as far as they are known.
    """
    neutral = all(total_charge(atoms) == 0.0 for atoms in frames)
    if neutral and not any(atoms.pbc.any() for atoms in frames):
        return np.zeros(len(species))
    sums = sorted(
        {(*composition(atoms, species), total_charge(atoms)) for atoms in frames}
    )
    counts, totals = np.array(sums)[:, :-1], np.array(sums)[:, -1]
    means = mean_charges(frames, species, born_charges)
    usual = [COMMON.get(chemical_symbols[z], ()) for z in species]
    states = nearest_neutral(usual, counts, totals, means)
    if states is None and np.isfinite(means).all():
        steps = np.arange(-MOST_STEPS, MOST_STEPS + 1)
        near = [tuple(np.rint(mean) + steps) for mean in means]
        states = nearest_neutral(near, counts, totals, means)
    return np.zeros(len(species)) if states is None else states


def composition(atoms, species) -> tuple:
    """Return the number of atoms of every species."""
    return tuple((atoms.numbers[:, None] == species).sum(axis=0).tolist())


def mean_charges(frames, species, born_charges) -> np.ndarray:
    """Return a third of the mean trace of Born charges by species, or NaN."""
    traces = [[] for _ in species]
    for atoms, charges in zip(frames, born_charges, strict=True):
        if charges is None:
            continue
        thirds = np.trace(charges, axis1=1, axis2=2) / 3.0
        for kind, number in enumerate(species):
            traces[kind].extend(thirds[atoms.numbers == number])
    return np.array([np.mean(trace) if trace else np.nan for trace in traces])


def nearest_neutral(choices, counts, totals, means):
    """Return the combination of charges that sums to all totals, None without one.

    The nearest to the ``means`` where they are known, the first otherwise.
    """
    size = np.prod([float(len(states)) for states in choices])
    if not 0 < size <= MOST_COMBINATIONS:
        return None
    trials = np.array(list(product(*choices)), dtype=float)
    fits = np.abs(trials @ counts.T - totals).max(axis=1) < 1e-6
    trials = trials[fits]
    if not len(trials):
        return None
    distances = ((trials - np.nan_to_num(means)) ** 2 * np.isfinite(means)).sum(axis=1)
    return trials[int(np.argmin(distances))]
