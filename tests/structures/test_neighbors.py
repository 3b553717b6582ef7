import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from crystals import cluster, random_rotation, rock_salt, triclinic

from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs

PERIODIC = [
    (i, j, k) for i in (False, True) for j in (False, True) for k in (False, True)
]


def pairs_of(frames, cutoff):
    return find_pairs(StructureBatch.from_frames(frames), cutoff)


def in_order(centers, neighbors, vectors):
    """Pairs as rows, in an order that does not depend on who found them."""
    rows = np.column_stack([centers, neighbors, vectors])
    return rows[np.lexsort(np.round(rows, 8).T[::-1])]


def assert_same_pairs_as_ase(frames, cutoff):
    pairs = pairs_of(frames, cutoff)
    expected, start = [], 0
    for atoms in frames:
        i, j, vectors = neighbor_list("ijD", atoms, cutoff)
        expected.append(in_order(i + start, j + start, vectors))
        start += len(atoms)
    expected = np.concatenate(expected)
    found = in_order(pairs.centers, pairs.neighbors, pairs.vectors)
    np.testing.assert_array_equal(found[:, :2], expected[:, :2])
    np.testing.assert_allclose(found[:, 2:], expected[:, 2:], rtol=0, atol=1e-10)
    return pairs


@pytest.mark.parametrize("pbc", PERIODIC)
@pytest.mark.parametrize("cutoff", [1.5, 4.0, 9.0])
def test_pairs_equal_those_of_ase(pbc, cutoff):
    # 9 Å is more than twice the length of the cell vectors
    atoms = triclinic(4)
    atoms.set_pbc(pbc)
    pairs = assert_same_pairs_as_ase([atoms], cutoff)
    assert pairs.n_pairs or cutoff == 1.5


def test_very_skewed_cells():
    atoms = triclinic(3)
    cell = atoms.cell.array
    cell[2] += 2.0 * cell[0] - 3.0 * cell[1]
    atoms.set_cell(cell)
    assert_same_pairs_as_ase([atoms], 5.0)


def test_left_handed_cells():
    atoms = triclinic(3)
    atoms.set_cell(atoms.cell.array[[1, 0, 2]])
    assert_same_pairs_as_ase([atoms], 5.0)


def test_atoms_outside_the_cell():
    atoms = triclinic(4)
    atoms.positions += np.array([[0, 0, 0], [7, -3, 1], [-9, 0, 0], [0, 20, -20]])
    inside = atoms.copy()
    inside.wrap()
    assert pairs_of([atoms], 5.0).n_pairs == pairs_of([inside], 5.0).n_pairs
    assert_same_pairs_as_ase([atoms], 5.0)


def test_batch_keeps_structures_apart_and_pairs_in_order():
    frames = [cluster(5), Atoms("H"), rock_salt(1), Atoms(), triclinic(2), cluster(3)]
    pairs = assert_same_pairs_as_ase(frames, 4.0)
    batch = StructureBatch.from_frames(frames)
    structure = batch.structure_of_atom
    np.testing.assert_array_equal(structure[pairs.centers], structure[pairs.neighbors])
    counts = np.bincount(pairs.centers, minlength=batch.n_atoms)
    np.testing.assert_array_equal(np.diff(pairs.first_pair), counts)
    assert (np.diff(pairs.centers) >= 0).all()
    for array in (pairs.vectors, pairs.centers, pairs.neighbors, pairs.first_pair):
        assert array.flags.c_contiguous


def test_one_periodic_atom_is_its_own_neighbor():
    atoms = Atoms("H", cell=[3.0, 3.0, 3.0], pbc=True)
    pairs = pairs_of([atoms], 3.5)
    assert pairs.n_pairs == 6  # simple cubic: six at 3 Å, the next at 4.2 Å
    np.testing.assert_allclose(np.linalg.norm(pairs.vectors, axis=1), 3.0)


@pytest.mark.parametrize("frames", [[], [Atoms()], [Atoms("H")], [Atoms("H")] * 3])
def test_nothing_to_pair(frames):
    pairs = pairs_of(frames, 5.0)
    n_atoms = sum(len(atoms) for atoms in frames)
    assert pairs.n_pairs == 0
    assert pairs.vectors.shape == (0, 3)
    np.testing.assert_array_equal(pairs.first_pair, np.zeros(n_atoms + 1))


def test_pairs_turn_with_the_structure():
    atoms, rotation = triclinic(4), random_rotation()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T, scale_atoms=True)
    before, after = pairs_of([atoms], 4.0), pairs_of([turned], 4.0)
    expected = in_order(before.centers, before.neighbors, before.vectors @ rotation.T)
    found = in_order(after.centers, after.neighbors, after.vectors)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


def test_the_cell_along_an_open_direction_has_no_meaning():
    atoms = triclinic(4)
    atoms.set_pbc([True, True, False])
    flat = atoms.copy()
    flat.set_cell([*atoms.cell.array[:2], [0, 0, 0]])
    with_cell, without = pairs_of([atoms], 5.0), pairs_of([flat], 5.0)
    np.testing.assert_array_equal(with_cell.vectors, without.vectors)


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.nan])
def test_wrong_cutoffs_are_refused(cutoff):
    with pytest.raises(ValueError, match="cutoff must be positive"):
        pairs_of([cluster(2)], cutoff)


def test_atoms_on_top_of_each_other_are_named():
    atoms = Atoms("HOH", [[0, 0, 0], [1, 0, 0], [1, 0, 0]])
    message = r"atoms 2 and 3 of frame 2 \(index 1\) are on top of each other"
    with pytest.raises(ValueError, match=message):
        pairs_of([cluster(2), atoms], 3.0)


def test_an_atom_on_top_of_an_image_is_named():
    atoms = Atoms("HO", [[0, 0, 0], [3.0, 0, 0]], cell=[3.0, 3.0, 3.0], pbc=True)
    with pytest.raises(
        ValueError, match="of frame 1 .index 0. are on top of each other"
    ):
        pairs_of([atoms], 2.0)
