"""Noises and amplitudes of kernels by the probability of the targets."""

import numpy as np
import pytest
from finite_differences import central_differences
from scipy.linalg import LinAlgError
from scipy.stats import multivariate_normal

from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.evidence import most_probable
from lodekit.regression.normal_equations import NormalEquations

NAMES = ["first", "second", "total"]
RANK = 12
COLUMNS = [slice(2, 7), slice(7, 12)]  # the first two weights belong to no kernel
NOISES, AMPLITUDES = np.array([0.3, 0.5, 0.1]), np.array([0.4, 3.0])


def draw(n_rows=8, noises=NOISES, amplitudes=AMPLITUDES, seed=0):
    """Rows and values of weights of these amplitudes, by target."""
    rng = np.random.default_rng(seed)
    scales = np.ones(RANK)
    for own, amplitude in zip(COLUMNS, amplitudes, strict=True):
        scales[own] = amplitude
    weights = scales * rng.normal(size=RANK)
    parts = []
    for name, noise in zip(NAMES, noises, strict=True):
        matrix = rng.normal(size=(n_rows, RANK))
        parts.append((name, matrix, matrix @ weights + noise * rng.normal(size=n_rows)))
    return parts


def both(parts):
    """The evidence by rows and by weights."""
    found = []
    for equations in (DualEquations(RANK), NormalEquations(RANK, NAMES)):
        for part in parts:
            equations.add(*part)
        found.append(equations.evidence(NAMES, COLUMNS))
    return found


def density(parts, noises, amplitudes):
    """Logarithm of the density of the targets, and its constants."""
    matrix = np.concatenate([part[1] for part in parts])
    values = np.concatenate([part[2] for part in parts])
    variances = np.repeat(noises**2, [len(part[2]) for part in parts])
    scaled = matrix.copy()
    for own, amplitude in zip(COLUMNS, amplitudes, strict=True):
        scaled[:, own] *= amplitude
    covariance = scaled @ scaled.T + np.diag(variances)
    normal = multivariate_normal.logpdf(values, cov=covariance)
    return normal + 0.5 * len(values) * np.log(2.0 * np.pi)


@pytest.mark.parametrize("kind", [0, 1])
def test_loss_is_minus_the_density_of_the_targets(kind):
    parts = draw()
    loss, _, _ = both(parts)[kind].loss(NOISES, AMPLITUDES)
    assert loss == pytest.approx(-density(parts, NOISES, AMPLITUDES), rel=1e-10)


