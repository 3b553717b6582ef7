"""Parts of a `PolarizationModel`: targets, potential and polarizability."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from ase.data import chemical_symbols
from sklearn.base import clone

from lodekit.observables.fields import fields_of
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.regression.environments import batches
from lodekit.structures import frame_name, get_target
from lodekit.structures.checks import can_have
from lodekit.terms.tensors import build_tensor_terms, polarizability_terms

from .charge_energy import remainders, without_targets
from .induced_dipole_fit import reference_polarizabilities
from .polarization_prediction import BATCH_ATOMS, PolarizationPrediction
from .sparse_potential import SparsePotential
from .tensor_model import TensorModel

#: Everything that is fitted.
TARGETS = (*ENERGIES, *family("polarization"))
#: Frames whose dielectric constants are averaged at the most.
MOST_SCREENING = 20


def choose_polarization_targets(frames, asked, possible=TARGETS) -> list[str]:
    """Return the names of what is fitted: all ``possible`` ones where None.

    Raises
    ------
    ValueError
        For names that are no targets, or targets that no frame has.
    """
    if isinstance(asked, str):
        asked = [asked]
    responses = [name for name in family("field responses") if name in possible]
    fields, chosen = fields_of(frames), []
    for name in asked or possible:
        if name not in possible:
            raise ValueError(f"targets must be among {list(possible)}, got '{name}'")
        # moments and forces in fields tell responses
        is_told = asked and fields is not None and name in responses
        if is_told or any(has_target(atoms, name) for atoms in frames):
            chosen.append(name)
        elif asked:
            raise ValueError(
                f"target '{name}' is in none of the {len(frames)} frames "
                "that can have it"
            )
    if fields is not None and responses and responses[0] not in chosen:
        if asked and {*chosen} - {*ENERGIES}:
            index = int(np.flatnonzero(fields.any(axis=1))[0])
            raise ValueError(
                f"{frame_name(index)} was computed in an electric field, which induces "
                f"moments: fit {responses[0]} as well, or leave the frame out"
            )
        if not asked:
            chosen.append(responses[0])
    electric = [name for name in chosen if name not in ENERGIES]
    if not electric:
        others = [name for name in possible if name not in ENERGIES]
        raise ValueError(
            f"no frame has any of {', '.join(others)}; a `SparsePotential` learns "
            "energies alone"
        )
    return chosen


def has_target(atoms, name: str) -> bool:
    """Return whether a structure has a target that it can have."""
    return can_have(atoms, name) and get_target(atoms, name) is not None


def fit_potential(model, frames, names: list, weighting: dict):
    """Return the potential U_0 fitted to energies, None where there are none."""
    if not names:
        return None
    potential = SparsePotential() if model.potential is None else model.potential
    noises = {
        key: noise for key, noise in (model.noises or {}).items() if key in ENERGIES
    }
    fitted = clone(potential).set_params(
        targets=names,
        validation_fraction=model.validation_fraction,
        progress=model.progress,
        **{quantity(name).noise_key: noise for name, noise in noises.items()},
    )
    fitted.knows_range = False
    return fitted.fit(frames, **weighting)


def find_electrostatics(model, frames):
    """Return the electrostatics of a model, with the screening of the frames."""
    if model.screening == "local":
        values = reference_polarizabilities(frames, model.species_)
        return model._local_electrostatics(values)
    return model._electrostatics(find_screening(model, frames))


def find_screening(model, frames) -> float:
    """Return the dielectric constant that divides the electrostatic energy.

    Raises
    ------
    ValueError
        If it is to be learned, and the model has no polarizability, or no frame is
        periodic.
    """
    if model.screening != "learned":
        return float(model.screening)
    periodic = [atoms for atoms in frames if atoms.pbc.all()]
    if model.polarizability_ is None or not periodic:
        raise ValueError(
            "screening='learned' needs polarizabilities of periodic frames; give a "
            "number"
        )
    some = periodic[:: -(-len(periodic) // MOST_SCREENING)]
    prediction = PolarizationPrediction(model, some)
    tensors = prediction.in_field.dielectric_tensors
    traces = np.trace(tensors, axis1=1, axis2=2)
    return float(np.mean(traces) / 3.0)


def leave_over(model, frames, names: list) -> list:
    """Return frames with what the electrostatic energy leaves of their energies."""
    parts = []
    for group in batches(frames, BATCH_ATOMS):
        some = [frames[i] for i in group]
        parts += PolarizationPrediction(model, some).electrostatic_parts()
    return remainders(frames, parts, names)


def default_response(frames) -> TensorModel:
    """Return the model of alpha or beta where the user gives none."""
    terms = build_tensor_terms({"terms": polarizability_terms(frames)})
    descriptors, covariances, sizes = zip(*terms, strict=True)
    return TensorModel(list(descriptors), list(covariances), list(sizes))


def fit_response(model, name: str, frames, weighting: dict):
    """Return the model of alpha or beta, fitted to the frames that have one.

    None where it is no target, or where fields tell it with the dipoles.
    """
    if name not in model.targets_ or fields_of(frames) is not None:
        return None
    values = [get_target(atoms, name) for atoms in frames]
    used = [index for index, value in enumerate(values) if value is not None]
    template = getattr(model, name) or default_response(frames)
    noises = model.noises or {}
    fitted = clone(template).set_params(
        targets=[name],
        noises={k: v for k, v in noises.items() if k == name} or None,
        validation_fraction=model.validation_fraction,
        progress=model.progress,
    )
    some = []
    for index in used:
        atoms = without_targets(frames[index])
        atoms.info[name] = symmetrize(values[index]).ravel()
        some.append(atoms)
    chosen = {
        key: None if values is None else np.asarray(values)[used]
        for key, values in weighting.items()
    }
    fitted.knows_range = False
    return fitted.fit(some, **chosen)


def symmetrize(tensor: np.ndarray) -> np.ndarray:
    """Return the mean of a tensor over all orders of its indices."""
    orders = list(permutations(range(tensor.ndim)))
    return sum(tensor.transpose(order) for order in orders) / len(orders)


def summarize(model, frames, results, clock) -> dict:
    """Return facts about a fitted model for people."""
    symbols = [chemical_symbols[z] for z in model.species_]
    states = dict(zip(symbols, map(int, model.oxidation_states_), strict=True))
    summary = {
        "n_structures": len(frames),
        "species": model.species_.tolist(),
        "targets": model.targets_,
    }
    if model.dipoles_ is not None:
        summary["oxidation_states"] = states
        summary["rank"] = model.dipoles_.rank
        summary["amplitudes"] = [kernel.amplitude for kernel in model.dipoles_.kernels]
        summary["branch_rounds"] = model.n_branch_rounds_
    for result in results:
        summary |= result.summary()
    parts = [summary]
    for part in (
        model.potential_,
        model.polarizability_,
        model.hyperpolarizability_,
    ):
        if part is not None:
            parts.append(part.summary_)
    for key in ("n_rows", "noises", "std_scales", "held_out_errors", "units"):
        summary[key] = {
            name: value
            for part in parts[::-1]
            for name, value in part.get(key, {}).items()
        }
    summary["outliers"] = [one for part in parts for one in part.get("outliers", ())]
    for key in ("n_groups", "n_left_out"):
        summary[key] = max(part.get(key, 0) for part in parts)
    if model.electrostatics_ is not None:
        summary["screening"] = model.electrostatics_.screening
    summary["seconds"] = clock.seconds
    return summary
