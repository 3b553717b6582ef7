import numpy as np
import pytest
from scipy.linalg import lapack

from lodekit.regression import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
)

SELECTIONS = [FarthestPointSelection(), CurSelection(), PivotedCholeskySelection()]


def random_points(n_points=40, n_features=12, seed=0):
    """Points whose directions differ in importance, so that picks are clear."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_points, n_features)) * 0.8 ** np.arange(n_features)


def cur_by_svd(points, n_select, n_vectors):
    """CUR from its definition: SVD, highest leverage, project the row out."""
    remainder, chosen = points.copy(), []
    for _ in range(n_select):
        left = np.linalg.svd(remainder, full_matrices=False)[0][:, :n_vectors]
        pick = int((left**2).sum(axis=1).argmax())
        direction = remainder[pick] / np.linalg.norm(remainder[pick])
        remainder = remainder - np.outer(remainder @ direction, direction)
        chosen.append(pick)
    return chosen


def test_farthest_points_begin_far_from_the_mean_and_spread():
    points = random_points()
    chosen = FarthestPointSelection().select(points, 10)
    expected = [int(np.linalg.norm(points - points.mean(axis=0), axis=1).argmax())]
    while len(expected) < 10:
        gaps = np.linalg.norm(points[:, None] - points[expected], axis=2)
        expected.append(int(gaps.min(axis=1).argmax()))
    np.testing.assert_array_equal(chosen, expected)


def test_farthest_points_equal_those_of_scikit_matter():
    selection = pytest.importorskip("skmatter.sample_selection")
    points = random_points(100)
    chosen = FarthestPointSelection().select(points, 20)
    oracle = selection.FPS(initialize=int(chosen[0]), n_to_select=20).fit(points)
    np.testing.assert_array_equal(chosen, oracle.selected_idx_)


@pytest.mark.parametrize("n_features", [12, 60])
@pytest.mark.parametrize("n_vectors", [1, 3])
def test_cur_equals_a_plain_singular_value_decomposition(n_features, n_vectors):
    points = random_points(n_features=n_features)
    chosen = CurSelection(n_vectors).select(points, 6)
    np.testing.assert_array_equal(chosen, cur_by_svd(points, 6, n_vectors))


def test_cur_equals_that_of_scikit_matter():
    selection = pytest.importorskip("skmatter.sample_selection")
    points = random_points(50)
    oracle = selection.CUR(n_to_select=8, k=1).fit(points)
    np.testing.assert_array_equal(
        CurSelection().select(points, 8), oracle.selected_idx_
    )


def test_cur_with_more_vectors_than_rank_reaches_the_rank():
    rng = np.random.default_rng(1)
    points = rng.normal(size=(8, 3)) @ rng.normal(size=(3, 20))
    assert CurSelection(n_vectors=5).select(points, 8).size == 3


def test_pivoted_cholesky_equals_that_of_lapack():
    points = random_points()
    _, pivots, rank, _ = lapack.dpstrf(points @ points.T, lower=1, tol=1e-10)
    chosen = PivotedCholeskySelection().select(points, 40)
    assert rank == 12
    np.testing.assert_array_equal(chosen, pivots[:rank] - 1)


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_no_point_is_picked_twice(selection):
    chosen = selection.select(random_points(30, 30), 30)
    assert len(set(chosen.tolist())) == chosen.size == 30


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_copies_of_points_are_not_picked(selection):
    points = random_points(6, 10)
    chosen = selection.select(np.tile(points, (3, 1)), 18)
    assert sorted(chosen % 6) == list(range(6))


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_fewer_points_than_asked_give_all(selection):
    chosen = selection.select(random_points(5, 10), 9)
    assert sorted(chosen) == list(range(5))


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_selection_is_the_same_every_time_and_leaves_the_points_alone(selection):
    points = random_points()
    before = points.copy()
    first = selection.select(points, 8)
    np.testing.assert_array_equal(selection.select(points, 8), first)
    np.testing.assert_array_equal(points, before)
    assert first.dtype == np.intp


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
@pytest.mark.parametrize("n_points", [0, 4])
def test_nothing_is_picked_from_nothing(selection, n_points):
    assert selection.select(np.zeros((0, 3)), 2).size == 0
    assert selection.select(random_points(4, 3), 0).size == 0
    # Of points that are all zero, one may stand for all.
    assert selection.select(np.zeros((4, 3)), 2).size <= 1
