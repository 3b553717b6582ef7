"""Residuals and deviations of groups left out, against fits without them."""

import numpy as np
import pytest

from lodekit.fitting.left_out import (
    COVERAGES,
    KeptGroups,
    calibration_factor,
    scale_of,
)
from lodekit.observables.rows import Rows
from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.normal_equations import NormalEquations

RANK = 12
NOISES = {"energy": 0.3, "forces": 0.8}
N_ROWS = {"energy": 1, "forces": 3}
GROUPS = np.array([0, 0, 1, 1, 2, 3])
N_FRAMES = GROUPS.size


def draw(seed=0):
    """(name, Rows, weights) of all frames."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=RANK)
    parts = []
    for name, count in N_ROWS.items():
        frames = np.repeat(np.arange(N_FRAMES), count)
        matrix = rng.normal(size=(frames.size, RANK))
        values = matrix @ truth + NOISES[name] * rng.normal(size=frames.size)
        weights = rng.uniform(0.5, 2.0, size=frames.size)
        parts.append((name, Rows(matrix, values, frames), weights))
    return parts


def solve(parts, equations):
    for name, rows, weights in parts:
        equations.add(name, rows.matrix, rows.values, weights)
    return equations.solve(NOISES)


def keep(parts, leavable=(0, 1, 2, 3), **arguments):
    n_rows = np.full(N_FRAMES, sum(N_ROWS.values()))
    kept = KeptGroups(GROUPS, np.array(leavable, dtype=int), n_rows, RANK, **arguments)
    for part in parts:
        kept.add(*part)
    return kept


@pytest.mark.parametrize(
    "make", [lambda: NormalEquations(RANK, NOISES), lambda: DualEquations(RANK)]
)
@pytest.mark.parametrize("single", [False, True])
def test_they_are_those_of_the_fit_to_all_other_groups(make, single):
    parts = draw()
    left = keep(parts).leave_out(solve(parts, make()), NOISES, single)
    owners = np.arange(N_FRAMES) if single else GROUPS
    for name, rows, _ in parts:
        assert left.frames[name].tolist() == rows.frames.tolist()
        for group in np.unique(owners):
            others = [
                (
                    n,
                    r.take(np.flatnonzero(owners[r.frames] != group)),
                    w[owners[r.frames] != group],
                )
                for n, r, w in parts
            ]
            solution = solve(others, make())
            own = owners[rows.frames] == group
            misses = rows.values[own] - rows.matrix[own] @ solution.weights
            assert left.residuals[name][own] == pytest.approx(misses, abs=1e-10)
            deviations = solution.standard_deviations(rows.matrix[own])
            assert left.deviations[name][own] == pytest.approx(deviations, abs=1e-10)


def test_errors_are_root_mean_squares_in_which_every_group_counts_once():
    parts = draw()
    left = keep(parts).leave_out(solve(parts, NormalEquations(RANK, NOISES)), NOISES)
    for name, error in left.errors().items():
        owners = GROUPS[left.frames[name]]
        squares = [np.mean(left.residuals[name][owners == g] ** 2) for g in range(4)]
        assert error == pytest.approx(np.sqrt(np.mean(squares)))


def test_scaled_columns_are_those_of_the_rows():
    parts = draw()
    scales = np.random.default_rng(1).uniform(0.5, 2.0, RANK)
    scaled = [(n, Rows(r.matrix * scales, r.values, r.frames), w) for n, r, w in parts]
    solution = solve(scaled, NormalEquations(RANK, NOISES))
    kept = keep(draw())
    kept.scale(scales)
    expected = keep(scaled).leave_out(solution, NOISES)
    left = kept.leave_out(solution, NOISES)
    assert left.residuals["energy"] == pytest.approx(expected.residuals["energy"])


def test_only_what_can_be_left_out_is_and_no_more_than_a_share():
    assert keep(draw(), leavable=(1, 3)).frames.tolist() == [2, 3, 5]
    for seed in range(5):
        kept = keep(draw(), fraction=0.5, seed=seed)
        assert 0 < kept.frames.size <= 3
    assert keep(draw(), fraction=0.0).frames.size == 0
    assert keep(draw(), leavable=()).frames.size == 0


def test_rows_that_nothing_else_determines_do_not_break_down():
    # a direction that only one group has: its rows leave H = 1 but for rounding
    matrix = np.zeros((2, RANK))
    matrix[:, 0] = [1.0, 2.0]
    rows = Rows(1e8 * matrix, 1e8 * np.array([1.0, 2.0]), np.array([5, 5]))
    parts = [*draw(), ("energy", rows, np.ones(2))]
    solution = solve(parts, NormalEquations(RANK, NOISES))
    left = keep(parts).leave_out(solution, NOISES)
    assert all(np.isfinite(own).all() for own in left.residuals.values())


def test_normal_deviates_are_calibrated_by_their_scale():
    rng = np.random.default_rng(0)
    deviations = rng.uniform(0.5, 2.0, 20_000)
    residuals = 3.0 * deviations * rng.normal(size=20_000)
    # quantiles of 20,000 deviates are known to 1 %
    assert calibration_factor(residuals, deviations) == pytest.approx(3.0, rel=0.03)


def test_calibrated_deviations_cover_heavy_tails_as_well():
    rng = np.random.default_rng(1)
    residuals = rng.standard_t(3, size=20_000)
    factor = calibration_factor(residuals, np.ones(20_000))
    shares = [np.mean(np.abs(residuals) < n * factor) for n in (1, 2)]
    assert np.abs(shares - COVERAGES).max() < 0.08


def test_rows_without_deviation_do_not_count():
    assert calibration_factor(np.array([0.3]), np.zeros(1)) == 1.0
    rng = np.random.default_rng(2)
    residuals, deviations = rng.normal(size=50), np.ones(50)
    expected = calibration_factor(residuals, deviations)
    more = np.append(residuals, 7.0), np.append(deviations, 0.0)
    assert calibration_factor(*more) == expected


def test_a_target_without_a_scale_takes_that_of_another():
    assert scale_of({"energy": 2.0, "forces": 3.0}, "forces") == 3.0
    assert scale_of({"energy": 2.0, "forces": 3.0}, "stress") == 2.0
    assert scale_of({}, "stress") == 1.0
