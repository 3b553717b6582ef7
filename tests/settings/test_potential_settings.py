import numpy as np
import pytest
from ase import Atoms
from labelled_structures import open_frames

from lodekit.descriptors import LodeSphericalExpansion, SphericalExpansion
from lodekit.errors import SettingsError
from lodekit.models import SparsePotential
from lodekit.settings.potential import (
    FIT,
    SELECTIONS,
    build_potential,
    check_settings,
    default_settings,
)
from lodekit.terms.tables import TERMS

SMALL = {
    "type": "soap",
    "cutoff": 3.0,
    "max_radial": 2,
    "max_angular": 2,
    "n_sparse": 4,
}


def test_default_settings_are_complete_and_known():
    settings = default_settings(open_frames(3))
    assert check_settings(settings) == settings
    assert set(settings["fit"]) == set(FIT)
    kinds = {term["type"] for term in settings["terms"].values()}
    assert kinds == {"soap", "lode"}


def test_default_number_of_sparse_points_grows_with_the_data():
    few, many = (
        default_settings([Atoms("H1000")] * n)["terms"]["soap"]["n_sparse"]
        for n in (1, 5)
    )
    assert few < many


def test_wanted_targets_are_written_down():
    settings = default_settings(open_frames(3), ["energy"])
    assert settings["fit"]["targets"] == ["energy"]


def test_what_is_left_out_is_filled_in():
    settings = check_settings({"terms": {"mine": {"type": "soap", "cutoff": 4.5}}})
    assert settings["fit"] == FIT
    term = settings["terms"]["mine"]
    assert set(term) == set(TERMS["soap"])
    assert term["cutoff"] == 4.5
    assert term["max_radial"] == TERMS["soap"]["max_radial"]


def test_checking_changes_neither_the_settings_nor_the_defaults():
    given = {"fit": {"baseline": {"H": 1.0}}, "terms": {"a": {"type": "lode"}}}
    settings = check_settings(given)
    settings["fit"]["baseline"]["H"] = 2.0
    settings["terms"]["a"]["cutoff"] = 1.0
    assert given == {"fit": {"baseline": {"H": 1.0}}, "terms": {"a": {"type": "lode"}}}
    assert (
        check_settings({"terms": {"a": {"type": "lode"}}})["terms"]["a"]
        == TERMS["lode"]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"fitt": {}, "terms": {"a": SMALL}},
            r"unknown key 'fitt' \(did you mean 'fit'",
        ),
        (
            {"fit": {"energy_nois": 1.0}, "terms": {"a": SMALL}},
            r"\[fit\] has an unknown key 'energy_nois' \(did you mean 'energy_noise'",
        ),
        (
            {"terms": {"a": {**SMALL, "cutof": 3.0}}},
            r"\[terms.a\] has an unknown key 'cutof' \(did you mean 'cutoff'",
        ),
        (
            {"terms": {"a": {**SMALL, "smearing": 1.0}}},
            r"\[terms.a\] has an unknown key 'smearing'",
        ),
        (
            {"terms": {"a": {"type": "saop"}}},
            r"\[terms.a\] needs type = one of soap, lode, got 'saop'",
        ),
        ({"terms": {"a": {"cutoff": 3.0}}}, "needs type = one of soap, lode, got None"),
        ({"terms": {"a": 3.0}}, r"\[terms.a\] must be a table"),
        ({"fit": 3.0, "terms": {"a": SMALL}}, r"\[fit\] must be a table"),
        ({"terms": ["soap"]}, r"\[terms\] must be a table"),
        (
            {"terms": {"a": {**SMALL, "cutoff": "wide"}}},
            r"\[terms.a\] cutoff must be a number, got 'wide'",
        ),
        (
            {"fit": {"validation_fraction": "most"}, "terms": {"a": SMALL}},
            r"\[fit\] validation_fraction must be a number, got 'most'",
        ),
        ({"terms": {}}, "settings need at least one term"),
        ({}, "settings need at least one term"),
        (
            {"fit": {"selection": "random"}, "terms": {"a": SMALL}},
            "fit.selection must be one of farthest-points, cur, pivoted-cholesky, got",
        ),
    ],
)
def test_unknown_settings_are_named_with_the_nearest_known_one(settings, message):
    with pytest.raises(SettingsError, match=message) as caught:
        check_settings(settings)
    assert "\n" not in str(caught.value)


def test_settings_build_the_model_they_describe():
    model = build_potential(
        {
            "fit": {"energy_noise": 2e-3, "selection": "cur", "n_ensemble": 5},
            "terms": {
                "short": {**SMALL, "zeta": 3},
                "long": {"type": "lode", "cutoff": 3.0, "n_sparse": 3},
            },
        }
    )
    assert isinstance(model, SparsePotential)
    assert isinstance(model.selection, SELECTIONS["cur"])
    assert (model.energy_noise, model.n_ensemble) == (2e-3, 5)
    assert model.n_sparse == [4, 3]
    assert model.covariance[0].zeta == 3
    short, long = model.descriptor
    assert short.right is None
    assert isinstance(short.left, SphericalExpansion)
    assert short.left.hypers["cutoff"]["radius"] == 3.0
    assert (short.left.max_angular, short.left.n_radial) == (2, 3)
    assert isinstance(long.right, LodeSphericalExpansion)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_built_models_can_be_fitted(selection):
    settings = {
        "fit": {"selection": selection, "validation_fraction": 0.0, "n_ensemble": 1},
        "terms": {"a": SMALL},
    }
    model = build_potential(settings).fit(open_frames(4))
    assert model.summary_["n_sparse"] == [{"1": 4, "8": 4}]


def test_default_settings_give_the_model_of_no_settings():
    frames = open_frames(3)
    built = build_potential(default_settings(frames)).fit(frames)
    plain = SparsePotential().fit(frames)
    assert built.weights_.size == plain.weights_.size
    np.testing.assert_allclose(built.predict(frames), plain.predict(frames), rtol=1e-9)


def test_density_without_scaling_can_be_asked_for():
    term = {**SMALL, "scaling_exponent": 0}
    model = build_potential({"terms": {"a": term}})
    assert model.descriptor[0].left.hypers["density"]["scaling"] is None
