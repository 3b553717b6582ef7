"""Sums of several processes are those of one."""

import pickle
from itertools import pairwise

import joblib
import numpy as np
import pytest
from labelled_structures import periodic_frames, rattled_frames, soap

from lodekit.fitting import assembly
from lodekit.fitting.assembly import PairedSums, count_parts, cut
from lodekit.fitting.charge_problem import ChargeProblem
from lodekit.fitting.progress import count_item, shared_bar
from lodekit.fitting.shared_rows import n_shares
from lodekit.fitting.weighted import WeightedProblem
from lodekit.models import ChargeModel, SparsePotential
from lodekit.regression import PolynomialCovariance


def potential():
    return SparsePotential(soap(), PolynomialCovariance(2), 3, n_ensemble=4)


def charges(frames):
    for atoms in frames:
        values = atoms.positions[:, 0] - atoms.positions[:, 0].mean()
        atoms.calc.results = {"charges": values}
    return frames


def test_nothing_is_shared_unless_that_is_asked_for():
    assert n_shares(100) == 1
    with joblib.parallel_config("threading", n_jobs=4):
        assert n_shares(100) == 4
        assert n_shares(5) == 2
        assert n_shares(1) == 1


def test_parts_follow_each_other_with_about_equal_work():
    parts = cut(np.arange(9), np.ones(9, dtype=int), 3)
    assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    # one frame with as many rows as three others
    parts = cut(np.array([3, 4, 5, 8]), np.array([9, 9, 9, 1, 3, 1, 9, 9, 1]), 2)
    assert [part.tolist() for part in parts] == [[3, 4], [5, 8]]
    assert sum(map(len, cut(np.arange(1), np.ones(1, dtype=int), 2))) == 1
    assert [part.size for part in cut(np.arange(0), np.ones(1, dtype=int), 2)] == [0, 0]


def test_large_sums_go_into_few_parts():
    assert count_parts(100, 50, 2) == 1
    assert count_parts(1100, 50, 2) == 4
    assert count_parts(10**6, 50, 2) == 64
    # 2^k parts take k sums more than the total: no more than choosing noises takes
    assert count_parts(10**6, 20000, 2) == 4
    assert count_parts(10**6, 20000, 3) == 2


class Words:
    """Sums that tell in which order they were made."""

    def __init__(self, text):
        self.text = text

    def merge(self, other):
        self.text = f"({self.text}{other.text})"


@pytest.mark.parametrize("bounds", [(0, 8), (0, 4, 8), (0, 2, 5, 8), (0, 1, 3, 4, 8)])
def test_parts_are_added_in_the_same_pairs_by_any_number_of_processes(bounds):
    total = PairedSums(None)
    for first, stop in pairwise(bounds):
        share = PairedSums(None, first)
        for part in range(first, stop):
            share.push(Words(str(part)), 1)
        for size, words in zip(share.sizes, share.sums, strict=True):
            total.push(words, size)
    assert total.total().text == "(((01)(23))((45)(67)))"


@pytest.mark.parametrize("kind", ["potential", "charges"])
def test_weights_are_those_of_one_process(kind, monkeypatch):
    monkeypatch.setattr(assembly, "PART_ROWS", 10)
    frames = [*rattled_frames(9), *periodic_frames(5)]
    model = potential()
    if kind == "charges":
        frames = charges(frames)
        model = ChargeModel(soap(), PolynomialCovariance(2), 3, targets=["charges"])
    alone = model.fit(frames).weights_
    scales, errors = model.std_scales_, model.held_out_errors_
    with joblib.parallel_config("threading", n_jobs=3):
        shared = model.fit(frames).weights_
    np.testing.assert_array_equal(shared, alone)
    assert model.std_scales_ == scales
    assert model.held_out_errors_ == errors


def test_problems_go_to_other_processes():
    frames = charges(rattled_frames(4))
    model = ChargeModel(soap(), PolynomialCovariance(2), 3, targets=["charges"])
    model.fit(frames)
    rows = ChargeProblem(model.response, frames, ["charges"])
    problem = WeightedProblem(rows, np.ones(4))
    again = pickle.loads(pickle.dumps(problem))
    assert again.rank == problem.rank
    everything = np.arange(4)
    for one, other in zip(
        problem.rows(model.weights_, everything),
        again.rows(model.weights_, everything),
        strict=True,
    ):
        np.testing.assert_array_equal(one[1].matrix, other[1].matrix)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of sockets of the cluster
def test_a_cluster_of_two_workers_has_the_same_weights(monkeypatch):
    monkeypatch.setattr(assembly, "PART_ROWS", 30)
    distributed = pytest.importorskip("distributed")
    frames = rattled_frames(9)
    alone = potential().fit(frames).weights_
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config("dask"),
    ):
        shared = potential().fit(frames).weights_
    np.testing.assert_allclose(shared, alone, rtol=0, atol=1e-10 * np.abs(alone).max())


def test_processes_show_one_bar(capsys):
    with joblib.parallel_config("threading", n_jobs=2):
        potential().set_params(progress=True).fit(periodic_frames(6))
    assert "rows: 0/2" in capsys.readouterr().err
    with shared_bar(4, "rows", 2, True) as counts:
        for process in (0, 1, 1):
            count_item(counts, process)
        assert np.fromfile(counts, np.int64).tolist() == [1, 2]
    count_item(counts, 0)  # the file is gone, as on another machine
    assert not counts.exists()
    with shared_bar(4, "rows", 2, False) as counts:
        count_item(counts, 0)
    assert counts is None
