import numpy as np
import pytest

from lodekit.kernels.selection import farthest_points


def slow_farthest_points(points, n_select, first):
    """Indices and squared distances by the definition."""
    chosen, squares = [first], [np.inf]
    while len(chosen) < n_select:
        gaps = points[:, None] - points[chosen]
        nearest = (gaps**2).sum(axis=2).min(axis=1)
        chosen.append(int(nearest.argmax()))
        squares.append(nearest.max())
    return chosen, squares


@pytest.mark.parametrize("n_features", [1, 5])
def test_farthest_points_equal_the_definition(n_features):
    points = np.random.default_rng(0).normal(size=(40, n_features))
    chosen, squares = farthest_points(points, 15, 7)
    expected, expected_squares = slow_farthest_points(points, 15, 7)
    np.testing.assert_array_equal(chosen, expected)
    np.testing.assert_allclose(squares, expected_squares, rtol=1e-12)


def test_farthest_points_of_a_line_halve_the_gaps():
    points = np.linspace(0.0, 8.0, 9)[:, None]
    chosen, squares = farthest_points(points, 5, 0)
    # The first of two equal distances is taken.
    np.testing.assert_array_equal(chosen, [0, 8, 4, 2, 6])
    np.testing.assert_array_equal(squares, [np.inf, 64.0, 16.0, 4.0, 4.0])


def test_selection_stops_when_only_copies_are_left():
    rows = np.random.default_rng(1).normal(size=(6, 3))
    chosen, squares = farthest_points(np.concatenate([rows, rows]), 12, 2)
    assert sorted(c % 6 for c in chosen) == list(range(6))
    assert squares.size == 6


def test_copies_up_to_rounding_count_as_copies():
    rows = np.random.default_rng(1).normal(size=(6, 3))
    copies = rows * (1.0 + 4e-16)
    assert farthest_points(np.concatenate([rows, copies]), 12, 0)[0].size == 6


def test_one_point_is_selected_from_equal_ones():
    chosen, _ = farthest_points(np.zeros((4, 2)), 3, 1)
    np.testing.assert_array_equal(chosen, [1])
