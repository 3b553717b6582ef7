import pathlib

import ase.io
import numba
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from ase.stress import full_3x3_to_voigt_6_stress
from crystals import cluster, random_rotation, rock_salt, triclinic
from finite_differences import central_differences
from lattice_sums import periodic_matrix, slab_matrix
from scipy import special
from scipy.sparse.linalg import aslinearoperator

from lodekit.electrostatics import CoulombInteraction
from lodekit.threads import limit_threads
from lodekit.units import COULOMB_CONSTANT

FINE = 1e-12
SLAB = (True, True, False)
SHARED = pathlib.Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
FRAMES = SHARED / "coulomb_test_frames" / "frames.xyz"


def interaction_of(atoms, widths=0.0, accuracy=FINE, **options):
    return CoulombInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, widths, accuracy=accuracy, **options
    )


def fluorite():
    return crystal(
        ["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=225, cellpar=[5.0] * 3
    )


#: Structure, charges by species, and the Madelung constant for the nearest distance:
#: Y. Sakamoto, J. Chem. Phys. 28, 164 (1958); fluorite for the charges themselves.
#: Wurtzite with ideal axes and u = 3/8.
CRYSTALS = {
    "NaCl": (bulk("NaCl", "rocksalt", a=5.0), {11: 1, 17: -1}, 1.747564594633),
    "CsCl": (bulk("CsCl", "cesiumchloride", a=3.0), {55: 1, 17: -1}, 1.762674773071),
    "ZnS": (bulk("ZnS", "zincblende", a=5.0), {30: 1, 16: -1}, 1.638055053389),
    "wurtzite": (
        bulk("ZnS", "wurtzite", a=4.0, c=4.0 * np.sqrt(8.0 / 3.0), u=0.375),
        {30: 1, 16: -1},
        1.641321627,
    ),
    "CaF2": (fluorite(), {20: 2, 9: -1}, 5.038784880),
}


@pytest.mark.parametrize("name", CRYSTALS)
def test_madelung_constants(name):
    atoms, charges_of, madelung = CRYSTALS[name]
    charges = np.array([charges_of[number] for number in atoms.numbers], dtype=float)
    energy = interaction_of(atoms).energy(charges) / COULOMB_CONSTANT
    distances = atoms.get_all_distances(mic=True)
    nearest = distances[distances > 0.1].min()
    n_formulas = (charges > 0).sum()
    assert -energy * nearest / n_formulas == pytest.approx(madelung, abs=2e-9)


def test_one_charge_in_a_cube_with_its_background():
    # M. Leslie and M. J. Gillan, J. Phys. C 18, 973 (1985): 2.837297
    interaction = CoulombInteraction(
        [[1.0, 2, 3]], 7.0 * np.eye(3), True, accuracy=FINE
    )
    energy = interaction.energy([1.0])
    assert energy == pytest.approx(-2.8372974795 * COULOMB_CONSTANT / 14.0, rel=1e-10)


def slab_of(n_atoms=6):
    atoms = triclinic(n_atoms)
    cell = atoms.cell.array.copy()
    cell[0, 2] = cell[1, 2] = 0.0
    atoms.set_cell(cell)
    atoms.set_pbc(SLAB)
    return atoms


def mixed_widths(n_atoms):
    return np.resize([0.0, 0.3, 0.9], n_atoms)


@pytest.mark.parametrize("net_charge", [0.0, 1.0])
def test_open_is_the_limit_of_a_large_cell(net_charge):
    # G. Makov and M. C. Payne, Phys. Rev. B 51, 4014 (1995): with the images the energy
    # is lower by 2.837297 q^2 / 2 L and, with the field of Lorentz at a dipole and the
    # background of a charge, by 2 pi (d^2 - q sum_i q_i r_i^2) / 3 L^3
    atoms = cluster(6)
    positions = atoms.positions - atoms.positions.mean(axis=0)
    charges = np.random.default_rng(5).normal(size=6)
    charges += (net_charge - charges.sum()) / 6.0
    energy = CoulombInteraction(positions, None, False).energy(charges)
    dipole, second = charges @ positions, charges @ (positions**2).sum(axis=1)
    moments = dipole @ dipole - net_charge * second
    rests = []
    for length in (30.0, 60.0):
        cell = length * np.eye(3)
        periodic = CoulombInteraction(positions, cell, True, accuracy=FINE)
        rest = periodic.energy(charges) - energy
        rest += 2.8372974795 * COULOMB_CONSTANT * net_charge**2 / (2.0 * length)
        rest += 2.0 * np.pi / 3.0 * COULOMB_CONSTANT * moments / length**3
        rests.append(rest)
    assert abs(rests[0]) < 1e-3
    # what is left falls as 1/L^5: by 32
    assert abs(rests[1]) < abs(rests[0]) / 25.0 + 1e-9


@pytest.mark.skipif(
    not FRAMES.exists(), reason="the shared data sets are not in ../shared/data"
)
def test_energy_forces_and_stress_of_gromacs():
    # smooth particle mesh by GROMACS, 1e-5 of the energy; its virial is half the
    # derivative by strain
    for atoms in ase.io.read(FRAMES, ":"):
        results = atoms.calc.results
        found = interaction_of(atoms).compute(atoms.get_initial_charges())
        assert found.energy == pytest.approx(results["energy"], rel=2e-5)
        np.testing.assert_allclose(found.forces, results["forces"], atol=5e-4)
        strain = full_3x3_to_voigt_6_stress(found.strain_gradient)
        np.testing.assert_allclose(strain, 2.0 * results["stress"], atol=1e-3)


CASES = {
    "periodic": triclinic(6),
    "tiny cell": triclinic(1),
    "slab": slab_of(6),
    "slab of one atom": slab_of(1),
    "open": cluster(6),
}


@pytest.mark.parametrize("cutoff", [2.5, 7.0, None])
@pytest.mark.parametrize("name", ["periodic", "tiny cell"])
def test_periodic_matrix_is_an_ewald_sum(name, cutoff):
    atoms = CASES[name]
    widths = mixed_widths(len(atoms))
    expected = periodic_matrix(atoms.positions, atoms.cell.array, widths)
    matrix = interaction_of(atoms, widths, cutoff=cutoff).dense()
    np.testing.assert_allclose(matrix / COULOMB_CONSTANT, expected, atol=2e-11)


@pytest.mark.parametrize("cutoff", [2.5, 7.0, None])
@pytest.mark.parametrize("name", ["slab", "slab of one atom"])
def test_slab_matrix_is_the_two_dimensional_ewald_sum(name, cutoff):
    atoms = CASES[name]
    widths = mixed_widths(len(atoms))
    expected = slab_matrix(atoms.positions, atoms.cell.array, widths)
    matrix = interaction_of(atoms, widths, cutoff=cutoff).dense()
    np.testing.assert_allclose(matrix / COULOMB_CONSTANT, expected, atol=2e-11)


def test_open_matrix_is_the_plain_sum():
    atoms = cluster(6)
    widths = mixed_widths(6)
    matrix = interaction_of(atoms, widths).dense() / COULOMB_CONSTANT
    distances = atoms.get_all_distances()
    for i, j in np.argwhere(~np.eye(6, dtype=bool)):
        spread = np.hypot(widths[i], widths[j])
        shielding = special.erf(distances[i, j] / np.sqrt(2) / spread) if spread else 1
        assert matrix[i, j] == pytest.approx(shielding / distances[i, j], rel=1e-14)
    own = [0.0 if width == 0 else 1.0 / np.sqrt(np.pi) / width for width in widths]
    np.testing.assert_allclose(np.diag(matrix), own, rtol=1e-14)


def test_coincident_gaussians_of_open_systems_touch_smoothly():
    positions = np.array([[0.0, 0, 0], [0, 0, 0.0]])
    for distance in (0.0, 1e-4, 0.03, 0.05):
        positions[1, 2] = distance
        matrix = CoulombInteraction(positions, None, False, 0.5).dense()
        spread = np.sqrt(0.5)
        x = distance / spread
        series = np.sqrt(2 / np.pi) / spread * (1 - x**2 / 6 + x**4 / 40 - x**6 / 336)
        assert matrix[0, 1] / COULOMB_CONSTANT == pytest.approx(series, rel=1e-12)


def test_slab_is_the_limit_of_thick_vacuum():
    # I.-C. Yeh and M. L. Berkowitz, J. Chem. Phys. 111, 3155 (1999)
    atoms = slab_of(6)
    charges = np.random.default_rng(3).normal(size=6)
    charges -= charges.mean()
    energy = interaction_of(atoms).energy(charges)
    cell = atoms.cell.array.copy()
    cell[2] = [0.0, 0.0, 60.0]
    periodic = CoulombInteraction(atoms.positions, cell, True, accuracy=FINE)
    dipole = charges @ atoms.positions[:, 2]
    correction = 2.0 * np.pi * COULOMB_CONSTANT * dipole**2 / abs(np.linalg.det(cell))
    assert energy == pytest.approx(periodic.energy(charges) + correction, abs=1e-9)


def test_potential_drops_by_4_pi_sigma_d_between_two_charged_sheets():
    # nine charges a sheet of 1 Å^2 meshes: atomic detail is gone 8 Å away
    grid = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0)), axis=-1).reshape(-1, 2)
    heights = (0.0, 5.0)
    sheets = [np.column_stack([grid, np.full(9, height)]) for height in heights]
    probes = np.array([[0.2, 0.1, -8.0], [0.2, 0.1, 13.0]])
    positions = np.concatenate([*sheets, probes])
    charges = np.repeat([0.1, -0.1, 0.0], [9, 9, 2])
    interaction = CoulombInteraction(positions, 3.0 * np.eye(3), SLAB, accuracy=FINE)
    potential = interaction @ charges
    drop = 4.0 * np.pi * COULOMB_CONSTANT * 0.1 * 5.0
    assert potential[-2] - potential[-1] == pytest.approx(drop, rel=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_products_are_those_of_the_matrix(name):
    atoms = CASES[name]
    rng = np.random.default_rng(4)
    interaction = interaction_of(atoms, mixed_widths(len(atoms)))
    matrix = interaction.dense()
    np.testing.assert_array_equal(matrix, matrix.T)
    vectors = rng.normal(size=(len(atoms), 3))
    np.testing.assert_allclose(interaction @ vectors, matrix @ vectors, atol=1e-12)
    one = vectors[:, 0]
    np.testing.assert_allclose(interaction @ one, matrix @ one, atol=1e-12)
    operator = aslinearoperator(interaction)
    np.testing.assert_allclose(operator @ one, matrix @ one, atol=1e-12)


def gradients_by_differences(atoms, widths, left, right):
    def product(positions, cell):
        interaction = CoulombInteraction(
            positions, cell, atoms.pbc, widths, accuracy=FINE, cutoff=5.0
        )
        return left @ (interaction @ right)

    cell = atoms.cell.array
    positions = central_differences(lambda r: product(r, cell), atoms.positions, 1e-3)

    def strained(strain):
        deformation = np.eye(3) + strain
        return product(atoms.positions @ deformation, cell @ deformation)

    return positions, central_differences(strained, np.zeros((3, 3)), 1e-3)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_derivatives(name):
    atoms = CASES[name]
    widths = mixed_widths(len(atoms))
    left, right = np.random.default_rng(5).normal(size=(2, len(atoms)))
    expected = gradients_by_differences(atoms, widths, left, right)
    found = interaction_of(atoms, widths).gradients(left, right)
    for one, other in zip(found, expected, strict=True):
        scale = abs(other).max() + 1e-3
        np.testing.assert_allclose(one, other, atol=1e-8 * scale)


def test_gradients_of_a_slab_that_is_not_in_the_xy_plane():
    atoms = triclinic(4)
    atoms.set_pbc([False, True, True])
    left, right = np.random.default_rng(5).normal(size=(2, 4))
    expected = gradients_by_differences(atoms, 0.0, left, right)
    found = interaction_of(atoms).gradients(left, right)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8 * abs(other).max())


