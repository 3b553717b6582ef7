import re
import resource

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength, FixCartesian

from lodekit.errors import StructureFileError
from lodekit.structures import get_target, read_structures, write_structures


def ion_pair(**results):
    structure = Atoms("NaCl", positions=[[0, 0, 0], [0, 0, 2.5]])
    if results:
        structure.calc = SinglePointCalculator(structure, **results)
    return structure


def test_everything_survives_a_round_trip(tmp_path):
    rng = np.random.default_rng(3)
    becs = rng.normal(size=(2, 3, 3)).round(8)
    first = ion_pair(energy=-1.25, forces=[[0, 0, 0.5], [0, 0, -0.5]])
    first.calc.results["born_effective_charges"] = becs
    first.calc.results["forces_std"] = np.full((2, 3), 0.25)
    first.calc.results["energy_std"] = 0.125
    first.arrays["gradients"] = rng.normal(size=(2, 3, 3)).round(8)
    first.info = {"empty": "", "nothing": None, "lines": "one\ntwo", "text": "a b"}
    second = Atoms("O", cell=[3, 3, 3], pbc=[True, True, False])
    path = tmp_path / "frames.xyz"
    write_structures(path, [first, second])
    one, two = read_structures(path)
    assert get_target(one, "energy") == -1.25
    np.testing.assert_array_equal(get_target(one, "becs"), becs)
    np.testing.assert_array_equal(one.get_forces(), first.get_forces())
    np.testing.assert_array_equal(one.arrays["forces_std"], np.full((2, 3), 0.25))
    np.testing.assert_array_equal(
        one.arrays["gradients"], first.arrays["gradients"].reshape(2, 9)
    )
    assert one.info == {
        "empty": "",
        "nothing": None,
        "lines": "one\ntwo",
        "text": "a b",
        "energy_std": 0.125,
    }
    assert two.pbc.tolist() == [True, True, False]
    assert list(first.calc.results) == [
        "energy",
        "forces",
        "born_effective_charges",
        "forces_std",
        "energy_std",
    ]


def test_ase_reads_what_was_written(tmp_path):
    structure = ion_pair(
        energy=-1.0, forces=np.full((2, 3), 1 / 3), stress=np.arange(6)
    )
    structure.cell = np.diag([3.0, 4.0, 5.0])
    structure.pbc = [True, False, True]
    structure.set_constraint(FixAtoms([1]))
    structure.info = {"empty": "", "text": 'a "b" \t c', "flags": [True, False], "n": 3}
    path = tmp_path / "frames.xyz"
    write_structures(path, structure)
    again = ase.io.read(path)
    assert again == structure
    assert again.get_potential_energy() == -1.0
    np.testing.assert_array_equal(again.get_forces(apply_constraint=False), 1 / 3)
    np.testing.assert_array_equal(again.get_stress(), np.arange(6))
    assert again.constraints[0].index.tolist() == [1]
    assert again.info == structure.info


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


def test_results_of_a_structure_of_three_atoms_are_no_columns(tmp_path):
    """A dipole and three atoms have three numbers."""
    water = Atoms("OH2", positions=np.eye(3))
    results = {"dipole": [1, 2, 3], "polarization": [4, 5, 6], "dipole_std": [7, 8, 9]}
    water.calc = SinglePointCalculator(water)
    water.calc.results = results
    path = tmp_path / "frames.xyz"
    write_structures(path, water)
    (again,) = read_structures(path)
    for name in ("dipole", "polarization"):
        np.testing.assert_array_equal(again.calc.results[name], results[name])
    np.testing.assert_array_equal(again.info["dipole_std"], [7, 8, 9])


def test_fixed_atoms_and_coordinates_survive(tmp_path):
    structure = ion_pair()
    structure.set_constraint([FixAtoms([0]), FixCartesian(1, [True, False, False])])
    path = tmp_path / "frames.xyz"
    write_structures(path, structure)
    masks = [c.mask.tolist() for c in read_structures(path)[0].constraints]
    assert masks == [[True, True, True], [True, False, False]]


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


