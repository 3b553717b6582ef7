"""Fits to more and more frames make the rows of every frame once."""

import numpy as np
import pytest
from test_fit import Linear, groups

from lodekit.fitting.fit import fit
from lodekit.fitting.nested import nested_fits
from lodekit.observables.rows import Rows
from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.normal_equations import NormalEquations

MEMBERS = [np.array([3]), np.arange(0, 30, 2), np.arange(30)]
MEMBERS[1] = np.union1d(MEMBERS[0], MEMBERS[1])


class Counted(Linear):
    """Rows that are counted, and a frame that is wrong by a lot."""

    def __init__(self):
        super().__init__()
        self.values[4] += 10.0
        self.asked = []

    def rows(self, weights, frames):
        self.asked += [int(index) for index in frames]
        return super().rows(weights, frames)


def test_rows_of_every_frame_are_made_once():
    problem = Counted()
    with nested_fits(MEMBERS) as nested:
        result = fit(problem, {}, groups=groups(problem))
    assert sorted(problem.asked) == list(range(30))
    # fits of their own, to as many frames
    for members, (own,) in zip(MEMBERS, zip(*nested.fits, strict=True), strict=True):
        alone = Counted()
        for name in ("matrix", "values", "n_rows"):
            setattr(alone, name, getattr(alone, name)[members])
        alone.frames = [alone.frames[i] for i in members]
        expected = fit(alone, {}, groups=groups(alone))
        amplitude = alone.kernels[0].amplitude
        assert own.amplitudes == pytest.approx([amplitude], rel=1e-5)
        assert own.result.weights * own.amplitudes[0] == pytest.approx(
            amplitude * expected.weights, rel=1e-6
        )
        assert own.result.n_rows == expected.n_rows
        assert own.result.n_left_out == expected.n_left_out
        assert own.result.errors == pytest.approx(expected.errors, rel=1e-4)
        assert [members[o.frame] for o in expected.outliers] == [
            outlier.frame for outlier in own.result.outliers
        ]
    assert result is own.result
    assert [outlier.frame for outlier in result.outliers] == [4]
    assert problem.kernels[0].amplitude == own.amplitudes[0]


@pytest.mark.parametrize("kind", ["normal", "dual"])
def test_rows_get_other_weights(kind):
    rng = np.random.default_rng(0)
    matrix, values, weights = rng.normal(size=(6, 4)), rng.normal(size=6), np.ones(6)
    changed = np.array([1, 4])

    def equations(own):
        made = NormalEquations(4, ["a"]) if kind == "normal" else DualEquations(4)
        return made, Rows(matrix, values, None, made.add("a", matrix, values, own))

    made, rows = equations(weights)
    made.solve({"a": 0.1})
    rows.frames = np.arange(6)
    made.weigh_again("a", rows.take(changed), weights[changed], np.array([0.01, 3.0]))
    weights[changed] = [0.01, 3.0]
    expected, _ = equations(weights)
    solutions = [own.solve({"a": 0.1}).weights for own in (made, expected)]
    np.testing.assert_allclose(*solutions, rtol=1e-11)
    assert made.n_rows() == expected.n_rows()
    losses = [
        own.evidence(["a"], [slice(0, 4)]).loss(np.array([0.1]), np.ones(1))[0]
        for own in (made, expected)
    ]
    assert losses[0] == pytest.approx(losses[1])
