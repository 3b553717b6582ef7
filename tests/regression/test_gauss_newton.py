"""Gauss-Newton steps find the least loss, damped where a full step goes too far."""

import numpy as np
import pytest
from scipy import optimize

from lodekit.regression.gauss_newton import Point, damped_factor, minimise, relief


def problem(function, jacobian, values, noise):
    """`linearise` of the residuals values - function(w), with unit priors."""

    def linearise(weights):
        rows = jacobian(weights) / noise
        residuals = (values - function(weights)) / noise
        matrix = np.eye(weights.size) + rows.T @ rows
        moment = rows.T @ (residuals + rows @ weights)
        return matrix, moment, residuals @ residuals + weights @ weights

    return linearise


def test_a_linear_problem_takes_one_step_and_one_to_see_it():
    rng = np.random.default_rng(0)
    rows, values = rng.normal(size=(20, 4)), rng.normal(size=20)
    found = minimise(
        problem(lambda w: rows @ w, lambda w: rows, values, 0.1), np.zeros(4)
    )
    expected = np.linalg.solve(np.eye(4) + 1e2 * rows.T @ rows, 1e2 * rows.T @ values)
    assert found.weights == pytest.approx(expected, rel=1e-12)
    assert found.n_steps == 2
    assert found.factor @ found.factor.T == pytest.approx(
        np.eye(4) + 1e2 * rows.T @ rows
    )


@pytest.mark.parametrize("n_linear", [0, 2])
def test_the_expected_decrease_is_that_of_a_linear_problem(n_linear):
    rng = np.random.default_rng(4)
    rows, values = rng.normal(size=(20, 5)), rng.normal(size=20)
    linearise = problem(lambda w: rows @ w, lambda w: rows, values, 0.1)
    start = rng.normal(size=5)
    matrix, moment, loss = linearise(start)
    # only the lower triangle counts
    point = Point(start, n_linear, np.tril(matrix), moment, loss)
    for damping in (0.0, 1e3):
        trial = point.step(damping)
        decrease = point.loss - linearise(trial)[2]
        assert point.expected_decrease(trial) == pytest.approx(decrease, rel=1e-9)
    # Nielsen: the least factor for a full gain, more damping for none
    assert relief(1.0, 1.0) == pytest.approx(0.1)
    assert relief(0.0, 1.0) == pytest.approx(2.0)


@pytest.mark.parametrize("start", [0.3, 3.0, 20.0])
def test_steps_that_go_too_far_are_damped(start):
    # arctan is flat far out: undamped steps from beyond 1.4 diverge
    def linearise(weights):
        return problem(
            np.arctan, lambda w: np.diag(1.0 / (1.0 + w**2)), np.zeros(1), 1e-3
        )(weights)

    found = minimise(linearise, np.array([start]))
    assert found.loss < 1e-6
    assert abs(found.weights[0]) < 1e-6


def test_the_minimum_is_that_of_another_optimiser():
    rng = np.random.default_rng(1)
    quadratic = rng.normal(size=(12, 3, 3))
    quadratic += quadratic.swapaxes(1, 2)

    def function(w):
        return 0.5 * np.einsum("nab,a,b->n", quadratic, w, w)

    values = function(rng.normal(size=3)) + 0.1 * rng.normal(size=12)

    linearise = problem(function, lambda w: quadratic @ w, values, 0.1)
    start = rng.normal(size=3)
    found = minimise(linearise, start)
    expected = optimize.minimize(lambda w: linearise(w)[2], start, method="BFGS")
    assert found.loss == pytest.approx(expected.fun, rel=1e-3)


def test_the_matrix_is_left_alone():
    matrix = np.asfortranarray(np.diag([4.0, 9.0]))
    assert damped_factor(matrix, 7.0) == pytest.approx(np.diag([11.0, 16.0]) ** 0.5)
    assert np.array_equal(matrix, np.diag([4.0, 9.0]))


def test_linear_weights_are_eliminated():
    # y = F a + (b . G)^2 with the same minimum and covariance as without elimination
    rng = np.random.default_rng(2)
    linear, square = rng.normal(size=(30, 5)), rng.normal(size=(30, 3))

    def function(w):
        return linear @ w[:5] + (square @ w[5:]) ** 2

    def jacobian(w):
        return np.hstack([linear, 2.0 * (square @ w[5:])[:, None] * square])

    values = function(rng.normal(size=8)) + 0.01 * rng.normal(size=30)
    linearise = problem(function, jacobian, values, 0.01)
    start = np.concatenate([np.zeros(5), rng.normal(size=3)])
    found, plain = minimise(linearise, start, 5), minimise(linearise, start)
    assert found.loss == pytest.approx(plain.loss, rel=1e-3)
    assert found.loss == pytest.approx(linearise(found.weights)[2], rel=1e-9)
    matrix, moment, _ = linearise(found.weights)
    assert found.factor @ found.factor.T == pytest.approx(matrix, rel=1e-9)
    # linear weights have their best values
    residual = moment - matrix @ found.weights
    assert residual[:5] == pytest.approx(np.zeros(5), abs=1e-6)
    assert np.abs(residual[5:]).max() < np.abs(moment).max() * 1e-3
