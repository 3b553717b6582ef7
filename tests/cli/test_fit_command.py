import json
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from stub_model import StubModel, make_frames

from lodekit import load_model
from lodekit.cli.fit import command
from lodekit.cli.fit_options import gather
from lodekit.model_file import read_header
from lodekit.structures import write_structures


def gathered(*arguments):
    context = command.make_context("fit", ["train.xyz", *arguments])
    options = dict(context.params)
    options.pop("train")
    return gather(options)


def test_training_file_alone_gives_a_model(lodekit, built, train):
    status, out, err = lodekit("fit", train)
    assert status == 0, err
    assert "read 12 structures, 48 atoms, from train.xyz" in out
    assert "targets: energy (key energy), forces (key forces), stress" in out
    assert "wrote the model model.lodekit" in out
    assert load_model("model.lodekit").summary_["n_structures"] == 12
    assert built[0]["fit"]["targets"] == ["energy", "forces", "stress"]


def test_settings_are_printed_and_can_be_used_again(lodekit, built, train):
    _, out, _ = lodekit("fit", train, "--set", "fit.energy_noise=0.002")
    assert "\nenergy_noise = 0.002\n" in out
    _, text, _ = lodekit("info", "model.lodekit", "--settings")
    assert tomllib.loads(text)["fit"]["energy_noise"] == 0.002
    assert text.strip() in out
    with open("again.toml", "w") as file:
        file.write(text)
    status, _, err = lodekit(
        "fit", train, "--settings", "again.toml", "--output", "again.lodekit"
    )
    assert status == 0, err
    assert built[0] == built[1]


def test_dry_run_prints_settings_and_stops(lodekit, built, train):
    status, out, _ = lodekit(
        "fit", train, "--dry-run", "--targets", "energy", "forces", "--json"
    )
    assert status == 0
    settings = json.loads(out)
    assert settings["fit"]["targets"] == ["energy", "forces"]
    assert "soap" in settings["terms"]
    assert not built
    assert os.listdir() == ["train.xyz"]


def test_training_and_validation_errors_are_shown(lodekit, built, train):
    write_structures("val.xyz", make_frames(5, periodic=True, seed=1))
    status, out, _ = lodekit("fit", train, "--validation", "val.xyz")
    assert status == 0
    table = out[out.index("RMSE") :]
    assert [line.split()[0] for line in table.splitlines()[1:7]] == [
        "training",
        "forces",
        "stress",
        "validation",
        "forces",
        "stress",
    ]


def test_one_file_can_hold_training_and_validation_frames(lodekit, built, train):
    chosen = ("--where", "label=near", "--validation-where", "label=far")
    status, out, err = lodekit("fit", train, *chosen, "--json")
    assert status == 0, err
    answer = json.loads(out)
    assert answer["summary"]["n_structures"] == 6
    assert answer["errors"]["validation"]["energy"]["n"] == 6
    assert answer["settings"]["structures"] == {
        "where": {"label": "near"},
        "validation_where": {"label": "far"},
    }


def test_json_is_one_object(lodekit, built, train):
    status, out, _ = lodekit("fit", train, "--json", "--targets", "energy")
    assert status == 0
    answer = json.loads(out)
    assert answer["model"] == "model.lodekit"
    assert answer["errors"]["training"]["energy"]["unit"] == "eV/atom"
    assert answer["settings"]["fit"]["targets"] == ["energy"]
    assert answer["summary"]["n_structures"] == 12
    assert answer["seconds"] >= 0


def test_model_file_records_how_it_was_made(lodekit, built, train):
    lodekit("fit", train, "--key", "energy=energy", "--unit", "energy=eV")
    record = read_header("model.lodekit")["record"]
    assert record["training_file"] == "train.xyz"
    assert record["settings"]["structures"] == {
        "keys": {"energy": "energy"},
        "units": {"energy": "eV"},
    }
    assert record["errors"]["training"]["forces"]["n"] == 3 * 48


def test_report_is_written(lodekit, built, train):
    status, out, _ = lodekit("fit", train, "--report", "page", "--targets", "energy")
    assert status == 0
    assert "wrote the report page/index.html" in out
    assert {"index.html", "energy.png", "settings.toml"} <= set(os.listdir("page"))


def test_existing_output_is_refused_before_the_work(lodekit, built, train, model):
    before = Path(model).read_bytes()
    status, _, err = lodekit("fit", train, "--output", model)
    assert status == 1
    assert "m.lodekit: exists already; choose another name or overwrite it with" in err
    assert "--overwrite (in Python, overwrite=True)" in err
    assert not built
    assert lodekit("fit", train, "--output", model, "--overwrite")[0] == 0
    assert Path(model).read_bytes() != before


