"""New frames for a fitted model, without summing the old rows again.

Weights are those of a fit to all frames with the sparse points, noises, amplitudes and
baseline of the model. Calibration factors of standard deviations stay; errors in the
summary are those on groups of the new frames that were left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state

from lodekit.fitting.charge_problem import ChargeProblem
from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit_more
from lodekit.fitting.problem import FitResult
from lodekit.fitting.sums import KeptSums
from lodekit.observables.energy import EnergyTargets, collect_targets
from lodekit.observables.tensors import collect_tensor
from lodekit.quantities import ENERGIES
from lodekit.structures import get_target
from lodekit.structures.batch import as_frames

from .born_charge_model import BornChargeModel
from .charge_checks import check_weights
from .charge_model import ChargeModel, DipoleModel
from .electron_density_model import ElectronDensityModel
from .global_potential import GlobalPotential
from .model import Model
from .polarization_model import PolarizationModel
from .prediction import check_species
from .sparse_potential import PotentialProblem, SparsePotential
from .tensor_fit import PartProblem, summarize_parts
from .tensor_model import TensorModel
from .wannier_model import WannierModel


def update_model(model: Model, frames, sums: KeptSums, *, groups=None, weights=None):
    """Fit a model to more frames; the model and the sums change.

    Parameters
    ----------
    model : Model
        Fitted, of one linear problem: `SparsePotential`, `GlobalPotential`,
        `TensorModel`, `BornChargeModel`, and `ChargeModel` and `DipoleModel` without
        energies.
    frames : list of ase.Atoms
        New ones, of elements that the model knows, with its targets.
    sums : KeptSums
        Of the fit of this model, see `lodekit.fitting.sums`.
    groups : array-like of shape (n_frames,), optional
        Names of groups of like frames.
    weights : array-like of shape (n_frames,), optional
        Weights of frames.

    Raises
    ------
    ValueError
        For other models, sums of other models, and frames that are in the sums.
    """
    check_updatable(model)
    frames = as_frames(frames)
    model.check_labelled(frames)
    check_species(frames, model.species_)
    sums.check_new(frames)
    if not sums.fits:
        raise ValueError("there are no sums of this fit: solver='qr' keeps none")
    clock = Clock()
    options = {
        "groups": groups,
        "sample_weight": check_weights(weights, len(frames)),
        "random_state": check_random_state(model.random_state),
        "lap": clock.lap,
    }
    before = model.summary_
    UPDATES[type(model)](model, frames, sums, options, clock)
    sums.add_frames(frames)
    if model.training_range_ is not None:
        model.training_range_.extend(frames)
    model.summary_ |= {
        "n_structures": before["n_structures"] + len(frames),
        "n_updates": before.get("n_updates", 0) + 1,
    }


def check_updatable(model: Model, targets=()) -> None:
    """Raise ``ValueError`` for models that cannot be fitted to more frames.

    ``targets`` are those of a model that is not fitted yet.
    """
    name = type(model).__name__
    if type(model) not in UPDATES:
        reason = REASONS.get(type(model), REASONS[Model])
        raise ValueError(f"{name} cannot be updated: {reason}; fit it to all frames")
    has_energies = getattr(model, "potential_", None) is not None
    if isinstance(model, ChargeModel) and set(targets) & set(ENERGIES):
        has_energies = True
    if has_energies:
        raise ValueError(
            f"a {name} with energies cannot be updated: {REASONS[Model]}; fit it to "
            "all frames"
        )


def update_potential(model, frames, sums, options, clock) -> None:
    """Update a `SparsePotential`."""
    (sums_of_fit,) = sums.fits[-1:]
    targets = new_targets(model, frames, sums_of_fit.noises)
    problem = PotentialProblem(model, frames, targets, np.ones(len(frames)))
    result = fit_more(problem, sums_of_fit, **options)
    result.std_scales = model.std_scales_
    model._finish(result, options["random_state"], clock, len(frames))


def update_global(model, frames, sums, options, clock) -> None:
    """Update a `GlobalPotential`."""
    if model.scales_ is None:
        raise ValueError(
            "the file of this GlobalPotential was written before it kept the scales of "
            "its columns; fit it to all frames"
        )
    (kept,) = sums.fits
    problem = model.problem(frames, new_targets(model, frames, kept.noises))
    result = fit_more(problem, kept, **options)
    scales = model.std_scales_
    model.learn(result, options["random_state"])
    model.std_scales_ = scales
    model.summary_ = model.summary_ | summary_of(result, scales, clock)


def new_targets(model, frames, names) -> EnergyTargets:
    """Return the targets of new frames beside the baseline of a model."""
    present = [
        name
        for name in names
        if any(get_target(atoms, name) is not None for atoms in frames)
    ]
    values = collect_targets(frames, present).values
    missing = [None] * len(frames)
    targets = EnergyTargets({name: values.get(name, missing) for name in names})
    baseline = dict(zip(model.species_.tolist(), model.baseline_, strict=True))
    targets.subtract_baseline(frames, model.species_, baseline)
    return targets


def update_charges(model, frames, sums, options, clock) -> None:
    """Update a `ChargeModel` without energies."""
    (kept,) = sums.fits[-1:]
    scales = model.std_scales_
    # charges are not conditioned on a posterior before there is one
    del model.solution_
    problem = ChargeProblem(model.response, frames, kept.noises, model.progress)
    result = fit_more(problem, kept, **options)
    model.learn(result.solution, scales)
    model._share_features()
    model.held_out_errors_ = result.errors
    model.summary_ = model.summary_ | summary_of(result, scales, clock)


def update_tensors(model, frames, sums, options, clock) -> None:
    """Update a `TensorModel`, part by part."""
    fits = iter(sums.fits)
    for name, parts in model.parts_.items():
        tensor = model.tensors_[name]
        values, _ = collect_tensor(frames, name)
        values = [array.reshape(len(array), -1) for array in values]
        for index, part in enumerate(parts):
            kernels = model.kernels_[part.order, part.sigma]
            problem = PartProblem(
                frames, values, tensor, index, kernels, model.species_, model.progress
            )
            problem.part = replace(part)
            result = fit_more(problem, next(fits), **options)
            problem.part.take(result)
            problem.part.std_scale = part.std_scale
            parts[index] = problem.part
    model.summary_ = {
        "n_structures": len(frames),
        "species": model.species_.tolist(),
        **summarize_parts(model.tensors_, model.parts_),
        "seconds": clock.seconds,
    }


def summary_of(result: FitResult, scales: dict, clock: Clock) -> dict:
    """Return the entries of an update in a summary."""
    return {**result.summary(), "std_scales": scales, "seconds": clock.seconds}


#: How models of every class are updated.
UPDATES = {
    SparsePotential: update_potential,
    GlobalPotential: update_global,
    ChargeModel: update_charges,
    DipoleModel: update_charges,
    TensorModel: update_tensors,
    BornChargeModel: update_tensors,
}
#: Why models of other classes are not updated; that of `Model` where nothing is said.
REASONS = {
    Model: "its fit is not one linear problem, old rows depend on the weights",
    ElectronDensityModel: "the strength of its prior is chosen on frames left out, and "
    "the equations of densities are not kept",
    PolarizationModel: "its parts are fitted one after the other, each to what the "
    "ones before leave, and branches are chosen for all frames",
    WannierModel: "its parts are fitted one after the other, each to what the ones "
    "before leave, and branches are chosen for all frames",
}
