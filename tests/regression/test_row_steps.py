"""Damped steps are the same whether rows or weights are fewer."""

import numpy as np
import pytest

from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.gauss_newton import descend
from lodekit.regression.normal_equations import NormalEquations
from lodekit.regression.row_steps import point_of

NOISES = {"charges": 0.1, "dipole": 0.3}


def both(rows, values):
    """The same rows, a part of each target, as dual and as normal equations."""
    made = DualEquations(rows.shape[1]), NormalEquations(rows.shape[1], NOISES)
    for equations in made:
        equations.add("charges", rows[:5], values[:5], np.ones(5))
        equations.add("dipole", rows[5:], values[5:], np.ones(len(rows) - 5))
    return made


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    rows, values, weights = (rng.normal(size=n) for n in ((8, 12), 8, 12))
    noises = np.repeat(list(NOISES.values()), (5, 3))
    residuals = (values - rows @ weights) / noises
    loss = residuals @ residuals + weights @ weights
    curvature = np.eye(12) + (rows / noises[:, None] ** 2).T @ rows
    made = [point_of(one, NOISES, weights) for one in both(rows, values)]
    return made, (loss, np.trace(curvature) / 12)


def test_loss_and_curvature_are_those_of_the_rows(points):
    found, (loss, diagonal) = points
    for point in found:
        assert point.loss == pytest.approx(loss)
        assert point.mean_diagonal == pytest.approx(diagonal)


@pytest.mark.parametrize("damping", [0.0, 0.5, 1e3])
def test_steps_are_the_same(points, damping):
    few, many = points[0]
    trial = few.step(damping)
    np.testing.assert_allclose(trial, many.step(damping), atol=1e-10)
    assert few.expected_decrease(trial) == pytest.approx(many.expected_decrease(trial))
    length = few.shorten(damping, trial)
    assert length == pytest.approx(many.shorten(damping, trial))


def test_a_step_leaves_the_equations_alone(points):
    few, _ = points[0]
    first = few.step(0.0)
    few.step(10.0)
    np.testing.assert_array_equal(few.step(0.0), first)


def test_descent_ends_where_both_are_stationary():
    # y = J w + (B w)^2 with fewer rows than weights
    rng = np.random.default_rng(1)
    linear, square = rng.normal(size=(8, 12)), 0.3 * rng.normal(size=(8, 12))
    values = rng.normal(size=8)

    def point_at(weights, kind):
        bent = square @ weights
        rows = linear + 2.0 * bent[:, None] * square
        misses = values - linear @ weights - bent**2
        return point_of(both(rows, misses + rows @ weights)[kind], NOISES, weights)

    found = [descend(lambda w, k=k: point_at(w, k), np.zeros(12))[0] for k in (0, 1)]
    np.testing.assert_allclose(found[0].weights, found[1].weights, atol=1e-8)
    assert found[0].loss < point_at(np.zeros(12), 0).loss
    ahead = found[0].expected_decrease(found[0].step(0.0))
    assert ahead < 5e-3 * found[0].loss
