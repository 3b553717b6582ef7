import resource

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

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
    np.testing.assert_array_equal(get_target(one, "born_effective_charges"), becs)
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


def test_results_that_are_no_arrays_survive(tmp_path):
    structure = ion_pair(energy=-1.0)
    structure.calc.results |= {"ragged": [[1], [2, 3]], "stress": "none", "code": "x"}
    path = tmp_path / "frames.xyz"
    write_structures(path, structure)
    path.write_text(path.read_text().replace("stress=", "my_stress="))
    (again,) = read_structures(path)
    expected = {"ragged": [[1], [2, 3]], "my_stress": "none", "code": "x"}
    assert again.info == expected


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
