"""The pages about latents, responses and observables are complete, and right."""

import pathlib
import re

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
MOST_LINES = 60


def run(page, monkeypatch):
    """Run the example of a page, and return what it defines."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert block.count("\n") < MOST_LINES
    monkeypatch.chdir(ROOT)
    names = {}
    exec(compile(block, page, "exec"), names)
    return names


def test_an_observable_is_added(monkeypatch):
    names = run("add-an-observable.md", monkeypatch)
    model, atoms = names["model"], names["frames"][0]
    ((_, charges),) = model._affine([atoms])
    result = model.compute([atoms], ["charges", "atomic_dipoles"])[0]
    centred = atoms.positions - atoms.positions.mean(axis=0)
    expected = result["charges"] @ (centred**2).sum(axis=1)
    expected += 2.0 * np.vdot(result["atomic_dipoles"], centred)
    found = names["radius"].value(atoms, charges, model.weights_)
    assert found == pytest.approx([expected], rel=1e-10)


def test_a_latent_is_added(monkeypatch):
    names = run("add-a-latent.md", monkeypatch)
    assert names["force"] == pytest.approx(names["numerical"], rel=1e-5, abs=1e-7)


def test_a_response_is_added(monkeypatch):
    names = run("add-a-response.md", monkeypatch)
    expected = (names["down"] - names["up"]) / 2e-4
    assert names["forces"][0] == pytest.approx(expected, rel=1e-6, abs=1e-8)
    weights, (atoms, *_) = names["weights"], names["frames"][10:]
    direction = np.random.default_rng(0).normal(size=weights.size)

    def forces(step):
        own = weights + step * direction
        solved = names["ScreenedCharges"](atoms, names["latent"], own)
        return names["EnergyRows"](solved).forces()[1]

    expected = (forces(1e-3) - forces(-1e-3)) / 2e-3
    assert names["rows"] @ direction == pytest.approx(expected, rel=1e-6, abs=1e-6)
