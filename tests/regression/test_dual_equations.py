"""Few rows: the posterior in their space is that of the normal equations."""

import numpy as np
import pytest
from scipy.linalg import LinAlgError

from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.normal_equations import NormalEquations

RANK = 40
NOISES = {"first": 0.1, "second": 0.02}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return [
        (name, rng.normal(size=(n, RANK)), rng.normal(size=n), rng.uniform(0.5, 2, n))
        for name, n in (("first", 5), ("second", 7), ("first", 4))
    ]


@pytest.fixture(scope="module")
def both(rows):
    equations = DualEquations(RANK), NormalEquations(RANK, NOISES)
    for part in rows:
        for one in equations:
            one.add(*part)
    return equations


def test_posterior_is_that_of_the_normal_equations(both):
    dual, primal = (one.solve(NOISES) for one in both)
    other = np.random.default_rng(1).normal(size=(6, RANK))
    assert dual.weights == pytest.approx(primal.weights, abs=1e-9)
    assert dual.standard_deviations(other) == pytest.approx(
        primal.standard_deviations(other), rel=1e-9
    )
    assert dual.apply_covariance(other.T) == pytest.approx(
        primal.apply_covariance(other.T), abs=1e-9
    )
    assert dual.effective_rank == pytest.approx(primal.effective_rank, rel=1e-9)
    assert dual.condition_number == pytest.approx(primal.condition_number, rel=0.02)
    assert both[0].n_rows() == both[1].n_rows() == {"first": 9, "second": 7}


@pytest.mark.parametrize("columns", [np.arange(30), np.array([7, 3, 20, 39])])
def test_posteriors_of_some_weights_are_parts_of_the_whole(both, columns):
    whole = np.eye(RANK)[columns]
    covariance = whole @ both[1].solve(NOISES).apply_covariance(whole.T)
    for solution in (one.solve(NOISES) for one in both):
        part = solution.part(columns)
        assert part.weights == pytest.approx(solution.weights[columns])
        found = part.apply_covariance(np.eye(len(columns)))
        assert found == pytest.approx(covariance, abs=1e-9)
        assert part.condition_number > 1.0


def test_posteriors_of_some_weights_need_no_inverse_of_a_covariance():
    """Rows that are exact and alike: the covariance has more digits than a double."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(60, 3)) @ rng.normal(size=(3, RANK))
    rows[:, 20:] = 0.0
    for equations in (DualEquations(RANK), NormalEquations(RANK, {"first": 1e-6})):
        equations.add("first", rows, rows.sum(axis=1), np.ones(60))
        part = equations.solve({"first": 1e-6}).part(np.arange(20))
        assert part.standard_deviations(rows[:, :20]).max() < 1e-5


def test_rows_that_come_later_are_taken_in(rows):
    grown, whole = DualEquations(RANK), DualEquations(RANK)
    for part in rows:
        grown.add(*part)
        grown.solve(NOISES)
        whole.add(*part)
    later = grown.solve(NOISES).weights
    assert later == pytest.approx(whole.solve(NOISES).weights, abs=1e-10)


def test_a_noise_too_small_is_named():
    dual = DualEquations(3)
    dual.add("first", 1e6 * np.ones((3, 3)), np.ones(3))
    with pytest.raises(LinAlgError, match=r"raise the noise \(first = 1e-12\)"):
        dual.solve({"first": 1e-12})
