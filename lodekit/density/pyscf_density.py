"""Densities of molecules by PySCF: a self-consistent field, and a fit of its density.

PySCF works in Bohr and Hartree; everything is converted here. What is fitted is the
density of the orbitals, in the metric, with the number of electrons kept exactly, which
a fit in the Coulomb metric alone does not do (it misses 3 in 1,000 of them in small
bases).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from lodekit.errors import DensityFileError, SettingsError
from lodekit.observables.fields import POINT_CHARGES
from lodekit.structures import get_target
from lodekit.units import BOHR, COULOMB_CONSTANT, HARTREE

from .basis import DensityBasis
from .basis_sources import import_pyscf, table_of_shells
from .constrained_fit import solve_constrained
from .metrics import DensityMetric
from .moments import charges_of, dipoles_of
from .ordering import COEFFICIENT_UNIT, PYSCF, places_in
from .perturbations import point_charges
from .pyscf_molecule import build_molecule
from .sites import Sites

#: Change of the energy in Hartree at which a self-consistent field has converged.
SCF_TOLERANCE = 1e-10
#: Numbers of three-centre integrals made at a time.
BLOCK_SIZE = 2**24
_FIELD_UNIT = HARTREE / BOHR  # V/Å


class NotConverged(DensityFileError):
    """A self-consistent field did not converge."""


@dataclass(frozen=True)
class Calculation:
    """How densities are calculated and fitted.

    Attributes
    ----------
    functional : str
        Name in PySCF, such as "pbe" or "b3lyp"; "hf" for Hartree-Fock.
    orbital_basis : str
        Basis of the orbitals, a name in PySCF.
    metric : {"coulomb", "overlap"}
        Norm of the difference of density and fit.
    field : tuple of three float
        Uniform electric field in V/Å.
    conserve_dipole : bool
        Whether the fit keeps the dipole, as it keeps the number of electrons.
    grid_level : int
        Integration grid of the functional, 0 to 9.
    max_cycles : int
        Iterations of the self-consistent field.
    response : {None, "field", "charges"}
        Changes of the density that are calculated as well.
    """

    functional: str
    orbital_basis: str
    metric: str = "coulomb"
    field: tuple[float, float, float] = (0.0, 0.0, 0.0)
    conserve_dipole: bool = False
    grid_level: int = 3
    max_cycles: int = 100
    response: str | None = None

    def to_dict(self) -> dict:
        """Return the settings as JSON holds them."""
        return {**asdict(self), "field": list(self.field)}

    @cached_property
    def density_metric(self) -> DensityMetric:
        """The metric of the fit."""
        if self.metric not in ("coulomb", "overlap"):
            raise SettingsError(
                f"the metric of a fit is coulomb or overlap, got {self.metric!r}"
            )
        is_coulomb = self.metric == "coulomb"
        return DensityMetric(overlap=float(not is_coulomb), coulomb=float(is_coulomb))


@dataclass(frozen=True)
class CalculatedDensity:
    """Density and energies of one structure.

    Attributes
    ----------
    coefficients : ndarray of shape (n_functions,)
        In Å^(-3/2).
    energy : float
        In eV, with that of nuclei and electrons in the field.
    dipole : ndarray of shape (3,)
        Of the density that was fitted, about the origin, in e·Å.
    nuclear_charges : ndarray of shape (n_atoms,)
        In e, smaller than atomic numbers where a pseudopotential was used.
    """

    coefficients: np.ndarray
    energy: float
    dipole: np.ndarray
    nuclear_charges: np.ndarray


def calculate_density(
    atoms: Atoms, calculation: Calculation, basis: DensityBasis
) -> CalculatedDensity:
    """Return the density of an open structure.

    Parameters
    ----------
    atoms : ase.Atoms
        With ``total_charge`` and a multiplicity (`MULTIPLICITY_KEYS`) where they are
        not 0 and the lowest possible, and with the ``point_charges`` beside it.
    calculation : Calculation
    basis : DensityBasis
        The auxiliary basis.

    Raises
    ------
    NotConverged
        If the self-consistent field does not converge.
    StructureError
        If charge and multiplicity do not fit, a direction is periodic, or a point
        charge is next to an atom.
    """
    mol = build_molecule(atoms, calculation.orbital_basis)
    mean_field = run_mean_field(mol, calculation, charges_beside(atoms))
    matrix = np.asarray(mean_field.make_rdm1())
    matrix = matrix.sum(axis=0) if matrix.ndim == 3 else matrix
    return CalculatedDensity(
        fit_density_matrix(atoms, mol, matrix, calculation, basis),
        float(mean_field.e_tot * HARTREE),
        orbital_dipole(mol, matrix),
        mol.atom_charges().astype(float),
    )


def check_functional(name: str) -> None:
    """Refuse a functional that PySCF does not know."""
    if is_hartree_fock(name):
        return
    try:
        import_pyscf("dft").libxc.parse_xc(name)
    except (KeyError, ValueError) as problem:
        reason = " ".join(str(problem).split())
        raise SettingsError(
            f"PySCF has no functional {name!r} ({reason:.80}); pbe, b3lyp, pbe0 and hf "
            "are some that it has"
        ) from None


def is_hartree_fock(name: str) -> bool:
    """Return whether a functional is none."""
    return name.lower() == "hf"


def charges_beside(atoms: Atoms) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the point charges of a structure and their places, None without any."""
    if get_target(atoms, POINT_CHARGES) is None:
        return None
    return point_charges(atoms, atoms.get_chemical_formula())


