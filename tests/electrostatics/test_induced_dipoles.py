"""Induced dipoles against closed forms, finite differences and the direct solution."""

import numpy as np
import pytest
from crystals import cluster, triclinic
from finite_differences import central_differences, strained

from lodekit.electrostatics import InducedDipoles, PolarizationCatastrophe
from lodekit.units import COULOMB_CONSTANT, FOUR_PI

FIELD = np.array([0.3, -0.2, 0.5])


def lattice(share, n=1):
    """A cubic lattice of points with 4 pi a / 3 V = share."""
    side = 3.0
    polarizability = share * 3.0 * side**3 / FOUR_PI
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1)
    positions = side * grid.reshape(-1, 3)
    return InducedDipoles(
        positions,
        n * side * np.eye(3),
        [True] * 3,
        np.full(len(positions), polarizability),
        widths=0.0,
        accuracy=1e-10,
    )


@pytest.mark.parametrize(("share", "epsilon"), [(0.25, 2.0), (0.5, 4.0)])
def test_cubic_lattices_obey_clausius_and_mossotti(share, epsilon):
    """(eps - 1) / (eps + 2) = 4 pi a / 3 V; the first order has 1.75 and 2.5."""
    system = lattice(share)
    volume = np.linalg.det(system.interaction.boundary.cell)
    found = np.eye(3) + FOUR_PI * system.susceptibility() / volume
    np.testing.assert_allclose(found, epsilon * np.eye(3), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 2])
def test_two_atoms_have_the_response_of_the_closed_form(axis):
    """a_parallel = 2 a / (1 - 2 a / r^3), a_perpendicular = 2 a / (1 + a / r^3)."""
    a, r = 1.3, 2.4
    positions = np.zeros((2, 3))
    positions[1, axis] = r
    system = InducedDipoles(positions, np.zeros((3, 3)), False, [a, a], widths=0.0)
    found = np.diag(system.susceptibility())
    expected = np.full(3, 2.0 * a / (1.0 + a / r**3))
    expected[axis] = 2.0 * a / (1.0 - 2.0 * a / r**3)
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def polarizable(atoms, **arguments):
    n_atoms = len(atoms)
    tensors = np.random.default_rng(1).normal(size=(n_atoms, 3, 3))
    tensors = 0.4 * np.eye(3) + 0.05 * np.einsum("iab,icb->iac", tensors, tensors)
    return InducedDipoles(
        atoms.positions, atoms.cell[:], atoms.pbc, tensors, accuracy=1e-10, **arguments
    )


def sources(n_atoms):
    generator = np.random.default_rng(2)
    charges = generator.normal(size=n_atoms)
    return charges - charges.mean(), 0.3 * generator.normal(size=(n_atoms, 3))


CASES = {"open": cluster(4), "periodic": triclinic(4)}


@pytest.mark.parametrize("name", CASES)
def test_dipoles_make_the_energy_least(name):
    atoms = CASES[name]
    system = polarizable(atoms)
    charges, permanent = sources(len(atoms))
    found = system.solve(charges, permanent, FIELD)
    change = found.dipoles - permanent
    moments = system.interaction.pack(charges, found.dipoles, None)
    felt = system.felt(charges, found.dipoles)
    slope = np.einsum("iab,ib->ia", system.stiffness, change) + felt[:, 1:] - FIELD
    np.testing.assert_allclose(slope, 0.0, atol=1e-8)
    assert moments.shape == (len(atoms), 10)


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_the_energy_are_finite_differences(name):
    atoms = CASES[name]
    charges, permanent = sources(len(atoms))
    found = polarizable(atoms).solve(charges, permanent, FIELD)

    def energy(positions, charges=charges, permanent=permanent, scale=1.0):
        moved = atoms.copy()
        moved.positions = positions
        system = polarizable(moved, widths=0.5)
        system.stiffness = system.stiffness / scale
        return system.solve(charges, permanent, FIELD).energy

    fixed = polarizable(atoms, widths=0.5).solve(charges, permanent, FIELD)
    numerical = -central_differences(energy, atoms.positions)
    np.testing.assert_allclose(fixed.forces, numerical, rtol=1e-6, atol=1e-7)
    numerical = central_differences(
        lambda values: energy(atoms.positions, permanent=values), permanent
    )
    np.testing.assert_allclose(fixed.by_dipoles, numerical, rtol=1e-6, atol=1e-7)
    if name == "open":  # a net charge changes the background of a cell
        numerical = central_differences(
            lambda values: energy(atoms.positions, charges=values), charges
        )
        np.testing.assert_allclose(fixed.by_charges, numerical, rtol=1e-6, atol=1e-7)
    scaled = central_differences(
        lambda scale: energy(atoms.positions, scale=scale[0]), np.ones(1)
    )
    tensors = polarizable(atoms).polarizabilities
    slope = (fixed.by_polarizabilities * tensors).sum()
    np.testing.assert_allclose(slope, scaled[0], rtol=1e-6)
    assert found.energy < 0.0


