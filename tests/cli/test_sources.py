"""Several files, slices and patterns, as they are named on the command line."""

import json

import pytest
from stub_model import make_frames

from lodekit import read_structures
from lodekit.cli.sources import find_sources
from lodekit.structures import write_structures


@pytest.fixture
def parts(tmp_path):
    frames = make_frames(12, periodic=True)
    write_structures(tmp_path / "part_a.xyz", frames[:5])
    write_structures(tmp_path / "part_b.xyz", frames[5:])


def test_names_are_files_slices_and_patterns(tmp_path, parts):
    assert find_sources("part_a.xyz") == [("part_a.xyz", None)]
    assert find_sources("part_a.xyz@:3") == [("part_a.xyz", ":3")]
    assert find_sources(["part_*.xyz@-1", "x.xyz"]) == [
        ("part_a.xyz", "-1"),
        ("part_b.xyz", "-1"),
        ("x.xyz", None),
    ]
    (tmp_path / "x.traj@0").write_text("")
    assert find_sources("x.traj@0") == [("x.traj@0", None)]
    assert find_sources("me@home.xyz") == [("me@home.xyz", None)]


def test_several_files_are_fitted_together(lodekit, built, parts, train):
    arguments = ("--set", "fit.energy_noise=1e-3", "--targets", "energy", "--json")
    status, out, err = lodekit("fit", "part_a.xyz", "part_b.xyz", *arguments)
    assert status == 0, err
    together = json.loads(out)
    status, out, _ = lodekit("fit", "part_?.xyz", *arguments, "--overwrite")
    by_pattern = json.loads(out)
    status, out, _ = lodekit("fit", train, *arguments, "--overwrite")
    alone = json.loads(out)
    assert together["training_file"] == "part_a.xyz and part_b.xyz"
    assert together["errors"] == by_pattern["errors"] == alone["errors"]


def test_slices_are_evaluated_and_predicted(lodekit, model, train):
    _, out, _ = lodekit("evaluate", model, f"{train}@::4", "--json")
    assert json.loads(out)["energy"]["n"] == 3
    _, out, _ = lodekit("predict", model, f"{train}@-2:", "-o", "two.xyz")
    assert out.startswith("wrote 2 structures")


def test_files_after_validation_are_not_fitted(lodekit, built, parts, train):
    arguments = ("--targets", "energy", "--json")
    validation = ("--validation", "part_a.xyz", "part_b.xyz")
    status, out, err = lodekit("fit", train, *validation, *arguments)
    assert status == 0, err
    answer = json.loads(out)
    assert answer["training_file"] == "train.xyz"
    assert answer["errors"]["validation"]["energy"]["n"] == 12


def test_what_does_not_exist_is_named(lodekit, model, parts):
    status, _, err = lodekit("fit", "none_*.xyz")
    assert status == 1
    assert "none_*.xyz: no file fits this pattern" in err
    status, _, err = lodekit("fit", "part_a.xyz@9:")
    assert status == 1
    assert "part_a.xyz: holds no structures at index 9:" in err
    status, _, err = lodekit("predict", model, "part_*.xyz", "-o", "part_a.xyz")
    assert status == 1
    assert "cannot be the output as well" in err


def test_split_writes_its_parts(lodekit, built, train, tmp_path):
    arguments = ("--targets", "energy", "--json", "--group", "number")
    frames = make_frames(12, periodic=True)
    for number, atoms in enumerate(frames):
        atoms.info["number"] = number // 2
    write_structures(tmp_path / train, frames, overwrite=True)
    split = ("--split", "0.5", "0.3", "0.2")
    status, out, err = lodekit("fit", train, *split, *arguments)
    assert status == 0, err
    errors = json.loads(out)["errors"]
    assert errors["training"]["energy"]["n"] == 6
    assert errors["validation"]["energy"]["n"] == 4
    parts = [
        [atoms.info["number"] for atoms in read_structures(f"model.{name}.xyz")]
        for name in ("train", "validation", "test")
    ]
    assert [len(part) for part in parts] == [6, 4, 2]
    assert not set(parts[0]) & {*parts[1], *parts[2]}
    status, _, err = lodekit("fit", train, *split, *arguments, "-o", "other.lodekit")
    assert status == 0
    status, _, err = lodekit("fit", train, "--split", "0.5", "0.3", *arguments)
    assert (status, "exists already" in err) == (1, True)
    options = ("--overwrite", *arguments)
    for shares, message in (
        (("0.5", "0.3"), "add up to 1"),
        (("1",), "takes two shares or three"),
        (("0.5", "0.5", "--validation", train), "leave out --validation"),
    ):
        status, _, err = lodekit("fit", train, "--split", *shares, *options)
        assert status == 1
        assert message in err
