"""Scorers against errors from plain NumPy, and inside scikit-learn."""

import pickle

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import energies_of, open_frames, periodic_frames, soap
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate

from lodekit.metrics import NegativeRMSE
from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance

NOISES = {"energy_noise": 1e-3, "force_noise": 1e-2, "stress_noise": 1e-3}


def small(**arguments):
    return SparsePotential(
        soap(),
        PolynomialCovariance(2),
        n_sparse=4,
        validation_fraction=0.0,
        n_ensemble=1,
        **NOISES,
        **arguments,
    )


@pytest.fixture(scope="module")
def frames():
    return open_frames(4) + periodic_frames(3, 5)


@pytest.fixture(scope="module")
def model(frames):
    return small(targets=["energy", "forces"]).fit(frames[1:])


def rms(errors):
    return np.sqrt(np.mean(np.concatenate([np.ravel(own) for own in errors]) ** 2))


def test_scores_are_minus_the_rmse_of_all_components(model, frames):
    results = model.compute(frames)
    sizes = np.array([len(atoms) for atoms in frames])
    energies = (model.predict(frames) - energies_of(frames)) / sizes
    forces = [
        r["forces"] - a.get_forces() for r, a in zip(results, frames, strict=True)
    ]
    expected = {"energy": -rms(energies), "forces": -rms(forces)}
    for target, value in expected.items():
        assert NegativeRMSE(target)(model, frames) == pytest.approx(value)
    assert NegativeRMSE("energy", "forces")(model, frames) == pytest.approx(expected)


def test_targets_of_some_frames_count_where_they_are(model, frames):
    periodic = frames[4:]
    results = model.compute(periodic)
    expected = [
        r["stress"] - a.get_stress() for r, a in zip(results, periodic, strict=True)
    ]
    scores = NegativeRMSE("stress", "energy")(model, frames)
    assert scores["stress"] == pytest.approx(-rms(expected))
    assert scores["energy"] == pytest.approx(NegativeRMSE("energy")(model, frames))


def test_given_energies_replace_those_of_the_frames(model, frames):
    sizes = np.array([len(atoms) for atoms in frames])
    moved = model.predict(frames) + 0.25 * sizes
    assert NegativeRMSE("energy")(model, frames, moved) == pytest.approx(-0.25)


class FixedCharges:
    """Predicts 0.5 e for every atom."""

    def compute(self, frames, properties):
        return [{"charges": np.full(len(atoms), 0.5)} for atoms in frames]


def test_charges_are_scored_in_e():
    frames = open_frames(2)
    for atoms in frames:
        atoms.calc = SinglePointCalculator(atoms, charges=np.zeros(len(atoms)))
    assert NegativeRMSE("charges")(FixedCharges(), frames) == -0.5


def test_scorers_work_in_searches_and_cross_validation(frames):
    frames = frames[:4]
    search = GridSearchCV(
        small(targets=["energy", "forces"]),
        {"n_sparse": [1, 6]},
        scoring=NegativeRMSE("energy", "forces"),
        refit="forces",
        cv=KFold(2),
        error_score="raise",
    ).fit(frames)
    scores = search.cv_results_["mean_test_forces"]
    assert search.best_params_["n_sparse"] == [1, 6][np.argmax(scores)]
    assert (search.cv_results_["mean_test_energy"] < 0).all()
    model, folds = small(targets=["energy"]), KFold(2)
    scores = cross_val_score(model, frames, cv=folds, scoring=NegativeRMSE("forces"))
    both = cross_validate(
        model, frames, cv=folds, scoring=NegativeRMSE("energy", "forces")
    )
    np.testing.assert_allclose(both["test_forces"], scores)
    given = cross_val_score(
        model, frames, energies_of(frames), cv=folds, scoring=NegativeRMSE("energy")
    )
    np.testing.assert_allclose(both["test_energy"], given)


def test_scorers_can_be_sent_to_other_processes(model, frames):
    scorer = NegativeRMSE("energy", "stress")
    copy = pickle.loads(pickle.dumps(scorer))
    assert repr(copy) == "NegativeRMSE('energy', 'stress')"
    assert copy(model, frames) == scorer(model, frames)


def test_bad_targets_are_named(model, frames):
    with pytest.raises(ValueError, match="scores are of energy, forces, .* 'enrgy'"):
        NegativeRMSE("enrgy")
    with pytest.raises(ValueError, match="name a target to score"):
        NegativeRMSE()
    with pytest.raises(ValueError, match="no frame has charges, and a score needs"):
        NegativeRMSE("energy", "charges")(model, frames)
