import copy
import pickle

import numpy as np
import pytest
from labelled_structures import density, energies_of, lode, open_frames, soap
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

from lodekit.models import LatentChargeModel, SparsePotential
from lodekit.regression import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
    PolynomialCovariance,
)

#: Checks of scikit-learn that need no data: ours are structures, not 2D arrays.
CHECKS = [
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]
ESTIMATORS = [
    SparsePotential(),
    LatentChargeModel(),
    PolynomialCovariance(),
    FarthestPointSelection(),
    CurSelection(),
    PivotedCholeskySelection(),
]


#: Checks of scikit-learn of what is done to arrays: shapes, kinds of numbers, NaN.
ARRAY_CHECKS = [
    "check_complex_data",
    "check_dict_unchanged",
    "check_dtype_object",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
    "check_estimators_dtypes",
    "check_estimators_nan_inf",
    "check_estimators_pickle",
    "check_f_contiguous_array_estimator",
    "check_fit1d",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit_check_is_fitted",
    "check_fit_score_takes_y",
    "check_n_features_in",
    "check_positive_only_tag_during_fit",
    "check_readonly_memmap_input",
]


class Selected(BaseEstimator):
    """The points that a selection picks, as an estimator of arrays."""

    def __init__(self, selection):
        self.selection = selection

    def fit(self, X, y=None):
        self.indices_ = self.selection.select(X, 5)
        self.n_features_in_ = np.shape(X)[1]
        return self


def small(**arguments):
    arguments = {
        "descriptor": soap(),
        "covariance": PolynomialCovariance(2),
        "n_sparse": 4,
        "energy_noise": 1e-3,
        "force_noise": 1e-2,
        "validation_fraction": 0.0,
        "n_ensemble": 2,
        **arguments,
    }
    return SparsePotential(**arguments)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))


@pytest.mark.parametrize("check", ARRAY_CHECKS)
@pytest.mark.parametrize("selection", ESTIMATORS[3:], ids=lambda one: repr(one))
def test_selections_of_points_take_arrays_as_scikit_learn_does(selection, check):
    getattr(estimator_checks, check)("Selected", Selected(selection))


@pytest.mark.parametrize("selection", ESTIMATORS[3:], ids=lambda one: repr(one))
def test_points_that_are_none_are_refused(selection):
    for wrong, message in (
        ([1.0, 2.0], "Expected 2D array"),
        ([[1.0, np.nan]], "points contains NaN"),
        (np.array([[1.0j]]), "Complex data not supported"),
    ):
        with pytest.raises(ValueError, match=message):
            selection.select(wrong, 1)
    assert selection.select(np.zeros((0, 3)), 2).size == 0


def test_tags_say_that_structures_are_not_arrays_and_carry_their_targets():
    tags = small().__sklearn_tags__()
    assert tags.estimator_type == "regressor"
    assert not tags.input_tags.two_d_array
    assert not tags.target_tags.required


@pytest.mark.parametrize("make", [soap, lode])
def test_parameters_make_a_round_trip(make):
    model = small(descriptor=make(), random_state=3)
    again = SparsePotential().set_params(**model.get_params(deep=False))
    assert repr(again) == repr(model)
    copied = clone(model)
    assert copied is not model
    assert copied.descriptor is not model.descriptor
    assert repr(copied) == repr(model)
    assert copied.get_params().keys() == model.get_params().keys()


def test_nested_parameters_reach_the_descriptor_and_the_covariance():
    model = small()
    model.set_params(
        covariance__zeta=3, descriptor__left__density={"type": "Gaussian", "width": 0.4}
    )
    assert model.covariance.zeta == 3
    assert model.get_params()["descriptor__left__density"]["width"] == 0.4


def test_nested_parameters_set_after_a_fit_count_in_the_next_one():
    frames = open_frames(4)
    model = small().fit(frames)
    before = model.predict(frames)
    wider = density(width=0.7)
    model.set_params(descriptor__left__density=wider.density, covariance__zeta=1)
    np.testing.assert_array_equal(model.predict(frames), before)
    model.fit(frames)
    fresh = small(descriptor=soap(width=0.7), covariance=PolynomialCovariance(1))
    np.testing.assert_array_equal(
        model.predict(frames), fresh.fit(frames).predict(frames)
    )
    assert abs(model.predict(frames) - before).max() > 1e-6