@pytest.mark.parametrize("name", CASES)
def test_one_call_gives_energy_potential_forces_and_strain(name):
    atoms = CASES[name]
    charges = np.random.default_rng(6).normal(size=len(atoms))
    charges -= charges.mean()
    interaction = interaction_of(atoms, 0.4)
    result = interaction.compute(charges)
    positions, strain = interaction.gradients(charges, charges)
    assert result.energy == pytest.approx(interaction.energy(charges), abs=1e-12)
    np.testing.assert_allclose(result.potential, interaction @ charges, atol=1e-12)
    np.testing.assert_allclose(result.forces, -0.5 * positions, atol=1e-12)
    np.testing.assert_allclose(result.strain_gradient, 0.5 * strain, atol=1e-12)
    np.testing.assert_allclose(result.forces.sum(axis=0), 0.0, atol=1e-11)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["periodic", "slab", "open"])
def test_fields_are_forces_per_charge_and_derivatives_of_the_potential(name):
    atoms = CASES[name]
    charges = np.array([1.0, -0.5, 0.7, -1.1, 0.3, -0.4])
    interaction = interaction_of(atoms, mixed_widths(6), accuracy=1e-10)
    result, fields = interaction.compute(charges), interaction.fields(charges)
    np.testing.assert_allclose(fields.potential, result.potential, atol=1e-8)
    forces = charges[:, None] * fields.field
    np.testing.assert_allclose(forces, result.forces, atol=1e-8)
    point = atoms.positions[0] + [0.4, 0.5, -0.3]
    found = interaction.fields_at(point[None], charges)
    expected = central_differences(
        lambda r: interaction.fields_at(r[None], charges).potential[0], point, 1e-3
    )
    np.testing.assert_allclose(found.field[0], -expected, rtol=1e-7)


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
@pytest.mark.parametrize("widths", [0.0, 0.6])
def test_error_of_forces_is_the_accuracy(accuracy, widths):
    atoms = rock_salt(2, rattle=0.2)
    charges = np.where(atoms.numbers == 11, 1.0, -1.0)
    expected = interaction_of(atoms, widths, cutoff=6.0).compute(charges).forces
    scale = np.sqrt(np.mean(expected**2))
    for cutoff in (4.0, 7.0, None):
        found = interaction_of(atoms, widths, accuracy, cutoff=cutoff).compute(charges)
        error = np.sqrt(np.mean((found.forces - expected) ** 2)) / scale
        assert error < accuracy


