"""Sums of several processes are those of one."""

import pickle

import joblib
import numpy as np
import pytest
from labelled_structures import periodic_frames, rattled_frames, soap

from lodekit.fitting.charge_problem import ChargeProblem
from lodekit.fitting.shared_rows import n_shares, split_groups
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


def test_groups_stay_together():
    groups = np.array([0, 1, 0, 2, 2, 3, 3, 3, 1, 0])
    shares = split_groups(groups, 3)
    assert sorted(np.concatenate(shares)) == list(range(10))
    owners = [set(groups[share]) for share in shares]
    assert sum(map(len, owners)) == 4
    assert [len(share) for share in split_groups(np.arange(9), 3)] == [3, 3, 3]
    # one frame with as many rows as three others
    shares = split_groups(np.arange(4), 2, np.array([1, 3, 1, 1]))
    assert sorted(share.tolist() for share in shares) == [[0, 2, 3], [1]]


@pytest.mark.parametrize("kind", ["potential", "charges"])
def test_weights_are_those_of_one_process(kind):
    frames = [*rattled_frames(9), *periodic_frames(5)]
    model = potential()
    if kind == "charges":
        frames = charges(frames)
        model = ChargeModel(soap(), PolynomialCovariance(2), 3, targets=["charges"])
    alone = model.fit(frames).weights_
    scales, errors = model.std_scales_, model.held_out_errors_
    with joblib.parallel_config("threading", n_jobs=3):
        shared = model.fit(frames).weights_
    np.testing.assert_allclose(shared, alone, rtol=0, atol=1e-9 * np.abs(alone).max())
    assert model.std_scales_ == pytest.approx(scales, rel=0.1)
    assert model.held_out_errors_ == pytest.approx(errors)


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
def test_a_cluster_of_two_workers_has_the_same_weights():
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
    np.testing.assert_allclose(shared, alone, rtol=0, atol=1e-9 * np.abs(alone).max())
