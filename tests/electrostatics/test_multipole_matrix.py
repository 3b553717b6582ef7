import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, triclinic
from finite_differences import central_differences

from lodekit.electrostatics import (
    CoulombInteraction,
    MultipoleInteraction,
    MultipoleMatrix,
)

FINE = 1e-10
#: Fixed, so that a little strain does not choose another one.
CUTOFF = 5.0


def slab():
    atoms = triclinic(4)
    atoms.set_pbc([True, False, True])
    return atoms


def dilute():
    """Two atoms of which none, nor an image, is within the cutoff."""
    cell = [[13.0, 1.0, 0.0], [0.0, 12.0, 0.5], [0.0, -1.0, 13.0]]
    return Atoms("NaCl", [[0, 0, 0], [5.0, 6.0, 6.5]], cell=cell, pbc=True)


# cells of 4 atoms and of one are smaller than the cutoff: with images of the same atom
CASES = {
    "periodic": triclinic(4),
    "one atom": triclinic(1),
    "dilute": dilute(),
    "slab": slab(),
    "open": cluster(4),
    "open atom": cluster(1),
}
WITH_STRAIN = [name for name in CASES if name != "slab"]


def mixed_widths(n_atoms):
    return np.resize([0.3, 0.0, 0.8], n_atoms)


def random_moments(n_atoms, n_moments):
    """Moments with traces; without a net charge if there are several atoms."""
    moments = np.random.default_rng(0).normal(size=(n_atoms, n_moments))
    if n_atoms > 1:
        moments[:, 0] -= moments[:, 0].mean()
    return moments


def interaction_of(atoms, widths=None, cutoff=CUTOFF):
    widths = mixed_widths(len(atoms)) if widths is None else widths
    return MultipoleInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, widths, accuracy=FINE, cutoff=cutoff
    )


def potential_of(interaction, moments):
    """A M by the sums over pairs and k-vectors for one set of moments."""
    n_atoms, n_moments = moments.shape
    padded = np.zeros((n_atoms, 10))
    padded[:, :n_moments] = moments
    derivatives, _ = interaction.derivatives(
        interaction.positions, interaction.widths, padded
    )
    return derivatives[:, :n_moments]


def assert_close(found, expected, tolerance):
    atol = tolerance * abs(expected).max() + 1e-12
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("n_moments", [1, 4, 10])
@pytest.mark.parametrize("name", CASES)
def test_matrix_times_moments_is_their_potential(name, n_moments):
    interaction = interaction_of(CASES[name])
    moments = random_moments(len(CASES[name]), n_moments)
    matrix = MultipoleMatrix(interaction, n_moments).matrix
    found = np.einsum("iajb,jb->ia", matrix, moments)
    assert_close(found, potential_of(interaction, moments), 1e-12)
    np.testing.assert_array_equal(matrix, matrix.transpose(2, 3, 0, 1))


@pytest.mark.parametrize("pbc", [True, False])
def test_point_multipoles_with_the_cutoff_left_open(pbc):
    atoms = triclinic(6)
    atoms.set_pbc(pbc)
    interaction = interaction_of(atoms, widths=0.0, cutoff=None)
    moments = random_moments(6, 10)
    matrix = MultipoleMatrix(interaction)
    found = np.einsum("iajb,jb->ia", matrix.matrix, moments)
    assert_close(found, potential_of(interaction, moments), 1e-12)


@pytest.mark.parametrize("name", ["periodic", "slab", "open"])
def test_matrix_of_charges_is_that_of_the_coulomb_interaction(name):
    atoms = CASES[name]
    coulomb = CoulombInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, mixed_widths(4), accuracy=1e-12
    )
    matrix = MultipoleMatrix(interaction_of(atoms), 1).matrix
    assert_close(matrix[:, 0, :, 0], coulomb.dense(), 1e-11)


