"""The one fit, of problems whose answer is known."""

import numpy as np
import pytest
from ase import Atoms

from lodekit.fitting.fit import fit
from lodekit.observables.rows import Rows
from lodekit.regression.dual_equations import DualSolution

RANK, N_FRAMES = 6, 30


class Kernel:
    """What a fit asks of a kernel."""

    rank = RANK

    def __init__(self):
        self.amplitude = 1.0

    def amplify(self, factor):
        self.amplitude *= factor


class Linear:
    """Three rows a frame with weights that are drawn."""

    names, n_linear, first_column, units = ["forces"], None, 0, {"forces": "eV/Å"}
    solver, progress = "cholesky", False

    def __init__(self, noise=0.02, amplitude=3.0, n_frames=N_FRAMES, seed=0):
        rng = np.random.default_rng(seed)
        self.frames = [
            Atoms("H2", [[0, 0, 0], [0, 0, 0.7 + 0.1 * i]]) for i in range(n_frames)
        ]
        self.truth = amplitude * rng.normal(size=RANK)
        self.matrix = rng.normal(size=(n_frames, 3, RANK))
        self.values = self.model(self.truth) + noise * rng.normal(size=(n_frames, 3))
        self.kernels = [Kernel()]
        self.rank, self.n_rows = RANK, np.full(n_frames, 3)

    def model(self, weights):
        return self.matrix @ weights

    def content(self):
        yield self.values

    def rows(self, weights, frames):
        for index in frames:
            matrix = self.matrix[index] * self.kernels[0].amplitude
            owners = np.full(3, index)
            yield "forces", Rows(matrix, self.values[index], owners), np.ones(3)


class Quadratic(Linear):
    """The same of w + w^2 / 10, around weights."""

    n_linear, kernels = 0, ()

    def __init__(self, **arguments):
        super().__init__(amplitude=1.0, **arguments)
        self.kernels = []

    def model(self, weights):
        return self.matrix @ (weights + 0.1 * weights**2)

    def start(self, noises):
        return np.zeros(RANK)

    def forget(self):
        pass

    def rows(self, weights, frames):
        for index in frames:
            jacobian = self.matrix[index] * (1.0 + 0.2 * weights)
            misses = self.values[index] - self.model(weights)[index]
            owners = np.full(3, index)
            yield (
                "forces",
                Rows(jacobian, misses + jacobian @ weights, owners),
                np.ones(3),
            )


def groups(problem):
    return range(len(problem.frames))


def test_weights_noise_and_amplitude_of_a_linear_problem_are_found():
    problem = Linear()
    result = fit(problem, {}, groups=groups(problem))
    weights = problem.kernels[0].amplitude * result.weights
    # 90 rows of a noise of 0.02 determine 6 weights to about 0.002
    assert weights == pytest.approx(problem.truth, abs=0.01)
    assert result.noises["forces"] == pytest.approx(0.02, rel=0.25)
    assert problem.kernels[0].amplitude > 1.0
    assert result.errors["forces"] == pytest.approx(0.02, rel=0.25)
    assert result.std_scales["forces"] > 0
    assert result.n_rows == {"forces": 90}
    assert (result.n_groups, result.n_left_out, result.n_steps) == (30, 30, 0)


def test_a_problem_that_is_not_linear_ends_at_its_truth():
    problem = Quadratic(noise=1e-4)
    result = fit(problem, {"forces": 1e-4}, groups=groups(problem))
    assert result.weights == pytest.approx(problem.truth, abs=1e-3)
    assert result.n_steps > 1
    assert result.errors["forces"] == pytest.approx(1e-4, rel=0.3)


def test_fewer_rows_than_weights_are_fitted_in_their_own_space():
    problem = Linear(n_frames=1)
    result = fit(problem, {"forces": 1e-3}, groups=groups(problem))
    assert isinstance(result.solution, DualSolution)
    predicted = problem.kernels[0].amplitude * problem.matrix[0] @ result.weights
    assert predicted == pytest.approx(problem.values[0], abs=1e-3)
    assert result.errors == {}
    assert result.std_scales == {}


def test_one_wrong_frame_costs_little_and_is_named():
    good, bad = Linear(), Linear()
    bad.values[4] += [30.0, -20.0, 10.0]
    results = [fit(problem, {}, groups=groups(problem)) for problem in (good, bad)]
    assert results[0].outliers == []
    (outlier,) = results[1].outliers
    assert outlier.frame == 4
    assert results[1].noises["forces"] == pytest.approx(0.02, rel=0.3)
    assert results[1].errors["forces"] == pytest.approx(0.02, rel=0.3)
    errors = [
        np.linalg.norm(p.kernels[0].amplitude * r.weights - p.truth)
        for p, r in zip((good, bad), results, strict=True)
    ]
    assert errors[1] < 1.3 * errors[0]


def test_given_noises_are_no_reason_to_doubt_a_frame():
    problem = Linear()
    problem.values[4] += 30.0
    result = fit(problem, {"forces": 0.02}, groups=groups(problem))
    assert result.outliers == []


def test_the_same_seed_gives_the_same_groups_and_weights():
    problems = [Linear(), Linear()]
    first, second = (
        fit(p, {}, groups=groups(p), fraction=0.3, random_state=3) for p in problems
    )
    assert first.n_left_out == second.n_left_out == 9
    assert np.array_equal(first.weights, second.weights)
    assert first.errors == second.errors


def test_steps_are_shown_with_their_errors(capsys):
    problem = Quadratic(noise=1e-2)
    problem.progress = True
    fit(problem, {}, groups=groups(problem))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("step 1: loss ")
    assert "forces" in lines[0]
    assert lines[0].endswith("eV/Å")
