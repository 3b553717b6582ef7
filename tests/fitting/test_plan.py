import numpy as np
import pytest

from lodekit.fitting.plan import (
    Plan,
    available_memory,
    count_points,
    memory_of,
    seconds_of,
    speed_of_products,
)


def test_points_are_no_more_than_there_can_be():
    counts = {"H": 30, "O": 1000}
    # a linear covariance has no more independent points than features
    assert count_points(counts, 500, 100, zeta=1) == {"H": 30, "O": 100}
    assert count_points(counts, 500, 100, zeta=2) == {"H": 30, "O": 500}
    # a quadratic one of ten features has 55 products
    assert count_points(counts, 500, 10, zeta=2) == {"H": 30, "O": 55}


def test_memory_is_that_of_the_sums_where_weights_are_many():
    terms = [(10_000, 500, 500)]
    rows = {"energy": 1000, "forces": 200_000}
    large, small = (memory_of(n, rows, terms) for n in (20_000, 10_000))
    square = 8.0 * 20_000**2
    assert 7 * square < large < 9 * square
    assert small < large


def test_time_is_cubic_in_many_weights():
    rows = {"energy": 10_000}
    one, two = (seconds_of(n, rows, 0.0, 1e10) for n in (4000, 8000))
    assert two / one == pytest.approx(8, rel=0.05)
    assert seconds_of(100, rows, 1e-3, 1e20) == pytest.approx(10.0)


def test_the_machine_is_looked_at():
    assert 1e8 < available_memory() < 1e15
    assert 1e7 < speed_of_products() < 1e14
    assert Plan(1, {}, memory=1.0, available=2.0).fits
    assert not Plan(1, {}, memory=3.0, available=2.0).fits
    assert Plan(1, {}, memory=3.0).fits
    assert np.isinf(Plan(1, {}).available)
