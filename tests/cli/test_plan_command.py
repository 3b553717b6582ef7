import json
import pathlib
import tracemalloc

import pytest
from ase.build import bulk
from stub_model import make_waters

from lodekit.cli.fit_run import FitRun
from lodekit.cli.plan import make_plan
from lodekit.cli.settings import parse_assignments
from lodekit.structures import write_structures

SMALL = ("--settings", "small.toml", "--set", "terms.soap.n_sparse=4")
SETTINGS = """
[terms.soap]
[terms.lode]
n_sparse = 3
"""


@pytest.fixture
def waters(tmp_path):
    write_structures(tmp_path / "w.xyz", make_waters(6))
    (tmp_path / "small.toml").write_text(SETTINGS)
    return "w.xyz"


def test_a_plan_counts_weights_and_rows(lodekit, waters):
    status, out, err = lodekit("plan", waters, *SMALL, "--json")
    assert status == 0, err
    plan = json.loads(out)
    assert plan["points"] == {"soap": {"H": 4, "O": 4}, "lode": {"H": 3, "O": 3}}
    assert plan["n_rows"] == {"energy": 6, "forces": 54}
    assert plan["n_weights"] == 14  # all points are independent
    assert plan["fits"]
    assert 0 < plan["seconds"] < 100
    status, out, _ = lodekit("plan", waters, *SMALL)
    assert "weights      14 (soap 4 of O, 4 of H; lode 3 of O" in out
    assert "\ntime         " in out


def test_terms_without_charges_for_their_sources_are_named(lodekit, tmp_path):
    # metals have none, see docs/transfer.md; the other three terms stay
    metals = [bulk("Cu", "fcc", a=a, cubic=True) for a in (3.6, 3.7)]
    for atoms, energy in zip(metals, (-1.0, -1.1), strict=True):
        atoms.info["energy"] = energy
    write_structures("metals.xyz", metals)
    status, out, _ = lodekit("plan", "metals.xyz", "--json")
    assert status == 0
    plan = json.loads(out)
    assert plan["left_out"] == ["lode", "induction"]
    assert plan["points"].keys() == {"soap", "dispersion", "packing"}


@pytest.mark.parametrize("model", ["charges", "tensor"])
def test_other_models_have_plans_by_small_fits(lodekit, train, model, tmp_path):
    from ase.io import read

    frames = read(train, ":")
    for atoms in frames:
        atoms.arrays["charges"] = atoms.positions[:, 0] - atoms.positions[:, 0].mean()
        atoms.info["third"] = [1.0, 2.0, 3.0]
    write_structures(tmp_path / "c.xyz", frames)
    targets = ("--targets", {"charges": "charges", "tensor": "third"}[model])
    status, out, err = lodekit("plan", "c.xyz", "--model", model, *targets)
    assert status == 0, err
    assert "weights" in out
    assert "\ntime         " in out


def test_a_fit_that_cannot_be_held_is_refused(lodekit, waters, monkeypatch):
    monkeypatch.setattr("lodekit.fitting.plan.available_memory", lambda: 1e6)
    status, out, _ = lodekit("plan", waters, *SMALL)
    assert status == 1
    assert "--set terms.soap.n_sparse=2" in out
    status, _, err = lodekit("fit", waters, *SMALL)
    assert status == 1
    assert "weights takes" in err
    assert "--set terms.soap.n_sparse=2" in err


@pytest.mark.slow
def test_the_memory_that_is_planned_is_what_a_fit_takes():
    data = pathlib.Path(__file__).resolve().parents[2] / "examples" / "data"
    names = ("terms.soap", "terms.lode", "terms.induction")
    changes = parse_assignments([f"{name}.n_sparse=60" for name in names])
    changes["fit"] = {"targets": ["energy", "forces"]}
    reading = {"keys": {}, "units": {}, "where": {}, "validation_where": {}}
    given = {"structures": reading, "run": {"model": "potential"}}
    run = FitRun(str(data / "water_clusters.xyz"), given, changes, True)
    frames = run.read(run.train, {})
    settings = run.choose_settings(frames)
    planned = make_plan(run, frames, settings)
    tracemalloc.start()
    model, _ = run.fit_model(frames, settings)
    taken = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # weights that others determine are left out
    assert 0.9 * planned.n_weights < model.weights_.size <= planned.n_weights
    assert planned.memory - planned.resident == pytest.approx(taken, rel=0.3)
