import numpy as np
import pytest
from labelled_structures import DESCRIPTORS, open_frames, soap
from scipy import linalg

from lodekit.regression import PolynomialCovariance
from lodekit.regression.covariances import CovarianceValues
from lodekit.regression.environments import select_sparse_points
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.regression.weighted_sums import (
    PointSum,
    PolynomialSum,
    weighted_sum,
)
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])
COVARIANCES = [
    PolynomialCovariance(2),
    PolynomialCovariance(1, "mean"),
    PolynomialCovariance(3, "mean", 0.5),
]


def make_kernel(frames, descriptor, covariance, n_sparse, rcond=1e-12):
    kernel = SparseKernel(descriptor, covariance, SPECIES)
    select_sparse_points(frames, kernel, n_sparse, rcond=rcond, random_state=0)
    return kernel


def kernel_sums(kernel, frames):
    """K_NM summed over the atoms of each frame, by species, in plain loops."""
    sums = {
        z: np.zeros((len(frames), len(p.features))) for z, p in kernel.points.items()
    }
    for number, atoms in enumerate(frames):
        batch = StructureBatch.from_frames([atoms])
        features = kernel.descriptor.evaluate(batch, SPECIES).features
        for z, p in zip(atoms.numbers, features, strict=True):
            values = kernel.covariance.matrix(p[None], kernel.points[z].features)
            sums[z][number] += values[0]
    return sums


def energy_rows(kernel, frames):
    batch = StructureBatch.from_frames(frames)
    features = kernel.descriptor.evaluate(batch, SPECIES).features
    return kernel.energy_rows(batch, features)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
@pytest.mark.parametrize("name", DESCRIPTORS)
def test_products_of_rows_are_the_nystroem_covariance(name, covariance):
    # Phi Phi^T = K_NM K_MM^-1 K_MN, species by species.
    frames = open_frames(5)
    kernel = make_kernel(frames, DESCRIPTORS[name](), covariance, 4)
    rows = energy_rows(kernel, frames)
    expected = 0.0
    for z, sums in kernel_sums(kernel, frames).items():
        points = kernel.points[z].features
        inverse = linalg.inv(covariance.matrix(points, points))
        expected = expected + sums @ inverse @ sums.T
    np.testing.assert_allclose(rows @ rows.T, expected, rtol=1e-7)


def test_rows_of_sparse_points_are_white():
    frames = open_frames(5)
    kernel = make_kernel(frames, soap(), PolynomialCovariance(2), 4)
    for points in kernel.points.values():
        covariances = kernel.covariance.matrix(points.features, points.features)
        np.testing.assert_allclose(
            points.projection.T @ covariances @ points.projection,
            np.eye(points.rank),
            atol=1e-9,
        )


def test_null_directions_are_left_out():
    # A linear covariance of 9 points with 3 features has rank 3.
    rng = np.random.default_rng(0)
    features = rng.normal(size=(9, 3))
    kernel = SparseKernel(soap(), PolynomialCovariance(1), SPECIES)
    kernel.set_points(1, features, 1e-12)
    projection = kernel.points[1].projection
    assert projection.shape == (9, 3)
    values = kernel.covariance.matrix(features, features)
    rows = values @ projection
    np.testing.assert_allclose(rows @ rows.T, values, atol=1e-12)


def test_directions_below_rcond_are_left_out():
    features = np.diag([1.0, 0.1, 0.01])
    covariance = PolynomialCovariance(1, "mean")  # eigenvalues 1, 1e-2 and 1e-4
    for rcond, rank in [(1e-12, 3), (1e-3, 2), (0.1, 1)]:
        kernel = SparseKernel(soap(), covariance, SPECIES)
        kernel.set_points(1, features, rcond)
        assert kernel.rank == rank


def test_copies_of_sparse_points_change_nothing():
    frames = open_frames(4)
    once = make_kernel(frames, soap(), PolynomialCovariance(2), 100)
    twice = make_kernel(frames * 2, soap(), PolynomialCovariance(2), 100)
    assert twice.rank == once.rank
    first, second = energy_rows(once, frames), energy_rows(twice, frames)
    np.testing.assert_allclose(first @ first.T, second @ second.T, rtol=1e-8)


def test_points_without_features_have_rank_zero():
    kernel = SparseKernel(soap(), PolynomialCovariance(2), SPECIES)
    kernel.set_points(1, np.zeros((2, 5)), 1e-12)
    assert kernel.rank == 0


