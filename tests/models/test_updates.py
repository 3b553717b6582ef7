"""A model fitted to more frames has the weights of a fit to all of them."""

from dataclasses import replace

import numpy as np
import pytest
from test_sample_weights import CHARGE_NOISES, frames_with_everything, terms

from lodekit import load_model
from lodekit.descriptors import CoulombMatrixMoments, EquivariantPowerSpectrum
from lodekit.errors import CheckpointError
from lodekit.fitting.charge_problem import ChargeProblem
from lodekit.fitting.sums import KeptSums, kept_sums
from lodekit.models import (
    ChargeModel,
    DipoleModel,
    ElectronDensityModel,
    GlobalPotential,
    LatentChargeModel,
    PolarizationModel,
    SparsePotential,
    TensorModel,
    WannierModel,
)
from lodekit.models.sparse_potential import PotentialProblem
from lodekit.models.tensor_fit import PartProblem
from lodekit.models.updates import new_targets, update_model
from lodekit.observables.energy import collect_targets
from lodekit.observables.tensors import collect_tensor
from lodekit.regression.normal_equations import NormalEquations

FRAMES = frames_with_everything(14)
FIRST, OTHERS = FRAMES[:8], FRAMES[8:]
MODELS = {
    "potential": SparsePotential(
        **terms(), targets=["energy", "forces"], energy_noise=0.1, force_noise=0.2
    ),
    "chosen": SparsePotential(**terms(), targets=["energy", "forces"]),
    "charges": ChargeModel(
        **terms(), targets=["charges", "dipole"], noises=CHARGE_NOISES, max_multipole=1
    ),
    "dipole": DipoleModel(**terms(), noises={"dipole": 0.3}),
    "global": GlobalPotential(CoulombMatrixMoments(2), solver="cholesky"),
    "tensor": TensorModel(
        EquivariantPowerSpectrum(terms()["descriptor"].left),
        n_sparse=4,
        n_channels=20,
        targets=["dipole"],
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def updated(request, tmp_path_factory):
    """Return a model that was fitted, written, read and fitted to more frames."""
    folder = tmp_path_factory.mktemp("updates")
    with kept_sums() as sums:
        model = MODELS[request.param].fit(FIRST)
    model.save(folder / "model.lodekit")
    sums.save(folder / "sums", "its hash")
    model = load_model(folder / "model.lodekit")
    scales = model.summary_["std_scales"]
    sums = KeptSums.load(folder / "sums", "its hash")
    update_model(model, OTHERS, sums)
    assert model.summary_["std_scales"] == scales
    return model, sums


def problems(model):
    """Yield the fits of a model to all frames, as if it had just begun to learn."""
    if isinstance(model, SparsePotential):
        targets = collect_targets(FRAMES, ["energy", "forces"])
        baseline = dict(zip(model.species_.tolist(), model.baseline_, strict=True))
        targets.subtract_baseline(FRAMES, model.species_, baseline)
        problem = PotentialProblem(model, FRAMES, targets, np.ones(len(FRAMES)))
        yield problem, model.noises_, model.weights_
    elif isinstance(model, GlobalPotential):
        targets = new_targets(model, FRAMES, model.summary_["noises"])
        problem = model.problem(FRAMES, targets)
        yield problem, model.summary_["noises"], model.weights_ / model.scales_
    elif isinstance(model, ChargeModel):
        noises = model.summary_["noises"]
        solution = model.solution_
        del model.solution_
        yield ChargeProblem(model.response, FRAMES, noises), noises, model.weights_
        model.solution_ = solution
    else:
        (parts,) = model.parts_.values()
        values, _ = collect_tensor(FRAMES, "dipole")
        values = [own.reshape(len(own), -1) for own in values]
        for index, part in enumerate(parts):
            kernels = model.kernels_[part.order, part.sigma]
            problem = PartProblem(
                *(FRAMES, values, model.tensors_["dipole"], index, kernels),
                *(model.species_, False),
            )
            problem.kernels, problem.part = [], replace(part)
            noise = {"tensor": part.noise / part.spread}
            yield problem, noise, part.solution.weights


def test_weights_are_those_of_a_fit_to_all_frames(updated):
    model, _ = updated
    for problem, noises, weights in problems(model):
        equations = NormalEquations(problem.rank, noises)
        everything = np.arange(len(FRAMES))
        for name, rows, own in problem.rows(np.zeros(problem.rank), everything):
            equations.add(name, rows.matrix, rows.values, own)
        expected = equations.solve(noises).weights
        scale = np.abs(expected).max()
        np.testing.assert_allclose(weights, expected, atol=1e-9 * scale, rtol=0.0)


def test_an_updated_model_knows_its_frames(updated, tmp_path):
    model, sums = updated
    assert model.summary_["n_structures"] == len(FRAMES)
    assert model.summary_["n_updates"] == 1
    # frames that a model was fitted to are within its range
    results = model.compute(OTHERS, ["extrapolation"])
    assert max(own["extrapolation"].max() for own in results) <= 1.0 + 1e-6
    model.save(tmp_path / "again.lodekit")
    again = load_model(tmp_path / "again.lodekit")
    np.testing.assert_allclose(again.predict(OTHERS), model.predict(OTHERS), atol=1e-9)
    with pytest.raises(ValueError, match="frame 2 is one that the model was fitted to"):
        update_model(model, [frames_with_everything(15)[-1], OTHERS[0]], sums)


def test_models_of_other_fits_are_refused():
    latent = LatentChargeModel()
    with pytest.raises(ValueError, match="LatentChargeModel cannot be updated"):
        update_model(latent, OTHERS, KeptSums())
    with pytest.raises(ValueError, match="of its prior is chosen on frames left out"):
        update_model(ElectronDensityModel(), OTHERS, KeptSums())
    for model in (PolarizationModel(), WannierModel()):
        with pytest.raises(ValueError, match="its parts are fitted one after the"):
            update_model(model, OTHERS, KeptSums())
    charges = ChargeModel()
    charges.potential_ = SparsePotential()
    with pytest.raises(ValueError, match="ChargeModel with energies cannot be updated"):
        update_model(charges, OTHERS, KeptSums())


def test_files_that_are_no_sums_give_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="--keep-sums writes them beside it"):
        KeptSums.load(tmp_path / "sums", "")
    (tmp_path / "sums").write_text("else")
    with pytest.raises(CheckpointError, match="these are no sums"):
        KeptSums.load(tmp_path / "sums", "")
    KeptSums().save(tmp_path / "sums", "one")
    with pytest.raises(CheckpointError, match="the sums of another model"):
        KeptSums.load(tmp_path / "sums", "two")
