"""Hardness and widths of the charges of elements."""

from __future__ import annotations

import numbers

import numpy as np
from ase.data import atomic_numbers, chemical_symbols, covalent_radii

from lodekit.units import COULOMB_CONSTANT

#: Pauling's electronegativities, W. M. Haynes (ed.), CRC Handbook of Chemistry and
#: Physics, 95th ed., Sec. 9, by symbol.
PAULING = {
    "H": 2.20, "Li": 0.98, "Be": 1.57, "B": 2.04, "C": 2.55, "N": 3.04, "O": 3.44,
    "F": 3.98, "Na": 0.93, "Mg": 1.31, "Al": 1.61, "Si": 1.90, "P": 2.19, "S": 2.58,
    "Cl": 3.16, "K": 0.82, "Ca": 1.00, "Sc": 1.36, "Ti": 1.54, "V": 1.63, "Cr": 1.66,
    "Mn": 1.55, "Fe": 1.83, "Co": 1.88, "Ni": 1.91, "Cu": 1.90, "Zn": 1.65, "Ga": 1.81,
    "Ge": 2.01, "As": 2.18, "Se": 2.55, "Br": 2.96, "Rb": 0.82, "Sr": 0.95, "Y": 1.22,
    "Zr": 1.33, "Nb": 1.6, "Mo": 2.16, "Ag": 1.93, "Cd": 1.69, "In": 1.78, "Sn": 1.96,
    "Sb": 2.05, "Te": 2.1, "I": 2.66, "Cs": 0.79, "Ba": 0.89, "Pt": 2.28, "Au": 2.54,
    "Hg": 2.00, "Pb": 2.33, "Bi": 2.02,
}  # fmt: skip
#: V per unit of Pauling's scale: its unit is the root of 1 eV, and Mulliken's
#: electronegativities in V are about three times as large.
VOLTS_PER_UNIT = 3.0


#: Factors that a fit starts from.
START = {"hardness": 0.5, "widths": 0.7}


def read_electronegativities(species: np.ndarray) -> np.ndarray:
    """Return electronegativities of elements in V, from Pauling's scale.

    Raises
    ------
    ValueError
        If the table does not have an element.
    """
    symbols = [chemical_symbols[z] for z in species]
    missing = [symbol for symbol in symbols if symbol not in PAULING]
    if missing:
        raise ValueError(
            f"there is no tabulated electronegativity of {', '.join(missing)} to start "
            "from; fit charges or moments together with the energies"
        )
    return VOLTS_PER_UNIT * np.array([PAULING[symbol] for symbol in symbols])


def known_electronegativities(species: np.ndarray) -> np.ndarray:
    """Return Pauling's electronegativities, their mean for unknown elements."""
    known = [PAULING.get(chemical_symbols[z], np.nan) for z in species]
    return np.nan_to_num(known, nan=np.nanmean([*known, PAULING["C"]]))


def read_hardness(setting, species: np.ndarray) -> np.ndarray:
    """Return the hardness in V/e by species.

    A number is a factor of k_e / r with the covalent radius r: twice the energy of a
    charged sphere of that radius, half of it about the measured hardness of atoms.

    Parameters
    ----------
    setting : float, dict or "fit"
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
    return _read("hardness", "V/e", setting, species, COULOMB_CONSTANT / radii(species))


def read_widths(setting, species: np.ndarray) -> np.ndarray:
    """Return the widths of Gaussian charges in Å by species.

    Parameters
    ----------
    setting : float, dict or "fit"
        Factor of the covalent radius, or Å by atomic number or symbol.
    species : ndarray of shape (n_species,)

    Raises
    ------
    ValueError
        If a number is not positive, or an element missing.
    """
    return _read("widths", "Å", setting, species, radii(species))


def radii(species: np.ndarray) -> np.ndarray:
    """Return covalent radii in Å."""
    return covalent_radii[species]


def _read(name, unit, setting, species, scales) -> np.ndarray:
    if isinstance(setting, str) and setting == "fit":
        setting = START[name]
    if not isinstance(setting, dict):
        if not _is_positive(setting):
            words = "'fit'" if name == "widths" else "'fit' or 'environment'"
            raise ValueError(
                f"{name} must be a positive number, a dictionary of {unit} by element "
                f"or {words}, got {setting!r}"
            )
        return setting * scales
    values = {atomic_numbers.get(key, key): value for key, value in setting.items()}
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
