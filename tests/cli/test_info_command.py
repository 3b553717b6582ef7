import json
import tomllib

import pytest
from ase import Atoms
from stub_model import StubModel, make_frames

from lodekit.model_file import save_model
from lodekit.structures import write_structures


def test_model_is_described(lodekit, model):
    status, out, err = lodekit("info", model)
    assert status == 0, err
    assert "StubModel, 0.0 MB" in out
    assert "fitted to    train.xyz" in out
    assert "species      H O" in out
    assert "noises       energy 0.001 eV/atom" in out
    assert "\ntraining  energy  meV/atom     1\n" in out
    assert '[fit]\ntargets = ["energy"]' in out


def test_model_is_described_as_json(lodekit, model):
    _, out, _ = lodekit("info", model, "--json")
    answer = json.loads(out)
    assert answer["class"] == "StubModel"
    assert answer["summary"]["species"] == [1, 8]
    assert answer["conventions"]["units"]["length"] == "Angstrom"
    assert answer["settings"] == {"fit": {"targets": ["energy"]}}


def test_settings_are_a_settings_file(lodekit, model):
    _, out, _ = lodekit("info", model, "--settings")
    assert tomllib.loads(out) == {"fit": {"targets": ["energy"]}}
    _, out, _ = lodekit("info", model, "--settings", "--json")
    assert json.loads(out) == {"fit": {"targets": ["energy"]}}


def test_models_fitted_in_python_have_no_settings_file(lodekit):
    save_model(StubModel().fit(make_frames()), "p.lodekit")
    status, _, err = lodekit("info", "p.lodekit", "--settings")
    assert status == 1
    assert "p.lodekit: the model was fitted in Python, not by lodekit fit" in err
    status, out, _ = lodekit("info", "p.lodekit")
    assert status == 0
    assert "settings" not in out


def test_structures_are_audited(lodekit, train):
    status, out, err = lodekit("info", train)
    assert status == 0, err
    assert "frames       12" in out
    assert "forces" in out
    _, out, _ = lodekit("info", train, "--json")
    assert json.loads(out)["frames"] == 12


def test_keys_and_units_of_structures_can_be_given(lodekit):
    atoms = Atoms("OH", [[0, 0, 0], [0, 0, 1]], info={"E": -1.0})
    write_structures("in.xyz", [atoms])
    arguments = ("--key", "energy=E", "--unit", "energy=Hartree", "--json")
    _, out, _ = lodekit("info", "in.xyz", *arguments)
    energy = json.loads(out)["targets"]["energy"]
    assert energy["mean"] == pytest.approx(-27.211386, rel=1e-7)  # CODATA


@pytest.mark.parametrize("arguments", [[], ["--settings"], ["--json"]])
def test_missing_file_gives_one_line(lodekit, arguments):
    status, _, err = lodekit("info", "none.xyz", *arguments)
    assert (status, err) == (1, "lodekit: error: none.xyz: there is no such file\n")


def test_structures_have_no_settings(lodekit, train):
    status, _, err = lodekit("info", train, "--settings")
    assert status == 1
    assert "train.xyz: this is not a lodekit model" in err


def test_damaged_model_gives_one_line(lodekit, model):
    with open(model, "r+b") as file:
        file.truncate(200)
    status, _, err = lodekit("info", model)
    assert status == 1
    assert "m.lodekit: this model file is damaged or truncated" in err
    assert len(err.splitlines()) == 1
