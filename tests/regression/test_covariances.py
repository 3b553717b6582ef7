import numpy as np
import pytest
from finite_differences import central_differences

from lodekit.regression import PolynomialCovariance

COVARIANCES = [
    PolynomialCovariance(zeta, normalize, offset)
    for zeta in (1, 2, 3)
    for normalize in ("each", "mean")
    for offset in (0.0, 0.7)
]


def slow_covariance(covariance, p, point, points):
    """k(p, P) of two vectors from the equation."""
    if covariance.normalize == "each":
        cosine = (p @ point) / np.linalg.norm(p) / np.linalg.norm(point)
    else:
        cosine = (p @ point) / np.mean([q @ q for q in points])
    return (covariance.offset + cosine) ** covariance.zeta


def random_features(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(4, 6)), rng.normal(size=(3, 6))


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_values_equal_the_equation(covariance):
    features, points = random_features()
    expected = [
        [slow_covariance(covariance, p, point, points) for point in points]
        for p in features
    ]
    values = covariance.evaluate(features, points).values
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(covariance.matrix(features, points), values)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_slopes_and_shifts_give_the_derivative_along_any_change(covariance):
    features, points = random_features()
    change = np.random.default_rng(1).normal(size=features.shape)
    evaluated = covariance.evaluate(features, points)
    analytic = evaluated.slopes * (change @ points.T)
    analytic += evaluated.shifts * (change * features).sum(axis=1)[:, None]
    numerical = central_differences(
        lambda s: covariance.matrix(features + s[0] * change, points), [0.0], 1e-3
    )[0]
    np.testing.assert_allclose(analytic, numerical, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_covariance_of_points_with_themselves_is_a_covariance(covariance):
    points = random_features()[1]
    matrix = covariance.matrix(points, points)
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-14)
    assert np.linalg.eigvalsh(matrix).min() > -1e-12
    if covariance.normalize == "each":
        prior = (1.0 + covariance.offset) ** covariance.zeta
        np.testing.assert_allclose(np.diag(matrix), prior, rtol=1e-14)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_environment_without_features_has_the_constant_only(covariance):
    features, points = random_features()
    features[1] = 0.0
    evaluated = covariance.evaluate(features, points)
    expected = covariance.offset**covariance.zeta
    np.testing.assert_allclose(evaluated.values[1], expected, rtol=1e-15)
    np.testing.assert_array_equal(evaluated.shifts[1], 0.0)
    if covariance.normalize == "each":
        np.testing.assert_array_equal(evaluated.slopes[1], 0.0)


@pytest.mark.parametrize("covariance", COVARIANCES, ids=str)
def test_points_without_features_have_the_constant_only(covariance):
    features, points = random_features()
    values = covariance.matrix(features, np.zeros_like(points))
    np.testing.assert_allclose(values, covariance.offset**covariance.zeta)


def test_lengths_do_not_matter_where_each_is_normalised():
    features, points = random_features()
    covariance = PolynomialCovariance(3)
    np.testing.assert_allclose(
        covariance.matrix(5.0 * features, 0.1 * points),
        covariance.matrix(features, points),
        rtol=1e-13,
    )


def test_features_keep_their_size_where_the_mean_is_normalised():
    features, points = random_features()
    covariance = PolynomialCovariance(2, "mean")
    values = covariance.matrix(features, points)
    np.testing.assert_allclose(
        covariance.matrix(3.0 * features, points), 9.0 * values, rtol=1e-13
    )
    # ... but not the unit they are measured in.
    np.testing.assert_allclose(
        covariance.matrix(3.0 * features, 3.0 * points), values, rtol=1e-13
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"zeta": 0}, "zeta must be a whole number of at least 1, got 0"),
        ({"zeta": 1.5}, "zeta must be a whole number of at least 1, got 1.5"),
        ({"zeta": "two"}, "zeta must be a whole number of at least 1, got 'two'"),
        ({"zeta": None}, "zeta must be a whole number of at least 1, got None"),
        ({"normalize": "all"}, "normalize must be 'each' or 'mean', got 'all'"),
        ({"offset": -0.1}, "offset must not be negative, got -0.1"),
    ],
)
def test_parameters_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        PolynomialCovariance(**arguments).evaluate(*random_features())