@pytest.mark.parametrize("cutoff", [3.0, 9.0])
def test_a_net_charge_does_not_feel_the_split(cutoff):
    atoms = triclinic(4)
    charges = np.array([1.0, 0.5, -0.2, 1.3])
    expected = interaction_of(atoms, 0.3, cutoff=5.0).energy(charges)
    found = interaction_of(atoms, 0.3, cutoff=cutoff).energy(charges)
    assert found == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("name", ["periodic", "slab"])
def test_energies_are_extensive(name):
    atoms = CASES[name]
    repeat = (2, 1, 2) if name == "periodic" else (2, 2, 1)
    charges = np.linspace(-1.0, 1.0, len(atoms))
    copies = atoms.repeat(repeat)
    large = interaction_of(copies, 0.3).compute(np.tile(charges, 4))
    small = interaction_of(atoms, 0.3).compute(charges)
    assert large.energy == pytest.approx(4.0 * small.energy, rel=1e-10)
    np.testing.assert_allclose(large.forces[: len(atoms)], small.forces, atol=1e-9)
    np.testing.assert_allclose(
        large.strain_gradient, 4.0 * small.strain_gradient, atol=1e-9
    )


@pytest.mark.parametrize("name", ["periodic", "slab"])
def test_rotations_shifts_and_images_change_nothing(name):
    atoms = CASES[name]
    charges = np.linspace(-1.0, 1.0, len(atoms))
    expected = interaction_of(atoms).compute(charges)
    rotation = random_rotation()
    moved = atoms.copy()
    moved.positions[1] += 3 * atoms.cell[0] - atoms.cell[1]
    moved.positions += [0.3, -20.0, 5.0]
    moved.set_cell(moved.cell.array @ rotation)
    moved.positions = moved.positions @ rotation
    found = interaction_of(moved).compute(charges)
    assert found.energy == pytest.approx(expected.energy, rel=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces @ rotation, atol=1e-9)
    np.testing.assert_allclose(
        found.strain_gradient,
        rotation.T @ expected.strain_gradient @ rotation,
        atol=1e-9,
    )