def test_stress_at_constant_voltages_is_a_finite_difference():
    atoms = CASES["periodic"]
    charges, permanent = sources(len(atoms))
    found = polarizable(atoms, widths=0.5).solve(charges, permanent, FIELD)

    def energy(strain):
        moved = strained(atoms, strain)
        deformation = np.eye(3) + strain
        system = polarizable(moved, widths=0.5)
        own = system.solve(charges, permanent, np.linalg.solve(deformation, FIELD))
        return own.energy

    numerical = central_differences(energy, np.zeros((3, 3)))
    np.testing.assert_allclose(found.strain_gradient, numerical, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_conjugate_gradients_find_the_direct_solution(name):
    atoms = CASES[name]
    charges, permanent = sources(len(atoms))
    direct = polarizable(atoms).solve(charges, permanent, FIELD)
    found = polarizable(atoms, iterative=True).solve(charges, permanent, FIELD)
    np.testing.assert_allclose(found.dipoles, direct.dipoles, atol=1e-7)
    np.testing.assert_allclose(found.energy, direct.energy, atol=1e-8)


def test_an_isolated_atom_does_not_polarize_itself():
    system = InducedDipoles(np.zeros((1, 3)), np.zeros((3, 3)), False, [1.7])
    found = system.solve(field=FIELD)
    expected = 1.7 / COULOMB_CONSTANT * FIELD
    np.testing.assert_allclose(found.dipoles[0], expected, rtol=1e-12)
    np.testing.assert_allclose(found.energy, -0.5 * expected @ FIELD, rtol=1e-12)


def test_default_widths_prevent_a_catastrophe_of_near_points():
    positions = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]]
    arguments = positions, np.zeros((3, 3)), False, [1.5, 1.5]
    for iterative in (False, True):
        points = InducedDipoles(*arguments, widths=0.0, iterative=iterative)
        with pytest.raises(PolarizationCatastrophe, match="without end"):
            points.solve(field=FIELD)
    assert np.linalg.eigvalsh(InducedDipoles(*arguments).susceptibility()).min() > 0.0
    with pytest.raises(ValueError, match="must be positive"):
        InducedDipoles(positions, np.zeros((3, 3)), False, [1.5, -0.1])
    with pytest.raises(ValueError, match="polarizabilities must have shape"):
        InducedDipoles(positions, np.zeros((3, 3)), False, [1.5])


def test_tholes_damping_has_its_closed_form():
    """T of two atoms has the factors 1 - e^-x and 1 - (1 + x) e^-x."""
    a, r, factor = 1.3, 2.0, 0.39
    positions = [[0.0, 0.0, 0.0], [0.0, 0.0, r]]
    arguments = positions, np.zeros((3, 3)), False, [a, a]
    x = factor * r**3 / a
    third, fifth = 1.0 - np.exp(-x), 1.0 - (1.0 + x) * np.exp(-x)
    expected = np.full(3, 2.0 * a / (1.0 + a * third / r**3))
    expected[2] = 2.0 * a / (1.0 - a * (3.0 * fifth - third) / r**3)
    found = np.diag(InducedDipoles(*arguments, thole=factor).susceptibility())
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    with pytest.raises(ValueError, match="not both"):
        InducedDipoles(*arguments, widths=0.5, thole=factor)
    with pytest.raises(ValueError, match="factor must be positive"):
        InducedDipoles(*arguments, thole=0.0)


@pytest.mark.compiled
@pytest.mark.parametrize("name", CASES)
def test_tholes_damping_has_forces_and_stress(name):
    atoms = CASES[name]
    charges, permanent = sources(len(atoms))

    def solve(positions, cell, field=FIELD, **arguments):
        polarizabilities = np.linspace(0.4, 0.8, len(atoms))
        arguments = {"thole": 0.6, "accuracy": 1e-10, **arguments}
        system = InducedDipoles(
            positions, cell, atoms.pbc, polarizabilities, **arguments
        )
        return system.solve(charges, permanent, field)

    cell = atoms.cell[:]
    found = solve(atoms.positions, cell)
    again = solve(atoms.positions, cell, iterative=True)
    np.testing.assert_allclose(again.dipoles, found.dipoles, atol=1e-7)
    numerical = -central_differences(
        lambda positions: solve(positions, cell).energy, atoms.positions
    )
    np.testing.assert_allclose(found.forces, numerical, atol=1e-6)
    if name == "open":
        return

    def energy(strain):
        deformation = np.eye(3) + strain
        voltages = np.linalg.solve(deformation, FIELD)
        return solve(atoms.positions @ deformation, cell @ deformation, voltages).energy

    numerical = central_differences(energy, np.zeros((3, 3)))
    np.testing.assert_allclose(found.strain_gradient, numerical, rtol=1e-6, atol=1e-6)
