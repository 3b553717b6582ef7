import itertools

import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences

from lodekit.electrostatics import CoulombInteraction, MultipoleInteraction
from lodekit.units import COULOMB_CONSTANT

FINE = 1e-10


def slab():
    atoms = triclinic(4)
    atoms.set_pbc([False, True, True])
    return atoms


CASES = {"periodic": triclinic(4), "tiny cell": triclinic(1), "slab": slab()}
CASES["open"] = cluster(4)


def random_moments(n_atoms, seed=0):
    rng = np.random.default_rng(seed)
    charges = rng.normal(size=n_atoms)
    charges -= charges.mean()
    tensors = rng.normal(size=(n_atoms, 3, 3))
    tensors += np.swapaxes(tensors, 1, 2)
    traces = np.trace(tensors, axis1=1, axis2=2)[:, None, None]
    return charges, rng.normal(size=(n_atoms, 3)), tensors - traces * np.eye(3) / 3.0


def mixed_widths(n_atoms):
    return np.resize([0.0, 0.3, 0.8], n_atoms)


def interaction_of(atoms, widths=0.0, **options):
    options = {"accuracy": FINE, **options}
    return MultipoleInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, widths, **options
    )


@pytest.mark.parametrize("name", CASES)
def test_charges_are_those_of_the_coulomb_interaction(name):
    atoms = CASES[name]
    widths = mixed_widths(len(atoms))
    charges = random_moments(len(atoms))[0]
    found = interaction_of(atoms, widths).compute(charges)
    coulomb = CoulombInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, widths, accuracy=1e-12
    )
    expected = coulomb.compute(charges)
    assert found.energy == pytest.approx(expected.energy, abs=1e-10)
    np.testing.assert_allclose(found.forces, expected.forces, atol=1e-9)
    np.testing.assert_allclose(
        found.strain_gradient, expected.strain_gradient, atol=1e-9
    )
    np.testing.assert_allclose(found.fields.potential, expected.potential, atol=1e-9)


def point_charges(charge, dipole, quadrupole, size):
    """Charges within ``size`` of the origin with these moments up to order size^2."""
    charges, positions = [charge], [np.zeros(3)]
    length = np.linalg.norm(dipole)
    if length > 0:
        charges += [0.5 * length / size, -0.5 * length / size]
        positions += [size * dipole / length, -size * dipole / length]
    values, axes = np.linalg.eigh(quadrupole)
    for value, axis in zip(values, axes.T, strict=True):
        charges += [value / 3.0 / size**2] * 2
        positions += [size * axis, -size * axis]
    return np.array(charges), np.array(positions)


PAIRS_OF_ORDERS = list(itertools.product(range(3), repeat=2))


@pytest.mark.parametrize("orders", PAIRS_OF_ORDERS)
@pytest.mark.parametrize("pbc", [True, (True, True, False), False])
def test_multipoles_are_limits_of_point_charges(orders, pbc):
    charges, dipoles, quadrupoles = random_moments(2, seed=4)
    kept = np.array([[order == n for n in range(3)] for order in orders])
    charges, dipoles = charges * kept[:, 0], dipoles * kept[:, 1, None]
    quadrupoles = quadrupoles * kept[:, 2, None, None]
    cell = np.array([[6.0, 1.0, 0.0], [0.5, 7.0, 0.0], [0.0, 0.0, 5.0]])
    centers = np.array([[0.0, 0.0, 0.0], [2.0, 1.5, 1.0]])

    def energy_of_points(size):
        parts = [
            point_charges(charges[n], dipoles[n], quadrupoles[n], size) for n in (0, 1)
        ]
        sites = np.concatenate(
            [center + part[1] for center, part in zip(centers, parts, strict=True)]
        )
        matrix = CoulombInteraction(sites, cell, pbc, accuracy=1e-12).dense()
        n_first = len(parts[0][0])
        return parts[0][0] @ matrix[:n_first, n_first:] @ parts[1][0]

    interaction = MultipoleInteraction(centers, cell, pbc, accuracy=FINE)
    packed = interaction.pack(charges, dipoles, quadrupoles)
    of_first = packed * [[1.0], [0.0]]
    felt = interaction.derivatives(centers, np.zeros(2), of_first)[0]
    found = packed[1] @ felt[1, :10]
    # the error of the points is of second order in their size
    coarse, fine, finest = (energy_of_points(size) for size in (0.2, 0.1, 0.05))
    once, twice = (4.0 * fine - coarse) / 3.0, (4.0 * finest - fine) / 3.0
    assert found == pytest.approx((16.0 * twice - once) / 15.0, rel=3e-6, abs=1e-6)


