"""Hardness and widths of the charges of elements."""

from __future__ import annotations

import numbers

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from lodekit.units import COULOMB_CONSTANT


def read_hardness(given, species: np.ndarray) -> np.ndarray:
    """Return the hardness in V/e by species.

    A number is a factor of k_e / r with the covalent radius r: twice the energy of a
    charged sphere of that radius, half of it about the measured hardness of atoms.

    Parameters
    ----------
    given : float or dict
        Factor, or V/e by atomic number or symbol.
    species : ndarray of shape (n_species,)
        Atomic numbers.

    Raises
    ------
    ValueError
        If a number is not positive, or an element missing.

    References
    ----------
    B. Cordero et al., Dalton Trans. 2832 (2008) (radii).
    """
    return _read("hardness", "V/e", given, species, COULOMB_CONSTANT / radii(species))


def read_widths(given, species: np.ndarray) -> np.ndarray:
    """Return the widths of Gaussian charges in Å by species.

    Parameters
    ----------
    given : float or dict
        Factor of the covalent radius, or Å by atomic number or symbol.
    species : ndarray of shape (n_species,)

    Raises
    ------
    ValueError
        If a number is not positive, or an element missing.
    """
    return _read("widths", "Å", given, species, radii(species))


def radii(species: np.ndarray) -> np.ndarray:
    """Return covalent radii in Å."""
    return covalent_radii[species]


def _read(name, unit, given, species, scales) -> np.ndarray:
    if not isinstance(given, dict):
        if not _is_positive(given):
            raise ValueError(
                f"{name} must be a positive number or a dictionary of {unit} by "
                f"element, got {given!r}"
            )
        return given * scales
    values = {atomic_numbers.get(key, key): value for key, value in given.items()}
    for z in species:
        if not _is_positive(values.get(int(z))):
            raise ValueError(
                f"{name} needs a positive number in {unit} for "
                f"{chemical_symbols[z]}, got {values.get(int(z))!r}"
            )
    return np.array([float(values[int(z)]) for z in species])


def _is_positive(value) -> bool:
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and 0.0 < value < np.inf
