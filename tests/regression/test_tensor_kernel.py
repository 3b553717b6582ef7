import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation
from finite_differences import central_differences
from labelled_structures import soap

from lodekit.regression import PolynomialCovariance
from lodekit.regression.atomic_moments import CARTESIAN
from lodekit.regression.stored_points import PointStore
from lodekit.regression.tensor_kernel import TensorKernel
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])


@pytest.fixture(scope="module")
def frames():
    return [cluster(5, seed=i) for i in range(6)]


@pytest.fixture(scope="module", params=[1, 2])
def kernel(request, frames):
    parts = soap(), PolynomialCovariance(2), SPECIES, 5
    return TensorKernel.select(frames, request.param, *parts, random_state=0)


def rows(kernel, frames):
    batch = StructureBatch.from_frames(frames)
    return kernel.rows(batch, kernel.descriptor.evaluate(batch, SPECIES))


def cartesian(kernel, atoms, weights):
    """Vectors (n_atoms, 3), or matrices (n_atoms, 3, 3)."""
    values = rows(kernel, [atoms]) @ weights @ CARTESIAN[kernel.order].T
    if kernel.order == 1:
        return values
    return values[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)


@pytest.mark.parametrize("order", [1, 2])
def test_covariances_are_the_formula_in_plain_loops(frames, order):
    # all environments are points: Phi Phi^T is the covariance itself
    atoms = frames[0]
    parts = soap(), PolynomialCovariance(2), SPECIES, 9
    kernel = TensorKernel.select([atoms], order, *parts, random_state=0)
    found = rows(kernel, [atoms])
    batch = StructureBatch.from_frames([atoms])
    state = soap().evaluate(batch, SPECIES)
    for z in SPECIES:
        own = np.flatnonzero(atoms.numbers == z)
        tensors = {
            i: state.left.coefficients[i, order**2 : (order + 1) ** 2] for i in own
        }
        scale = np.mean([(t**2).sum() for t in tensors.values()]) / (2 * order + 1)
        for i in own:
            for j in own:
                p, q = state.features[i], state.features[j]
                cosine = p @ q / np.sqrt(p @ p * (q @ q))
                expected = cosine**2 * tensors[i] @ tensors[j].T / scale
                assert found[i] @ found[j].T == pytest.approx(expected, abs=1e-8)


def test_tensors_turn_with_the_structure(kernel):
    weights = np.random.default_rng(0).normal(size=kernel.rank)
    atoms = cluster(6, seed=50)
    for rotation in (random_rotation(2), -random_rotation(3)):
        turned = atoms.copy()
        turned.positions = turned.positions @ rotation.T
        straight = cartesian(kernel, atoms, weights)
        assert np.abs(straight).max() > 0.1
        expected = straight @ rotation.T
        if kernel.order == 2:
            expected = rotation @ expected
        found = cartesian(kernel, turned, weights)
        assert found == pytest.approx(expected, abs=1e-10)


def test_matrices_have_no_trace_and_harmonics_length_one():
    matrix = CARTESIAN[2]
    assert matrix[:3].sum(axis=0) == pytest.approx(0.0, abs=1e-15)
    metric = np.array([1, 1, 1, 2, 2, 2])
    assert matrix.T @ (metric[:, None] * matrix) == pytest.approx(np.eye(5), abs=1e-14)


def test_symmetry_decides_where_tensors_vanish(kernel):
    atoms = Atoms("HOH", positions=[[1.1, 0.2, 0], [0, 0, 0], [-1.1, -0.2, 0]])
    weights = np.ones(kernel.rank)
    centre = cartesian(kernel, atoms, weights)[1]
    if kernel.order == 1:  # a centre of inversion has no vector
        assert centre == pytest.approx(0.0, abs=1e-12)
    else:  # and its matrix is that of the axis
        axis = np.array([1.1, 0.2, 0]) / np.hypot(1.1, 0.2)
        expected = np.outer(axis, axis) - np.eye(3) / 3.0
        assert centre == pytest.approx(1.5 * axis @ centre @ axis * expected, abs=1e-10)


def test_reverse_is_the_derivative(kernel):
    rng = np.random.default_rng(1)
    weights, atoms = rng.normal(size=kernel.rank), cluster(4, seed=9)
    adjoint = rng.normal(size=(4, 2 * kernel.order + 1))
    batch = StructureBatch.from_frames([atoms])
    state = kernel.descriptor.evaluate(batch, SPECIES)
    features, tensors = kernel.reverse(batch, state, weights, adjoint)
    more = np.zeros_like(state.left.coefficients)
    more[:, kernel.harmonics] = tensors
    positions, _ = state.reverse(features, more)

    def value(moved):
        copy = atoms.copy()
        copy.positions = moved
        return (adjoint * (rows(kernel, [copy]) @ weights)).sum()

    expected = central_differences(value, atoms.positions)
    assert positions == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())


def test_arrays_make_the_same_kernel(kernel, frames):
    store = PointStore()
    settings, arrays = kernel.get_state("v", store)
    stored = StoredModel({"settings": {}, "arrays": arrays | store.arrays()})
    again = TensorKernel.from_state(stored, settings, "v", kernel.order, kernel)
    assert np.array_equal(rows(again, frames), rows(kernel, frames))


def test_orders_that_the_descriptor_does_not_have_are_refused(frames):
    with pytest.raises(ValueError, match="need a first descriptor with a max_angular"):
        TensorKernel.select(
            frames, 2, soap(max_angular=1), PolynomialCovariance(2), SPECIES, 5
        )


@pytest.mark.parametrize("n_sparse", [3, 50])
def test_copies_of_frames_do_not_change_tensors(frames, n_sparse):
    parts = 1, soap(), PolynomialCovariance(2), SPECIES, n_sparse
    once = TensorKernel.select(frames, *parts, random_state=0)
    twice = TensorKernel.select([*frames, *frames[:3]], *parts, random_state=0)
    found, expected = rows(twice, frames), rows(once, frames)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
