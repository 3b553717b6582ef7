"""Few rows: the posterior in their space is that of the normal equations."""

import numpy as np
import pytest
from scipy.linalg import LinAlgError
from scipy.stats import multivariate_normal

from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.normal_equations import NormalEquations, leave_out

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


def test_evidence_is_the_density_of_the_targets(both, rows):
    matrix = np.concatenate([part[1] for part in rows])
    values = np.concatenate([part[2] for part in rows])
    weights = np.concatenate([part[3] for part in rows])
    names = [part[0] for part in rows for _ in part[2]]
    variances = np.array([NOISES[name] ** 2 for name in names]) / weights
    expected = multivariate_normal.logpdf(
        values, cov=matrix @ matrix.T + np.diag(variances)
    )
    # the dual equations know scaled targets: their density has the scales' determinant
    expected -= 0.5 * np.log(weights).sum()
    assert both[0].log_marginal_likelihood(NOISES) == pytest.approx(expected, rel=1e-9)


def test_left_out_rows_are_predicted_by_the_others(both, rows):
    rest = DualEquations(RANK)
    for part in rows[1:]:
        rest.add(*part)
    _, matrix, values, weights = rows[0]
    expected = values - matrix @ rest.solve(NOISES).weights
    noise = NOISES["first"] / np.sqrt(weights)
    residuals = leave_out(both[0].solve(NOISES), matrix, values, noise)
    assert residuals == pytest.approx(expected, rel=1e-6)


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
