"""Molecules for PySCF: charge, spin and pseudopotentials of a frame."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from lodekit.errors import StructureError
from lodekit.structures import get_target
from lodekit.units import BOHR

from .basis_sources import import_pyscf, load_table

#: Keys of the multiplicity 2S + 1 in the comment line of a frame.
MULTIPLICITY_KEYS = ("spin_multiplicity", "multiplicity", "total_spin", "spin")


def build_molecule(atoms: Atoms, orbital_basis: str):
    """Return PySCF's molecule of a structure.

    Elements get the pseudopotential that belongs to their basis: without it, PySCF puts
    all electrons into functions made for the outer ones, without a word.
    """
    if atoms.pbc.any():
        raise StructureError(
            "densities are calculated for open structures; set pbc to F, or bring the "
            "density of a periodic one as a cube file"
        )
    gto = import_pyscf("gto")
    charge = whole_charge(atoms)
    symbols = sorted(set(atoms.get_chemical_symbols()))
    mol = gto.Mole()
    mol.atom = [
        (symbol, tuple(position / BOHR))
        for symbol, position in zip(atoms.symbols, atoms.positions, strict=True)
    ]
    mol.unit, mol.verbose = "Bohr", 0
    for symbol in symbols:
        load_table(gto.basis.load, orbital_basis, symbol)
    # by name: PySCF chooses the auxiliary basis of the calculation itself by that
    mol.basis = orbital_basis
    tables = {s: load_table(gto.basis.load_ecp, orbital_basis, s) for s in symbols}
    mol.ecp = {s: table for s, table in tables.items() if table}
    mol.charge, mol.spin = charge, None
    mol.build(dump_input=False, parse_arg=False)
    mol.spin = multiplicity_of(atoms, mol.nelectron) - 1
    mol.build(dump_input=False, parse_arg=False)
    return mol


def whole_charge(atoms: Atoms) -> int:
    """Return the total charge in e."""
    charge = get_target(atoms, "total_charge") or 0.0
    if abs(charge - round(charge)) > 1e-6:
        raise StructureError(
            f"the total charge of a molecule must be a whole number, got {charge:g} e"
        )
    return round(charge)


def multiplicity_of(atoms: Atoms, n_electrons: int) -> int:
    """Return 2S + 1 of a frame; the lowest possible where it does not say.

    Raises
    ------
    StructureError
        If it does not go with the number of electrons.
    """
    for key in MULTIPLICITY_KEYS:
        if key in atoms.info:
            break
    else:
        return 1 + n_electrons % 2
    try:
        value = float(atoms.info[key])
    except (TypeError, ValueError):
        value = np.nan
    if not (value >= 1 and value == int(value) and (value + n_electrons) % 2 == 1):
        raise StructureError(
            f"{key} = {atoms.info[key]} does not go with {n_electrons} electrons; it "
            "is the multiplicity 2S + 1, 1 for a closed shell"
        )
    return int(value)
