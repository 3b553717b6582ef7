"""Parameters of estimators survive a model file, and nothing else comes out of one."""

import json
import pathlib

import numpy as np
import pytest
from labelled_structures import lode, open_frames, soap
from sklearn.base import clone

from lodekit import load_model
from lodekit.descriptors import CoulombPairs, PowerSpectrum
from lodekit.errors import ModelFileError
from lodekit.models import (
    ChargeEquilibrationModel,
    ChargeModel,
    DipoleModel,
    GlobalPotential,
    LatentChargeModel,
    SparsePotential,
)
from lodekit.parameters import decode, decode_parameters, encode, encode_parameters
from lodekit.regression import CurSelection, PolynomialCovariance

OLD = pathlib.Path(__file__).parent / "data" / "format_1"
TERMS = {
    "descriptor": [soap(), lode()],
    "covariance": [PolynomialCovariance(3), PolynomialCovariance(1, "mean", 0.25)],
    "n_sparse": [7, 3],
    "selection": CurSelection(n_vectors=2),
    "validation_fraction": 0.25,
    "random_state": 11,
    "progress": True,
}
ENERGIES = {
    "targets": ["charges", "energy"],
    "noises": {"charges": 0.01},
    "potential": SparsePotential(
        lode(), PolynomialCovariance(2), 5, baseline={"H": -1.5, 8: -2.0}, n_ensemble=3
    ),
}
#: Parameters that are no defaults, of fitted models of all kinds.
PARAMETERS = {
    "potential": (
        SparsePotential,
        {
            **TERMS,
            "targets": ["energy"],
            "energy_noise": 2e-3,
            "force_noise": "auto",
            "baseline": {1: -13.0, "O": np.float64(-2040.0)},
            "solver": "qr",
            "n_ensemble": np.int64(3),
        },
    ),
    "charges": (
        ChargeModel,
        {
            **TERMS,
            **ENERGIES,
            "max_multipole": 2,
            "charge_width": 0.8,
            "learn_from_energies": False,
        },
    ),
    "dipole": (DipoleModel, {**TERMS, "max_multipole": 0, "noises": {"dipole": 0.1}}),
    "kqeq": (
        ChargeEquilibrationModel,
        {
            **TERMS,
            **ENERGIES,
            "hardness": {"H": 7.0, "O": 9.0},
            "widths": "fit",
            "bond_hardness": {"H-O": 5.0},
            "charge_powers": 2,
            "accuracy": 1e-7,
        },
    ),
    "latent": (LatentChargeModel, {**TERMS, "potential": None, "charge_prior": 0.3}),
    "global": (
        GlobalPotential,
        {
            "descriptors": CoulombPairs(0.5),
            "energy_noise": 3e-3,
            "targets": ("energy", "forces"),
        },
    ),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_loaded_model_has_the_parameters_of_the_saved_one(name, tmp_path):
    cls, parameters = PARAMETERS[name]
    model = load_model(OLD / f"{name}.lodekit").set_params(**parameters)
    model.save(tmp_path / "m.lodekit")
    loaded = load_model(tmp_path / "m.lodekit")
    for one in (loaded, clone(loaded)):
        assert type(one) is cls
        assert encode_parameters(one) == encode_parameters(model)
        for key in {"baseline", "hardness", "targets", "noises", "n_sparse"}:
            if key in parameters:
                assert getattr(one, key) == parameters[key]
    deep, expected = loaded.get_params(), model.get_params()
    assert deep.keys() == expected.keys()


def test_a_clone_of_a_loaded_model_is_fitted_to_the_same_weights(tmp_path):
    frames = open_frames(6)
    model = SparsePotential(
        [soap(), lode()],
        n_sparse=3,
        targets=["energy"],
        energy_noise=1e-3,
        baseline={"H": -13.0, "O": -430.0},
        n_ensemble=2,
        random_state=5,
    ).fit(frames)
    model.save(tmp_path / "m.lodekit")
    again = clone(load_model(tmp_path / "m.lodekit")).fit(frames)
    np.testing.assert_array_equal(again.weights_, model.weights_)
    np.testing.assert_array_equal(again.ensemble_, model.ensemble_)


def test_defaults_that_follow_the_data_stay_open(tmp_path):
    model = load_model(OLD / "dipole.lodekit").set_params(
        descriptor=None, n_sparse=None
    )
    model.set_params(covariance=None)
    model.save(tmp_path / "m.lodekit")
    loaded = load_model(tmp_path / "m.lodekit")
    assert (loaded.descriptor, loaded.covariance, loaded.n_sparse) == (None,) * 3
    assert len(loaded.latent_.kernels) == 2  # of the fit


@pytest.mark.parametrize("kind", [np.random.RandomState, np.random.default_rng])
def test_random_numbers_without_a_seed_are_refused(kind, tmp_path):
    model = load_model(OLD / "potential.lodekit").set_params(random_state=kind(3))
    with pytest.raises(
        ModelFileError,
        match=r"SparsePotential.random_state is a .*, whose seed is not known any "
        r"more; set it to a whole number, set_params\(random_state=0\), and save again",
    ):
        model.save(tmp_path / "m.lodekit")
    assert not list(tmp_path.iterdir())


def test_objects_of_other_classes_are_refused(tmp_path):
    class CurSelection:  # not lodekit's
        pass

    model = load_model(OLD / "potential.lodekit").set_params(selection=CurSelection())
    with pytest.raises(ModelFileError, match="selection is a CurSelection, which a"):
        model.save(tmp_path / "m.lodekit")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, 0.1, "text", [1, [2.0]], (1, "a"), {1: 2, "a": [3]}),
        *(float("inf"), {"pairs": 1}, {}, [], {(1, 8): 2.5}, 10**30),
    ],
    ids=repr,
)
def test_values_come_back_as_they_were(value):
    again = decode(json.loads(json.dumps(encode(value, "value"))))
    assert again == value
    assert type(again) is type(value)


def test_arrays_come_back_as_arrays():
    value = np.array([[1.5, np.inf], [0.0, -1.0]])
    again = decode(json.loads(json.dumps(encode(value, "value"))))
    np.testing.assert_array_equal(again, value)
    assert again.dtype == value.dtype


@pytest.mark.parametrize("make", [soap, lode])
def test_descriptors_come_back_equal(make):
    again = decode(json.loads(json.dumps(encode(make(), "descriptor"))))
    assert repr(again) == repr(make())


def test_equal_descriptors_become_one_object():
    known = {}
    first, second, third = (
        decode(encode(make(), "descriptor"), known) for make in (soap, soap, lode)
    )
    assert first is second
    assert third.left is first.left


@pytest.mark.parametrize(
    "value",
    [
        {"class": "os.system", "parameters": {}},
        {"class": "PowerSpectrum", "parameters": {}, "more": 1},
        {"class": "PowerSpectrum"},
        {"number": "1", "tuple": []},
        {"array": [1], "kind": "O"},
        {"array": [[1], [2, 3]], "kind": "float64"},
        {"class": "PowerSpectrum", "parameters": {"left": None, "rihgt": None}},
        {"class": "PowerSpectrum", "parameters": [1]},
    ],
    ids=repr,
)
def test_nothing_else_comes_out_of_a_file(value):
    with pytest.raises((ValueError, TypeError)):
        decode(value)


def test_parameters_of_another_class_are_refused():
    with pytest.raises(ValueError, match="a PowerSpectrum has other parameters than"):
        decode_parameters(PowerSpectrum, {"hardness": 1.0})
