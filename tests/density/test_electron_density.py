import numpy as np
import pytest
from ase import Atoms
from scipy import special
from small_bases import (
    bent_molecule,
    crystal,
    drawn_coefficients,
    rotated_coefficients,
    rotation_of,
    small_basis,
    values_of_functions,
)

from lodekit.density import DensityBasis, ElectronDensity, Grid, electron_counts
from lodekit.density.basis import single_shell
from lodekit.density.moments import dipoles_of, second_moments_of
from lodekit.density.sites import Sites
from lodekit.electrostatics import CoulombInteraction
from lodekit.errors import BasisError
from lodekit.units import COULOMB_CONSTANT


@pytest.fixture(scope="module")
def density():
    atoms, basis = bent_molecule(), small_basis()
    return ElectronDensity(atoms, basis, drawn_coefficients(atoms, basis))


def gaussian(width, charge=1.0, position=(0.2, -0.1, 0.4)):
    """One Gaussian of electrons, and no nucleus."""
    atoms = Atoms("H", [position])
    basis = DensityBasis({"H": [single_shell(width)]})
    coefficients = charge / electron_counts(atoms, basis)
    return ElectronDensity(atoms, basis, coefficients, [0.0])


def integrated(density, spacing=0.25):
    """Moments by a sum over a fine grid, from the definition of the functions."""
    points = Grid.around(density.atoms.positions, spacing, 5.5).points()
    values = values_of_functions(density.atoms, density.basis, points)
    weights = spacing**3 * (values @ density.coefficients)
    return (
        weights.sum(),
        weights @ points,
        np.einsum("p,pa,pb->ab", weights, points, points),
    )


def test_electrons_dipole_and_quadrupole_are_integrals_over_space(density):
    electrons, first, second = integrated(density)
    positions, charges = density.atoms.positions, density.nuclear_charges
    assert density.n_electrons == pytest.approx(electrons, abs=1e-7)
    assert density.charge == pytest.approx(10.0 - electrons, abs=1e-7)
    np.testing.assert_allclose(density.dipole(), charges @ positions - first, atol=1e-6)
    total = np.einsum("i,ia,ib->ab", charges, positions, positions) - second
    total -= np.trace(total) / 3.0 * np.eye(3)
    np.testing.assert_allclose(density.quadrupole(), total, atol=1e-5)


def test_values_are_those_of_the_functions(density):
    points = np.random.default_rng(2).normal(size=(30, 3))
    expected = values_of_functions(density.atoms, density.basis, points)
    np.testing.assert_allclose(
        density.values(points), expected @ density.coefficients, atol=1e-9
    )


def test_values_in_a_crystal_are_sums_over_images():
    atoms, basis = crystal(), small_basis()
    coefficients = drawn_coefficients(atoms, basis)
    density = ElectronDensity(atoms, basis, coefficients)
    points = np.random.default_rng(2).uniform(0.0, 3.0, size=(5, 3))
    expected = np.zeros(5)
    for shift in np.ndindex(7, 7, 7):
        images = bent_molecule()
        images.positions += (np.array(shift) - 3) @ atoms.cell.array
        expected += values_of_functions(images, basis, points) @ coefficients
    far = points + 2 * atoms.cell.array[1] - atoms.cell.array[2]
    np.testing.assert_allclose(density.values(points), expected, atol=1e-8)
    np.testing.assert_allclose(density.values(far), expected, atol=1e-8)


def test_values_on_a_grid_are_those_at_its_points():
    atoms, basis = crystal(), small_basis()
    density = ElectronDensity(atoms, basis, drawn_coefficients(atoms, basis))
    grid = Grid.of(atoms, 0.33)
    values = density.on_grid(grid)
    np.testing.assert_allclose(values.ravel(), density.values(grid.points()), atol=1e-9)
    assert values.sum() * grid.volume == pytest.approx(density.n_electrons, abs=1e-5)


def test_the_potential_of_a_gaussian_is_an_error_function():
    width, charge = 0.6, 2.5
    density = gaussian(width, charge)
    r = np.array([1e-3, 0.4, 1.0, 3.0, 20.0])
    points = density.atoms.positions + r[:, None] * np.array([0.6, 0.0, 0.8])
    expected = special.erf(r / (np.sqrt(2.0) * width)) / r
    np.testing.assert_allclose(
        density.potential(points), -COULOMB_CONSTANT * charge * expected, rtol=1e-13
    )


