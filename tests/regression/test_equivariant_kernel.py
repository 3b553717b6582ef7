"""Tensors of any order by lambda-SOAP: values, symmetry, and all derivatives."""

from functools import cache

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import density, potential
from wigner import wigner_matrix

from lodekit.descriptors import EquivariantPowerSpectrum, PowerSpectrum
from lodekit.descriptors.channel_selection import ChannelSelection
from lodekit.regression import FarthestPointSelection
from lodekit.regression.covariances import PolynomialCovariance
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8, 11])
SQUARE, LINEAR = EquivariantCovariance(2), EquivariantCovariance(1, "mean")
CUBE = EquivariantCovariance(3)
#: Expansions, order and sigma, covariance, number of selected channels.
CASES = {
    "soap 1": ("soap", (1, 1), SQUARE, None),
    "soap 2 of some channels": ("soap", (2, 1), CUBE, 7),
    "pseudotensor": ("soap", (1, -1), SQUARE, None),
    "linear lode 2": ("lode", (2, 1), LINEAR, None),
    "lode 3 of some channels": ("lode", (3, 1), SQUARE, 9),
}
cases = pytest.mark.parametrize("case", CASES)


def training_frames():
    return [triclinic(6, volume_per_atom=8.0, seed=50), cluster(5, seed=51)]


def batch_frames():
    """A triclinic cell with all species, an open structure, and a lone atom."""
    return [triclinic(3, volume_per_atom=8.0), cluster(3, seed=3), Atoms("O")]


@cache
def make_kernel(case):
    name, key, covariance, n_channels = CASES[case]
    first = density()
    second = None if name == "soap" else potential()
    descriptor = EquivariantPowerSpectrum(first, second, max_lambda=3)
    invariants = PowerSpectrum(first, second)
    if n_channels:
        descriptor.selection = ChannelSelection.select(
            training_frames(),
            descriptor,
            n_channels,
            FarthestPointSelection(),
            keys=[key],
            random_state=0,
        )
    kernel = EquivariantKernel(*key, descriptor, invariants, covariance, SPECIES)
    return kernel.select(training_frames(), 3, random_state=0)


def evaluate(kernel, frames):
    batch = StructureBatch.from_frames(frames)
    return batch, kernel.evaluate(batch)


def drawn(kernel, batch, seed=0):
    """Weights, and an adjoint of all tensors."""
    rng = np.random.default_rng(seed)
    shape = batch.n_atoms, 2 * kernel.order + 1
    return rng.normal(size=kernel.rank), rng.normal(size=shape)


