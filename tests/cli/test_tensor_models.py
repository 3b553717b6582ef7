"""The whole path with a model of tensors, from a file to predictions."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from crystals import random_rotation

from lodekit import load_model, read_structures
from lodekit.observables.tensors import read_tensor
from lodekit.structures import write_structures

SETTINGS = """
[fit]
n_channels = 30
[terms.soap]
type = "soap"
cutoff = 3.0
smoothing_width = 1.0
max_radial = 2
max_angular = 2
n_sparse = 6
"""
TARGETS = ("polarizability", "third", "pull")


def make_frames(n):
    """Bent molecules with tensors that follow from their bonds."""
    rng = np.random.default_rng(0)
    frames = []
    for seed in range(n):
        positions = np.array([[0, 0, 0], [0.8, 0.6, 0], [-0.8, 0.6, 0]])
        positions = positions + rng.normal(scale=0.05, size=(3, 3))
        atoms = Atoms("OH2", positions @ random_rotation(seed).T)
        bonds = atoms.positions[1:] - atoms.positions[0]
        pairs = np.einsum("ia,ib->ab", bonds, bonds)
        atoms.info["polarizability"] = (np.eye(3) + pairs).ravel()
        third = np.einsum("ia,ib,ic->abc", bonds, bonds, bonds)
        atoms.info["third"] = third.ravel()
        atoms.arrays["pull"] = np.concatenate([[bonds.sum(axis=0)], -bonds])
        frames.append(atoms)
    return frames


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tensor_models")
    frames = make_frames(40)
    write_structures(folder / "train.xyz", frames[:30])
    write_structures(folder / "new.xyz", frames[30:])
    (folder / "s.toml").write_text(SETTINGS)
    return folder


@pytest.fixture
def fitted(folder, lodekit, monkeypatch):
    """What ``fit --json`` printed; fitted once."""
    monkeypatch.chdir(folder)
    if not Path("m.lodekit").exists():
        status, out, err = lodekit(
            *("fit", "train.xyz", "--model", "tensor", "--targets", *TARGETS),
            *("--settings", "s.toml", "--output", "m.lodekit", "--report", "report"),
            *("--validation", "new.xyz", "--json"),
        )
        assert status == 0, err
        Path("fit.json").write_text(out)
    return json.loads(Path("fit.json").read_text())


def test_fit_shows_errors_of_all_tensors(fitted):
    for errors in (fitted["errors"]["validation"], fitted["errors"]["held out"]):
        assert list(errors) == list(TARGETS)
    errors = fitted["errors"]["validation"]
    assert errors["polarizability"]["unit"] == "Å³"
    assert errors["polarizability"]["n"] == 90
    assert all(errors[name]["r2"] > 0.99 for name in TARGETS)
    assert {f"{name}.png" for name in TARGETS} <= {
        p.name for p in Path("report").iterdir()
    }


@pytest.mark.usefixtures("fitted")
def test_predict_writes_tensors_and_keeps_the_reference(lodekit):
    status, _, err = lodekit(
        "predict", "m.lodekit", "new.xyz", "-o", "out.xyz", "--std"
    )
    assert status == 0, err
    frames = read_structures("new.xyz")
    expected = load_model("m.lodekit").compute(frames)
    again = read_structures("out.xyz")
    for atoms, there, before, result in zip(
        read("out.xyz", ":"), again, frames, expected, strict=True
    ):
        for name in TARGETS:
            place = atoms.arrays if name == "pull" else atoms.info
            values = np.reshape(place[name], result[name].shape)
            np.testing.assert_allclose(values, result[name], atol=1e-7)
            reference = read_tensor(there, name)  # from REF_
            np.testing.assert_allclose(reference, read_tensor(before, name), atol=1e-7)
        assert np.size(atoms.info["third_std"]) == 27


def test_evaluate_compares_all_tensors_by_element_too(fitted, lodekit):
    status, out, err = lodekit("evaluate", "m.lodekit", "new.xyz", "--json")
    assert status == 0, err
    answer = json.loads(out)
    for name in TARGETS:
        expected = fitted["errors"]["validation"][name]
        assert answer[name]["rmse"] == pytest.approx(expected["rmse"], rel=1e-6)
    status, out, err = lodekit("evaluate", "m.lodekit", "new.xyz", "--by", "element")
    assert status == 0, err
    assert "pull" in out.partition("by element")[2]


@pytest.mark.usefixtures("fitted")
def test_info_shows_the_model(lodekit):
    status, out, _ = lodekit("info", "m.lodekit")
    assert status == 0
    assert "TensorModel" in out
    assert "polarizability of order 2" in out
    status, out, _ = lodekit("info", "m.lodekit", "--settings")
    assert status == 0
    assert "n_channels = 30" in out


@pytest.mark.usefixtures("fitted")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--targets", "none"), "has no none"),
        (("--targets", "third", "--set", "terms.soap.offset=0.5"), "offset must be 0"),
        (("--set", "fit.n_chanels=3"), "did you mean 'n_channels'"),
        (("--weight-key", "w"), "no positive weight under the key 'w'"),
    ],
)
def test_mistakes_are_one_line(lodekit, arguments, message):
    fit = ("fit", "train.xyz", "--model", "tensor", "--settings", "s.toml")
    status, _, err = lodekit(*fit, *arguments, "-o", "bad.lodekit")
    assert status == 1
    assert message in err
    assert not Path("bad.lodekit").exists()