def test_the_hartree_energy_of_a_gaussian_is_known():
    # q^2 / (2 sqrt(pi) s)
    density = gaussian(0.6, 2.5)
    expected = COULOMB_CONSTANT * 2.5**2 / (2.0 * np.sqrt(np.pi) * 0.6)
    assert density.hartree_energy() == pytest.approx(expected, rel=1e-13)


def test_the_field_is_minus_the_gradient_of_the_potential(density):
    points = np.random.default_rng(5).normal(size=(4, 3)) * 2.0
    step = 1e-4
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        change = density.potential(points + shift) - density.potential(points - shift)
        np.testing.assert_allclose(
            density.field(points)[:, axis], -change / (2.0 * step), atol=1e-5
        )


def test_forces_on_charges_far_away_are_those_of_a_point_charge():
    density = gaussian(0.5, 1.0, (0.0, 0.0, 0.0))
    forces = density.forces_on([2.0], [[0.0, 0.0, 10.0]])
    # electrons attract a positive charge
    expected = [[0.0, 0.0, -2.0 * COULOMB_CONSTANT / 100.0]]
    np.testing.assert_allclose(forces, expected, atol=1e-12)


def test_energies_are_those_of_the_potential(density):
    nuclei = density.potential(density.atoms.positions, nuclei=False)
    assert density.nuclear_attraction() == pytest.approx(
        density.nuclear_charges @ nuclei, rel=1e-12
    )
    vectors = density.atoms.positions[[0, 0, 1]] - density.atoms.positions[[1, 2, 2]]
    repulsion = np.array([8.0, 8.0, 1.0]) / np.linalg.norm(vectors, axis=1)
    parts = density.hartree_energy() + density.nuclear_attraction()
    assert density.electrostatic_energy() == pytest.approx(
        parts + COULOMB_CONSTANT * repulsion.sum(), abs=1e-7
    )


def neutral(atoms, width=0.35):
    """Gaussians of electrons that neutralise every nucleus."""
    numbers = sorted(set(atoms.numbers.tolist()))
    basis = DensityBasis(
        {z: [single_shell(width), single_shell(width, 1)] for z in numbers}
    )
    counts = electron_counts(atoms, basis)
    charges = np.repeat(atoms.numbers, 4) * (counts > 0)
    shape = 5.0 * np.sin(np.arange(counts.size)) * (counts == 0)
    values = np.divide(charges, counts, out=np.zeros(counts.size), where=counts > 0)
    return ElectronDensity(atoms, basis, values + shape)


@pytest.mark.parametrize("pbc", [True, (True, True, False)])
def test_a_neutral_molecule_in_a_large_cell_is_an_open_one(pbc):
    atoms = bent_molecule()
    open_energy = neutral(atoms).electrostatic_energy()
    dipole = neutral(atoms).dipole()
    cell = atoms.copy()
    cell.cell, cell.pbc = 60.0 * np.eye(3), pbc
    change = neutral(cell).electrostatic_energy() - open_energy
    # a dipole in a cubic cell has the energy -2 pi k d^2 / 3 V in the field of images
    alone = 2.0 * np.pi / 3.0 * COULOMB_CONSTANT * dipole @ dipole / 60.0**3
    if pbc is True:
        assert change == pytest.approx(-alone, rel=0.02)
    else:  # along and across a square lattice, -+ 9.03 k d^2 / 2 L^3 and twice as much
        assert 0.0 < abs(change) < 9.1 / 2.0 * alone


def test_electrostatics_of_a_crystal_of_gaussians_is_an_ewald_sum():
    # neutral atoms of point nuclei and Gaussians far from each other in one cell
    atoms = crystal()
    density = neutral(atoms)
    s_only = density.coefficients * (electron_counts(atoms, density.basis) > 0)
    density = ElectronDensity(atoms, density.basis, s_only)
    both = np.concatenate([atoms.positions, atoms.positions + 1e-4])
    widths = np.repeat([1e-4, 0.35], 3)
    charges = np.concatenate([atoms.numbers, -atoms.numbers]).astype(float)
    interaction = CoulombInteraction(
        both, atoms.cell.array, True, widths, accuracy=1e-10
    )
    itself = (atoms.numbers**2).sum() / (2.0 * np.sqrt(np.pi) * 1e-4)
    expected = interaction.energy(charges) - COULOMB_CONSTANT * itself
    assert density.electrostatic_energy() == pytest.approx(expected, rel=1e-5)