@pytest.mark.parametrize("n_moments", [4, 10])
@pytest.mark.parametrize("name", CASES)
def test_contractions_are_energy_forces_and_strain_gradient(name, n_moments):
    interaction = interaction_of(CASES[name])
    n_atoms = len(CASES[name])
    moments = random_moments(n_atoms, n_moments)
    quadrupoles = np.zeros((n_atoms, 3, 3))
    if n_moments == 10:
        quadrupoles += np.random.default_rng(1).normal(size=(n_atoms, 3, 3))
        quadrupoles += np.swapaxes(quadrupoles, 1, 2)
        traces = np.trace(quadrupoles, axis1=1, axis2=2)[:, None, None]
        quadrupoles -= traces * np.eye(3) / 3.0
    unpacked = moments[:, 0], moments[:, 1:4], quadrupoles
    expected = interaction.compute(*unpacked)
    packed = interaction.pack(*unpacked)[:, :n_moments]
    matrix = MultipoleMatrix(interaction, n_moments)
    energy = 0.5 * np.einsum("ia,iajb,jb", packed, matrix.matrix, packed)
    assert energy == pytest.approx(expected.energy, rel=1e-11)
    gradients = 0.5 * np.einsum("ia,iajx->jx", packed, matrix.gradients(packed))
    assert_close(gradients, -expected.forces, 1e-11)
    if name in WITH_STRAIN:
        strain = matrix.strain_gradients(packed)
        strain = 0.5 * np.einsum("ia,iaxy->xy", packed, strain)
        assert_close(strain, expected.strain_gradient, 1e-11)


@pytest.mark.compiled
@pytest.mark.parametrize("n_moments", [1, 4, 10])
@pytest.mark.parametrize("name", ["periodic", "dilute", "slab", "open"])
def test_gradients_are_derivatives_of_the_potential(name, n_moments):
    atoms = CASES[name].copy()
    moments = random_moments(len(atoms), n_moments)
    found = MultipoleMatrix(interaction_of(atoms), n_moments).gradients(moments)

    def potential_at(positions):
        atoms.positions = positions
        return potential_of(interaction_of(atoms), moments)

    expected = central_differences(potential_at, atoms.positions.copy(), 1e-3)
    assert_close(found, expected.transpose(2, 3, 0, 1), 3e-9)


@pytest.mark.compiled
@pytest.mark.parametrize("n_moments", [1, 4, 10])
@pytest.mark.parametrize("name", WITH_STRAIN)
def test_strain_gradients_are_derivatives_of_the_potential(name, n_moments):
    atoms = CASES[name]
    moments = random_moments(len(atoms), n_moments)
    found = MultipoleMatrix(interaction_of(atoms), n_moments).strain_gradients(moments)

    def potential_at(strain):
        strained = atoms.copy()
        strained.set_cell(atoms.cell @ (np.eye(3) + strain))
        strained.positions = atoms.positions @ (np.eye(3) + strain)
        return potential_of(interaction_of(strained), moments)

    expected = central_differences(potential_at, np.zeros((3, 3)), 1e-3)
    assert_close(found, expected.transpose(2, 3, 0, 1), 3e-9)


@pytest.mark.parametrize("n_moments", [1, 4, 10])
def test_memory_is_that_of_all_that_is_kept(n_moments):
    matrix = MultipoleMatrix(interaction_of(CASES["periodic"]), n_moments)
    kept = matrix.matrix, matrix.tensors, matrix.strain_tensors
    assert matrix.nbytes == sum(own.nbytes for own in kept)


def test_blocks_of_pairs_and_k_vectors_change_nothing(monkeypatch):
    moments = random_moments(4, 10)
    whole = MultipoleMatrix(interaction_of(CASES["periodic"]))
    expected = whole.gradients(moments), whole.strain_gradients(moments)
    monkeypatch.setattr("lodekit.electrostatics.multipole_sums.PAIR_PHASES", 200)
    monkeypatch.setattr("lodekit.electrostatics.far_sum.BLOCK_SIZE", 400)
    blocks = MultipoleMatrix(interaction_of(CASES["periodic"]))
    assert_close(blocks.gradients(moments), expected[0], 1e-13)
    assert_close(blocks.strain_gradients(moments), expected[1], 1e-13)


def test_wrong_numbers_of_moments_and_slabs_are_refused():
    interaction = interaction_of(CASES["slab"])
    with pytest.raises(ValueError, match=r"n_moments must be 1 .* got 9"):
        MultipoleMatrix(interaction, 9)
    matrix = MultipoleMatrix(interaction, 4)
    with pytest.raises(ValueError, match=r"moments must have shape \(4, 4\), got"):
        matrix.gradients(np.zeros((4, 10)))
    with pytest.raises(ValueError, match="not for slabs"):
        matrix.strain_gradients(np.zeros((4, 4)))


def test_no_atoms():
    interaction = MultipoleInteraction(np.zeros((0, 3)), 3.0 * np.eye(3), True)
    matrix = MultipoleMatrix(interaction)
    assert matrix.matrix.shape == (0, 10, 0, 10)
    assert matrix.gradients(np.zeros((0, 10))).shape == (0, 10, 0, 3)
    assert matrix.strain_gradients(np.zeros((0, 10))).shape == (0, 10, 3, 3)
