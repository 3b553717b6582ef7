import numpy as np
import pytest
from ase.build import molecule

from lodekit.fitting.selecting import (
    describe_structures,
    farthest,
    select_farthest,
    select_largest,
)


def water(seed, std=0.02):
    atoms = molecule("H2O")
    atoms.rattle(std, seed=seed)
    return atoms


def test_vectors_do_not_depend_on_size_or_order():
    one = water(1)
    two = one + one.copy()
    two.positions[3:] += 50.0
    vectors = describe_structures([one, two, one[::-1]])
    np.testing.assert_allclose(vectors[1], vectors[0], atol=1e-12)
    np.testing.assert_allclose(vectors[2], vectors[0], atol=1e-12)


def test_farthest_points_are_greedy():
    points = np.array([[0.0], [1.0], [10.0], [4.0], [4.0]])
    # the mean is 3.8; 10 is farthest from it, then 0, then 4
    assert farthest(points, 3).tolist() == [2, 0, 3]
    assert farthest(points, 9).tolist() == [2, 0, 3, 1]  # no copy
    assert farthest(points, 2, known=points[[2]]).tolist() == [0, 3]
    assert farthest(points, 2, known=points).size == 0


def test_one_of_each_kind_is_picked_first():
    names = ("CH4", "NH3", "CO2")
    frames = [*(water(s) for s in range(20)), *(molecule(name) for name in names)]
    chosen = select_farthest(frames, 4)
    assert {20, 21, 22} <= set(chosen.tolist())
    again = select_farthest(frames, 3, known=[molecule(name) for name in names])
    assert max(again) < 20


def test_large_scores_are_picked_but_no_copies():
    frames = [water(0, 0.0) for _ in range(5)] + [water(s, 0.05) for s in range(5)]
    scores = np.array([9.0, 8.9, 8.8, 8.7, 8.6, 5.0, 4.0, 1.0, 1.0, 1.0])
    chosen = select_largest(frames, scores, 3)
    assert chosen.tolist()[0] == 0
    assert min(chosen[1:]) >= 5  # of the nine largest scores, copies of the first
    assert select_largest(frames, scores, 1).tolist() == [0]


@pytest.mark.parametrize("count", [1, 30])
def test_no_more_than_there_are(count):
    frames = [water(s, 0.05) for s in range(3)]
    assert len(select_farthest(frames, count)) == min(count, 3)
