import numpy as np
import pytest
from scipy.linalg import LinAlgError

from lodekit.models.amplitudes import raise_noises
from lodekit.models.noise import (
    DEFAULT_NOISES,
    calibrate,
    choose_noises,
    held_out_errors,
    held_out_loss,
)
from lodekit.observables.energy import Rows
from lodekit.regression.normal_equations import (
    Gram,
    NormalEquations,
    solve_normal_equations,
)

AUTO = {"energy": "auto", "forces": "auto", "stress": "auto"}
TRUE = {"energy": 3e-2, "forces": 1e-2}


def draw(n_rows, noises, rank=6, scale=1.0, n_directions=6, seed=0):
    """Rows of both targets whose weights are drawn from the prior."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n_directions, rank))
    weights = rng.normal(size=rank)
    parts = []
    for name, noise in noises.items():
        matrix = scale * rng.normal(size=(n_rows, n_directions)) @ directions
        values = matrix @ weights + noise * rng.normal(size=n_rows)
        parts.append((name, Rows(matrix, values, np.zeros(n_rows, int)), None))
    return parts


def fold(parts):
    grams = {}
    for name, rows, _ in parts:
        grams[name] = Gram(rows.matrix.shape[1])
        grams[name].add(rows.matrix, rows.values)
    return grams


def split(parts, n_train):
    halves = [
        [
            (name, Rows(r.matrix[part], r.values[part], r.frames[part]), None)
            for name, r, _ in parts
        ]
        for part in (slice(0, n_train), slice(n_train, None))
    ]
    return fold(halves[0]), halves[1]


def test_chosen_noises_are_a_minimum_of_the_held_out_loss():
    grams, kept = split(draw(40, TRUE), 12)
    noises = choose_noises(grams, kept, AUTO)
    best = held_out_loss(solve_normal_equations(grams, noises), kept)
    for name in noises:
        for factor in (0.1, 10**-0.25, 10**0.25, 10.0):
            trial = {**noises, name: noises[name] * factor}
            loss = held_out_loss(solve_normal_equations(grams, trial), kept)
            assert loss > best * (1 - 2e-3)


def test_given_noises_stay():
    grams, kept = split(draw(40, TRUE), 12)
    assert choose_noises(grams, kept, {"energy": 0.5, "forces": 0.2}) == {
        "energy": 0.5,
        "forces": 0.2,
    }
    assert (
        choose_noises(grams, kept, {"energy": 0.5, "forces": "auto"})["energy"] == 0.5
    )


def test_nothing_held_out_leaves_the_defaults():
    grams, _ = split(draw(40, TRUE), 12)
    expected = {name: DEFAULT_NOISES[name] for name in grams}
    assert choose_noises(grams, [], AUTO) == expected


def test_noises_too_small_for_a_factorisation_do_not_end_the_search():
    # Exact targets pull the noise to zero, but rows of rank 3 in 6 dimensions cannot
    # be factorised there.
    exact = {"energy": 0.0, "forces": 0.0}
    grams, kept = split(draw(40, exact, scale=1e4, n_directions=3), 12)
    with pytest.raises(LinAlgError, match="not positive definite"):
        solve_normal_equations(grams, {"energy": 1e-8, "forces": 1e-8})
    noises = choose_noises(grams, kept, AUTO)
    default = solve_normal_equations(grams, DEFAULT_NOISES)
    chosen = solve_normal_equations(grams, noises)
    assert held_out_loss(chosen, kept) <= held_out_loss(default, kept)


def test_chosen_noises_leave_digits_for_the_unit_prior():
    # Without them rounding decides whether more rows can still be factorised.
    grams, kept = split(draw(40, {"energy": 0.0}, scale=1e2, n_directions=3), 12)
    noise = choose_noises(grams, kept, {"energy": "auto"})["energy"]
    largest = np.diag(grams["energy"].matrix).max() / noise**2
    assert largest * np.finfo(float).eps <= 0.1  # of 1, the prior


def test_noises_that_are_too_small_are_raised():
    # 45 rows that miss by 3 decide on 40 weights: a noise of 1 fits what they miss by
    parts = draw(100, {"energy": 3.0, "forces": 3.0}, rank=40, n_directions=40)
    small = {"energy": 1.0, "forces": 100.0}
    halves = [
        [
            (name, Rows(r.matrix[part], r.values[part], r.frames[part]), None)
            for name, r, _ in parts
        ]
        for part in (slice(0, 45), slice(45, None))
    ]
    equations = NormalEquations(40, small)
    for name, rows, _ in halves[0]:
        equations.add(name, rows.matrix, rows.values)
    raised = raise_noises(small, ["energy"], equations, halves[1])
    assert raised["energy"] > small["energy"]
    assert raised["forces"] == small["forces"]
    errors = [
        held_out_errors(equations.solve(noises), halves[1])["energy"]
        for noises in (small, raised)
    ]
    assert errors[1] < errors[0]
    assert raise_noises(small, [], equations, halves[1]) == small
    assert raise_noises(small, ["energy"], equations, []) == small


def test_held_out_errors_are_root_mean_squares():
    grams, kept = split(draw(20, TRUE), 12)
    solution = solve_normal_equations(grams, TRUE)
    errors = held_out_errors(solution, kept + kept)  # parts of one target are joined
    for name, rows, _ in kept:
        residuals = rows.values - rows.matrix @ solution.weights
        assert errors[name] == pytest.approx(np.sqrt(np.mean(residuals**2)))


def test_calibration_of_a_right_model_is_one():
    # Targets drawn from the prior, without noise, in more directions than there are
    # rows to fit: held-out residuals are as large as predicted.
    scales = []
    for seed in range(60):
        parts = draw(60, {"energy": 0.0}, rank=40, n_directions=40, seed=seed)
        grams, kept = split(parts, 20)
        solution = solve_normal_equations(grams, {"energy": 1e-3})
        scales.append(calibrate(solution, kept))
    # 60 models with 40 - 20 free directions each: 1 / sqrt(2 * 1200) = 2 %
    assert np.sqrt(np.mean(np.square(scales))) == pytest.approx(1.0, rel=0.06)


def test_calibration_grows_with_the_targets():
    grams, kept = split(draw(40, TRUE), 12)
    solution = solve_normal_equations(grams, TRUE)
    before = calibrate(solution, kept)
    scaled = [
        (name, Rows(r.matrix, 7.0 * r.values, r.frames), None) for name, r, _ in kept
    ]
    solution.weights = 7.0 * solution.weights
    assert calibrate(solution, scaled) == pytest.approx(7.0 * before, rel=1e-12)


def test_calibration_takes_energies_before_forces():
    grams, kept = split(draw(40, TRUE), 12)
    solution = solve_normal_equations(grams, TRUE)
    (energy,) = [part for part in kept if part[0] == "energy"]
    (forces,) = [part for part in kept if part[0] == "forces"]
    assert calibrate(solution, kept) == calibrate(solution, [energy])
    assert calibrate(solution, [forces]) != calibrate(solution, [energy])
    assert calibrate(solution, []) == 1.0


def test_rows_of_zeros_do_not_count_in_the_calibration():
    # An environment without features has no deviation, whatever its residual.
    grams, kept = split(draw(40, TRUE), 12)
    solution = solve_normal_equations(grams, TRUE)
    name, rows, _ = kept[0]
    with_zero = Rows(
        np.vstack([rows.matrix, np.zeros(6)]), np.append(rows.values, 0.3), rows.frames
    )
    expected = calibrate(solution, [kept[0]])
    assert calibrate(solution, [(name, with_zero, None)]) == pytest.approx(expected)
    lone = Rows(np.zeros((1, 6)), np.array([0.3]), np.zeros(1, int))
    assert calibrate(solution, [(name, lone, None)]) == 1.0
