"""Unit factors into and out of eV, Å, e; used only where data enters or leaves.

The values are those of ``ase.units`` (CODATA 2014), repeated so that importing
lodekit does not import ASE; a test compares them.
"""

import math

HARTREE = 27.211386024367243  # eV
BOHR = 0.5291772105638411  # Å
#: e² / (4 pi eps0) in eV·Å: energy of two unit charges 1 Å apart.
COULOMB_CONSTANT = HARTREE * BOHR
GPA = 1.0 / 160.21766208  # eV/Å³
DEBYE = 0.20819433442462576  # e·Å
KCAL_PER_MOL = 0.04336410390059322  # eV
KJ_PER_MOL = 0.010364269574711572  # eV

ENERGY_UNITS = {
    "eV": 1.0,
    "meV": 1e-3,
    "Hartree": HARTREE,
    "Rydberg": HARTREE / 2,
    "kcal/mol": KCAL_PER_MOL,
    "kJ/mol": KJ_PER_MOL,
}
LENGTH_UNITS = {"Angstrom": 1.0, "Bohr": BOHR, "nm": 10.0}
FOUR_PI = 4.0 * math.pi
