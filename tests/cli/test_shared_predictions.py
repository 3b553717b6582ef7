"""Predictions that processes share are those of one, in the same order."""

import joblib
import numpy as np
import pytest
from stub_model import StubModel, make_frames

from lodekit.cli.prediction import chunks, compute_in_chunks
from lodekit.cli.shared_predictions import map_pieces


def test_work_is_split_among_all_processes():
    frames = make_frames(10)
    assert list(chunks(frames)) == [(0, 10)]
    pieces = list(chunks(frames, 2))
    assert len(pieces) == 4
    assert pieces[0] == (0, 3)
    assert pieces[-1][1] == 10


def test_results_come_in_order():
    frames = make_frames(11)
    model = StubModel().fit(frames)
    alone = compute_in_chunks(model, frames, ["energy", "forces"])
    with joblib.parallel_config("threading", n_jobs=3):
        shared = compute_in_chunks(model, frames, ["energy", "forces"])
    for one, other in zip(alone, shared, strict=True):
        assert one["energy"] == other["energy"]
        np.testing.assert_array_equal(one["forces"], other["forces"])


def test_a_long_file_is_not_read_at_once():
    taken = []

    def pieces():
        for number in range(40):
            taken.append(number)
            yield number

    with joblib.parallel_config("threading", n_jobs=2):
        results = map_pieces(lambda number: 2 * number, pieces())
        assert next(results) == 0
        assert len(taken) == 8
        assert list(results) == list(range(2, 80, 2))


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_options_reach_the_commands(lodekit, train, model, monkeypatch, command):
    asked = []
    original = joblib.parallel_config

    def config(backend, n_jobs):
        asked.append((backend, n_jobs))
        return original("threading", n_jobs=n_jobs)

    monkeypatch.setattr(joblib, "parallel_config", config)
    output = ("-o", "out.xyz") if command == "predict" else ("--json",)
    status, _, err = lodekit(command, model, train, "--jobs", "2", *output)
    assert status == 0, err
    assert asked == [("loky", 2)]