def assert_close(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    scale = np.abs(expected).max()
    assert scale > 1e-6
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@cases
def test_values_are_rows_times_weights(case):
    kernel = make_kernel(case)
    batch, state = evaluate(kernel, batch_frames())
    weights, _ = drawn(kernel, batch)
    assert_close(state.values(weights), state.rows() @ weights)
    sums = np.add.reduceat(state.rows(), batch.first_atom[:-1])
    assert_close(state.structure_rows(), sums)


@cases
def test_rows_reproduce_the_covariance_of_sparse_points(case):
    # Phi Phi^T is the Nyström approximation, exact where both are sparse points; the
    # equation is written out with all m
    kernel = make_kernel(case)
    frames = training_frames()
    batch, state = evaluate(kernel, frames)
    rows = state.rows()
    for z, points in kernel.points.items():
        atoms = np.flatnonzero(batch.species == z)
        features = state.invariants.features[atoms]
        tensors = state.tensors(z)
        distances = np.linalg.norm(features[:, None] - points.features, axis=2)
        chosen = distances.argmin(axis=0)
        # in single precision
        assert distances.min(axis=0).max() < 1e-6 * distances.max()
        own = rows[atoms[chosen]]
        found = np.einsum("iar,jbr->iajb", own, own)
        some, p = features[chosen], tensors[chosen]
        lengths = np.linalg.norm(some, axis=1)
        if kernel.covariance.normalize == "mean":
            lengths[:] = np.sqrt(np.mean(lengths**2))
        cosines = some @ some.T / np.outer(lengths, lengths)
        factors = cosines ** (kernel.covariance.zeta - 1) / np.outer(lengths, lengths)
        expected = np.einsum("ij,iac,jbc->iajb", factors, p, p)
        expected /= np.einsum("iaia->", expected) / len(p) / p.shape[1]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("is_proper", [True, False])
@cases
def test_tensors_turn_by_wigner_matrices(case, is_proper):
    kernel = make_kernel(case)
    rotation = random_rotation() if is_proper else -random_rotation()
    frames = batch_frames()
    turned = [displaced(atoms, atoms.positions @ rotation.T) for atoms in frames]
    for atoms in turned:
        atoms.set_cell(atoms.cell.array @ rotation.T)
    batch, before = evaluate(kernel, frames)
    weights, _ = drawn(kernel, batch)
    matrix = wigner_matrix(kernel.order, rotation)
    matrix *= kernel.sigma if not is_proper else 1
    _, after = evaluate(kernel, turned)
    # rows, since values of other weights are other tensors
    rows = np.einsum("ab,ibr->iar", matrix, before.rows())
    assert_close(
        np.einsum("iar,jbr->iajb", after.rows(), rows),
        np.einsum("iar,jbr->iajb", rows, rows),
        1e-9,
    )
    assert_close(after.values(weights), before.values(weights) @ matrix.T)


@pytest.mark.compiled
@cases
def test_gradients_equal_finite_differences(case):
    kernel = make_kernel(case)
    frames = batch_frames()[:1]
    batch, state = evaluate(kernel, frames)
    weights, adjoint = drawn(kernel, batch)

    def scalar(atoms):
        return np.sum(evaluate(kernel, [atoms])[1].values(weights) * adjoint)

    positions, strain = state.gradients(weights, adjoint)
    atoms = frames[0]
    expected = central_differences(
        lambda r: scalar(displaced(atoms, r)), atoms.positions, 1e-3
    )
    assert_close(positions, expected, 1e-6)
    expected = central_differences(
        lambda e: scalar(strained(atoms, e)), np.zeros((3, 3)), 1e-3
    )
    assert_close(strain[0], expected, 1e-6)


@cases
def test_gradient_rows_times_weights_are_the_reverse_pass(case):
    kernel = make_kernel(case)
    batch, state = evaluate(kernel, batch_frames())
    weights, adjoint = drawn(kernel, batch, seed=1)
    by_positions, by_strain = state.gradient_rows(adjoint)
    positions, strain = state.gradients(weights, adjoint)
    assert_close(by_positions @ weights, positions)
    symmetric = 0.5 * (strain + strain.swapaxes(1, 2))
    voigt = symmetric[:, [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    assert_close(by_strain @ weights, voigt)


@cases
def test_gradients_of_atoms_add_up_to_the_reverse_pass(case):
    kernel = make_kernel(case)
    batch, state = evaluate(kernel, batch_frames())
    weights, adjoint = drawn(kernel, batch, seed=2)
    positions, strain = state.gradients(weights, adjoint)
    each = state.atom_gradients(weights)
    assert_close(np.einsum("ia,iajx->jx", adjoint, each), positions)
    each = np.einsum("ia,iaxy->ixy", adjoint, state.atom_strain_gradients(weights))
    assert_close(np.add.reduceat(each, batch.first_atom[:-1]), strain)


def test_order_zero_with_all_channels_is_the_kernel_of_scalars():
    descriptor = EquivariantPowerSpectrum(density(), max_lambda=0)
    invariants = PowerSpectrum(descriptor.left)
    kernel = EquivariantKernel(0, 1, descriptor, invariants, SQUARE, SPECIES)
    kernel.select(training_frames(), 4, random_state=0)
    scalar = SparseKernel(invariants, PolynomialCovariance(2), SPECIES)
    for z, points in kernel.points.items():
        scalar.set_points(z, points.features, 1e-10)
    batch, state = evaluate(kernel, batch_frames())
    rows = np.empty((batch.n_atoms, scalar.rank))
    scalar.write_rows(batch, state.invariants.features, rows)
    found = state.rows()[:, 0]
    np.testing.assert_allclose(found @ found.T, rows @ rows.T, rtol=0, atol=1e-8)


@cases
def test_arrays_of_a_model_file_give_the_same_rows(case):
    kernel = make_kernel(case)
    _, state = evaluate(kernel, batch_frames())
    store = PointStore()
    settings, arrays = kernel.get_state("kernel", store)
    stored = StoredModel({"settings": {}, "arrays": {**arrays, **store.arrays()}})
    parts = kernel.equivariants, kernel.descriptor, kernel.covariance, SPECIES
    again = EquivariantKernel(kernel.order, kernel.sigma, *parts)
    again.take_state(stored, settings, "kernel")
    stored.finish()
    _, other = evaluate(again, batch_frames())
    np.testing.assert_array_equal(other.rows(), state.rows())


def test_batches_may_lack_species():
    kernel = make_kernel("soap 1")
    batch, state = evaluate(kernel, [Atoms("O2", positions=[[0, 0, 0], [0, 0, 1.2]])])
    weights, adjoint = drawn(kernel, batch)
    assert state.structure_rows().shape == (1, 3, kernel.rank)
    assert_close(state.values(weights), state.rows() @ weights)
    by_positions, by_strain = state.gradient_rows(adjoint)
    positions, _ = state.gradients(weights, adjoint)
    assert_close(by_positions @ weights, positions)
    assert by_strain.shape == (1, 6, kernel.rank)


def test_species_without_tensors_have_no_points():
    # one atom alone: everything but order 0 vanishes
    frames = [Atoms("O"), *training_frames()]
    descriptor = EquivariantPowerSpectrum(density(), max_lambda=1)
    invariants = PowerSpectrum(descriptor.left)
    species = np.array([1, 8, 11, 18])
    kernel = EquivariantKernel(1, 1, descriptor, invariants, SQUARE, species)
    kernel.select([Atoms("Ar"), *frames], 3, random_state=0)
    assert sorted(kernel.points) == [1, 8, 11]
