"""Born charges from file to file."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.io import read

from lodekit import read_structures
from lodekit.calculators import LodekitCalculator
from lodekit.structures import get_target, write_structures

DATA = Path(__file__).resolve().parents[2] / "examples" / "data"
BORN = "born_effective_charges"
SETTINGS = """
[terms.soap]
type = "soap"
cutoff = 3.0
smoothing_width = 1.0
max_radial = 2
max_angular = 2
n_sparse = 6
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file with the Born charges of fixed charges, and the settings of a fit."""
    folder = tmp_path_factory.mktemp("born_charges")
    frames = read_structures(DATA / "dimers.xyz")
    frames = [frame for frame in frames if frame.info["dimer_id"] == "MONO_NH4+"]
    random = np.random.default_rng(0)
    for frame in frames:
        charges = np.where(frame.numbers == 7, -1.0, 0.5)
        born = charges[:, None, None] * np.eye(3)
        born = born + 0.01 * random.normal(size=born.shape)
        frame.calc = None
        frame.arrays["bec"] = born.reshape(-1, 9)
    write_structures(folder / "train.xyz", frames)
    (folder / "s.toml").write_text(SETTINGS)
    return folder


def test_born_charges_are_fitted_compared_and_predicted(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    status, out, err = lodekit(
        *("fit", "train.xyz", "--model", "dipole", "--targets", BORN, "--json"),
        *("--settings", "s.toml", "-o", "m.lodekit", "--report", "report"),
    )
    assert status == 0, err
    errors = json.loads(out)["errors"]["training"][BORN]
    assert errors["unit"] == "e"
    assert errors["n"] == 9 * sum(len(a) for a in read_structures("train.xyz"))
    assert errors["rmse"] < 0.05
    assert Path(f"report/{BORN}.png").exists()

    status, out, err = lodekit("evaluate", "m.lodekit", "train.xyz")
    assert (status, err) == (0, "")
    assert BORN in out

    status, out, err = lodekit("info", "m.lodekit")
    assert status == 0
    assert f"{BORN} 0." in out

    status, _, err = lodekit(
        *("predict", "m.lodekit", "train.xyz", "-o", "out.xyz", "--properties", BORN)
    )
    assert status == 0, err
    (atoms, *_) = read_structures("train.xyz")
    atoms.calc = LodekitCalculator("m.lodekit")
    expected = atoms.calc.get_property(BORN, atoms)
    written = read("out.xyz", 0)
    found = written.calc.results[BORN].reshape(-1, 3, 3)
    np.testing.assert_allclose(found, expected, atol=1e-7)
    np.testing.assert_allclose(
        written.arrays["REF_becs"].reshape(-1, 3, 3),
        get_target(read_structures("train.xyz")[0], BORN),
    )


def test_what_is_not_named_is_told(folder, lodekit, monkeypatch):
    monkeypatch.chdir(folder)
    frames = read_structures("train.xyz")
    for frame in frames:
        frame.info["REF_dipole"] = [0.1, 0.2, 0.3]
    write_structures("both.xyz", frames)
    status, _, err = lodekit(
        *("fit", "both.xyz", "--model", "dipole", "-o", "d.lodekit"),
        *("--settings", "s.toml"),
    )
    assert status == 0, err
    assert f"{BORN} not used: name it with --targets to fit it, too" in err
    status, out, err = lodekit("evaluate", "d.lodekit", "both.xyz")
    assert status == 0
    assert f"{BORN} not compared: name it with --targets" in err
    status, out, _ = lodekit("evaluate", "d.lodekit", "both.xyz", "--targets", BORN)
    assert status == 0
    assert BORN in out
