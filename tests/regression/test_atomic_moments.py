"""Atomic dipoles and quadrupoles: values, rows, derivatives, of products and pairs."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, triclinic
from labelled_structures import (
    differences,
    lode,
    moved_frames,
    soap,
    strained_frames,
)

from lodekit.regression import PolynomialCovariance
from lodekit.regression.atomic_moments import (
    CARTESIAN,
    PRIORS,
    AtomicMoments,
    make_pair_kernel,
)
from lodekit.regression.environments import select_sparse_points
from lodekit.regression.latent import ReversePass
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part

SPECIES = np.array([1, 8, 11])
STEP = 1e-3  # Å, and as strain
SQUARE, LINEAR = PolynomialCovariance(2), PolynomialCovariance(1, "mean")
CASES = {
    "soap": (soap, SQUARE),
    "lode": (lode, LINEAR),
    "pairs": (soap, SQUARE),
    "pairs of lode": (lode, LINEAR),
}
cases = pytest.mark.parametrize("case", CASES)


def train_frames():
    return [triclinic(6, volume_per_atom=8.0, seed=50), cluster(5, seed=51)]


def batch_frames():
    """A triclinic cell with all species, an open structure, and a lone atom."""
    return [triclinic(3, volume_per_atom=8.0), cluster(3, seed=3), Atoms("O")]


def make_scalar(case, **arguments):
    descriptor, covariance = CASES[case]
    scalar = SparseKernel(descriptor(**arguments), covariance, SPECIES)
    select_sparse_points(train_frames(), scalar, 6, random_state=0)
    return scalar


def make_moments(case, scalar=None):
    scalar = scalar or make_scalar(case)
    if not case.startswith("pairs"):
        return AtomicMoments.select(train_frames(), scalar, 2, 0)
    kernels = [make_pair_kernel(scalar, order) for order in (1, 2)]
    return AtomicMoments([k.select(train_frames(), 3, random_state=0) for k in kernels])


@pytest.fixture(scope="module")
def known():
    return {case: make_moments(case) for case in CASES}


def evaluate(moments, frames):
    """Moments of structures with weights at random, and adjoints of components."""
    batch, rng = StructureBatch.from_frames(frames), np.random.default_rng(0)
    weights = rng.normal(size=moments.rank)
    adjoints = [rng.normal(size=(batch.n_atoms, size)) for size in (3, 6)]
    return moments.evaluate(batch, {}, weights), adjoints


def gradients_of(states, adjoints):
    reverse_pass = ReversePass(states[0].batch)
    for state, adjoint in zip(states, adjoints, strict=True):
        state.pull(reverse_pass, adjoint)
    return reverse_pass.run()


def assert_close(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@cases
def test_rows_times_weights_are_values_and_gradients(case, known):
    states, adjoints = evaluate(known[case], batch_frames())
    positions, strain = gradients_of(states, adjoints)
    pairs = list(zip(states, adjoints, strict=True))
    rows = sum(s.position_rows(a) @ s.weights for s, a in pairs)
    assert_close(rows, positions)
    rows = sum(s.strain_rows(a) @ s.weights for s, a in pairs)
    assert_close(rows, symmetric_part(strain, 1))
    for state in states:
        values = state.values
        assert_close(values, state.rows @ state.weights)


@cases
def test_gradients_of_atoms_add_up(case, known):
    states, adjoints = evaluate(known[case], batch_frames())
    positions, strain = gradients_of(states, adjoints)
    found = [[], []]
    limits = states[0].batch.first_atom
    for index, (start, stop) in enumerate(itertools.pairwise(limits)):
        own = [adjoint[start:stop] for adjoint in adjoints]
        for place, by_strain in enumerate((False, True)):
            gradients = [state.atom_gradients(by_strain)[index] for state in states]
            pairs = zip(own, gradients, strict=True)
            found[place].append(sum(np.tensordot(*pair, 2) for pair in pairs))
    assert_close(np.concatenate(found[0]), positions.ravel())
    assert_close(np.array(found[1]), symmetric_part(strain, 1))


@cases
def test_gradients_are_finite_differences(case, known):
    atoms = triclinic(3)
    states, adjoints = evaluate(known[case], [atoms])
    positions, strain = gradients_of(states, adjoints)
    for make_frames, found in ((moved_frames, positions), (strained_frames, strain)):
        changed, _ = evaluate(known[case], make_frames(atoms, STEP))
        values = sum(
            np.einsum("fia,ia->f", state.values.reshape(-1, *adjoint.shape), adjoint)
            for state, adjoint in zip(changed, adjoints, strict=True)
        )
        expected = differences(values, STEP)
        assert_close(found.ravel(), expected, 1e-6)


def as_tensors(states):
    """Vectors (n_atoms, 3), and matrices (n_atoms, 3, 3)."""
    matrices = states[1].values[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
    return states[0].values, matrices


@pytest.mark.parametrize("case", ["soap", "pairs"])
@pytest.mark.parametrize("sign", [1, -1])
def test_moments_turn_with_the_structure(case, sign, known):
    rotation = sign * random_rotation(2)
    atoms = cluster(6, seed=50)
    turned = atoms.copy()
    turned.positions = turned.positions @ rotation.T
    vectors, matrices = as_tensors(evaluate(known[case], [atoms])[0])
    found = as_tensors(evaluate(known[case], [turned])[0])
    assert np.abs(vectors).max() > 1e-2
    assert found[0] == pytest.approx(vectors @ rotation.T, abs=1e-10)
    assert found[1] == pytest.approx(rotation @ matrices @ rotation.T, abs=1e-10)


@pytest.mark.parametrize("case", ["soap", "pairs"])
def test_symmetry_decides_where_moments_vanish(case, known):
    atoms = Atoms("HOH", positions=[[1.1, 0.2, 0], [0, 0, 0], [-1.1, -0.2, 0]])
    vectors, matrices = as_tensors(evaluate(known[case], [atoms])[0])
    # a centre of inversion has no vector, and its matrix is that of the axis
    assert vectors[1] == pytest.approx(0.0, abs=1e-12)
    axis = np.array([1.1, 0.2, 0]) / np.hypot(1.1, 0.2)
    expected = np.outer(axis, axis) - np.eye(3) / 3.0
    assert matrices[1] == pytest.approx(
        1.5 * axis @ matrices[1] @ axis * expected, abs=1e-10
    )


def test_matrices_have_no_trace_and_harmonics_length_one():
    matrix = CARTESIAN[2]
    assert matrix[:3].sum(axis=0) == pytest.approx(0.0, abs=1e-15)
    metric = np.array([1, 1, 1, 2, 2, 2])
    assert matrix.T @ (metric[:, None] * matrix) == pytest.approx(np.eye(5), abs=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_covariances_of_pairs_are_the_formula_in_plain_loops(order):
    # all environments are points, in single precision: Phi Phi^T is the covariance
    atoms = cluster(5)
    species = np.unique(atoms.numbers)
    kernel = make_pair_kernel(SparseKernel(soap(), SQUARE, species), order)
    kernel.select([atoms], 9, random_state=0)
    batch = StructureBatch.from_frames([atoms])
    found = kernel.evaluate(batch).rows()
    state = soap().evaluate(batch, species)
    for z in species:
        own = np.flatnonzero(atoms.numbers == z)
        harmonics = slice(order**2, (order + 1) ** 2)
        tensors = {i: state.left.coefficients[i, harmonics] for i in own}
        lengths = state.features[own] / np.linalg.norm(
            state.features[own], axis=1, keepdims=True
        )
        cosines = dict(zip(own, lengths, strict=True))
        scale = np.mean([(t**2).sum() for t in tensors.values()]) / (2 * order + 1)
        for i, j in itertools.product(own, own):
            covariance = (cosines[i] @ cosines[j]) ** 2 * tensors[i] @ tensors[j].T
            expected = covariance / scale
            assert found[i] @ found[j].T == pytest.approx(expected, abs=1e-7)


@cases
def test_arrays_make_the_same_moments(case, known):
    scalar = make_scalar(case)
    moments, store = make_moments(case, scalar), PointStore()
    settings, arrays = moments.get_state(store)
    stored = StoredModel(
        {"settings": {"moments": settings}, "arrays": arrays | store.arrays()}
    )
    again = AtomicMoments.from_state(stored, scalar)
    found, _ = evaluate(again, batch_frames())
    expected, _ = evaluate(known[case], batch_frames())
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.rows, other.rows)


def test_orders_that_the_descriptor_does_not_have_are_refused():
    scalar = make_scalar("soap", max_angular=0)
    with pytest.raises(ValueError, match="a max_angular of at least 1, got 0"):
        AtomicMoments.select(train_frames(), scalar, 1, 0)


def test_copies_of_frames_do_not_change_moments(known):
    frames = train_frames()
    scalar = make_scalar("soap")
    twice = AtomicMoments.select([*frames, frames[0]], scalar, 2, 0)
    found, _ = evaluate(twice, batch_frames())
    expected, _ = evaluate(known["soap"], batch_frames())
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.rows, other.rows, rtol=0, atol=1e-12)


def test_no_moments_have_no_rows():
    batch = StructureBatch.from_frames([cluster(3)])
    assert AtomicMoments([]).evaluate(batch, {}, np.zeros(0)) == []
    assert PRIORS.keys() == CARTESIAN.keys()
