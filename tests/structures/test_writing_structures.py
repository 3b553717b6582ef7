import resource

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

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
    structure = ion_pair(energy=-1.0)
    structure.info["empty"] = ""
    path = tmp_path / "frames.xyz"
    write_structures(path, structure)
    again = ase.io.read(path)
    assert again.get_potential_energy() == -1.0
    assert again.info == {"empty": ""}


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
    def interrupt(file, structure, format):
        file.write("1\n")
        raise KeyboardInterrupt

    monkeypatch.setattr("lodekit.structures.writing.write_with_ase", interrupt)
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