@pytest.mark.parametrize("kind", [0, 1])
def test_slopes_match_finite_differences(kind):
    evidence = both(draw())[kind]
    _, slopes, _ = evidence.loss(NOISES, AMPLITUDES)
    expected = central_differences(
        lambda logarithms: evidence.loss(*np.split(np.exp(logarithms), [3]))[0],
        np.log([*NOISES, *AMPLITUDES]),
    )
    assert slopes == pytest.approx(expected, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("kind", [0, 1])
def test_average_information_is_that_of_its_definition(kind):
    parts = draw()
    matrix = np.concatenate([part[1] for part in parts])
    values = np.concatenate([part[2] for part in parts])
    slopes = [np.diag(np.repeat(2.0 * own, 8)) for own in np.diag(NOISES**2)]
    for own, amplitude in zip(COLUMNS, AMPLITUDES, strict=True):
        slopes.append(2.0 * amplitude**2 * matrix[:, own] @ matrix[:, own].T)
    fixed = matrix[:, :2] @ matrix[:, :2].T
    inverse = np.linalg.inv(fixed + 0.5 * sum(slopes))
    moved = np.array([slope @ inverse @ values for slope in slopes])
    _, _, information = both(parts)[kind].loss(NOISES, AMPLITUDES)
    expected = 0.5 * moved @ inverse @ moved.T
    assert information == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", [0, 1])
def test_rows_of_one_kind_are_those_alone(kind):
    parts = draw()
    loss, slopes, _ = both(parts)[kind].subset(2).loss(NOISES, AMPLITUDES)
    expected = -density(parts[2:], NOISES[2:], AMPLITUDES)
    assert loss == pytest.approx(expected, rel=1e-10)
    assert slopes[:2] == pytest.approx(0.0, abs=1e-12)


def test_noises_and_amplitudes_of_a_process_are_found():
    # 600 rows of noise in each: 3 %; five weights in each amplitude: a factor of two
    parts = draw(600, np.array([0.3, 0.05, 0.1]))
    for evidence in both(parts):
        noises, amplitudes = most_probable(evidence, np.ones(3), np.ones(3, bool))
        assert noises == pytest.approx([0.3, 0.05, 0.1], rel=0.1)
        assert np.abs(np.log2(amplitudes / AMPLITUDES)).max() < 1.2


def test_amplitudes_far_from_their_start_are_found():
    # a Newton step from 1 leaves what floating-point numbers bear
    amplitudes = np.array([1e-2, 1e3])
    parts = draw(200, amplitudes=amplitudes)  # noises to 5 %
    for evidence in both(parts):
        noises, found = most_probable(evidence, NOISES, np.ones(3, bool))
        assert noises == pytest.approx(NOISES, rel=0.1)
        assert found[0] < 0.1
        # the prior of a factor e^2 weighs as much as four weights do
        assert 100.0 < found[1] < 2e3


def test_a_kernel_that_explains_nothing_is_switched_off():
    parts = draw(100, amplitudes=np.array([0.0, 1.0]))
    _, amplitudes = most_probable(both(parts)[1], np.ones(3), np.ones(3, bool))
    assert amplitudes[0] < 0.05 < 0.5 < amplitudes[1]


def test_given_noises_stay():
    free = np.array([True, False, True])
    noises, _ = most_probable(both(draw(100))[1], np.array([1.0, 0.7, 1.0]), free)
    assert noises[1] == pytest.approx(0.7, rel=1e-14)
    assert abs(noises[0] - 1.0) > 0.1


def test_what_is_given_does_not_count():
    # Totals that are all zero are most probable where there is nothing at all; given
    # them, charges are as large as the other rows say.
    parts = draw(20)
    totals = [("total", parts[2][1], np.zeros(20))]
    evidence = both(parts[:2] + totals)[0]
    free = np.array([False, False, False])
    _, counted = most_probable(evidence, NOISES, free)
    _, given = most_probable(evidence, NOISES, free, condition=2)
    known = evidence.subset(2)
    losses = [
        evidence.loss(NOISES, a)[0] - known.loss(NOISES, a)[0] for a in (counted, given)
    ]
    assert losses[1] < losses[0]
    assert given[1] > counted[1]


@pytest.mark.parametrize("kind", [0, 1])
def test_noises_without_digits_are_refused(kind):
    evidence = both(draw())[kind]
    with pytest.raises(LinAlgError, match="lost to rounding"):
        evidence.loss(np.full(3, 1e-9), np.array([1e3, 1e3]))


def test_scaled_equations_have_the_posterior_of_the_amplitudes():
    parts = draw()
    scales = np.concatenate([np.ones(2), np.repeat(AMPLITUDES, 5)])
    noises = dict(zip(NAMES, NOISES, strict=True))
    for equations in (DualEquations(RANK), NormalEquations(RANK, NAMES)):
        for part in parts:
            equations.add(*part)
        equations.scale(scales)
        matrix = np.concatenate([part[1] * scales for part in parts])
        values = np.concatenate([part[2] for part in parts])
        inverse = np.diag(np.repeat(NOISES**-2.0, 8))
        precision = np.eye(RANK) + matrix.T @ inverse @ matrix
        expected = np.linalg.solve(precision, matrix.T @ inverse @ values)
        assert equations.solve(noises).weights == pytest.approx(expected, abs=1e-8)


def test_the_search_begins_with_whole_structures():
    equations = DualEquations(RANK)
    for seed in range(7):
        for part in draw(2, seed=seed):
            equations.add(*part)
    some, everything = equations.evidence(NAMES, COLUMNS).stages()
    assert everything.values.size == 42
    expected = [part for seed in (0, 3, 6) for part in draw(2, seed=seed)]
    assert np.array_equal(some.values, np.concatenate([own[2] for own in expected]))


def test_many_rows_are_thinned_by_parts(monkeypatch):
    monkeypatch.setattr("lodekit.regression.dual_equations.MAX_ROWS", 10)
    equations = DualEquations(RANK)
    for seed in range(4):  # structures with two rows of each target
        for part in draw(2, seed=seed):
            equations.add(*part)
    thinned = equations.evidence(NAMES, COLUMNS)
    some = [part for seed in (0, 3) for part in draw(2, seed=seed)]
    loss, _, _ = thinned.loss(NOISES, AMPLITUDES)
    some.sort(key=lambda part: NAMES.index(part[0]))
    noises = np.repeat(NOISES, 2)  # two parts of each
    expected = -density(some, noises, AMPLITUDES)
    assert loss == pytest.approx(expected, rel=1e-10)
