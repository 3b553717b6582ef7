import bz2
import gzip
import lzma
import os
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from ase.units import Bohr, Hartree
from stub_model import StubModel, make_frames

from lodekit import load_model, read_structures
from lodekit.structures import write_structures


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("q.cif", "energy, forces, stress"),
        ("q.pdb", "energy, forces, stress"),
    ],
)
def test_formats_without_room_for_predictions_are_refused_before_the_work(
    lodekit, model, train, monkeypatch, name, lost
):
    monkeypatch.delattr(StubModel, "compute")
    status, _, err = lodekit("predict", model, train, "-o", name)
    assert status == 1
    assert f"{name}: this format cannot hold {lost}; write .xyz, which holds" in err
    assert not os.path.exists(name)


def test_formats_that_lose_a_standard_deviation_are_refused(lodekit, model, train):
    wanted = ("--properties", "energy", "forces", "--std")
    status, _, err = lodekit("predict", model, train, "-o", "q.traj", *wanted)
    assert status == 1
    assert "q.traj: this format cannot hold forces_std; write .xyz" in err


@pytest.mark.filterwarnings("always")
def test_formats_that_lose_references_say_so(lodekit, model, train):
    status, _, err = lodekit("predict", model, train, "-o", "q.traj")
    assert status == 0
    (line,) = err.splitlines()
    assert line.startswith("lodekit: warning: ")
    assert "q.traj: this format cannot hold 'REF_forces' in arrays" in line
    expected = load_model(model).compute(read_structures(train))
    for frame, result in zip(read("q.traj", ":"), expected, strict=True):
        assert frame.get_potential_energy() == result["energy"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("out.nonsense", "UnknownFileType"),
        ("out", "UnknownFileType"),
        ("out.png", "ValueError: png-format can only store 1 Atoms object"),
    ],
)
def test_formats_that_cannot_be_written_are_refused_before_the_work(
    lodekit, model, train, monkeypatch, name, reason
):
    monkeypatch.delattr(StubModel, "compute")
    status, _, err = lodekit("predict", model, train, "-o", name)
    assert status == 1
    assert f"{name}: ASE cannot write it ({reason}" in err
    assert not os.path.exists(name)


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz"])
def test_compressed_files_hold_what_others_do(lodekit, model, train, suffix):
    name = f"out.xyz.{suffix}"
    assert lodekit("predict", model, train, "-o", name, "--std")[0] == 0
    assert lodekit("predict", model, train, "-o", "out.xyz", "--std")[0] == 0
    opener = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[suffix]
    with opener(name) as file:
        assert file.read() == Path("out.xyz").read_bytes()
    assert len(read_structures(name)) == 12


@pytest.fixture
def referenced(tmp_path):
    """Frames whose reference values have the names of references."""
    frames = make_frames(4, periodic=True)
    for frame in frames:
        results, frame.calc = frame.calc.results, None
        frame.info["REF_energy"] = results["energy"]
        frame.arrays["REF_forces"] = results["forces"]
        stress = results["stress"][[0, 5, 4, 5, 1, 3, 4, 3, 2]]
        frame.info["REF_virials"] = -stress * frame.get_volume()
        frame.info["energy"] = 7.0  # of some other code
    write_structures(tmp_path / "in.xyz", frames)
    return "in.xyz"


def comment_values(path):
    """Return info and arrays of the frames of a file as ASE reads them."""
    return [
        {**frame.arrays, **frame.info, **getattr(frame.calc, "results", {})}
        for frame in read(path, ":")
    ]


def test_with_a_prefix_nothing_is_renamed_or_lost(lodekit, model, referenced):
    arguments = ("-o", "out.xyz", "--prefix", "gap_", "--std")
    status, _, err = lodekit("predict", model, referenced, *arguments)
    assert status == 0, err
    both = zip(comment_values(referenced), comment_values("out.xyz"), strict=True)
    for before, after in both:
        assert before.keys() == {n for n in after if not n.startswith("gap_")}
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value, err_msg=name)
        assert {"gap_energy", "gap_forces", "gap_stress", "gap_energy_std"} <= {*after}


def test_with_a_prefix_units_are_those_of_the_predictions(lodekit, model, referenced):
    arguments = ("--prefix", "gap_", "--unit", "energy=Hartree", "length=Bohr")
    lodekit("predict", model, referenced, "-o", "out.xyz", *arguments)
    both = zip(comment_values(referenced), comment_values("out.xyz"), strict=True)
    for before, after in both:
        for name, factor in (
            ("REF_energy", Hartree),
            ("REF_forces", Hartree / Bohr),
            ("REF_virials", Hartree),
            ("positions", Bohr),
        ):
            np.testing.assert_allclose(after[name], before[name] * factor, atol=2e-8)


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        ("REF_", "--prefix REF_: REF_energy is the name of a reference value; choose"),
        ("my ", "--prefix 'my ': a prefix begins with a letter and has letters"),
        ("a=", "--prefix 'a=': a prefix begins with a letter"),
    ],
)
def test_prefixes_that_make_no_new_names_are_refused_before_the_work(
    lodekit, model, referenced, monkeypatch, prefix, message
):
    monkeypatch.delattr(StubModel, "compute")
    arguments = ("-o", "out.xyz", "--prefix", prefix)
    status, _, err = lodekit("predict", model, referenced, *arguments)
    assert status == 1
    assert message in err
    assert not os.path.exists("out.xyz")


def test_a_prefix_that_is_taken_is_refused(lodekit, model, referenced):
    arguments = ("--prefix", "gap_")
    lodekit("predict", model, referenced, "-o", "once.xyz", *arguments)
    status, _, err = lodekit("predict", model, "once.xyz", "-o", "o.xyz", *arguments)
    assert status == 1
    assert "once.xyz: frame 1: gap_energy is there already; choose another" in err


def test_user_columns_of_the_names_of_predictions_stay(lodekit, model):
    frames = make_frames(2)
    for frame in frames:
        frame.info["energy_std"] = 17.0
        frame.arrays["forces_std"] = np.full(len(frame), 3)
    write_structures("in.xyz", frames)
    status, _, err = lodekit("predict", model, "in.xyz", "-o", "out.xyz", "--std")
    assert status == 0, err
    for frame in read("out.xyz", ":"):
        assert frame.info["other_energy_std"] == 17.0
        assert frame.info["energy_std"] == pytest.approx(1e-3 * len(frame))
        np.testing.assert_array_equal(frame.arrays["other_forces_std"], 3)
    status, _, err = lodekit("predict", model, "out.xyz", "-o", "o.xyz", "--std")
    assert status == 1
    assert (
        "out.xyz: frame 1: energy_std and other_energy_std are there, and predictions "
        "leave room for one of them; choose a --prefix" in err
    )
