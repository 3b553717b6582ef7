"""LODE of structures that are periodic in two directions."""

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, rock_salt, triclinic
from finite_differences import displaced
from lode_cases import (
    MAX_ANGULAR,
    MAX_RADIAL,
    RADIUS,
    SMEARING,
    assert_gradients_equal_finite_differences,
    coefficients,
    expand,
    invariants,
    kept_lode,
    make_lode,
    relative_error,
)
from reference import orthonormal_orbitals, project_on_basis
from scipy import integrate, special
from scipy.interpolate import CubicHermiteSpline

from lodekit.descriptors.lode.split import Split
from lodekit.descriptors.lode.truncation import (
    tail_factors,
    truncated_transform_at_zero,
)
from lodekit.numerics.smooth_step import smooth_step
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs

pytestmark = pytest.mark.compiled

AREA = 5.0 * 5.5 - 0.3 * 1.0


def slab(normal_axis=2, numbers=(1, 8, 11), n_atoms=4):
    """A skewed layer of atoms; the vector that is not periodic is zero."""
    atoms = cluster(n_atoms, numbers)
    cell = np.array([[5.0, 0.3, 0.0], [1.0, 5.5, 0.0], [0.0, 0.0, 0.0]])
    turn = normal_axis - 2
    atoms.set_cell(np.roll(cell, (turn, turn), (0, 1)))
    atoms.set_positions(np.roll(atoms.positions, turn, axis=1))
    atoms.set_pbc(np.arange(3) != normal_axis)
    return atoms


def plane_wave_potential(points, sources, cell):
    """Smeared charges with two periodic directions, no background (D. E. Parry 1975).

    Sum over k-vectors of the plane; a plane of charge makes -2 pi |z| per e / Å^2.
    """
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell[:2, :2]).T
    grid = np.stack(np.meshgrid(*[np.arange(-12, 13)] * 2), axis=-1).reshape(-1, 2)
    k_vectors = grid[(grid != 0).any(axis=1)] @ reciprocal
    norms = np.linalg.norm(k_vectors, axis=1)
    k_vectors, norms = k_vectors[norms < 8.0], norms[norms < 8.0]
    alpha = 1.0 / (np.sqrt(2.0) * SMEARING)
    total = np.zeros(len(points))
    for source in sources:
        x, y, z = (points - source).T
        for vector, k in zip(k_vectors, norms, strict=True):
            up = special.erfcx(0.5 * k / alpha + alpha * z)
            down = special.erfcx(0.5 * k / alpha - alpha * z)
            both = np.exp(-((0.5 * k / alpha) ** 2) - (alpha * z) ** 2) * (up + down)
            total += np.pi / k * both * np.cos(vector[0] * x + vector[1] * y)
        smooth = np.exp(-((alpha * z) ** 2)) / (alpha * np.sqrt(np.pi))
        total -= 2.0 * np.pi * (z * special.erf(alpha * z) + smooth)
    return total / abs(np.linalg.det(cell[:2, :2]))


@pytest.mark.parametrize(("accuracy", "pair_cutoff"), [(1e-4, 5.0), (1e-8, None)])
def test_coulomb_slabs_equal_a_quadrature_of_the_exact_potential(accuracy, pair_cutoff):
    atoms = slab(numbers=(1, 8), n_atoms=2)
    descriptor = kept_lode(1, accuracy, pair_cutoff=pair_cutoff)
    values = coefficients(atoms, descriptor, (1, 8))
    sources = atoms.positions[atoms.numbers == 1]
    for center in (0, 1):
        expected = project_on_basis(
            lambda points, c=center: plane_wave_potential(
                points + atoms.positions[c], sources, atoms.cell.array
            ),
            MAX_ANGULAR,
            MAX_RADIAL,
            RADIUS,
            extent=11.0,
        )
        error = relative_error(values[center : center + 1, :, 0], expected, descriptor)
        assert error < accuracy


@pytest.mark.parametrize("exponent", [3, 4, 5, 6, 9])
def test_convergent_sums_run_over_all_images(exponent):
    """l = 0: images one by one, smoothly replaced by an even plane from 20 to 80 Å."""
    atoms, start, end = slab(), 20.0, 80.0
    descriptor = kept_lode(exponent, 1e-8)
    table = descriptor.open_table.reaching(end)
    pairs = find_pairs(StructureBatch.from_frames(atoms), end)
    sodium = (pairs.centers == 0) & (atoms.numbers[pairs.neighbors] == 11)
    r = np.linalg.norm(pairs.vectors[sodium], axis=1)
    near = CubicHermiteSpline(table.knots, table.values[:, 0, 0], table.values[:, 1, 0])

    def step(r):
        return smooth_step((np.atleast_1d(r) - start) / (end - start))[0]

    tail = integrate.quad(lambda r: r * near(r) * (1.0 - step(r)[0]), start, end)[0]
    tail += near(end) * end**2 / (exponent - 2.0)
    expected = (near(r) @ step(r) + 2.0 * np.pi / AREA * tail) / np.sqrt(4.0 * np.pi)
    value = coefficients(atoms, descriptor)[0, 0, 2, 0]
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("exponent", [0, 6, 8])
def test_short_ranged_potentials_equal_a_sum_over_pairs(exponent):
    atoms = slab()
    descriptor = kept_lode(exponent, 1e-8)
    images = atoms.repeat((19, 19, 1))
    middle = len(atoms) * (9 * 19 + 9)
    order = np.append(middle, np.delete(np.arange(len(images)), middle))
    images = images[order]
    images.set_pbc(False)
    batch = StructureBatch.from_frames(images)
    near = descriptor.expand(batch, np.array([1, 8, 11])).values[:1]
    values = coefficients(atoms, descriptor)[:1]
    assert relative_error(values, near, descriptor) < (1e-8 if exponent == 0 else 2e-5)


