"""Derivatives of tensors by all weights, and of every tensor on its own."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, triclinic
from labelled_structures import (
    differences,
    lode,
    moved_frames,
    soap,
    strained_frames,
)

from lodekit.regression import (
    PolynomialCovariance,
    covariance_gradients,
    tensor_gradients,
)
from lodekit.regression.atomic_moments import AtomicMoments
from lodekit.regression.environments import select_sparse_points
from lodekit.regression.latent import ReversePass
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.regression.tensor_kernel import TensorKernel
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part

SPECIES = np.array([1, 8, 11])
STEP = 1e-3  # Å, and as strain
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
SQUARE, LINEAR = PolynomialCovariance(2), PolynomialCovariance(1, "mean")
CASES = {
    "soap": (soap, SQUARE),
    "lode": (lode, SQUARE),
    "linear soap": (soap, LINEAR),
    "linear lode": (lode, LINEAR),
}
cases = pytest.mark.parametrize("case", CASES)
orders = pytest.mark.parametrize("order", [1, 2])


def batch_frames():
    """A triclinic cell with all species, an open structure, and a lone atom."""
    return [triclinic(3, volume_per_atom=8.0), cluster(3, seed=3), Atoms("O")]


def make_kernel(case, order):
    descriptor, covariance = CASES[case]
    frames = [triclinic(6, volume_per_atom=8.0, seed=50), cluster(5, seed=51)]
    parts = descriptor(), covariance, SPECIES, 3
    return TensorKernel.select(frames, order, *parts, random_state=0)


def make_moments(case="soap"):
    descriptor, covariance = CASES[case]
    frames = [triclinic(6, volume_per_atom=8.0, seed=50), cluster(5, seed=51)]
    scalar = SparseKernel(descriptor(), covariance, SPECIES)
    select_sparse_points(frames, scalar, 6, random_state=0)
    return AtomicMoments.select(frames, scalar, 2, 0)


def evaluate(descriptor, frames):
    batch = StructureBatch.from_frames(frames)
    return batch, descriptor.evaluate(batch, SPECIES)


def reverse(kernel, batch, state, weights, adjoint):
    """Derivatives of sum_i adjoint_i . t_i by the reverse pass."""
    by_features, by_tensors = kernel.reverse(batch, state, weights, adjoint)
    more = np.zeros_like(state.left.coefficients)
    more[:, kernel.harmonics] = by_tensors
    return state.reverse(by_features, more)


def voigt(strain):
    return np.stack(
        [0.5 * (strain[:, a, b] + strain[:, b, a]) for a, b in VOIGT], axis=1
    )


def assert_close(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def assert_rows(found, expected, weights):
    """Compare (forces, strain) by all weights with derivatives at given weights."""
    positions, strain = expected
    assert_close(found[0] @ weights, -positions)
    assert_close(found[1] @ weights, voigt(strain))


@cases
@orders
def test_rows_times_weights_are_the_reverse_pass(case, order):
    kernel = make_kernel(case, order)
    batch, state = evaluate(kernel.descriptor, batch_frames())
    rng = np.random.default_rng(order)
    weights = rng.normal(size=kernel.rank)
    adjoint = rng.normal(size=(batch.n_atoms, 2 * order + 1))
    arguments = batch, state, adjoint
    rows = kernel.force_rows(*arguments), kernel.strain_rows(*arguments)
    assert_rows(rows, reverse(kernel, batch, state, weights, adjoint), weights)


@cases
@orders
def test_gradients_of_atoms_add_up_to_the_reverse_pass(case, order):
    kernel = make_kernel(case, order)
    batch, state = evaluate(kernel.descriptor, batch_frames())
    rng = np.random.default_rng(order)
    weights = rng.normal(size=kernel.rank)
    gradients = kernel.atom_gradients(batch, state, weights)
    by_strain = kernel.atom_strain_gradients(batch, state, weights)
    # one component of one atom at a time: nothing can cancel
    for i, a in ((0, 0), (1, order), (3, 2 * order)):
        adjoint = np.zeros((batch.n_atoms, 2 * order + 1))
        adjoint[i, a] = 1.0
        positions, strain = reverse(kernel, batch, state, weights, adjoint)
        assert_close(gradients[i, a], positions)
        if batch.structure_of_atom[i] == 0:
            assert_close(by_strain[i, a], strain[0])


@orders
@pytest.mark.parametrize("make_atoms", [triclinic, cluster])
def test_rows_are_finite_differences(order, make_atoms):
    kernel = make_kernel("soap", order)
    atoms = make_atoms(3)
    batch, state = evaluate(kernel.descriptor, [atoms])
    adjoint = np.random.default_rng(0).normal(size=(3, 2 * order + 1))

    def values(frames):
        rows = kernel.rows(*evaluate(kernel.descriptor, frames))
        rows = rows.reshape(len(frames), *adjoint.shape, kernel.rank)
        return np.einsum("fiaw,ia->fw", rows, adjoint)

    found = kernel.force_rows(batch, state, adjoint)
    expected = differences(values(moved_frames(atoms, STEP)), STEP)
    assert_close(found, -expected.reshape(found.shape), 1e-6)
    if atoms.pbc.all():
        found = kernel.strain_rows(batch, state, adjoint)
        strain = differences(values(strained_frames(atoms, STEP)), STEP)
        assert_close(found, voigt(strain.reshape(1, 3, 3, -1)), 1e-6)


def test_species_without_points_add_nothing():
    kernel = make_kernel("soap", 1)
    del kernel.points[8]
    batch, state = evaluate(kernel.descriptor, batch_frames())
    adjoint = np.ones((batch.n_atoms, 3))
    without = np.where(batch.species == 8, 0.0, 1.0)[:, None] * adjoint
    for method in (kernel.force_rows, kernel.strain_rows):
        rows = method(batch, state, adjoint)
        assert rows.shape[2] == kernel.rank
        np.testing.assert_array_equal(rows, method(batch, state, without))
    gradients = kernel.atom_gradients(batch, state, np.ones(kernel.rank))
    np.testing.assert_array_equal(gradients[batch.species == 8], 0.0)
    assert np.abs(gradients).max() > 0.1


def test_atoms_without_neighbours_have_rows_of_zeros():
    kernel = make_kernel("soap", 1)
    batch, state = evaluate(kernel.descriptor, [Atoms("HO", [[0, 0, 0], [0, 0, 9.0]])])
    adjoint = np.ones((2, 3))
    rows = kernel.force_rows(batch, state, adjoint)
    np.testing.assert_array_equal(rows, np.zeros((2, 3, kernel.rank)))
    rows = kernel.strain_rows(batch, state, adjoint)
    np.testing.assert_array_equal(rows, np.zeros((1, 6, kernel.rank)))


def test_rows_do_not_depend_on_the_size_of_blocks(monkeypatch):
    kernel = make_kernel("lode", 2)
    batch, state = evaluate(kernel.descriptor, batch_frames())
    arguments = batch, state, np.ones((batch.n_atoms, 5))
    whole = kernel.force_rows(*arguments), kernel.strain_rows(*arguments)
    monkeypatch.setattr(covariance_gradients, "CENTER_BLOCK", 1)
    monkeypatch.setattr(covariance_gradients, "POINT_BLOCK", 2)
    monkeypatch.setattr(tensor_gradients, "POINT_BLOCK", 1)
    kernel._transfers.clear()
    assert_close(kernel.force_rows(*arguments), whole[0], 1e-12)
    assert_close(kernel.strain_rows(*arguments), whole[1], 1e-12)


def test_amplified_kernels_have_amplified_rows():
    kernel = make_kernel("soap", 1)
    batch, state = evaluate(kernel.descriptor, batch_frames())
    adjoint = np.ones((batch.n_atoms, 3))
    before = kernel.force_rows(batch, state, adjoint)
    kernel.amplify(3.0)
    assert_close(kernel.force_rows(batch, state, adjoint), 3.0 * before, 1e-12)


def random_moments(moments, n_atoms):
    """Weights by order, and adjoints of Cartesian components."""
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=kernel.rank) for kernel in moments.kernels]
    return weights, [rng.normal(size=(n_atoms, size)) for size in (3, 6)]


def evaluate_moments(moments, frames):
    """Moments of structures with weights at random, and adjoints of components."""
    batch = StructureBatch.from_frames(frames)
    weights, adjoints = random_moments(moments, batch.n_atoms)
    return moments.evaluate(batch, {}, np.concatenate(weights)), adjoints


def gradients_of(states, adjoints):
    reverse_pass = ReversePass(states[0].batch)
    for state, adjoint in zip(states, adjoints, strict=True):
        state.pull(reverse_pass, adjoint)
    return reverse_pass.run()


@cases
def test_rows_of_moments_times_weights_are_their_gradients(case):
    states, adjoints = evaluate_moments(make_moments(case), batch_frames())
    pairs = list(zip(states, adjoints, strict=True))
    rows = [-np.concatenate([s.position_rows(a) for s, a in pairs], axis=2)]
    rows.append(np.concatenate([s.strain_rows(a) for s, a in pairs], axis=2))
    weights = np.concatenate([state.weights for state in states])
    assert_rows(rows, gradients_of(states, adjoints), weights)


@cases
def test_gradients_of_moments_of_atoms_add_up(case):
    states, adjoints = evaluate_moments(make_moments(case), batch_frames())
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


def test_gradients_of_moments_are_finite_differences():
    moments, atoms = make_moments(), cluster(3)
    states, _ = evaluate_moments(moments, [atoms])
    moved, _ = evaluate_moments(moments, moved_frames(atoms, STEP))
    for state, other in zip(states, moved, strict=True):
        values = other.rows @ state.weights
        values = values.reshape(-1, 3, values.shape[1])
        expected = differences(values, STEP).reshape(9, 3, -1)
        (found,) = state.atom_gradients()
        assert_close(found, expected.transpose(1, 2, 0), 1e-6)


def test_no_moments_have_no_rows():
    batch = StructureBatch.from_frames([cluster(3)])
    assert AtomicMoments([]).evaluate(batch, {}, np.zeros(0)) == []