def test_potentials_in_a_crystal_are_minus_the_energy_of_a_probe():
    atoms = crystal()
    density = neutral(atoms)
    points = np.array([[1.5, 2.0, 2.5], [0.4, 3.0, -1.0]])
    moved = points + atoms.cell.array[0] - 2 * atoms.cell.array[2]
    np.testing.assert_allclose(density.potential(points), density.potential(moved))
    # the mean potential of the cell is zero
    grid = Grid.of(atoms, 0.5)
    values = density.potential(grid.points() + 1e-3, nuclei=False)
    mean = abs(values.mean()) / abs(values).max()
    assert mean < 1e-5


@pytest.mark.parametrize("improper", [False, True])
def test_rotated_coefficients_are_a_rotated_density(improper, density):
    rotation = rotation_of(4, improper)
    atoms = density.atoms.copy()
    atoms.positions = atoms.positions @ rotation.T
    turned = ElectronDensity(
        atoms,
        density.basis,
        rotated_coefficients(atoms, density.basis, density.coefficients, rotation),
    )
    points = np.random.default_rng(6).normal(size=(20, 3))
    np.testing.assert_allclose(
        turned.values(points @ rotation.T), density.values(points), atol=1e-10
    )
    np.testing.assert_allclose(turned.dipole(), rotation @ density.dipole(), atol=1e-10)
    quadrupole = rotation @ density.quadrupole() @ rotation.T
    np.testing.assert_allclose(turned.quadrupole(), quadrupole, atol=1e-10)
    assert turned.electrostatic_energy() == pytest.approx(
        density.electrostatic_energy(), rel=1e-10
    )


def test_moments_of_functions_shift_with_the_origin():
    atoms, basis, shift = bent_molecule(), small_basis(), np.array([0.3, -1.0, 2.0])
    moved = atoms.copy()
    moved.positions += shift
    before, after = (Sites.of_atoms(a, basis) for a in (atoms, moved))
    counts, first = electron_counts(atoms, basis), dipoles_of(before)
    np.testing.assert_allclose(dipoles_of(after), first + np.outer(counts, shift))
    mixed = first[:, :, None] * shift
    expected = (
        second_moments_of(before)
        + mixed
        + np.swapaxes(mixed, 1, 2)
        + counts[:, None, None] * np.outer(shift, shift)
    )
    np.testing.assert_allclose(second_moments_of(after), expected, atol=1e-12)


def test_a_point_on_a_nucleus_is_refused(density):
    with pytest.raises(ValueError, match="point 2 is on atom 1"):
        density.potential([[3.0, 0.0, 0.0], density.atoms.positions[0]])
    density.potential(density.atoms.positions[:1], nuclei=False)


def test_points_of_another_shape_are_refused(density):
    with pytest.raises(ValueError, match=r"points must have shape \(n, 3\)"):
        density.values([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="point 1 is .* not finite"):
        density.values([[np.nan, 0.0, 0.0]])


def test_moments_of_a_periodic_density_are_refused():
    atoms = crystal()
    density = neutral(atoms)
    with pytest.raises(ValueError, match="dipole of a periodic density depends on"):
        density.dipole()
    with pytest.raises(ValueError, match="quadrupole of a periodic density"):
        density.quadrupole()


def test_a_charged_slab_has_no_energy():
    atoms = crystal()
    atoms.pbc = (True, True, False)
    density = ElectronDensity(atoms, small_basis(), np.zeros(35))
    with pytest.raises(ValueError, match="slab with the net charge 10 e has no finite"):
        density.electrostatic_energy()


def test_nuclear_charges_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"nuclear_charges must have shape \(3,\)"):
        ElectronDensity(bent_molecule(), small_basis(), np.zeros(35), [1.0])


def test_widths_of_gaussians_must_be_positive():
    with pytest.raises(
        BasisError, match="width of a Gaussian must be positive, got 0.0"
    ):
        single_shell(0.0)