def test_a_far_plane_of_charge_makes_a_linear_potential():
    """-2 pi |z| / A on every radial function, with no constant."""
    cell = [[4.0, 0.0, 0.0], [1.0, 4.5, 0.0], [0.0, 0.0, 0.0]]
    values = []
    for z in (25.0, 40.0):
        pair = Atoms("HO", positions=[[0, 0, 0], [1, 1, z]], cell=cell, pbc=[1, 1, 0])
        values.append(coefficients(pair, kept_lode(1, 1e-9))[0, 0, 1])
    r = np.linspace(0.0, 20.0, 4001)
    orbitals = orthonormal_orbitals(MAX_RADIAL, RADIUS, r)
    moments = integrate.simpson(r[:, None] ** 2 * orbitals, x=r, axis=0)
    for z, value in zip((25.0, 40.0), values, strict=True):
        expected = -2.0 * np.pi * z / 18.0 * np.sqrt(4.0 * np.pi) * moments
        np.testing.assert_allclose(value, expected, atol=1e-6)


@pytest.mark.parametrize("exponent", [0, 1, 3, 6])
@pytest.mark.parametrize("pair_cutoff", [0.0, 5.0])
def test_gradients_equal_finite_differences(exponent, pair_cutoff):
    descriptor = kept_lode(exponent, pair_cutoff=pair_cutoff)
    atoms = slab(n_atoms=3)
    rotation = random_rotation(3)
    atoms.set_positions(atoms.positions @ rotation.T)
    atoms.set_cell(atoms.cell.array @ rotation.T)
    assert_gradients_equal_finite_differences(atoms, descriptor)


