import numpy as np
import pytest
from ase import Atoms
from small_bases import rotated_coefficients, rotation_of

from lodekit.density import DensityMetric, ElectronDensity, load_basis
from lodekit.density.density_run import DensityRun
from lodekit.density.pyscf_density import (
    Calculation,
    NotConverged,
    calculate_density,
)
from lodekit.density.pyscf_molecule import multiplicity_of
from lodekit.errors import (
    BasisError,
    SettingsError,
    StructureError,
)
from lodekit.units import BOHR, HARTREE

gto = pytest.importorskip("pyscf.gto")
HARTREE_FOCK = Calculation("hf", "def2-svp")


def water():
    positions = [[0.0, 0.0, 0.1], [0.8, 0.1, 0.6], [-0.7, -0.1, 0.7]]
    return Atoms("OH2", positions)


@pytest.fixture(scope="module")
def basis():
    return load_basis("def2-universal-jfit", [1, 8])


@pytest.fixture(scope="module")
def calculated(basis):
    return calculate_density(water(), HARTREE_FOCK, basis)


@pytest.fixture(scope="module")
def orbitals():
    """Molecule and density matrix of the same calculation, by PySCF alone."""
    from pyscf import scf

    atoms = water()
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions / BOHR, strict=True)),
        unit="Bohr",
        basis="def2-svp",
        verbose=0,
    )
    mean_field = scf.RHF(mol).density_fit().run(conv_tol=1e-9)
    return mol, mean_field.make_rdm1()


def test_energy_and_dipole_are_those_of_pyscf(calculated, orbitals):
    mol, matrix = orbitals
    with mol.with_common_origin((0.0, 0.0, 0.0)):
        electrons = np.einsum("xij,ji->x", mol.intor("int1e_r"), matrix)
    dipole = BOHR * (mol.atom_charges() @ mol.atom_coords() - electrons)
    np.testing.assert_allclose(calculated.dipole, dipole, atol=1e-6)


def test_a_fitted_density_is_that_of_the_orbitals(basis, calculated, orbitals):
    mol, matrix = orbitals
    density = ElectronDensity(water(), basis, calculated.coefficients)
    points = np.random.default_rng(0).normal(size=(400, 3))
    values = mol.eval_gto("GTOval", points / BOHR)
    exact = np.einsum("pi,ij,pj->p", values, matrix, values) / BOHR**3
    error = abs(density.values(points) - exact).sum() / exact.sum()
    assert error < 0.03  # 1.5 % of the density for this basis, as others have found
    assert density.n_electrons == pytest.approx(10.0, abs=1e-11)
    np.testing.assert_allclose(density.dipole(), calculated.dipole, atol=0.02)


def test_hartree_and_nuclear_energies_are_those_of_pyscf(basis, calculated, orbitals):
    mol, matrix = orbitals
    density = ElectronDensity(water(), basis, calculated.coefficients)
    repulsion = np.einsum("ijkl,ij,kl", mol.intor("int2e"), matrix, matrix)
    attraction = np.einsum("ij,ij", mol.intor("int1e_nuc"), matrix)
    assert density.hartree_energy() == pytest.approx(
        0.5 * HARTREE * repulsion, rel=5e-4
    )
    assert density.nuclear_attraction() == pytest.approx(HARTREE * attraction, rel=1e-3)
    total = density.hartree_energy() + density.nuclear_attraction()
    assert density.electrostatic_energy() - total == pytest.approx(
        HARTREE * mol.energy_nuc(), rel=1e-9
    )


def test_the_fit_of_a_rotated_molecule_has_rotated_coefficients(basis, calculated):
    rotation = rotation_of(2)
    atoms = water()
    atoms.positions = atoms.positions @ rotation.T
    turned = calculate_density(atoms, HARTREE_FOCK, basis)
    expected = rotated_coefficients(atoms, basis, calculated.coefficients, rotation)
    # as far as the self-consistent field has converged
    metric = DensityMetric().matrix(atoms, basis)
    difference = turned.coefficients - expected
    assert difference @ metric @ difference < 1e-10
    assert turned.energy == pytest.approx(calculated.energy, abs=1e-6)


