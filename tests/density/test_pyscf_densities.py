import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from small_bases import bent_molecule, rotated_coefficients, rotation_of

from lodekit.density import DensityMetric, DensitySet, ElectronDensity, load_basis
from lodekit.density import density_run as runs
from lodekit.density.density_run import DensityRun
from lodekit.density.pyscf_density import (
    CalculatedDensity,
    Calculation,
    NotConverged,
    calculate_density,
)
from lodekit.density.pyscf_molecule import multiplicity_of
from lodekit.errors import (
    BasisError,
    DensityFileError,
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


# A run over frames; a stub stands for the calculation.


def invented(atoms, calculation, basis):
    """Coefficients that tell frames apart; frames with a label do not converge."""
    if "bad" in atoms.info:
        raise NotConverged("no")
    values = np.full(basis.size(atoms.numbers), atoms.positions.sum())
    return CalculatedDensity(values, -1.0, np.zeros(3), atoms.numbers.astype(float))


@pytest.fixture
def frames():
    frames = [water() for _ in range(4)]
    for index, atoms in enumerate(frames):
        atoms.positions[0, 0] += 0.01 * index + 1e-12
        atoms.calc = SinglePointCalculator(atoms, energy=5.0)
    return frames


@pytest.fixture
def run(monkeypatch, basis, tmp_path):
    """A function that makes a run with a stub calculation."""
    monkeypatch.setattr(runs, "calculate_density", invented)

    def make(frames, calculation=HARTREE_FOCK, **settings):
        path = tmp_path / "d.npz"
        return DensityRun(frames, calculation, basis, path, **settings)

    return make


def test_an_interrupted_run_continues_where_it_was(run, frames, monkeypatch, tmp_path):
    first = run(frames)
    calculated = []

    def interrupted(atoms, calculation, basis):
        if len(calculated) == 2:
            raise KeyboardInterrupt
        calculated.append(atoms)
        return invented(atoms, calculation, basis)

    monkeypatch.setattr(runs, "calculate_density", interrupted)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    assert len(DensitySet.load(tmp_path / "d.npz")) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["d.npz"]
    monkeypatch.setattr(runs, "calculate_density", invented)
    second = run(frames)
    assert second.n_finished == 2
    densities = second.run()
    for atoms, values in zip(frames, densities.coefficients, strict=True):
        np.testing.assert_allclose(values, np.round(atoms.positions, 8).sum())
    assert densities.frames[3].calc.results["energy"] == -1.0


def test_frames_that_do_not_converge_are_left_out_and_named(run, frames):
    frames[1].info["bad"] = True
    first = run(frames)
    assert len(first.run()) == 3
    with pytest.raises(
        NotConverged, match=r"1 of 4 frames did not converge .* frames 2;"
    ):
        first.check()
    del frames[1].info["bad"]
    second = run(frames)
    assert len(second.run()) == 4
    second.check()
    positions = [atoms.positions[0, 0] for atoms in DensitySet.load(second.path).frames]
    np.testing.assert_allclose(positions, [0.0, 0.01, 0.02, 0.03], atol=1e-8)


def test_a_file_that_was_made_in_another_way_is_refused(run, frames, tmp_path):
    run(frames).run()
    with pytest.raises(DensityFileError, match=r"other settings \(metric\); choose"):
        run(frames, Calculation("hf", "def2-svp", metric="overlap"))
    with pytest.raises(DensityFileError, match="frame 4 .* not among the structures"):
        run(frames[:3])
    assert run(frames[:3], overwrite=True).n_finished == 0


def test_a_longer_file_of_structures_continues_a_run(run, frames):
    run(frames[:2]).run()
    assert run(frames).n_finished == 2


def test_a_frame_that_cannot_be_calculated_is_named(run, frames, monkeypatch):
    def refuse(atoms, calculation, basis):
        raise StructureError("no")

    monkeypatch.setattr(runs, "calculate_density", refuse)
    with pytest.raises(StructureError, match=r"frame 1 \(index 0\): no"):
        run(frames).run()


def test_charge_and_spin_tell_frames_apart(frames):
    keys = {runs.frame_key(atoms) for atoms in frames}
    for info in ({"total_charge": 1}, {"spin": 3}):
        atoms = bent_molecule()
        atoms.positions = frames[0].positions
        atoms.info = info
        keys.add(runs.frame_key(atoms))
    assert len(keys) == 6
