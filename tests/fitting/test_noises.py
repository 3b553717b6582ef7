"""Noises that make targets most probable, and their scale."""

import numpy as np
import pytest

from lodekit.fitting.left_out import KeptGroups
from lodekit.fitting.noises import (
    DEFAULT_NOISES,
    FACTOR,
    free_noises,
    most_probable_noises,
    read_noises,
    scale_noises,
)
from lodekit.observables.rows import Rows
from lodekit.regression.normal_equations import NormalEquations

RANK = 20
TRUE = {"energy": 3e-2, "forces": 0.1}


def draw(noises, n_frames=60, seed=0):
    """(name, Rows): an energy and five forces a frame."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=RANK)
    parts = []
    for (name, noise), count in zip(noises.items(), (1, 5), strict=True):
        frames = np.repeat(np.arange(n_frames), count)
        directions = np.repeat(rng.normal(size=(n_frames, RANK)), count, axis=0)
        matrix = directions + 0.3 * rng.normal(size=(frames.size, RANK))
        values = matrix @ truth + noise * rng.normal(size=frames.size)
        parts.append((name, Rows(matrix, values, frames)))
    return parts


def fold(parts):
    equations = NormalEquations(RANK, [name for name, _ in parts])
    n_frames = parts[0][1].frames.max() + 1
    groups = np.arange(n_frames)
    kept = KeptGroups(groups, groups, np.full(n_frames, 6), RANK)
    for name, rows in parts:
        equations.add(name, rows.matrix, rows.values)
        kept.add(name, rows, np.ones(len(rows.values)))
    return equations, kept


def test_noises_are_read_and_defaults_fill_in():
    names = ["energy", "forces", "total_charge"]
    given = {"energy": 0.5, "forces": "auto"}
    assert read_noises(names, given) == {
        "energy": 0.5,
        "forces": DEFAULT_NOISES["forces"],
        "total_charge": DEFAULT_NOISES["total_charge"],
    }
    assert free_noises(names, given) == ["forces"]  # a condition is no data


def test_noises_of_the_data_are_found():
    equations, _ = fold(draw(TRUE, n_frames=400))
    start = {name: DEFAULT_NOISES[name] for name in TRUE}
    noises, amplitudes = most_probable_noises(equations, start, list(TRUE), [])
    assert amplitudes.size == 0
    for name, noise in TRUE.items():
        assert noises[name] == pytest.approx(noise, rel=0.15)


def test_noises_that_are_given_stay_to_the_bit():
    equations, _ = fold(draw(TRUE))
    start = {"energy": 1e-3, "forces": 3e-2}
    noises, _ = most_probable_noises(equations, start, ["forces"], [slice(0, RANK)])
    assert noises["energy"] == 1e-3
    assert noises["forces"] != 3e-2


def error(equations, kept, noises):
    """Geometric mean of the errors on frames left out."""
    left = kept.leave_out(equations.solve(noises), noises, single=True)
    return np.exp(np.mean(np.log(list(left.errors().values()))))


@pytest.mark.parametrize("start", [1e-3, 30.0])
def test_the_scale_predicts_best_what_is_left_out(start):
    equations, kept = fold(draw(TRUE, n_frames=12))
    noises = {"energy": start * TRUE["energy"], "forces": start * TRUE["forces"]}
    scaled = scale_noises(equations, kept, noises, list(TRUE))
    ratios = [scaled[name] / noises[name] for name in TRUE]
    assert ratios[0] == pytest.approx(ratios[1])
    steps = np.log(ratios[0]) / np.log(FACTOR)
    assert steps == pytest.approx(round(steps), abs=1e-9)
    best = error(equations, kept, scaled)
    assert best <= error(equations, kept, noises)


def test_noises_that_are_too_small_are_raised():
    # 36 rows that miss by 3 decide on 20 weights: a noise of 0.1 fits the misses
    equations, kept = fold(draw({"energy": 3.0, "forces": 3.0}, n_frames=6))
    small = {"energy": 0.1, "forces": 0.1}
    scaled = scale_noises(equations, kept, small, list(TRUE))
    assert scaled["forces"] > small["forces"]
    assert error(equations, kept, scaled) < error(equations, kept, small)


def test_without_rows_left_out_noises_stay():
    equations, _ = fold(draw(TRUE))
    nothing = KeptGroups(np.arange(60), np.zeros(0, int), np.full(60, 6), RANK)
    assert scale_noises(equations, nothing, TRUE, list(TRUE)) == TRUE
    assert scale_noises(equations, fold(draw(TRUE))[1], TRUE, []) == TRUE