def test_unfitted_models_make_a_round_trip_through_pickle():
    model = small()
    again = pickle.loads(pickle.dumps(model))
    assert repr(again) == repr(model)
    frames = open_frames(3)
    expected = model.fit(frames).predict(frames)
    np.testing.assert_array_equal(again.fit(frames).predict(frames), expected)


def test_fitted_models_make_a_round_trip_through_pickle():
    frames = open_frames(4)
    model = small(descriptor=[soap(), lode()]).fit(frames)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        np.testing.assert_array_equal(again.predict(frames), model.predict(frames))
        for one, other in zip(
            again.compute(frames), model.compute(frames), strict=True
        ):
            np.testing.assert_array_equal(one["forces"], other["forces"])


def test_clones_are_not_fitted():
    model = clone(small().fit(open_frames(3)))
    message = "This SparsePotential instance is not fitted yet"
    with pytest.raises(NotFittedError, match=message):
        model.predict(open_frames(1))
    with pytest.raises(NotFittedError, match=message):
        model.compute(open_frames(1))
    with pytest.raises(NotFittedError, match=message):
        model.get_state()


def test_models_stand_at_the_end_of_a_pipeline():
    frames = open_frames(4)
    copies = FunctionTransformer(lambda some: [atoms[:] for atoms in some])
    pipeline = Pipeline([("copies", copies), ("potential", small())])
    energies = energies_of(frames)
    with pytest.raises(ValueError, match="none of the 4 frames has an energy"):
        pipeline.fit(frames)  # slices of frames lose their results
    pipeline.fit(frames, energies, potential__sample_weight=np.ones(4))
    plain = small(targets=["energy"]).fit(frames, energies)
    np.testing.assert_allclose(pipeline.predict(frames), plain.predict(frames))
    assert pipeline.score(frames, energies) == pytest.approx(plain.score(frames))


def test_grid_search_chooses_sparse_points_and_zeta():
    frames = open_frames(12)
    grid = {"n_sparse": [1, 6], "covariance__zeta": [1, 2]}
    search = GridSearchCV(small(), grid, cv=KFold(3), error_score="raise").fit(frames)
    assert set(search.best_params_) == set(grid)
    assert len(search.cv_results_["mean_test_score"]) == 4
    best = small(n_sparse=search.best_params_["n_sparse"])
    best.set_params(covariance__zeta=search.best_params_["covariance__zeta"])
    np.testing.assert_array_equal(
        search.predict(frames), best.fit(frames).predict(frames)
    )


def test_cross_validation_predicts_every_frame_without_it():
    frames = open_frames(6)
    energies = energies_of(frames)
    model = small()
    predicted = cross_val_predict(model, frames, energies, cv=KFold(3))
    expected = small().fit(frames[2:], energies[2:]).predict(frames[:2])
    np.testing.assert_allclose(predicted[:2], expected, rtol=1e-12)
    scores = cross_val_score(model, frames, energies, cv=KFold(3))
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_cross_validation_takes_energies_from_the_frames():
    frames = open_frames(6)
    with_y = cross_val_score(small(), frames, energies_of(frames), cv=KFold(2))
    without = cross_val_score(small(), frames, cv=KFold(2))
    np.testing.assert_allclose(without, with_y, rtol=1e-9)


def test_fit_changes_no_parameter():
    model = small()
    before = repr(model.get_params())
    parts = model.descriptor, model.covariance
    model.fit(open_frames(3))
    assert repr(model.get_params()) == before
    assert (model.descriptor, model.covariance) == parts


def test_learned_attributes_end_with_an_underscore():
    model = small().fit(open_frames(3))
    learned = set(vars(model)) - set(model.get_params(deep=False))
    assert {"weights_", "baseline_", "species_", "std_scales_", "summary_"} <= learned
    assert all(name.endswith("_") for name in learned)