@pytest.mark.parametrize("exponent", [1, 4])
@pytest.mark.parametrize("normal_axis", [0, 1])
def test_any_axis_may_be_the_open_one(exponent, normal_axis):
    descriptor = kept_lode(exponent, 1e-8)
    expected = invariants(coefficients(slab(2), descriptor))
    values = invariants(coefficients(slab(normal_axis), descriptor))
    np.testing.assert_allclose(values, expected, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("exponent", [1, 3])
def test_every_range_of_the_near_part_gives_the_same_coefficients(exponent):
    exact = coefficients(slab(), kept_lode(exponent, 1e-10, pair_cutoff=0.0))
    for pair_cutoff in (4.0, 9.0, 30.0):
        descriptor = kept_lode(exponent, 1e-7, pair_cutoff=pair_cutoff)
        values = coefficients(slab(), descriptor)
        assert relative_error(values, exact, descriptor) < 1e-7


@pytest.mark.parametrize("exponent", [1, 3])
def test_symmetries(exponent):
    atoms, descriptor = slab(), kept_lode(exponent, 1e-9)
    values = coefficients(atoms, descriptor)
    moved = displaced(atoms, atoms.positions + [0.3, -7.1, 20.9])
    assert relative_error(coefficients(moved, descriptor), values, descriptor) < 1e-9
    vector = displaced(atoms, atoms.positions)
    vector.positions[1] += atoms.cell.array[0] - 2.0 * atoms.cell.array[1]
    assert relative_error(coefficients(vector, descriptor), values, descriptor) < 1e-9
    often = coefficients(atoms.repeat((2, 3, 1)), descriptor)
    expected = np.tile(values, (6, 1, 1, 1))
    assert relative_error(often, expected, descriptor) < 2e-9
    rotation = random_rotation()
    turned = displaced(atoms, atoms.positions @ rotation.T)
    turned.set_cell(atoms.cell.array @ rotation.T)
    np.testing.assert_allclose(
        invariants(coefficients(turned, descriptor)),
        invariants(values),
        rtol=1e-7,
        atol=1e-8,
    )


def test_vacuum_and_the_open_cell_vector_mean_nothing():
    atoms = slab()
    boxed = atoms.copy()
    boxed.set_cell(atoms.cell.array + [[0, 0, 0], [0, 0, 0], [0.3, 0.2, 17.0]])
    np.testing.assert_array_equal(
        coefficients(boxed, kept_lode()), coefficients(atoms, kept_lode())
    )


@pytest.mark.parametrize("exponent", [1, 3])
def test_a_thicker_slab_leaves_the_potential_of_the_others_alone(exponent):
    atoms, descriptor = slab(numbers=(1, 8)), kept_lode(exponent, 1e-8)
    thick = atoms + Atoms("Na", positions=[[0.0, 0.0, 40.0]])
    values = coefficients(thick, descriptor)[: len(atoms), :, :2]
    expected = coefficients(atoms, descriptor)[:, :, :2]
    assert relative_error(values, expected, descriptor) < 2e-8


@pytest.mark.parametrize("exponent", [1, 3, 6])
def test_wide_cells_tend_to_open_structures(exponent):
    atoms = cluster(2, (1, 8))
    descriptor = kept_lode(exponent, 1e-9)
    expected = coefficients(atoms, descriptor, (1, 8))
    errors = []
    for length in (15.0, 30.0):
        wide = atoms.copy()
        wide.set_cell(np.diag([length, length, 0.0]))
        wide.set_pbc([True, True, False])
        difference = coefficients(wide, descriptor, (1, 8)) - expected
        # of p = 1 the neutral combination of the channels: dipoles act as 1 / L^3
        errors.append(np.abs(difference[:, :, 0] - difference[:, :, 1]).max())
    assert errors[1] < errors[0] / 7.0


def test_the_tail_of_every_exponent_equals_a_quadrature_of_gaussians():
    """The general formula with p = 1 is the closed one of p = 1, by continuity."""
    squares, indices = np.array([0.04, 0.0, 0.3]), np.array([2, 3, 0])
    closed, slopes = tail_factors(1, SMEARING, squares, indices, 11.0)
    for shift in (1e-4, 1e-5):
        near = tail_factors(1.0 + shift, SMEARING, squares, indices, 11.0)
        np.testing.assert_allclose(near[0], closed, rtol=20.0 * shift)
        np.testing.assert_allclose(near[1][[0, 2]], slopes[[0, 2]], rtol=20.0 * shift)


@pytest.mark.parametrize("exponent", [4, 6])
def test_the_truncated_transform_tends_to_the_whole_one(exponent):
    from lodekit.descriptors.lode.power_law import transform_at_zero

    height = 400.0
    # 2 pi / (p - 2) z^(2 - p) is the potential of a plane
    rest = 4.0 * np.pi / (exponent - 2) / (exponent - 3) * height ** (3.0 - exponent)
    value = truncated_transform_at_zero(exponent, SMEARING, height) + rest
    np.testing.assert_allclose(value, transform_at_zero(exponent, SMEARING), rtol=1e-5)


@pytest.mark.parametrize("exponent", [1, 3])
@pytest.mark.parametrize("accuracy", [1e-6, 1e-8])
def test_where_the_potential_is_truncated_changes_nothing(
    exponent, accuracy, monkeypatch
):
    """Many layers: their errors would add up at small k along the normal."""
    layers = rock_salt(1).repeat((1, 1, 5))
    layers.set_pbc([True, True, False])
    descriptor = kept_lode(exponent, accuracy, pair_cutoff=6.0)
    values = coefficients(layers, descriptor, (11, 17))
    for step in (50.0, 83.0):
        monkeypatch.setattr("lodekit.descriptors.lode.slab.HEIGHT_STEP", step)
        taller = coefficients(layers, descriptor, (11, 17))
        assert relative_error(taller, values, descriptor) < accuracy


@pytest.mark.parametrize("exponent", [1, 3])
def test_a_mesh_gives_the_same_slab(exponent, monkeypatch):
    atoms, descriptor = slab(), kept_lode(exponent, 1e-8, pair_cutoff=6.0)
    direct = expand(atoms, descriptor)
    monkeypatch.setattr(Split, "prefers_mesh", lambda *_: True)
    mesh = expand(atoms, descriptor)
    assert relative_error(mesh.values, direct.values, descriptor) < 1e-8
    adjoint = np.random.default_rng(0).normal(size=direct.coefficients.shape)
    for some, all_ in zip(mesh.reverse(adjoint), direct.reverse(adjoint), strict=True):
        np.testing.assert_allclose(some, all_, rtol=0, atol=1e-7 * np.abs(all_).max())


def test_all_boundaries_run_in_one_batch():
    frames = [triclinic(3), slab(), cluster(3), slab(0)]
    together = coefficients(frames, kept_lode())
    alone = np.concatenate([coefficients(frame, kept_lode()) for frame in frames])
    np.testing.assert_array_equal(together, alone)


def test_wires_are_refused():
    wire = triclinic(3)
    wire.set_pbc([True, False, False])
    message = r"frame 2 .index 1. has pbc \[True, False, False\]"
    with pytest.raises(ValueError, match=message):
        expand([triclinic(3), wire], kept_lode())


def test_sums_that_diverge_are_refused():
    with pytest.raises(ValueError, match=r"1 / r\^2 has no sum over a slab"):
        expand(slab(), make_lode(2))
