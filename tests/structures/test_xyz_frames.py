import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms, FixBondLength, FixCartesian

from lodekit.errors import StructureFileError
from lodekit.structures import read_structures, write_structures


def ion_pair():
    return Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.5]])


def round_trip(tmp_path, structure):
    write_structures(tmp_path / "frames.xyz", structure, overwrite=True)
    return read_structures(tmp_path / "frames.xyz")[0]


@pytest.mark.parametrize(
    "text",
    [
        *("water", "two words", "", " ", "a\tb", "one\ntwo", " led and trailed "),
        *("12", "007", "1e5", "nan", "T", "false", "T F", "_JSON 3", "1 2 3", "a=b"),
        *('say "x"', "it's", "a \"b\" 'c'", "back\\slash", "a\\ b", 'both \\" x'),
        *("[1, 2]", "{a}", "x]", "x{", "Å and ü", "key=", "=", '"', "'", "\u2028"),
    ],
)
def test_every_text_comes_back_as_it_was(tmp_path, text):
    structure = ion_pair()
    structure.info = {"first": 1, "text": text, "last": 2}
    assert round_trip(tmp_path, structure).info == structure.info
    if not {"\\", "\t", "\n", '"'} & set(
        text
    ):  # ASE takes the backslashes of JSON away
        assert ase.io.read(tmp_path / "frames.xyz").info == structure.info


@pytest.mark.parametrize(
    "value",
    [
        *(1, -2.5, True, None, 2**40, float("inf"), np.float64(0.1), np.int32(7)),
        *(np.arange(3), np.array([0.5]), np.eye(3), np.array([True, False])),
        *(np.array([]), np.arange(24.0).reshape(2, 3, 4)),
        *([1.5, 2.5], ["a b", 'c"d'], {"x": np.arange(2), "y": {"z": "\t"}}),
    ],
    ids=repr,
)
def test_other_values_come_back_as_numbers_arrays_and_json(tmp_path, value):
    structure = ion_pair()
    structure.info = {"value": value, "last": 2}
    info = round_trip(tmp_path, structure).info
    assert info["last"] == 2
    if isinstance(value, dict):
        assert info["value"] == {"x": [0, 1], "y": {"z": "\t"}}
    elif value is None or isinstance(value, list) and isinstance(value[0], str):
        assert info["value"] == value
    else:
        np.testing.assert_array_equal(info["value"], value)
        assert np.shape(info["value"]) == np.shape(value)


def test_constraints_that_extended_xyz_has_come_back(tmp_path):
    structure = ion_pair()
    structure.set_constraint([FixAtoms([0]), FixCartesian(1, [True, False, True])])
    again = round_trip(tmp_path, structure)
    positions = again.positions.copy()
    again.set_positions(positions + 1.0)
    moved = again.positions - positions
    np.testing.assert_array_equal(moved, [[0, 0, 0], [0, 1, 0]])


def test_what_extended_xyz_does_not_hold_is_one_line(tmp_path):
    frames = [ion_pair() for _ in range(3)]
    for frame in frames:
        frame.set_constraint(FixBondLength(0, 1))
        frame.info["function"] = ion_pair
    frames[1].set_celldisp([1.0, 0.0, 0.0])
    with pytest.warns(UserWarning, match="frames.xyz: this format does not") as caught:
        write_structures(tmp_path / "frames.xyz", frames)
    (line,) = [str(own.message) for own in caught]
    assert line.endswith(
        "hold the constraint FixBondLengths, the function 'function' in info, the "
        "displacement of the cell"
    )
    assert len(read_structures(tmp_path / "frames.xyz")) == 3


@pytest.mark.parametrize(
    ("place", "key", "value", "message"),
    [
        ("info", "Lattice", 1, "'Lattice' in info has a meaning of its own"),
        ("info", "pbc", "T", "'pbc' in info has a meaning of its own"),
        ("arrays", "species", np.arange(2), "a column cannot be called 'species'"),
        ("arrays", "a:b", np.arange(2), "a column cannot be called 'a:b'"),
        ("arrays", "a b", np.arange(2), "a column cannot be called 'a b'"),
        ("arrays", "q", np.array([1j, 2]), "a column cannot hold complex128, as"),
        ("arrays", "site", np.array(["a", "b c"]), "array 'site' has the text 'b c'"),
        ("arrays", "site", np.array(["a", ""]), "the array 'site' has the text ''"),
    ],
)
def test_names_and_columns_that_would_be_read_wrongly_are_refused(
    tmp_path, place, key, value, message
):
    structure = ion_pair()
    getattr(structure, place)[key] = value
    with pytest.raises(StructureFileError, match=f"frame 1: .*{message}"):
        write_structures(tmp_path / "frames.xyz", structure)
    assert not list(tmp_path.iterdir())
