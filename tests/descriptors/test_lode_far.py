import dataclasses

import numba
import numpy as np
import pytest
from crystals import rock_salt, triclinic
from finite_differences import central_differences, displaced, strained
from lode_cases import MAX_ANGULAR, kept_lode
from reference import real_harmonics

from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.descriptors.lode.far import FarSum
from lodekit.descriptors.lode.far_mesh import MeshFarSum, make_far_sum
from lodekit.descriptors.solid_harmonics import (
    derivatives_of,
    gradient_matrices,
    solid_harmonics,
)
from lodekit.numerics.mesh import monomials

SKEWED = triclinic(20, (1, 8), seed=2)
SKEWED.set_cell(SKEWED.cell.array + [[0, 0, 0], [4.0, 0, 0], [-3.0, 2.0, 0]])


def far_sum(kind, atoms, split, charges=None):
    channels = np.unique(atoms.numbers, return_inverse=True)[1]
    prefactors = harmonic_prefactors(MAX_ANGULAR)
    charges = np.ones(len(atoms)) if charges is None else charges
    structure = atoms.positions, atoms.cell.array, channels
    return kind(*structure, split, prefactors, charges)


@pytest.mark.parametrize("kind", [FarSum, MeshFarSum])
def test_sums_are_linear_in_charges(kind):
    # the derivative of a linear function, times other charges, is its value there
    split = kept_lode().splits.split(5.0)
    rng = np.random.default_rng(0)
    some, others = rng.normal(size=(2, len(SKEWED)))
    far = far_sum(kind, SKEWED, split, some)
    adjoint = rng.normal(size=far.coefficients().shape)
    by_charges = np.zeros(len(SKEWED))
    far.reverse(adjoint, by_charges)
    expected = np.sum(adjoint * far_sum(kind, SKEWED, split, others).coefficients())
    assert by_charges @ others == pytest.approx(expected, rel=1e-9)
    direct = far_sum(FarSum, SKEWED, split, some).reverse(adjoint)
    for own, exact in zip(far.reverse(adjoint), direct, strict=True):
        np.testing.assert_allclose(own, exact, atol=2e-6 * np.abs(exact).max())


def relative_error(values, expected, split):
    l_of_lm = np.sqrt(np.arange(values.shape[1])).astype(int)
    return np.abs((values - expected) / split.projections.scale[l_of_lm][:, None]).max()


