"""Fits to more and more frames that share their rows."""

import numpy as np
import pytest
from sklearn.base import clone
from test_sample_weights import frames_with_everything
from test_updates import MODELS

from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.models import ChargeModel, LatentChargeModel, SparsePotential
from lodekit.models.curves import can_share_rows, fit_to_more
from lodekit.models.sparse_potential import PotentialProblem
from lodekit.observables.energy import collect_targets

FRAMES = frames_with_everything(14)
EVERYTHING = np.arange(len(FRAMES))
#: The first has fewer rows than weights, and all have every element and boundary.
MEMBERS = [np.array([0, 1]), np.array([0, 1, 3, 6, 7, 9, 10, 12]), EVERYTHING]


@pytest.fixture(scope="module", params=MODELS)
def models(request):
    """Return predictions of every fit, those of the last alone, and the model."""
    model = clone(MODELS[request.param])
    assert can_share_rows(model)
    predictions, seconds = [], []
    for fitted, after in fit_to_more(model, FRAMES, MEMBERS):
        predictions.append(fitted.predict(FRAMES))
        seconds.append(after)
    assert sorted(seconds) == seconds
    return predictions, clone(MODELS[request.param]).fit(FRAMES), model


def test_the_last_fit_is_a_fit_to_all_frames(models):
    predictions, alone, model = models
    scale = np.abs(predictions[-1]).max()
    np.testing.assert_allclose(
        predictions[-1], alone.predict(FRAMES), atol=1e-9 * scale
    )
    assert model.summary_["n_structures"] == len(FRAMES)
    for key in {"noises", "held_out_errors", "amplitudes"} & {*alone.summary_}:
        assert model.summary_[key] == pytest.approx(alone.summary_[key], rel=1e-6)
    assert model.summary_["outliers"] == alone.summary_["outliers"]


def test_fits_to_some_frames_have_the_points_of_all():
    model = clone(MODELS["chosen"])
    fits = fit_to_more(model, FRAMES, MEMBERS)
    some = [FRAMES[i] for i in MEMBERS[1]]
    next(fits)
    fitted, _ = next(fits)
    predicted, noises = fitted.predict(FRAMES), fitted.noises_
    last, _ = next(fits)
    # a fit to these frames, by kernels of the last one without their amplitudes
    targets = collect_targets(some, ["energy", "forces"])
    baseline = dict(zip(last.species_.tolist(), last.baseline_, strict=True))
    targets.subtract_baseline(some, last.species_, baseline)
    for kernel in last.kernels_:
        kernel.amplify(1.0 / kernel.amplitude)
    problem = PotentialProblem(last, some, targets, np.ones(len(some)))
    result = fit(problem, dict.fromkeys(targets.names, "auto"), random_state=0)
    assert noises == pytest.approx(result.noises, rel=1e-6)
    last._finish(result, np.random.RandomState(0), Clock(), len(some))
    np.testing.assert_allclose(predicted, last.predict(FRAMES), rtol=1e-9)


@pytest.mark.parametrize(
    ("model", "targets"),
    [
        (LatentChargeModel(), ()),
        (ChargeModel(), ("charges", "energy")),
        (SparsePotential(solver="qr"), ()),
    ],
)
def test_other_fits_share_nothing(model, targets):
    assert not can_share_rows(model, targets)