def test_large_cells_find_pairs_on_the_fly():
    # wide enough for a grid of cells, with atoms outside of the cell
    atoms = triclinic(300)
    rng = np.random.default_rng(8)
    left, right = rng.normal(size=(2, 300))
    atoms.positions += rng.integers(-2, 3, size=(300, 3)) @ atoms.cell.array
    near = interaction_of(atoms, 0.2, accuracy=1e-6, cutoff=4.5).parts[0]
    assert near.grid is not None
    on_the_fly = near.gradients(left, right)
    near.grid = None
    listed = near.gradients(left, right)
    for one, other in zip(on_the_fly, listed, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_results_do_not_depend_on_the_number_of_threads():
    atoms = triclinic(300)
    charges = np.random.default_rng(8).normal(size=300)
    results = []
    for n_threads in (1, numba.config.NUMBA_NUM_THREADS):
        with limit_threads(n_threads):
            interaction = interaction_of(atoms, 0.2, accuracy=1e-5, cutoff=4.5)
            results.append(interaction.parts[0].gradients(charges, charges))
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_atoms():
    empty = np.zeros((0, 3))
    for pbc in (True, SLAB, False):
        interaction = CoulombInteraction(empty, 3.0 * np.eye(3), pbc)
        assert interaction.dense().shape == (0, 0)
        assert interaction.energy(np.zeros(0)) == 0.0
        result = interaction.compute(np.zeros(0))
        assert result.forces.shape == (0, 3)
        np.testing.assert_array_equal(result.strain_gradient, np.zeros((3, 3)))


def test_one_point_charge_alone_has_no_energy():
    result = CoulombInteraction([[1.0, 2.0, 3.0]], None, False).compute([2.0])
    assert result.energy == 0.0
    np.testing.assert_array_equal(result.forces, np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pbc": [True, False, False]}, "0, 2 or 3 periodic directions, got 1"),
        ({"cell": np.diag([4.0, 4.0, 0.0])}, "give the cell or set pbc to F"),
        ({"cell": [[4, 0, 0], [0, 4, 0], [4, 4, 0]]}, "the volume is zero"),
        ({"positions": np.zeros((2, 2))}, r"shape \(n_atoms, 3\), got \(2, 2\)"),
        ({"positions": [[0, 0, np.nan], [1, 1, 1]]}, "positions hold numbers that"),
        ({"positions": np.zeros((2, 3))}, "atoms 1 and 2 are on top of each other"),
        ({"widths": [1.0, 2.0, 3.0]}, r"have shape \(2,\), got \(3,\)"),
        ({"widths": -1.0}, "must be finite and not negative"),
        ({"accuracy": 1e-20}, "accuracy must be between 1e-12 and 0.1, got 1e-20"),
    ],
)
def test_what_is_undefined_is_refused(changes, message):
    arguments = {
        "positions": [[0.0, 0, 0], [1, 1, 1]],
        "cell": 4.0 * np.eye(3),
        "pbc": True,
    }
    with pytest.raises(ValueError, match=message):
        CoulombInteraction(**{**arguments, **changes})


def test_point_charges_on_top_of_each_other_are_refused_in_open_systems():
    with pytest.raises(ValueError, match="atoms 1 and 2 are on top of each other"):
        CoulombInteraction(np.zeros((2, 3)), None, False).dense()


def test_energy_of_a_charged_slab_is_refused():
    interaction = interaction_of(slab_of(2))
    with pytest.raises(ValueError, match="net charge 3 e has no finite energy"):
        interaction.energy([1.0, 2.0])
    with pytest.raises(ValueError, match="net charge 3 e has no finite energy"):
        interaction.compute([1.0, 2.0])
    assert np.isfinite(interaction @ [1.0, 2.0]).all()


def test_charges_of_a_wrong_shape_are_refused():
    interaction = CoulombInteraction(Atoms("H2O").positions + np.eye(3), None, False)
    with pytest.raises(ValueError, match=r"shape \(3,\), one per atom, got \(2,\)"):
        interaction.energy([1.0, 2.0])
