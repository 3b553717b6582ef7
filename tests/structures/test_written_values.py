"""What extended XYZ holds of a structure, and what it cannot."""

import re

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength

from lodekit.structures import read_structures, write_structures
from lodekit.structures.reading import parse_structures
from lodekit.structures.writing import frame_text


def ion_pair():
    return Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.5]])


VALUES = {
    "tab": "a\tb",
    "tab and spaces": "a \t b",
    "lines": "one\ntwo\r\nthree",
    "separators": "a\u2028b\x85c\x1cd\x00",
    "quotes": "both \" and '",
    "backslashes": "C:\\new\\",
    "half a letter": "\ud800",
    "text like JSON": "_JSON [1]",
    "text like numbers": "1 2 3",
    "text like a number": "007",
    "text like a flag": "T",
    "text like brackets": "[[1]]",
    "equals": "a=b c=d",
    "nothing": None,
    "true": True,
    "flags": [True, False],
    "whole": 12345678901234567890123,
    "small": 1.2345678901234567e-20,
    "not finite": np.array([np.nan, np.inf]),
    "one": np.array([1.5]),
    "none": np.array([]),
    "nine": np.arange(9.0),
    "matrix": np.arange(9.0).reshape(3, 3),
    "virial": np.arange(9.0).reshape(3, 3),
    "cube": np.arange(8).reshape(2, 2, 2),
    "texts": ["a", "b c", ""],
    "ragged": [[1], [2, 3]],
    "nested": {"a": [{"b": "c\td"}, 1], "d": None},
    'a key with "quotes"': 1,
    "a key with = and [": 2,
    "a\tkey\u2028": 3,
    "back\\slash": 4,
    "": 5,
}


def test_texts_in_other_files_end_no_line():
    """Python's splitlines ends lines at more than line breaks."""
    structure = ion_pair()
    structure.info["text"] = VALUES["separators"]
    (again,) = parse_structures(frame_text(structure), "densities")
    assert again.info == structure.info


@pytest.mark.parametrize("key", VALUES)
def test_every_value_of_info_survives(tmp_path, key):
    structure = ion_pair()
    structure.info[key] = VALUES[key]
    path = tmp_path / "frames.xyz"
    write_structures(path, structure)
    (again,) = read_structures(path, targets=["energy"])
    assert list(again.info) == [key]
    assert type(again.info[key]) is type(VALUES[key])
    np.testing.assert_equal(again.info[key], VALUES[key])


def test_columns_keep_every_digit_and_every_name(tmp_path):
    """ASE writes eight decimals, and cannot write "forces" beside "forces0"."""
    rng = np.random.default_rng(5)
    structure = Atoms("NaCl", rng.normal(size=(2, 3)), cell=rng.normal(size=(3, 3)))
    structure.calc = SinglePointCalculator(
        structure, forces=rng.normal(size=(2, 3)), charges=[1e-12, -1 / 3]
    )
    structure.arrays["forces0"] = np.array([1, 2])
    structure.arrays["in SI"] = 1e-27 * rng.normal(size=(2, 2))
    structure.arrays["not_finite"] = np.array([np.inf, np.nan])
    structure.arrays["label"] = np.array(["a", "it's"])
    structure.arrays["marked"] = np.array([[True, False], [False, False]])
    path = tmp_path / "frames.xyz"
    write_structures(path, structure)
    (again,) = read_structures(path)
    assert (again.positions == structure.positions).all()
    assert (again.cell[:] == structure.cell[:]).all()
    assert again.arrays.keys() == structure.arrays.keys()
    for key, array in structure.arrays.items():
        np.testing.assert_array_equal(again.arrays[key], array)
    for key, array in structure.calc.results.items():
        np.testing.assert_array_equal(again.calc.results[key], array)


def test_numbers_of_a_few_digits_stay_as_people_write_them(tmp_path):
    path = tmp_path / "frames.xyz"
    write_structures(path, ion_pair())
    rows = path.read_text().splitlines()[2:]
    assert rows[1] == "Cl       0.00000000       0.00000000       2.50000000"


def test_what_the_format_cannot_hold_is_named_in_one_line(tmp_path):
    structure = ion_pair()
    structure.set_constraint([FixAtoms([1]), FixBondLength(0, 1)])
    structure.set_celldisp([1.0, 0.0, 0.0])
    structure.info = {
        "kept": 1,
        "shape": object(),
        5: 1,
        "pbc": "T",
        "z": 1j,
        "é\ud800": 1,
    }
    structure.arrays["pos"] = np.zeros(2)
    structure.arrays["text"] = np.array(["two words", "b"])
    structure.arrays["a:b"] = np.zeros(2)
    path = tmp_path / "frames.xyz"
    named = (
        "frames.xyz: extended XYZ cannot hold the constraint FixBondLengths (frame 2), "
        "the displacement of the cell (frame 2), the column 'pos' (frame 2), the "
        "column 'text' (frame 2), the column 'a:b' (frame 2), ...; it is left out"
    )
    with pytest.warns(UserWarning, match=re.escape(named)) as caught:
        write_structures(path, [ion_pair(), structure, structure])
    assert len(caught) == 1
    again = read_structures(path)[1]
    assert again.info == {"kept": 1}
    assert list(again.arrays) == ["numbers", "positions"]
    assert again.constraints[0].index.tolist() == [1]


@pytest.mark.parametrize("value", [object(), 1j, {1: 2j}, np.array([1j])])
def test_values_that_are_no_text_or_numbers_are_named(tmp_path, value):
    structure = ion_pair()
    structure.info["shape"] = value
    named = f"cannot hold 'shape' of info, a value of type {type(value).__name__} "
    with pytest.warns(UserWarning, match=named):
        write_structures(tmp_path / "frames.xyz", structure)


@pytest.mark.parametrize("name", ["symbols", "species", "pos", "Z", "move_mask", ""])
def test_columns_whose_names_mean_something_else_are_named(tmp_path, name):
    structure = ion_pair()
    structure.arrays[name] = np.arange(2)
    with pytest.warns(UserWarning, match=f"the column '{name}' .frame 1.; it is left"):
        write_structures(tmp_path / "frames.xyz", structure)