@pytest.mark.parametrize("name", ["train.xyz", "far.xyz", "s.toml"])
def test_an_output_that_is_read_is_refused_before_the_work(lodekit, built, train, name):
    Path("far.xyz").write_bytes(Path(train).read_bytes())
    Path("s.toml").write_text("[fit]\n")
    before = Path(name).read_bytes()
    arguments = ("--validation", "far.xyz", "--settings", "s.toml", "--overwrite")
    status, out, err = lodekit("fit", train, "-o", name, *arguments)
    assert (status, out, built) == (1, "", [])
    assert f"{name}: this file is read, it cannot be the output as well" in err
    assert Path(name).read_bytes() == before


def test_a_report_cut_off_by_a_full_disk_says_what_is_written(
    lodekit, built, train, monkeypatch
):
    def fill_up(contents, error):
        raise error("page/index.html: could not be written (No space left on device)")

    monkeypatch.setattr("lodekit.analysis.page.write_all", fill_up)
    arguments = ("--targets", "energy", "-o", "m.lodekit", "--report", "page")
    status, out, err = lodekit("fit", train, *arguments)
    assert status == 1
    assert "wrote the model m.lodekit" in out
    assert (
        "the model m.lodekit is written, its report is not: page/index.html: could "
        "not be written (No space left on device)" in err
    )
    assert not Path("page").exists()


def test_foreign_report_folder_is_refused_before_the_work(lodekit, built, train):
    os.mkdir("page")
    open("page/thesis.tex", "w").close()
    status, _, err = lodekit("fit", train, "--report", "page")
    assert status == 1
    assert "page: the folder holds something that is not a report" in err
    assert not built


def test_interrupted_fit_leaves_no_file(lodekit, built, train, monkeypatch):
    def interrupt(self, frames, groups=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(StubModel, "fit", interrupt)
    status, _, err = lodekit("fit", train)
    assert status == 130
    assert err.strip() == "lodekit: interrupted; no file is left half written"
    assert os.listdir() == ["train.xyz"]


def test_interrupt_while_writing_leaves_no_file(lodekit, built, train, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("lodekit.model_arrays.to_buffer", interrupt)
    assert lodekit("fit", train)[0] == 130
    assert os.listdir() == ["train.xyz"]


def test_weights_come_from_the_frames(lodekit, built, monkeypatch):
    frames = make_frames(4)
    for number, frame in enumerate(frames, start=1):
        frame.info["my_weight"] = number
    write_structures("w.xyz", frames)
    seen = []
    fit = StubModel.fit

    def remember(self, frames, sample_weight=None, groups=None):
        seen.append(sample_weight)
        return fit(self, frames)

    monkeypatch.setattr(StubModel, "fit", remember)
    assert lodekit("fit", "w.xyz", "--weight-key", "my_weight")[0] == 0
    assert seen == [[1.0, 2.0, 3.0, 4.0]]
    status, _, err = lodekit("fit", "w.xyz", "--weight-key", "wei", "-o", "b.lodekit")
    assert status == 1
    assert "frame 1 has no positive weight under the key 'wei', got None" in err


def test_noises_of_groups_of_frames(lodekit, built, train, monkeypatch):
    seen = []
    fit = StubModel.fit

    def remember(self, frames, sample_weight=None, groups=None):
        seen.append(sample_weight)
        return fit(self, frames)

    monkeypatch.setattr(StubModel, "fit", remember)
    arguments = ("fit", train, "--set", "fit.noise_by.label.near=2", "--json")
    status, out, err = lodekit(*arguments)
    assert status == 0, err
    assert seen == [[1.0, 0.25] * 6]
    assert json.loads(out)["settings"]["fit"]["noise_by"] == {"label": {"near": 2}}
    assert built[0]["fit"].get("noise_by") is None
    for setting, message in (
        ("fit.noise_by.label.none=2", "no frame has label=none"),
        ("fit.noise_by.label.near=-1", "must be a positive factor"),
        ("fit.noise_by.label=2", "is a table of factors"),
    ):
        status, _, err = lodekit("fit", train, "--overwrite", "--set", setting)
        assert status == 1
        assert message in err


def test_stress_is_not_missed_where_there_is_no_cell(lodekit, built):
    frames = [*make_frames(2, periodic=True), *make_frames(2)]
    write_structures("mixed.xyz", frames)
    assert lodekit("fit", "mixed.xyz")[0] == 0
    assert "stress" in built[0]["fit"]["targets"]


def test_file_without_targets_is_refused(lodekit, built):
    write_structures("bare.xyz", [Atoms("H2", [[0, 0, 0], [0, 0, 0.8]])])
    status, _, err = lodekit("fit", "bare.xyz")
    assert status == 1
    assert "no frame has energy (looked for REF_energy, energy" in err


def test_units_of_the_file_are_converted(lodekit, built, train):
    lodekit("fit", train, "--targets", "energy")
    lodekit(
        "fit",
        train,
        "--targets",
        "energy",
        "--unit",
        "energy=Hartree",
        "-o",
        "h.lodekit",
    )
    in_ev, in_hartree = load_model("model.lodekit"), load_model("h.lodekit")
    ratio = in_hartree.weights_ / in_ev.weights_
    np.testing.assert_allclose(ratio, 27.211386, rtol=1e-6)  # CODATA


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "fit.enrgy_noise=1"], "did you mean 'energy_noise'?"),
        (["--set", "terms.soap.n_spars=5"], "did you mean 'n_sparse'?"),
        (["--set", "terms.sop.n_sparse=5"], "did you mean 'soap'?"),
        (["--set", "ft.energy_noise=5"], "did you mean 'fit'?"),
        (["--settings", "none.toml"], "none.toml: cannot be read"),
        (["--key", "enrgy=E"], "unknown target 'enrgy'"),
        (["--key", "energy=E"], "no frame has the key 'E' asked for as energy"),
        (["--unit", "energy=Ry"], "unknown unit 'Ry' of energy"),
        (["--unit", "energy=hartree"], "of energy (did you mean 'Hartree'?)"),
        (["--unit", "energies=eV", "enrgy=eV"], "'enrgy' (did you mean 'energy'?)"),
        (["--set", "soap.cutoff=6"], "section [soap] (did you mean 'terms.soap'?)"),
        (["--set", "n_sparse=6"], "(did you mean 'terms.soap.n_sparse'?)"),
        (["--set", "radius=6"], "(did you mean 'terms.lode.radius'?)"),
        (["--set", "baseline=composition"], "(did you mean 'fit.baseline'?)"),
        (["--validation", "none.xyz"], "none.xyz: there is no such file"),
        (["--output", "nowhere/m.lodekit"], "there is no folder"),
        (["--set", "run.model=network"], "run.model must be one of potential"),
    ],
)
def test_mistakes_give_one_line(lodekit, built, train, arguments, message):
    status, _, err = lodekit("fit", train, *arguments)
    assert status == 1
    (line,) = err.strip().splitlines()
    assert line.startswith("lodekit: error: ")
    assert message in line
    assert not os.path.exists("model.lodekit")