@pytest.mark.compiled
@pytest.mark.parametrize("pair_cutoff", [5.0, 9.0])
@pytest.mark.parametrize("accuracy", [1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize(
    "atoms", [triclinic(20, (1, 8)), SKEWED, rock_salt(2)], ids=["a", "skewed", "cubic"]
)
def test_mesh_equals_the_direct_sum(atoms, accuracy, pair_cutoff):
    split = kept_lode(accuracy=accuracy).splits.split(pair_cutoff)
    direct, mesh = (far_sum(kind, atoms, split) for kind in (FarSum, MeshFarSum))
    expected = direct.coefficients()
    values = mesh.coefficients()
    error = relative_error(values, expected, split)
    # a share of the accuracy, but not more work than that takes
    assert 1e-4 * accuracy < error < 0.25 * accuracy
    adjoint = np.random.default_rng(0).normal(size=values.shape)
    for own, theirs in zip(mesh.reverse(adjoint), direct.reverse(adjoint), strict=True):
        np.testing.assert_allclose(
            own, theirs, rtol=0, atol=accuracy * np.abs(theirs).max()
        )


@pytest.mark.parametrize("exponent", [0, 2, 3, 4, 6])
def test_mesh_serves_every_exponent(exponent):
    # transforms with odd powers of k or log k
    split = kept_lode(exponent, 1e-6).splits.split(6.0)
    atoms = triclinic(20, (1, 8))
    expected = far_sum(FarSum, atoms, split).coefficients()
    values = far_sum(MeshFarSum, atoms, split).coefficients()
    assert relative_error(values, expected, split) < 2.5e-7


def coarse(split):
    """The same split with a mesh whose errors are large."""
    split = dataclasses.replace(split)
    table = dataclasses.replace(
        split.mesh_table, spacing=1.3 * split.mesh_table.spacing, order=8
    )
    split.__dict__["mesh_table"] = table
    return split


def test_gradients_are_those_of_the_computed_coefficients():
    # on a coarse mesh they differ from those of the exact coefficients
    atoms = triclinic(4, (1, 8))
    split = coarse(kept_lode(accuracy=1e-3).splits.split(5.0))
    exact = far_sum(FarSum, atoms, split)
    mesh = far_sum(MeshFarSum, atoms, split)
    values = mesh.coefficients()
    assert relative_error(values, exact.coefficients(), split) > 1e-5
    adjoint = np.random.default_rng(1).normal(size=values.shape)

    def scalar(structure):
        return np.sum(adjoint * far_sum(MeshFarSum, structure, split).coefficients())

    positions, strain = mesh.reverse(adjoint)
    numerical = central_differences(
        lambda r: scalar(displaced(atoms, r)), atoms.positions, 1e-3
    )
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(positions, numerical, atol=2e-8 * scale)
    numerical = central_differences(
        lambda e: scalar(strained(atoms, e)), np.zeros((3, 3)), 2e-5
    )
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(strain, numerical, atol=2e-7 * scale)


@pytest.mark.parametrize("kind", [FarSum, MeshFarSum])
def test_coefficients_stay_smooth_when_k_vectors_enter(kind):
    # 1e-3 of accuracy: without a taper, a new k-vector would be a jump of 1e-5
    atoms = triclinic(6, (1, 8))
    split = kept_lode(accuracy=1e-3).splits.split(5.0)
    k_vectors = far_sum(FarSum, atoms, split).k.vectors
    size = np.linalg.norm(k_vectors, axis=1).max()
    # the expansion at which the longest k-vector inside leaves the sum
    entry = size / split.k_cutoff - 1.0

    def at(expansion):
        deformed = strained(atoms, expansion * np.eye(3))
        return far_sum(kind, deformed, split)

    step = 1e-5
    below, above = (at(entry + side * step) for side in (-1, 1))
    if kind is MeshFarSum:
        assert len(below.mesh.k_vectors) < len(above.mesh.k_vectors)
        assert below.mesh.shape == above.mesh.shape
    else:
        assert below.k.size < above.k.size
    adjoint = np.random.default_rng(2).normal(size=below.coefficients().shape)
    slopes = [np.trace(part.reverse(adjoint)[1]) for part in (below, above)]
    values = [np.sum(adjoint * part.coefficients()) for part in (below, above)]
    change = (
        0.5
        * (slopes[0] + slopes[1])
        * np.log((1.0 + entry + step) / (1.0 + entry - step))
    )
    scale = np.abs(values[0])
    assert abs(values[1] - values[0] - change) < 1e-9 * scale
    assert abs(slopes[1] - slopes[0]) < 1e-2 * abs(slopes[0])


@pytest.mark.compiled
def test_a_large_structure_goes_on_the_mesh_and_a_small_one_does_not():
    split = kept_lode().splits.split(7.0)
    small, large = triclinic(4, (1, 8)), triclinic(4, (1, 8)).repeat(7)
    assert isinstance(far_sum(make_far_sum, small, split), FarSum)
    on_mesh = far_sum(make_far_sum, large, split)
    assert isinstance(on_mesh, MeshFarSum)
    expected = far_sum(FarSum, small, split).coefficients()
    values = on_mesh.coefficients().reshape(343, *expected.shape)
    for image in values:
        assert relative_error(image, expected, split) < 0.25e-6


def test_fields_and_atoms_run_in_blocks(monkeypatch):
    atoms = triclinic(9, (1, 8))
    split = kept_lode().splits.split(6.0)
    mesh = far_sum(MeshFarSum, atoms, split)
    values = mesh.coefficients()
    adjoint = np.random.default_rng(3).normal(size=values.shape)
    gradients = mesh.reverse(adjoint)
    monkeypatch.setattr("lodekit.descriptors.lode.far_mesh.BLOCK_SIZE", 4)
    monkeypatch.setattr("lodekit.descriptors.lode.far_mesh.GRID_BLOCK_SIZE", 1)
    assert len(list(mesh.field_blocks())) > 1
    np.testing.assert_allclose(mesh.coefficients(), values, atol=1e-11)
    for blocked, whole in zip(mesh.reverse(adjoint), gradients, strict=True):
        np.testing.assert_allclose(blocked, whole, atol=1e-9)


@pytest.mark.compiled
def test_results_do_not_depend_on_the_number_of_threads():
    atoms = triclinic(100, (1, 8))
    split = kept_lode(accuracy=1e-4).splits.split(6.0)
    results = []
    before = numba.get_num_threads()
    for n_threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(n_threads)
        mesh = far_sum(MeshFarSum, atoms, split)
        values = mesh.coefficients()
        results.append((values, *mesh.reverse(values)))
    numba.set_num_threads(before)
    for one, many in zip(*results, strict=True):
        np.testing.assert_array_equal(one, many)


def test_solid_harmonics_are_harmonics_times_powers():
    points = np.random.default_rng(4).normal(size=(7, 3))
    r = np.linalg.norm(points, axis=1)
    l_of_lm = np.sqrt(np.arange(36)).astype(int)
    expected = real_harmonics(5, points / r[:, None]) * r[:, None] ** l_of_lm
    powers = np.prod(points[:, None] ** monomials(5), axis=2)
    np.testing.assert_allclose(powers @ solid_harmonics(5).T, expected, atol=1e-11)


def test_gradients_of_solid_harmonics():
    point = np.array([0.3, -1.1, 0.7])
    rows = solid_harmonics(4)

    def values(x):
        return rows @ np.prod(x ** monomials(4), axis=1)

    numerical = central_differences(values, point, 1e-2)
    analytic = gradient_matrices(4) @ values(point)
    np.testing.assert_allclose(analytic, numerical, atol=1e-7)
    for axis in range(3):
        moved = derivatives_of(rows, 4, axis) @ np.prod(point ** monomials(5), axis=1)
        np.testing.assert_allclose(moved, point[axis] * values(point), atol=1e-12)


def test_the_mesh_of_a_structure_is_within_its_parameters():
    split = kept_lode().splits.split(7.0)
    mesh = far_sum(MeshFarSum, SKEWED, split).mesh
    lengths = np.linalg.norm(mesh.cell, axis=1)
    assert (lengths / mesh.shape <= split.mesh_table.spacing).all()
