"""Structures far from the training data: one line, or exit status 1 when asked for."""

import json

import pytest
from ase.io import read
from stub_model import make_waters

from lodekit.models import SparsePotential
from lodekit.structures import write_structures


@pytest.fixture
def case(tmp_path, fitted):
    fitted.save(tmp_path / "p.lodekit")
    write_structures(tmp_path / "mixed.xyz", make_waters(20, (1.5, 1.3)))
    write_structures(tmp_path / "known.xyz", make_waters())
    return "p.lodekit"


@pytest.fixture(scope="module")
def fitted():
    return SparsePotential(n_sparse=5, targets=["energy"]).fit(make_waters())


def test_predict_warns_in_one_line(case, lodekit):
    status, _, err = lodekit("predict", case, "mixed.xyz", "-o", "out.xyz")
    assert status == 0
    (line,) = err.strip().splitlines()
    assert line.startswith(
        "lodekit: warning: mixed.xyz: 2 of 20 frames are far from the training data; "
        "the farthest is frame 20: atom 2 (H) has bonds"
    )


def test_strict_loses_nothing(case, lodekit):
    arguments = ("predict", case, "mixed.xyz", "-o", "out.xyz")
    properties = ("--properties", "energy", "extrapolation")
    status, _, err = lodekit(*arguments, *properties, "--strict")
    assert status == 1
    assert "everything is written" in err
    frames = read("out.xyz", ":")
    far = [i for i, a in enumerate(frames) if a.arrays["extrapolation"].max() > 1.0]
    assert far == [18, 19]
    status, _, err = lodekit("predict", case, "known.xyz", "-o", "o.xyz", "--strict")
    assert (status, err) == (0, "")


def test_evaluate_says_the_same(case, lodekit):
    status, out, err = lodekit("evaluate", case, "mixed.xyz", "--json")
    assert status == 0
    assert "2 of 20 frames" in err
    assert json.loads(out)["extrapolation"]["frames"] == [19, 20]
    assert lodekit("evaluate", case, "mixed.xyz", "--strict")[0] == 1
    assert lodekit("evaluate", case, "known.xyz", "--strict")[0] == 0


def test_a_model_without_a_range_says_so_when_asked(lodekit, model, train):
    status, _, err = lodekit("evaluate", model, train)
    assert (status, err) == (0, "")
    status, _, err = lodekit("evaluate", model, train, "--strict")
    assert status == 1
    assert "does not know what its training frames cover" in err
