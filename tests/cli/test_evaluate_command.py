import json
import os

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from stub_model import StubModel, make_frames

from lodekit import load_model, read_structures
from lodekit.structures import get_target, write_structures


def test_json_holds_the_errors_by_target(lodekit, model, train):
    status, out, err = lodekit("evaluate", model, train, "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert list(answer) == ["energy", "forces", "stress"]
    frames = read_structures(train)
    results = load_model(model).compute(frames)
    errors = np.concatenate(
        [
            np.ravel(result["forces"] - get_target(frame, "forces"))
            for frame, result in zip(frames, results, strict=True)
        ]
    )
    forces = answer["forces"]
    assert forces["rmse"] == pytest.approx(np.sqrt(np.mean(errors**2)))
    assert forces["mae"] == pytest.approx(np.mean(np.abs(errors)))
    assert forces["n"] == errors.size
    units = [answer[target]["unit"] for target in answer]
    assert units == ["eV/atom", "eV/Å", "eV/Å^3"]


def test_table_is_for_people(lodekit, model, train):
    status, out, _ = lodekit("evaluate", model, train)
    assert status == 0
    heading, energy, forces, stress = out.strip().splitlines()
    assert heading.split() == ["target", "unit", "n", "RMSE", "MAE", "max", "R2"]
    assert energy.split()[:4] == ["train.xyz", "energy", "meV/atom", "12"]
    assert forces.split()[:2] == ["forces", "meV/Å"]


def test_groups_of_an_info_key_are_shown(lodekit, model, train):
    _, out, _ = lodekit("evaluate", model, train, "--by", "label", "--json")
    groups = json.loads(out)["groups"]
    assert list(groups) == ["far", "near"]
    assert groups["far"]["energy"]["n"] == 6
    _, out, _ = lodekit("evaluate", model, train, "--by", "label")
    assert "by label" in out
    assert "\nnear  energy" in out


def test_elements_are_shown(lodekit, model, train):
    _, out, _ = lodekit("evaluate", model, train, "--by", "element", "--json")
    groups = json.loads(out)["groups"]
    assert list(groups) == ["H", "O"]
    assert groups["O"]["forces"]["unit"] == "eV/Å"


def test_chosen_frames_are_judged_alone(lodekit, model, train):
    _, out, _ = lodekit("evaluate", model, train, "--where", "label=far", "--json")
    assert json.loads(out)["energy"]["n"] == 6


def test_a_key_that_no_frame_has_is_refused(lodekit, model, train):
    status, _, err = lodekit("evaluate", model, train, "--by", "lable")
    assert status == 1
    assert "frame 1 has no 'lable' to group by; frames have label" in err


def test_standard_deviations_are_compared_with_errors(lodekit, model, train):
    _, out, _ = lodekit("evaluate", model, train, "--std")
    assert "% within 1 std" in out
    _, out, _ = lodekit("evaluate", model, train, "--std", "--json")
    assert set(json.loads(out)["within_std"]["forces"]) == {"1", "2"}


def test_frames_in_a_field_are_no_reference(lodekit, model, train, tmp_path):
    frames = read_structures(train)
    frames[2].info["electric_field"] = [0.0, 0.0, 0.1]
    write_structures(tmp_path / "field.xyz", frames)
    status, _, err = lodekit("evaluate", model, tmp_path / "field.xyz")
    assert status == 1
    assert "frame 3 (index 2) was computed in an electric field" in err


def test_only_wanted_targets_are_compared(lodekit, model, train):
    _, out, _ = lodekit("evaluate", model, train, "--json", "--targets", "energy")
    assert list(json.loads(out)) == ["energy"]


def test_report_and_predictions_are_written(lodekit, model, train):
    arguments = ("--report", "page", "--predictions", "out.xyz", "--by", "label")
    status, out, err = lodekit("evaluate", model, train, *arguments)
    assert status == 0, err
    assert "wrote the report page/index.html" in out
    with open("page/index.html") as file:
        page = file.read()
    assert "<title>m.lodekit on train.xyz</title>" in page
    assert "Errors by group" in page
    assert os.path.exists("page/calibration_train_xyz.png")
    frames = read("out.xyz", ":")
    assert all("REF_energy" in frame.info for frame in frames)


@pytest.mark.parametrize("option", ["--report", "--predictions"])
def test_outputs_are_checked_before_the_work(
    lodekit, model, train, monkeypatch, option
):
    monkeypatch.delattr(StubModel, "compute")
    status, _, err = lodekit("evaluate", model, train, option, train)
    assert status == 1
    assert "train.xyz: " in err
    assert "choose another" in err


def test_file_without_targets_is_refused(lodekit, model):
    write_structures("bare.xyz", [Atoms("OH", [[0, 0, 0], [0, 0, 1]])])
    status, _, err = lodekit("evaluate", model, "bare.xyz")
    assert status == 1
    assert "bare.xyz: no frame has energy, forces or stress to compare with" in err


def test_a_wanted_target_that_is_missing_is_named(lodekit, model):
    write_structures("open.xyz", make_frames(2))
    status, _, err = lodekit("evaluate", model, "open.xyz", "--targets", "stress")
    assert status == 1
    assert "open.xyz: no frame has stress to compare with; name the key" in err


def test_predictions_can_be_evaluated_again(lodekit, model, train):
    _, first, _ = lodekit(
        "evaluate", model, train, "--json", "--predictions", "out.xyz"
    )
    _, second, _ = lodekit("evaluate", model, "out.xyz", "--json")
    assert json.loads(second)["energy"] == json.loads(first)["energy"]


def test_chemiscope_gets_structures_with_errors(lodekit, model, train, tmp_path):
    import gzip

    out_file = "view.json.gz"
    status, out, err = lodekit("evaluate", model, train, "--chemiscope", out_file)
    assert status == 0, err
    assert "wrote view.json.gz" in out
    with gzip.open(tmp_path / out_file) as file:
        dataset = json.load(file)
    frames = read_structures(train)
    assert [own["size"] for own in dataset["structures"]] == [len(a) for a in frames]
    assert len(dataset["environments"]) == sum(map(len, frames))
    assert len(dataset["structures"][0]["cell"]) == 9
    properties = dataset["properties"]
    assert {"error of forces", "reference energy", "predicted energy"} <= {*properties}
    for own in properties.values():
        assert len(own["values"]) == len(frames)
    energy = np.subtract(
        properties["predicted energy"]["values"],
        properties["reference energy"]["values"],
    )
    np.testing.assert_allclose(
        np.abs(energy), properties["error of energy"]["values"], atol=1e-12
    )
    status, _, err = lodekit("evaluate", model, train, "--chemiscope", "view.txt")
    assert (status, "ends in .json" in err) == (1, True)


@pytest.mark.parametrize("key", ["electric_field", "point_charges"])
@pytest.mark.parametrize("command", ["fit", "learning-curve"])
def test_frames_to_judge_by_are_checked_before_the_fit(
    lodekit, train, tmp_path, command, key
):
    frames = read_structures(train)
    frames[2].info[key] = [0.0, 0.0, 9.0] if key == "electric_field" else [1.0, 9, 9, 9]
    write_structures(tmp_path / "other.xyz", frames)
    status, _, err = lodekit(command, train, "--validation", tmp_path / "other.xyz")
    assert status == 1
    assert "frames to judge by: frame 3 (index 2)" in err
