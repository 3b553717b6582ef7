import numpy as np
import pytest
from crystals import rock_salt, triclinic
from finite_differences import central_differences

from lodekit.electrostatics import CoulombInteraction
from lodekit.electrostatics.boundary import Boundary, FarKernel
from lodekit.electrostatics.far_mesh import FarMesh
from lodekit.electrostatics.far_sum import FarSum
from lodekit.electrostatics.split import CoulombSplit
from lodekit.units import COULOMB_CONSTANT


def slab():
    atoms = triclinic(60)
    atoms.set_pbc([False, True, True])
    return atoms


CASES = {"salt": rock_salt(2, 0.2), "triclinic": triclinic(60), "slab": slab()}


def kernel_of(atoms, accuracy, cutoff=5.0):
    boundary = Boundary.of(atoms.cell[:], atoms.pbc)
    thickness = 0.0
    if boundary.n_periodic == 2:
        thickness = np.ptp(boundary.heights(atoms.positions))
    return FarKernel(boundary, CoulombSplit.make(cutoff, accuracy), thickness)


def charges_of(atoms):
    charges = np.random.default_rng(1).normal(size=len(atoms))
    return charges - charges.mean()


@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("name", CASES)
def test_mesh_is_the_direct_sum_to_the_accuracy(name, accuracy):
    atoms = CASES[name]
    kernel = kernel_of(atoms, accuracy)
    charges = charges_of(atoms)
    forces = (
        CoulombInteraction(atoms.positions, atoms.cell[:], atoms.pbc, accuracy=1e-12)
        .compute(charges)
        .forces
    )
    scale = np.sqrt(np.mean(forces**2)) / COULOMB_CONSTANT
    direct, mesh = (kind(kernel, atoms.positions) for kind in (FarSum, FarMesh))
    expected = direct.gradients(charges, charges)
    found = mesh.gradients(charges, charges)
    error = np.sqrt(np.mean((0.5 * (found[1] - expected[1])) ** 2))
    assert error < 0.7 * accuracy * scale
    np.testing.assert_allclose(found[0], expected[0], atol=3 * accuracy * scale)
    largest = abs(expected[2]).max()
    np.testing.assert_allclose(found[2], expected[2], atol=accuracy * largest)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_derivatives_of_the_computed_values(name):
    # of those of the mesh themselves, at a low accuracy
    atoms = CASES[name]
    cell = atoms.cell.array
    left, right = np.random.default_rng(1).normal(size=(2, len(atoms)))
    kernel = kernel_of(atoms, 1e-3)

    def product(positions):
        return left @ FarMesh(kernel, positions).potential(right[:, None])[:, 0]

    mesh = FarMesh(kernel, atoms.positions)
    potential, positions, strain = mesh.gradients(left, right)
    np.testing.assert_allclose(potential, mesh.potential(right[:, None])[:, 0])

    def moved(first):
        everywhere = atoms.positions.copy()
        everywhere[0] = first
        return product(everywhere)

    expected = central_differences(moved, atoms.positions[0], 1e-3)
    np.testing.assert_allclose(positions[0], expected, rtol=1e-6)
    if name == "slab":  # the strain of a slab is that of the exact sum
        return

    def strained(strain):
        deformation = np.eye(3) + strain
        boundary = Boundary.of(cell @ deformation, True)
        kernel = FarKernel(boundary, CoulombSplit.make(5.0, 1e-3), 0.0)
        mesh = FarMesh(kernel, atoms.positions @ deformation)
        return left @ mesh.potential(right[:, None])[:, 0]

    expected = central_differences(strained, np.zeros((3, 3)), 1e-5)
    np.testing.assert_allclose(strain, expected, atol=1e-6 * abs(expected).max())


def test_the_matrix_of_a_mesh_is_that_of_the_direct_sum():
    atoms = CASES["triclinic"]
    kernel = kernel_of(atoms, 1e-8)
    matrices = np.zeros((2, 60, 60))
    for kind, matrix in zip((FarSum, FarMesh), matrices, strict=True):
        kind(kernel, atoms.positions).add_matrix(matrix)
    np.testing.assert_array_equal(matrices[0], matrices[1])


def test_large_structures_are_summed_on_a_mesh():
    # 1728 ions, so that the mesh is chosen; the crystal itself has a known energy
    atoms = rock_salt(6, 0.0)
    charges = np.where(atoms.numbers == 11, 1.0, -1.0)
    interaction = CoulombInteraction(
        atoms.positions, atoms.cell[:], True, accuracy=1e-5
    )
    assert isinstance(interaction.parts[1], FarMesh)
    energy = interaction.energy(charges) / COULOMB_CONSTANT
    assert -energy * 2.82 / 864 == pytest.approx(1.747564594633, rel=1e-6)