@pytest.mark.parametrize("orders", PAIRS_OF_ORDERS)
def test_interactions_fall_off_with_the_sum_of_orders(orders):
    charges, dipoles, quadrupoles = random_moments(2, seed=3)
    charges = np.array([1.0, -0.7]) * (np.array(orders) == 0)
    dipoles = dipoles * (np.array(orders) == 1)[:, None]
    quadrupoles = quadrupoles * (np.array(orders) == 2)[:, None, None]
    direction = np.array([0.6, 0.0, 0.8])
    energies = [
        MultipoleInteraction([np.zeros(3), distance * direction], None, False)
        .compute(charges, dipoles, quadrupoles)
        .energy
        for distance in (5.0, 10.0)
    ]
    slope = np.log2(energies[1] / energies[0])
    assert slope == pytest.approx(-(sum(orders) + 1), abs=1e-10)


def test_field_in_a_cubic_lattice_of_dipoles_is_that_of_lorentz():
    # H. A. Lorentz: 4 pi P / 3, in a sample surrounded by metal
    dipole = np.array([0.3, -0.2, 0.5])
    result = MultipoleInteraction(
        np.zeros((1, 3)), 4.0 * np.eye(3), True, accuracy=FINE
    ).compute(dipoles=[dipole])
    expected = 4.0 * np.pi / 3.0 * COULOMB_CONSTANT * dipole / 64.0
    np.testing.assert_allclose(result.fields.field[0], expected, rtol=1e-9)


def test_a_layer_of_dipoles_makes_a_step_of_4_pi_p():
    # 4 pi times the dipole per area between both sides
    interaction = MultipoleInteraction(
        np.zeros((1, 3)), 3.0 * np.eye(3), (True, True, False), accuracy=FINE
    )
    points = np.array([[0.4, 0.2, 9.0], [0.4, 0.2, -9.0]])
    potential = interaction.fields_at(points, dipoles=[[0.0, 0.0, 0.1]]).potential
    step = 4.0 * np.pi * COULOMB_CONSTANT * 0.1 / 9.0
    assert potential[0] - potential[1] == pytest.approx(step, rel=1e-7)


@pytest.mark.compiled
@pytest.mark.parametrize("name", CASES)
def test_forces_and_strain_are_derivatives(name):
    atoms = CASES[name]
    widths = mixed_widths(len(atoms))
    moments = random_moments(len(atoms))
    cell = atoms.cell.array

    def energy_at(positions, cell):
        interaction = MultipoleInteraction(
            positions, cell, atoms.pbc, widths, accuracy=FINE, cutoff=5.0
        )
        return interaction.compute(*moments).energy

    def strained(strain):
        deformation = np.eye(3) + strain
        return energy_at(atoms.positions @ deformation, cell @ deformation)

    found = interaction_of(atoms, widths).compute(*moments)
    expected = central_differences(lambda r: -energy_at(r, cell), atoms.positions, 1e-3)
    atol = 1e-8 * abs(expected).max() + 1e-9
    np.testing.assert_allclose(found.forces, expected, atol=atol)
    expected = central_differences(strained, np.zeros((3, 3)), 1e-3)
    atol = 1e-8 * abs(expected).max()
    np.testing.assert_allclose(found.strain_gradient, expected, atol=atol)


@pytest.mark.parametrize("name", CASES)
def test_fields_are_derivatives_by_moments(name):
    atoms = CASES[name]
    interaction = interaction_of(atoms, mixed_widths(len(atoms)))
    charges, dipoles, quadrupoles = random_moments(len(atoms))
    fields = interaction.compute(charges, dipoles, quadrupoles).fields
    # the energy is quadratic: central differences have no error
    change = random_moments(len(atoms), seed=7)
    up, down = (
        interaction.compute(
            charges + sign * change[0],
            dipoles + sign * change[1],
            quadrupoles + sign * change[2],
        ).energy
        for sign in (1.0, -1.0)
    )
    expected = (fields.potential * change[0]).sum()
    expected -= (fields.field * change[1]).sum()
    expected -= (fields.field_gradient * change[2]).sum() / 3.0
    assert 0.5 * (up - down) == pytest.approx(expected, rel=1e-9)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["periodic", "slab", "open"])
