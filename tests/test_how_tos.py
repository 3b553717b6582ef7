"""The how-to pages are short, and all that they tell a user to type runs."""

import json
import pathlib
import re

import pytest
from ase.io import read

from lodekit import read_structures
from lodekit.cli.main import main
from lodekit.cli.toml_text import format_toml
from lodekit.settings.potential import default_settings
from lodekit.structures import write_structures

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ("fit", "validate", "dynamics", "learn-actively")
MOST_LINES = 60


def text_of(page):
    return (ROOT / "docs" / f"how-to-{page}.md").read_text(encoding="utf-8")


def run_commands(page):
    """Run all commands of a page in the order in which they stand."""
    for line in re.findall(r"^    (lodekit .*)$", text_of(page), re.M):
        command, _, output = line.partition(" > ")
        assert main(command.split()[1:]) == 0, line
        if output:
            pathlib.Path(output).write_text(output_of_settings())


def output_of_settings():
    """Return what the shell would redirect, with fewer sparse points for the tests."""
    frames = read_structures("train.xyz")
    settings = default_settings(frames, ["energy", "forces"])
    for term in settings["terms"].values():
        term["n_sparse"] = 4
    return format_toml(settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which a user has done what the first page says."""
    folder = tmp_path_factory.mktemp("how-to")
    frames = read_structures(ROOT / "examples/data/water_clusters.xyz")
    small = [atoms for atoms in frames if len(atoms) <= 6]
    write_structures(folder / "train.xyz", small[:16])
    write_structures(folder / "val.xyz", small[16:20])
    write_structures(folder / "start.xyz", small[:1])
    write_structures(folder / "pool.xyz", small[16:30])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_commands("fit")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_pages_are_short(page):
    assert text_of(page).count("\n") < MOST_LINES


def test_a_model_is_fitted(folder):
    for name in ("model.lodekit", "other.lodekit", "fit_report/index.html"):
        assert (folder / name).stat().st_size > 1000


def test_a_model_is_validated(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    run_commands("validate")
    assert "within 1 std" in capsys.readouterr().out
    assert (folder / "curve.png").exists()


def test_dynamics_end_where_the_model_ends(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    run, bound = re.findall(r"```python\n(.*?)```", text_of("dynamics"), re.S)
    names = {}
    exec(compile(run, "dynamics", "exec"), names)
    exec(compile(bound, "dynamics", "exec"), names)
    # molecules at 2000 K leave the data of molecules near their minimum
    assert "unlike all in the training data" in capsys.readouterr().out
    assert len(read("to_calculate.xyz", ":")) == 1


def test_a_round_of_active_learning(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    run_commands("learn-actively")
    main(["info", "round2.lodekit", "--json"])
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "train.xyz, next.xyz" in json.dumps(answer)