@pytest.mark.parametrize("metric", ["coulomb", "overlap"])
def test_a_fit_is_least_in_its_metric(basis, metric):
    calculation = Calculation("hf", "def2-svp", metric=metric, conserve_dipole=True)
    result = calculate_density(water(), calculation, basis)
    density = ElectronDensity(water(), basis, result.coefficients)
    np.testing.assert_allclose(density.dipole(), result.dipole, atol=1e-10)
    assert density.n_electrons == pytest.approx(10.0, abs=1e-11)


def test_a_field_moves_electrons_against_it(basis):
    field = 0.2
    up, down = (
        calculate_density(
            water(), Calculation("hf", "def2-svp", field=(0, 0, sign)), basis
        )
        for sign in (field, -field)
    )
    assert up.dipole[2] > down.dipole[2]
    # dE/dF = -dipole, central difference
    slope = (up.energy - down.energy) / (2.0 * field)
    assert slope == pytest.approx(-0.5 * (up.dipole + down.dipole)[2], abs=1e-4)


def test_elements_with_a_pseudopotential_have_fewer_electrons():
    atoms = Atoms("IH", [[0.0, 0.0, 0.0], [0.0, 0.0, 1.6]])
    basis = load_basis("def2-universal-jfit", [1, 53])
    result = calculate_density(atoms, Calculation("hf", "def2-svp"), basis)
    np.testing.assert_array_equal(result.nuclear_charges, [25.0, 1.0])
    density = ElectronDensity(atoms, basis, result.coefficients, result.nuclear_charges)
    assert density.charge == pytest.approx(0.0, abs=1e-10)


def test_charge_and_multiplicity_come_from_the_frame(basis):
    atoms = water()
    atoms.info["total_charge"] = 1
    result = calculate_density(atoms, HARTREE_FOCK, basis)  # a doublet
    density = ElectronDensity(atoms, basis, result.coefficients)
    assert density.charge == pytest.approx(1.0, abs=1e-10)


@pytest.mark.parametrize(
    ("info", "n_electrons", "expected"),
    [({}, 10, 1), ({}, 9, 2), ({"spin_multiplicity": 3}, 10, 3), ({"spin": 2}, 9, 2)],
)
def test_the_multiplicity_is_that_of_the_frame_or_the_lowest(
    info, n_electrons, expected
):
    atoms = Atoms("H", info=info)
    assert multiplicity_of(atoms, n_electrons) == expected


@pytest.mark.parametrize("value", [0, 1, 2.5, "high"])
def test_a_multiplicity_that_does_not_go_with_the_electrons_is_refused(value):
    atoms = Atoms("H", info={"spin": value})
    with pytest.raises(StructureError, match=r"spin = .* does not go with 9 electrons"):
        multiplicity_of(atoms, 9)


def test_periodic_structures_and_parts_of_electrons_are_refused(basis):
    atoms = water()
    atoms.info["total_charge"] = 0.5
    with pytest.raises(StructureError, match="must be a whole number, got 0.5 e"):
        calculate_density(atoms, HARTREE_FOCK, basis)
    atoms.cell, atoms.pbc = 5.0 * np.eye(3), True
    with pytest.raises(StructureError, match="calculated for open structures"):
        calculate_density(atoms, HARTREE_FOCK, basis)


def test_a_field_that_does_not_converge_is_an_error(basis):
    calculation = Calculation("hf", "def2-svp", max_cycles=1)
    with pytest.raises(NotConverged, match="did not converge in 1 iterations"):
        calculate_density(water(), calculation, basis)


def test_names_that_pyscf_does_not_know_are_refused(basis, tmp_path):
    with pytest.raises(BasisError, match="PySCF has no basis 'nonsense' for"):
        calculate_density(water(), Calculation("hf", "nonsense"), basis)
    with pytest.raises(SettingsError, match="PySCF has no functional 'nonsense'"):
        DensityRun(
            [water()], Calculation("nonsense", "def2-svp"), basis, tmp_path / "a"
        )
    with pytest.raises(SettingsError, match="coulomb or overlap, got 'other'"):
        _ = Calculation("hf", "def2-svp", metric="other").density_metric