def test_fields_at_points_are_derivatives_of_the_potential(name):
    atoms = CASES[name]
    interaction = interaction_of(atoms, mixed_widths(4))
    moments = random_moments(4)
    points = atoms.positions[:2] + [[0.5, 0.4, -0.3], [-0.4, 0.5, 0.6]]
    found = interaction.fields_at(points, *moments)

    def at(points, what):
        return getattr(interaction.fields_at(points, *moments), what)

    for n in range(2):
        derivative = central_differences(
            lambda point: at(point[None], "potential")[0], points[n], 1e-3
        )
        np.testing.assert_allclose(found.field[n], -derivative, rtol=1e-7)
        derivative = central_differences(
            lambda point: at(point[None], "field")[0], points[n], 1e-3
        )
        scale = abs(derivative).max()
        np.testing.assert_allclose(
            found.field_gradient[n], derivative, atol=1e-7 * scale
        )


def test_potential_at_points_is_that_of_probes_without_charge():
    atoms = CASES["periodic"]
    widths = mixed_widths(4)
    charges = np.array([1.0, 2.0, -0.5, 0.3])  # and a background
    points = atoms.positions[:2] + [[0.5, 0.4, -0.3], [-0.4, 0.5, 0.6]]
    sites = np.concatenate([atoms.positions, points])
    coulomb = CoulombInteraction(
        sites, atoms.cell[:], True, np.append(widths, [0.0, 0.0]), accuracy=1e-12
    )
    expected = coulomb @ np.append(charges, [0.0, 0.0])
    found = interaction_of(atoms, widths).fields_at(points, charges)
    np.testing.assert_allclose(found.potential, expected[4:], atol=1e-9)


@pytest.mark.parametrize("name", ["periodic", "slab"])
def test_results_do_not_feel_the_split_and_turn_with_the_structure(name):
    atoms = CASES[name]
    charges, dipoles, quadrupoles = random_moments(4)
    expected = interaction_of(atoms, 0.2).compute(charges, dipoles, quadrupoles)
    rotation = random_rotation()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation)
    turned.positions = atoms.positions @ rotation + [1.0, 30.0, -2.0]
    moments = charges, dipoles @ rotation, rotation.T @ quadrupoles @ rotation
    for cutoff in (3.0, 8.0):
        found = interaction_of(turned, 0.2, cutoff=cutoff).compute(*moments)
        assert found.energy == pytest.approx(expected.energy, rel=1e-10)
        np.testing.assert_allclose(found.forces, expected.forces @ rotation, rtol=1e-7)
        np.testing.assert_allclose(
            found.strain_gradient,
            rotation.T @ expected.strain_gradient @ rotation,
            atol=1e-9 * abs(expected.energy),
        )


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-6, 1e-8])
def test_error_of_forces_is_within_the_accuracy(accuracy):
    atoms = triclinic(20)
    moments = random_moments(20)
    expected = interaction_of(atoms).compute(*moments).forces
    for cutoff in (3.0, 6.0):
        interaction = interaction_of(atoms, accuracy=accuracy, cutoff=cutoff)
        found = interaction.compute(*moments).forces
        error = np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))
        assert error < accuracy


def test_wrong_moments_and_points_are_refused():
    atoms = CASES["periodic"]
    interaction = interaction_of(atoms)
    with pytest.raises(ValueError, match=r"charges must have shape \(4,\), got \(3,\)"):
        interaction.compute([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"dipoles must have shape \(4, 3\)"):
        interaction.compute(dipoles=np.zeros((4, 2)))
    with pytest.raises(ValueError, match="must be symmetric and traceless"):
        interaction.compute(quadrupoles=np.tile(np.eye(3), (4, 1, 1)))
    with pytest.raises(ValueError, match="point 2 sits on atom 3"):
        interaction.fields_at(atoms.positions[[0, 2]] + [[0.5, 0, 0], [0, 0, 0]])
    with pytest.raises(ValueError, match="a slab with the net charge 4 e"):
        interaction_of(CASES["slab"]).compute(np.ones(4))
    with pytest.raises(ValueError, match="accuracy must be between"):
        interaction_of(atoms, accuracy=2.0)


def test_no_atoms():
    interaction = MultipoleInteraction(np.zeros((0, 3)), 3.0 * np.eye(3), True)
    result = interaction.compute(np.zeros(0))
    assert result.energy == 0.0
    assert result.fields.field.shape == (0, 3)
