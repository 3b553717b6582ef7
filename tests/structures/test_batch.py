import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, triclinic

from lodekit.structures.batch import StructureBatch, as_frames

FRAMES = [cluster(3), triclinic(4), Atoms(), Atoms("O", [[1, 2, 3]])]


def test_batch_holds_the_structures_one_after_the_other():
    batch = StructureBatch.from_frames(FRAMES)
    assert (batch.n_structures, batch.n_atoms) == (4, 8)
    np.testing.assert_array_equal(batch.first_atom, [0, 3, 7, 7, 8])
    np.testing.assert_array_equal(batch.structure_of_atom, [0, 0, 0, 1, 1, 1, 1, 3])
    np.testing.assert_array_equal(batch.index_in_structure, [0, 1, 2, 0, 1, 2, 3, 0])
    for number, atoms in enumerate(FRAMES):
        own = slice(*batch.first_atom[number : number + 2])
        np.testing.assert_array_equal(batch.positions[own], atoms.positions)
        np.testing.assert_array_equal(batch.species[own], atoms.numbers)
        np.testing.assert_array_equal(batch.cells[number], atoms.cell.array)
        np.testing.assert_array_equal(batch.pbc[number], atoms.pbc)
    assert batch.positions.dtype == np.float64
    assert batch.species.dtype == np.intp


def assert_same_batch(batch, expected):
    for name in ("positions", "species", "cells", "pbc", "first_atom"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(expected, name))


@pytest.mark.parametrize("chosen", [[0], [1, 3], [2], [0, 1, 2, 3], []])
def test_selected_structures_are_a_batch_of_their_own(chosen):
    batch = StructureBatch.from_frames(FRAMES)
    expected = StructureBatch.from_frames([FRAMES[s] for s in chosen])
    assert_same_batch(batch.select(chosen), expected)


@pytest.mark.parametrize("number", range(4))
def test_one_structure_is_a_batch_of_its_own(number):
    batch = StructureBatch.from_frames(FRAMES)
    expected = StructureBatch.from_frames([FRAMES[number]])
    assert_same_batch(batch.structure(number), expected)


def test_no_structures_are_an_empty_batch():
    batch = StructureBatch.from_frames([])
    assert (batch.n_structures, batch.n_atoms) == (0, 0)
    assert batch.positions.shape == (0, 3)
    assert batch.cells.shape == (0, 3, 3)


def test_batch_is_a_copy():
    atoms = cluster(2)
    batch = StructureBatch.from_frames([atoms, atoms])
    atoms.positions += 1.0
    assert not np.isclose(batch.positions[:2], atoms.positions).any()


def test_one_structure_counts_as_a_list():
    atoms = cluster(2)
    assert as_frames(atoms) == [atoms]
    assert StructureBatch.from_frames(atoms).n_structures == 1


def test_other_things_are_refused():
    message = r"must be a list of ase.Atoms, frame 2 \(index 1\) is a str"
    with pytest.raises(TypeError, match=message):
        StructureBatch.from_frames([cluster(2), "water.xyz"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_positions_that_are_not_finite_are_named(value):
    atoms = cluster(3)
    atoms.positions[2, 1] = value
    with pytest.raises(ValueError, match="finite numbers, atom 3 of frame 2 .index 1."):
        StructureBatch.from_frames([cluster(3), atoms])


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.zeros((3, 3)), True),
        ([[3, 0, 0], [0, 3, 0], [0, 0, 0]], True),
        ([[3, 0, 0], [0, 3, 0], [3, 3, 0]], True),
        ([[3, 0, 0], [6, 0, 0], [0, 0, 3]], [True, True, False]),
        ([[0, 0, 0], [0, 3, 0], [0, 0, 3]], [True, False, False]),
    ],
)
def test_cells_without_volume_are_refused(cell, pbc):
    with pytest.raises(
        ValueError, match="frame 1 .index 0. is periodic .* spans no volume"
    ):
        StructureBatch.from_frames([Atoms("H", cell=cell, pbc=pbc)])


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        ([[3, 0, 0], [0, 0, 0], [0, 0, 0]], [True, False, False]),
        ([[3, 0, 0], [0, 3, 0], [3, 3, 0]], [True, True, False]),
        (np.zeros((3, 3)), False),
    ],
)
def test_open_directions_need_no_cell(cell, pbc):
    batch = StructureBatch.from_frames([Atoms("H", cell=cell, pbc=pbc)])
    np.testing.assert_array_equal(batch.cells[0], cell)
