"""Multipoles on a mesh against sums over k-vectors."""

import numpy as np
import pytest
from crystals import triclinic
from finite_differences import central_differences, strained

from lodekit.electrostatics.boundary import Boundary, FarKernel
from lodekit.electrostatics.multipole_mesh import MultipoleFarMesh
from lodekit.electrostatics.multipole_sums import MultipoleFarSum, gradients_of
from lodekit.electrostatics.split import CoulombSplit
from lodekit.kernels.multipole_pairs import N_ORDERS

SPLIT = CoulombSplit.make(4.0, 1e-9, N_ORDERS)


def far(kind, atoms, moments):
    kernel = FarKernel(Boundary.of(atoms.cell[:], atoms.pbc), SPLIT, 0.0)
    derivatives, strain = np.zeros((len(atoms), 20)), np.zeros((3, 3))
    kind(kernel, atoms.positions).add(moments, derivatives, strain)
    return derivatives, strain


def drawn(n_atoms, n_moments):
    moments = np.zeros((n_atoms, 10))
    values = np.random.default_rng(0).normal(size=(n_atoms, n_moments))
    moments[:, :n_moments] = values
    return moments


@pytest.mark.parametrize("n_moments", [4, 10])
def test_the_mesh_has_the_values_of_the_sum(n_moments):
    atoms = triclinic(6)
    moments = drawn(len(atoms), n_moments)
    expected, expected_strain = far(MultipoleFarSum, atoms, moments)
    found, strain = far(MultipoleFarMesh, atoms, moments)
    used = slice(0, 20 if n_moments == 10 else 10)
    scale = np.abs(expected).max(axis=0)
    np.testing.assert_allclose(
        found[:, used] / scale[used], expected[:, used] / scale[used], atol=1e-7
    )
    scale = np.abs(expected_strain).max()
    np.testing.assert_allclose(strain, expected_strain, atol=1e-6 * scale)


@pytest.mark.parametrize("n_moments", [4, 10])
def test_gradients_on_the_mesh_are_those_of_its_energy(n_moments):
    atoms = triclinic(3)
    moments = drawn(len(atoms), n_moments)

    def energy(moved):
        derivatives, _ = far(MultipoleFarMesh, moved, moments)
        return 0.5 * (derivatives[:, :10] * moments).sum()

    def energy_at(positions):
        moved = atoms.copy()
        moved.positions = positions
        return energy(moved)

    derivatives, strain = far(MultipoleFarMesh, atoms, moments)
    numerical = central_differences(energy_at, atoms.positions)
    found = gradients_of(moments, derivatives)
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(found, numerical, atol=1e-8 * scale)
    numerical = central_differences(
        lambda change: energy(strained(atoms, change)), np.zeros((3, 3))
    )
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(strain, numerical, atol=1e-6 * scale)