def test_columns_of_species_follow_each_other():
    frames = open_frames(4, numbers=(1, 8, 8))
    kernel = make_kernel(frames, soap(), PolynomialCovariance(2), 3)
    assert [*kernel.columns] == [1, 8]
    ends = [(c.start, c.stop) for c in kernel.columns.values()]
    assert ends[0][0] == 0
    assert ends[0][1] == ends[1][0]
    assert ends[1][1] == kernel.rank


def test_contracted_latents_and_adjoints_equal_rows_and_derivatives():
    frames = open_frames(3)
    kernel = make_kernel(frames, soap(), PolynomialCovariance(2), 3)
    batch = StructureBatch.from_frames(frames)
    state = kernel.descriptor.evaluate(batch, SPECIES)
    weights = np.random.default_rng(1).normal(size=kernel.rank)
    coefficients = {
        z: p.projection @ weights[kernel.columns[z]] for z, p in kernel.points.items()
    }
    latents, adjoint = kernel.contract(batch, state.features, coefficients)
    totals = np.bincount(batch.structure_of_atom, latents)
    rows = kernel.energy_rows(batch, state.features)
    np.testing.assert_allclose(totals, rows @ weights, rtol=1e-10)
    gradients, _ = state.reverse(adjoint)
    forces = kernel.force_rows(batch, state) @ weights
    np.testing.assert_allclose(
        -gradients, forces, rtol=0, atol=1e-10 * abs(forces).max()
    )


@pytest.mark.parametrize("zeta", [1, 2, 3])
@pytest.mark.parametrize("normalize", ["each", "mean"])
@pytest.mark.parametrize("offset", [0.0, 0.7])
@pytest.mark.parametrize("n_features", [5, 40])
def test_sums_without_points_equal_sums_over_points(
    zeta, normalize, offset, n_features
):
    rng = np.random.default_rng(0)
    covariance = PolynomialCovariance(zeta, normalize, offset)
    points, alpha = rng.normal(size=(9, n_features)), rng.normal(size=9)
    features = rng.normal(size=(4, n_features))
    features[2] = 0.0  # an atom without neighbours
    total = weighted_sum(covariance, points, alpha)
    has_points = zeta == 3 or (zeta == 2 and n_features > 9)
    assert isinstance(total, PointSum if has_points else PolynomialSum)
    values, gradients = total.evaluate(features)
    direct = covariance.evaluate(features, points)
    shifts = direct.shifts @ alpha
    expected = (direct.slopes * alpha) @ points + shifts[:, None] * features
    np.testing.assert_allclose(values, direct.values @ alpha, rtol=0, atol=1e-12)
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=1e-12)


def test_coefficients_follow_weights_and_amplitudes():
    frames = open_frames(3)
    kernel = make_kernel(frames, soap(), PolynomialCovariance(2), 3)
    weights = np.random.default_rng(1).normal(size=kernel.rank)
    first = kernel.coefficients(weights)
    assert kernel.coefficients(weights.copy())[1] is first[1]
    doubled = kernel.coefficients(2.0 * weights)
    np.testing.assert_allclose(doubled[1], 2.0 * first[1], rtol=1e-15)
    kernel.amplify(3.0)
    amplified = kernel.coefficients(weights)
    np.testing.assert_allclose(amplified[1], 3.0 * first[1], rtol=1e-14)


class Exponential:
    """k = exp(p . P - 1), a covariance that says the least that it can."""

    moves_lengths = is_linear = False

    def matrix(self, features, points):
        return np.exp(features @ points.T - 1.0)

    def evaluate(self, features, points):
        values = self.matrix(features, points)
        return CovarianceValues(values, lambda: (values, 0.0 * values))


def test_another_covariance_needs_only_what_the_docs_name():
    frames = open_frames(3)
    kernel = make_kernel(frames, soap(), PolynomialCovariance(2), 3)
    lengths = np.linalg.norm(kernel.points[1].features, axis=1).mean()
    own = SparseKernel(kernel.descriptor, Exponential(), SPECIES)
    for z, points in kernel.points.items():
        own.set_points(z, points.features / lengths, 1e-12)
    batch = StructureBatch.from_frames(frames)
    state = own.descriptor.evaluate(batch, SPECIES)
    weights = np.random.default_rng(1).normal(size=own.rank)
    coefficients = own.coefficients(weights)
    latents, adjoint = own.contract(batch, state.features, coefficients)
    totals = np.bincount(batch.structure_of_atom, latents)
    rows = own.energy_rows(batch, state.features)
    np.testing.assert_allclose(totals, rows @ weights, rtol=1e-10)
    forces = own.force_rows(batch, state) @ weights
    found = -state.reverse(adjoint)[0]
    np.testing.assert_allclose(found, forces, rtol=0, atol=1e-9 * abs(forces).max())
