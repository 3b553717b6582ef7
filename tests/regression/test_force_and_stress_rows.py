"""Rows of forces and stress against finite differences of rows of energies."""

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, triclinic
from labelled_structures import (
    differences,
    lode,
    moved_frames,
    open_frames,
    periodic_frames,
    soap,
    strained_frames,
)

from lodekit.regression import PolynomialCovariance
from lodekit.regression import covariance_gradients as module
from lodekit.regression.environments import select_sparse_points
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures.batch import StructureBatch

STEP = 1e-3  # Å, and as strain
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
EACH, MEAN = PolynomialCovariance(2), PolynomialCovariance(1, "mean")


def make_kernel(descriptor, covariance, numbers=(1, 8), periodic=True):
    make_frames = periodic_frames if periodic else open_frames
    frames = make_frames(4, 6, numbers, seed=50)
    kernel = SparseKernel(descriptor, covariance, np.unique(numbers))
    select_sparse_points(frames, kernel, 4, random_state=0)
    return kernel


def evaluate(kernel, frames):
    batch = StructureBatch.from_frames(frames)
    return batch, kernel.descriptor.evaluate(batch, kernel.species)


def energy_rows(kernel, frames):
    batch, state = evaluate(kernel, frames)
    return kernel.energy_rows(batch, state.features)


def assert_force_rows(kernel, atoms):
    rows = kernel.force_rows(*evaluate(kernel, [atoms]))
    energies = energy_rows(kernel, moved_frames(atoms, STEP))
    numerical = -differences(energies, STEP).reshape(rows.shape)
    scale = abs(numerical).max()
    np.testing.assert_allclose(rows, numerical, rtol=0, atol=1e-6 * scale)


def assert_strain_rows(kernel, atoms):
    """Return the largest component, so that a test can see that there is stress."""
    rows = kernel.strain_rows(*evaluate(kernel, [atoms]))[0]
    energies = energy_rows(kernel, strained_frames(atoms, STEP))
    numerical = differences(energies, STEP).reshape(3, 3, -1)
    expected = [0.5 * (numerical[a, b] + numerical[b, a]) for a, b in VOIGT]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6 * scale)
    return scale


@pytest.mark.parametrize(
    "covariance",
    [
        PolynomialCovariance(1),
        PolynomialCovariance(2),
        PolynomialCovariance(3, offset=0.5),
        PolynomialCovariance(1, "mean"),
        PolynomialCovariance(2, "mean", 1.0),
    ],
    ids=str,
)
def test_soap_rows_in_a_cell_smaller_than_the_cutoff(covariance):
    # edges of 2.5 Å, cutoff 3 Å: atoms see their own images
    atoms = triclinic(2, (1, 8), 8.0)
    kernel = make_kernel(soap(), covariance)
    assert_force_rows(kernel, atoms)
    assert_strain_rows(kernel, atoms)


def test_soap_rows_of_an_open_structure():
    assert_force_rows(make_kernel(soap(), EACH, periodic=False), cluster(5))


@pytest.mark.parametrize("covariance", [EACH, MEAN], ids=str)
def test_lode_rows_of_an_open_structure(covariance):
    assert_force_rows(make_kernel(lode(), covariance, periodic=False), cluster(4))


@pytest.mark.parametrize("covariance", [EACH, MEAN], ids=str)
def test_lode_rows_of_a_triclinic_cell(covariance):
    atoms = triclinic(3, (1, 8), 8.0)
    kernel = make_kernel(lode(), covariance)
    assert_force_rows(kernel, atoms)
    assert_strain_rows(kernel, atoms)


def test_rows_of_three_species():
    atoms = triclinic(4, (1, 8, 11), 9.0)
    kernel = make_kernel(soap(), EACH, (1, 8, 11))
    assert_force_rows(kernel, atoms)
    assert_strain_rows(kernel, atoms)


@pytest.mark.parametrize("make", [soap, lode])
def test_one_periodic_atom_has_stress_and_no_forces(make):
    atoms = triclinic(1, (1,), 9.0)
    kernel = make_kernel(make(), EACH)
    rows = kernel.force_rows(*evaluate(kernel, [atoms]))
    assert assert_strain_rows(kernel, atoms) > 1e-3
    np.testing.assert_allclose(rows, 0.0, atol=1e-12)


@pytest.mark.parametrize("make", [soap, lode])
def test_one_open_atom_has_no_forces(make):
    kernel = make_kernel(make(), EACH, periodic=False)
    rows = kernel.force_rows(*evaluate(kernel, [Atoms("H")]))
    np.testing.assert_array_equal(rows, np.zeros((1, 3, kernel.rank)))


def test_atoms_beyond_the_cutoff_have_no_forces():
    kernel = make_kernel(soap(), EACH, periodic=False)
    atoms = Atoms("HO", [[0, 0, 0], [0, 0, 9.0]])
    rows = kernel.force_rows(*evaluate(kernel, [atoms]))
    np.testing.assert_array_equal(rows, np.zeros((2, 3, kernel.rank)))


def test_environments_without_features_have_rows_of_zeros():
    # Without the atom itself in the density, a lone atom has no features at all.
    kernel = make_kernel(soap(center_weight=0.0), EACH, periodic=False)
    batch, state = evaluate(kernel, [Atoms("HO", [[0, 0, 0], [0, 0, 9.0]])])
    assert abs(state.features).max() == 0.0
    np.testing.assert_array_equal(kernel.energy_rows(batch, state.features), 0.0)
    np.testing.assert_array_equal(kernel.force_rows(batch, state), 0.0)


@pytest.mark.parametrize("make", [soap, lode])
def test_rows_of_a_batch_are_those_of_its_structures(make):
    frames = [triclinic(3, (1, 8), 8.0), cluster(4, seed=3), triclinic(2, (8,), 9.0)]
    kernel = make_kernel(make(), EACH)
    batch, state = evaluate(kernel, frames)
    parts = [evaluate(kernel, [atoms]) for atoms in frames]
    forces = np.concatenate([kernel.force_rows(*part) for part in parts])
    rows = kernel.force_rows(batch, state)
    np.testing.assert_allclose(rows, forces, rtol=0, atol=1e-10 * abs(forces).max())
    rows = kernel.energy_rows(batch, state.features)
    energies = np.concatenate([kernel.energy_rows(b, s.features) for b, s in parts])
    np.testing.assert_allclose(rows, energies, rtol=1e-9)


@pytest.mark.parametrize("make", [soap, lode])
def test_rows_do_not_depend_on_the_size_of_blocks(make, monkeypatch):
    atoms = triclinic(4, (1, 8), 8.0)
    kernel = make_kernel(make(), EACH)
    evaluated = evaluate(kernel, [atoms])
    forces, strain = kernel.force_rows(*evaluated), kernel.strain_rows(*evaluated)
    monkeypatch.setattr(module, "CENTER_BLOCK", 1)
    monkeypatch.setattr(module, "POINT_BLOCK", 2)
    kernel._transfers.clear()
    for blocked, whole in (
        (kernel.force_rows(*evaluated), forces),
        (kernel.strain_rows(*evaluated), strain),
    ):
        np.testing.assert_allclose(
            blocked, whole, rtol=0, atol=1e-12 * abs(whole).max()
        )


def test_forces_of_every_row_sum_to_zero():
    kernel = make_kernel(lode(), MEAN)
    rows = kernel.force_rows(*evaluate(kernel, [triclinic(4, (1, 8), 8.0)]))
    np.testing.assert_allclose(rows.sum(axis=0), 0.0, atol=1e-11 * abs(rows).max())