def test_a_key_and_a_column_of_one_name_are_two_things(tmp_path):
    path, again = tmp_path / "frames.xyz", tmp_path / "again.xyz"
    path.write_text(
        "1\ncharges=ddec x=1 Properties=species:S:1:pos:R:3:charge:R:1:x:R:1\n"
        "H 0 0 0 0.5 2.0\n"
    )
    write_structures(again, read_structures(path))
    (structure,) = read_structures(again)
    assert structure.info == {"charges": "ddec", "x": 1}
    assert structure.arrays["x"].tolist() == [2.0]
    assert get_target(structure, "charges").tolist() == [0.5]


def test_a_structure_without_atoms_is_not_written(tmp_path):
    with pytest.raises(StructureFileError, match="frame 2: the structure has no atoms"):
        write_structures(tmp_path / "frames.xyz", [ion_pair(), Atoms()])
    assert not list(tmp_path.iterdir())


def test_other_formats_are_written_by_ase(tmp_path):
    structure = ion_pair(energy=-1.0)
    structure.info["target_keys"] = {"energy": "info:REF_energy"}
    path = tmp_path / "frames.traj"
    write_structures(path, [structure, structure])
    assert len(read_structures(path)) == 2
    assert "target_keys" not in read_structures(path)[0].info
    assert "target_keys" in structure.info


def test_an_existing_file_is_not_overwritten(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text("precious")
    with pytest.raises(
        StructureFileError, match="frames.xyz: exists already; choose an"
    ):
        write_structures(path, [ion_pair()])
    assert path.read_text() == "precious"
    write_structures(path, [ion_pair()], overwrite=True)
    assert len(read_structures(path)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["frames.xyz"]


def test_a_link_keeps_pointing_to_the_file(tmp_path):
    link, path = tmp_path / "link.xyz", tmp_path / "frames.xyz"
    path.write_text("old")
    link.symlink_to(path)
    write_structures(link, [ion_pair()], overwrite=True)
    assert link.is_symlink()
    assert len(read_structures(path)) == 1


def test_places_where_nothing_can_be_written_are_refused(tmp_path):
    with pytest.raises(StructureFileError, match="this is not a file, choose another"):
        write_structures(tmp_path, [ion_pair()], overwrite=True)
    with pytest.raises(StructureFileError, match="there is no folder .*missing"):
        write_structures(tmp_path / "missing" / "frames.xyz", [ion_pair()])
    with pytest.raises(StructureFileError, match="there are no structures to write"):
        write_structures(tmp_path / "frames.xyz", [])


def test_a_full_disk_leaves_no_half_file(tmp_path):
    path = tmp_path / "frames.xyz"
    write_structures(path, [ion_pair()])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(
            StructureFileError,
            match=r"frames.xyz: could not be written \(File too large\); nothing was",
        ):
            write_structures(path, 1000 * [ion_pair()], overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["frames.xyz"]


def test_an_interrupted_write_leaves_no_half_file(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_structures(tmp_path / "frames.xyz", [ion_pair()])
    assert not list(tmp_path.iterdir())


def test_a_value_in_two_places_is_refused(tmp_path):
    structure = ion_pair(energy=-1.0)
    structure.info["energy"] = -2.0
    with pytest.raises(
        StructureFileError,
        match="frame 2: 'energy' is in the calculator and in info or arrays; remove",
    ):
        write_structures(tmp_path / "frames.xyz", [ion_pair(), structure])
    assert not list(tmp_path.iterdir())


def test_a_format_that_ase_cannot_write_is_refused(tmp_path):
    with pytest.raises(
        StructureFileError, match="ASE cannot write it .UnknownFileType"
    ):
        write_structures(tmp_path / "frames.nonsense", [ion_pair()])
    assert not list(tmp_path.iterdir())