def run_mean_field(mol, calculation: Calculation, charges=None):
    """Return the converged self-consistent field of a molecule, in its field.

    Parameters
    ----------
    charges : tuple of ndarray, optional
        Point charges (n,) in e and their places (n, 3) in Å.
    """
    if is_hartree_fock(calculation.functional):
        scf = import_pyscf("scf")
        mean_field = (scf.UHF if mol.spin else scf.RHF)(mol)
    else:
        dft = import_pyscf("dft")
        mean_field = (dft.UKS if mol.spin else dft.RKS)(mol, xc=calculation.functional)
        mean_field.grids.level = calculation.grid_level
    mean_field = mean_field.density_fit()
    mean_field.conv_tol = SCF_TOLERANCE
    mean_field.max_cycle = calculation.max_cycles
    if any(calculation.field):
        apply_field(mean_field, np.array(calculation.field) / _FIELD_UNIT)
    if charges is not None:
        apply_charges(mean_field, *charges)
    mean_field.kernel()
    if not mean_field.converged:
        raise NotConverged(
            f"the self-consistent field did not converge in {calculation.max_cycles} "
            "iterations"
        )
    return mean_field


def apply_field(mean_field, field: np.ndarray) -> None:
    """Add a uniform field (atomic units) to electrons and nuclei of a calculation."""
    mol = mean_field.mol
    with mol.with_common_origin((0.0, 0.0, 0.0)):
        position = mol.intor_symmetric("int1e_r")
    on_nuclei = -mol.atom_charges() @ mol.atom_coords() @ field
    add_potential(mean_field, np.einsum("x,xij->ij", field, position), on_nuclei)


def apply_charges(mean_field, charges: np.ndarray, points: np.ndarray) -> None:
    """Add point charges (n,) in e at points (n, 3) in Å to a calculation."""
    mol, potential, on_nuclei = mean_field.mol, 0.0, 0.0
    for charge, point in zip(charges, points / BOHR, strict=True):
        with mol.with_rinv_origin(point):
            potential = potential - charge * mol.intor_symmetric("int1e_rinv")
        distances = np.linalg.norm(mol.atom_coords() - point, axis=1)
        on_nuclei += charge * float(np.sum(mol.atom_charges() / distances))
    add_potential(mean_field, potential, on_nuclei)


def add_potential(mean_field, potential: np.ndarray, on_nuclei: float) -> None:
    """Add the energies of orbitals and of nuclei in a potential to a calculation."""
    core = mean_field.get_hcore() + potential
    repulsion = mean_field.energy_nuc() + on_nuclei
    mean_field.get_hcore = lambda *_: core
    mean_field.energy_nuc = lambda *_: repulsion


def orbital_dipole(mol, matrix: np.ndarray) -> np.ndarray:
    """Return the dipole of a density matrix about the origin, (3,), in e·Å."""
    with mol.with_common_origin((0.0, 0.0, 0.0)):
        position = mol.intor_symmetric("int1e_r")
    electrons = np.einsum("xij,ji->x", position, matrix)
    return BOHR * (mol.atom_charges() @ mol.atom_coords() - electrons)


def fit_density_matrix(
    atoms: Atoms, mol, matrix: np.ndarray, calculation: Calculation, basis: DensityBasis
) -> np.ndarray:
    """Return the coefficients of a density matrix, (n_functions,)."""
    sites = Sites.of_atoms(atoms, basis)
    metric = calculation.density_metric
    projections = project(atoms, mol, matrix, metric, basis)
    constraints = [charges_of(sites)]
    totals = [float(mol.nelectron)]
    if calculation.conserve_dipole:
        constraints.extend(dipoles_of(sites).T)
        nuclei = mol.atom_charges() @ atoms.positions
        totals.extend(nuclei - orbital_dipole(mol, matrix))
    return solve_constrained(
        metric.matrix(atoms, basis),
        projections,
        np.array(constraints),
        np.array(totals),
    )


def project(
    atoms: Atoms, mol, matrix: np.ndarray, metric: DensityMetric, basis: DensityBasis
) -> np.ndarray:
    """Return the products of a density with every function in a metric."""
    numbers = set(atoms.numbers.tolist())
    tables = {chemical_symbols[z]: table_of_shells(basis.shells_of(z)) for z in numbers}
    auxiliary = import_pyscf("df").make_auxmol(mol, tables)
    places = places_in(PYSCF, basis, atoms.numbers)
    total = np.zeros(len(places))
    # functions in Å^(-3/2): the overlap of three and the repulsion, in 1/Å^3 and eV
    for weight, integral, unit in (
        (metric.overlap, "int3c1e", COEFFICIENT_UNIT),
        (metric.coulomb, "int3c2e", COULOMB_CONSTANT * BOHR**0.5),
    ):
        if weight:
            values = contract(mol, auxiliary, matrix, integral)
            total += weight * unit * values[places]
    return total


def contract(mol, auxiliary, matrix: np.ndarray, integral: str) -> np.ndarray:
    """Return integrals of three functions times a density matrix, in bounded memory."""
    joined = mol + auxiliary
    starts, n_orbitals = auxiliary.ao_loc_nr(), mol.nao_nr()
    largest = max(BLOCK_SIZE // n_orbitals**2, 1)
    values, shell = [], 0
    while shell < auxiliary.nbas:
        last = int(np.searchsorted(starts, starts[shell] + largest, side="right")) - 1
        last = max(last, shell + 1)
        part = (0, mol.nbas, 0, mol.nbas, mol.nbas + shell, mol.nbas + last)
        block = joined.intor(f"{integral}_sph", shls_slice=part)
        values.append(np.einsum("ijp,ij->p", block, matrix))
        shell = last
    return np.concatenate(values)
