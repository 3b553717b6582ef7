import json

import numpy as np
import pytest
from labelled_structures import lode, open_frames, periodic_frames, soap

from lodekit import load_model
from lodekit.model_file import as_json, read_header
from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance

PROPERTIES = [
    "energy",
    "forces",
    "energies",
    "energy_std",
    "energies_std",
    "forces_std",
]


@pytest.fixture(scope="module")
def model():
    return SparsePotential(
        [soap(), lode()],
        [PolynomialCovariance(2), PolynomialCovariance(2, "mean", 0.5)],
        [6, 4],
        energy_noise=1e-3,
        force_noise=1e-2,
        stress_noise=1e-3,
        validation_fraction=0.4,
        n_ensemble=3,
    ).fit(open_frames(6) + periodic_frames(4))


def assert_same_to_the_bit(first, second):
    frames = open_frames(2, seed=90)
    pairs = [(first.compute(frames, PROPERTIES), second.compute(frames, PROPERTIES))]
    frames = periodic_frames(2, seed=90)
    pairs.append((first.compute(frames), second.compute(frames)))
    for ones, others in pairs:
        for one, other in zip(ones, others, strict=True):
            assert one.keys() == other.keys()
            for name in one:
                np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_state_gives_back_the_model_to_the_bit(model):
    state = model.get_state()
    # as a file would have it: text, and arrays in C order
    settings = json.loads(json.dumps(as_json(state["settings"])))
    arrays = {name: np.array(a, order="C") for name, a in state["arrays"].items()}
    again = SparsePotential.from_state(
        {"class": state["class"], "settings": settings, "arrays": arrays}
    )
    assert_same_to_the_bit(model, again)
    assert again.summary_ == model.summary_
    assert again.noises_ == model.noises_
    assert again.std_scales_ == model.std_scales_


def test_state_holds_settings_and_arrays_only(model):
    state = model.get_state()
    assert state["class"] == "SparsePotential"
    json.dumps(as_json(state["settings"]))
    assert all(isinstance(a, np.ndarray) for a in state["arrays"].values())


def test_file_gives_back_the_model_to_the_bit(model, tmp_path):
    path = tmp_path / "model.lodekit"
    model.save(path)
    assert_same_to_the_bit(model, load_model(path))
    assert read_header(path)["settings"]["summary"]["species"] == [1, 8]


def test_state_of_the_model_that_came_back_is_the_same(model):
    first = model.get_state()
    second = SparsePotential.from_state(first).get_state()
    assert as_json(second["settings"]) == as_json(first["settings"])
    assert second["arrays"].keys() == first["arrays"].keys()
    for name, array in first["arrays"].items():
        np.testing.assert_array_equal(second["arrays"][name], array)


def test_loaded_models_can_be_fitted_again(model):
    again = SparsePotential.from_state(model.get_state())
    again.set_params(n_sparse=4, energy_noise=1e-3, force_noise=1e-2)
    again.fit(open_frames(5))
    assert again.summary_["n_sparse"] == [{"1": 4, "8": 4}] * 2


def test_terms_that_share_a_density_share_it_after_loading():
    short, long = soap(), lode()
    long.left = short.left
    model = SparsePotential(
        [short, long], n_sparse=3, validation_fraction=0.0, n_ensemble=1
    ).fit(open_frames(3))
    again = SparsePotential.from_state(model.get_state())
    for fitted in (model, again):
        first, second = (kernel.descriptor for kernel in fitted.kernels_)
        assert first.left is second.left