LATTICE = 'Lattice="5 0 0 0 5 0 0 0 0"'


@pytest.mark.parametrize(
    ("comment", "last", "message"),
    [
        ("energy=-1", "H 0 0 nan", "bad.xyz: frame 1, .*nan"),
        ("energy=nan", "H 0 0 0.8", "bad.xyz: frame 1, .*energy is not finite"),
        ("energy=-1", "H 0 0 0", "bad.xyz: frame 1 .*on top of each other"),
        ("energy=-1 pbc=T", "H 0 0 0.8", "bad.xyz: frame 1, .*no Lattice"),
        (f"energy=-1 pbc=T {LATTICE}", "H 0 0 0.8", "bad.xyz: frame 1.* cell"),
    ],
)
def test_impossible_structures_give_one_line(lodekit, built, comment, last, message):
    Path("bad.xyz").write_text(f"2\n{comment}\nH 0 0 0\n{last}\n")
    status, _, err = lodekit("fit", "bad.xyz")
    assert status == 1
    assert len(err.strip().splitlines()) == 1
    assert re.search(message, err), err


def test_empty_file_gives_one_line(lodekit, built):
    open("empty.xyz", "w").close()
    status, _, err = lodekit("fit", "empty.xyz")
    assert (status, len(err.strip().splitlines())) == (1, 1)
    assert "empty.xyz: holds no structures" in err


def test_options_have_keys_in_the_settings_file(tmp_path):
    (tmp_path / "s.toml").write_text(
        '[structures]\nkeys = {energy = "E"}\nweight_key = "w"\n'
        '[run]\noutput = "a.lodekit"\nthreads = 2\noverwrite = true\n'
        '[fit]\ntargets = ["energy"]\n'
    )
    given, overrides = gathered("--settings", str(tmp_path / "s.toml"))
    assert given["structures"]["keys"] == {"energy": "E"}
    assert given["structures"]["weight_key"] == "w"
    assert given["run"] == {
        "model": "potential",
        "output": "a.lodekit",
        "threads": 2,
        "overwrite": True,
    }
    assert given["fit"] == {"targets": ["energy"]}
    assert overrides == {}


def test_options_beat_set_and_set_beats_the_file(tmp_path):
    (tmp_path / "s.toml").write_text('[run]\noutput = "a"\nreport = "a"\nthreads = 1\n')
    given, overrides = gathered(
        *("--settings", str(tmp_path / "s.toml")),
        *("--set", "run.report=b", "run.output=b", "fit.targets=[]"),
        *("--output", "c", "--targets", "energy"),
    )
    assert given["run"]["output"] == "c"
    assert given["run"]["report"] == "b"
    assert given["run"]["threads"] == 1
    assert overrides == {"fit": {"targets": ["energy"]}}


def test_spellings_of_targets_agree():
    for arguments in (
        ["--targets", "energy", "forces"],
        ["--targets", "energy,forces"],
        ["--targets", "energy", "--targets", "forces"],
        ["--targets", "energy,", "forces"],
    ):
        assert gathered(*arguments)[1] == {"fit": {"targets": ["energy", "forces"]}}
