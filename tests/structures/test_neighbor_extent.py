import pytest
from ase import Atoms

from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs


def test_an_open_structure_of_absurd_width_is_refused():
    atoms = Atoms("HH", [[0, 0, 0], [2e4, 0, 0]])
    with pytest.raises(ValueError, match="check the unit of its positions"):
        find_pairs(StructureBatch.from_frames([atoms]), 5.0)
