import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from lodekit.errors import StructureError
from lodekit.observables.oxidation_states import (
    check_oxidation_states,
    find_oxidation_states,
    read_oxidation_states,
)


def found(frames, traces=None):
    species = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
    charges = [None] * len(frames)
    if traces:
        charges = [
            np.array([traces[symbol] * np.eye(3) for symbol in atoms.symbols])
            for atoms in frames
        ]
    return find_oxidation_states(frames, species, charges).tolist()


def perovskite():
    shares = [[0, 0, 0], [0.5] * 3, [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    return Atoms("BaTiO3", scaled_positions=shares, cell=[4.0] * 3, pbc=True)


def test_usual_states_that_make_structures_neutral_are_found():
    # O, Ti, Ba: the Born charges of perovskites are far from oxidation states
    assert found([perovskite()], {"Ba": 2.7, "Ti": 7.2, "O": -3.3}) == [-2, 4, 2]
    assert found([bulk("NaCl", "rocksalt", a=5.6)]) == [1, -1]
    # iron is +2 here, and +3 in other oxides
    assert found([bulk("FeO", "rocksalt", a=4.3)]) == [-2, 2]


def test_born_charges_decide_where_no_usual_state_suits():
    assert found([bulk("NeAr", "rocksalt", a=5.0)], {"Ne": -0.8, "Ar": 0.8}) == [-1, 1]
    assert found([bulk("NeAr", "rocksalt", a=5.0)]) == [0, 0]


def test_open_neutral_structures_need_no_charges():
    assert found([molecule("CH3OH"), molecule("H2O")]) == [0, 0, 0]


def test_charges_that_are_given_are_checked():
    species = np.array([1, 8])
    charges = read_oxidation_states({"H": 1, 8: -2}, species)
    np.testing.assert_array_equal(charges, [1.0, -2.0])
    check_oxidation_states([molecule("H2O")], species, charges)
    with pytest.raises(StructureError, match="frame 1 .*H [+]1, O -2 sum to -1 "):
        check_oxidation_states([molecule("OH")], species, charges)
    with pytest.raises(ValueError, match="'Xx' is no element"):
        read_oxidation_states({"Xx": 1}, species)
