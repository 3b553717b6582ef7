"""Fits that are interrupted and go on."""

import numpy as np
import pytest
from test_fit import Linear, Quadratic, groups

from lodekit.errors import CheckpointError
from lodekit.fitting import assembly
from lodekit.fitting import checkpoint as checkpoints
from lodekit.fitting.checkpoint import resumable
from lodekit.fitting.fit import fit

STOP = 17


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Sums are kept after every frame."""
    monkeypatch.setattr(checkpoints, "INTERVAL", 0.0)
    monkeypatch.setattr(checkpoints, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(assembly, "LEAST_SECONDS", -1.0)
    monkeypatch.setattr(assembly, "PORTION_ROWS", 3)


class Interrupted(Linear):
    """Rows that end with an interrupt at a frame, and remember what was asked for."""

    def __init__(self, stop=None, **arguments):
        super().__init__(**arguments)
        self.stop, self.asked = stop, []

    def rows(self, weights, frames):
        for index in frames:
            if index == self.stop:
                raise KeyboardInterrupt
            self.asked.append(int(index))
            yield from super().rows(weights, [index])


@pytest.mark.parametrize("n_frames", [30, 1])
def test_sums_go_on_where_they_ended(tmp_path, n_frames):
    path, whole = tmp_path / "sums", Linear()
    expected = fit(whole, {}, groups=groups(whole))
    stopped = Interrupted(STOP)
    with pytest.raises(KeyboardInterrupt), resumable(path) as checkpoint:
        fit(stopped, {}, groups=groups(stopped))
    assert checkpoint.n_kept == STOP
    again = Interrupted()
    with resumable(path):
        result = fit(again, {}, groups=groups(again))
    assert again.asked[0] == STOP
    assert result.weights == pytest.approx(expected.weights, rel=1e-9)
    assert result.errors["forces"] == pytest.approx(expected.errors["forces"])
    assert result.n_rows == expected.n_rows
    assert not path.exists()


@pytest.mark.parametrize("solver", ["cholesky", "qr"])
def test_few_rows_and_other_solvers_go_on_as_well(tmp_path, solver):
    problems = [Interrupted(stop, n_frames=2 if stop == 1 else 2) for stop in (None, 1)]
    if solver == "qr":
        problems = [Interrupted(stop) for stop in (None, STOP)]
    for problem in problems:
        problem.solver = solver
    given = {"forces": 0.02}
    expected = fit(problems[0], given, groups=groups(problems[0]))
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path / "sums"):
        fit(problems[1], given, groups=groups(problems[1]))
    problems[1].stop = None
    with resumable(tmp_path / "sums"):
        result = fit(problems[1], given, groups=groups(problems[1]))
    amplitudes = [problem.kernels[0].amplitude for problem in problems]
    assert amplitudes[1] * result.weights == pytest.approx(
        amplitudes[0] * expected.weights, rel=1e-6
    )


def test_another_fit_begins_anew(tmp_path):
    stopped = Interrupted(STOP)
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path / "sums"):
        fit(stopped, {}, groups=groups(stopped))
    other = Interrupted(seed=1)
    with resumable(tmp_path / "sums"):
        fit(other, {}, groups=groups(other))
    assert other.asked[0] == 0


def test_steps_go_on_from_their_weights(tmp_path):
    problem = Quadratic(noise=1e-4)
    expected = fit(problem, {"forces": 1e-4}, groups=groups(problem))
    stopped = Quadratic(noise=1e-4)

    def interrupt(weights, frames, rows=stopped.rows):
        if np.abs(weights).max() > 0.0 and frames[0] == 0:
            stopped.n_calls = getattr(stopped, "n_calls", 0) + 1
            if stopped.n_calls == 3:
                raise KeyboardInterrupt
        return rows(weights, frames)

    stopped.rows = interrupt
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path / "sums"):
        fit(stopped, {"forces": 1e-4}, groups=groups(stopped))
    again = Quadratic(noise=1e-4)
    again.start = None  # is not asked for
    with resumable(tmp_path / "sums"):
        result = fit(again, {"forces": 1e-4}, groups=groups(again))
    assert result.n_steps < expected.n_steps
    assert result.weights == pytest.approx(expected.weights, abs=1e-4)


def test_a_foreign_file_is_refused(tmp_path):
    path = tmp_path / "sums"
    path.write_text("no sums")
    with (
        pytest.raises(CheckpointError, match="no sums of an interrupted fit"),
        resumable(path),
    ):
        pass
    assert path.exists()
