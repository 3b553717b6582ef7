"""Settings of models of polarization, in the layout of those of potentials.

``[fit]`` holds the arguments of the model, ``[terms.NAME]`` the descriptors of its
atomic dipoles, ``[potential.fit]`` and ``[potential.terms.NAME]`` the potential, where
energies are fitted, and ``[polarizability.fit]`` and ``[polarizability.terms.NAME]``
the model of polarizabilities, ``[hyperpolarizability...]`` likewise.
"""

from __future__ import annotations

import inspect

from lodekit.errors import SettingsError
from lodekit.models.induced_dipole_model import InducedDipoleModel
from lodekit.models.polarization_model import PolarizationModel
from lodekit.models.wannier_model import WannierModel
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.terms.tensors import (
    build_tensor_terms,
    dipole_terms,
    induced_terms,
    polarizability_terms,
)

from .potential import (
    FIT,
    SELECTIONS,
    build_potential,
    check_names,
    check_settings,
    default_settings,
)
from .tensors import build_tensor_model, check_tensor_settings

#: Classes of models by name.
CLASSES = {
    one.__name__: one for one in (PolarizationModel, WannierModel, InducedDipoleModel)
}

#: Sections of parts that are models of their own.
RESPONSES = family("field responses")
PARTS = ("potential", *RESPONSES)
#: Arguments that are objects, or follow from other settings.
_BUILT = {"descriptor", "covariance", "n_sparse", "noises", "progress", *PARTS}
#: Arguments that are not of the kind of their default.
_FREE = ("oxidation_states", "targets", "center_charges", "screening", "thole")
#: Keys of a part that the whole model decides on.
_SHARED = {"targets", "noises", "validation_fraction"}


def noise_keys() -> dict[str, str]:
    """Return the targets by the key of their noise."""
    electric = (*family("polarization"), *family("nonlinear responses"))
    names = (*ENERGIES, *electric, *family("wannier"))
    return {quantity(n).noise_key: n for n in names if quantity(n).noise_key}


def parameters_of(kind: str) -> dict:
    """Return the parameters of a class of models by name."""
    return inspect.signature(CLASSES[kind]).parameters


def fit_defaults(kind: str) -> dict:
    """Return the keys of ``[fit]`` of a class of models."""
    parameters = parameters_of(kind)
    arguments = {
        name: p.default for name, p in parameters.items() if name not in _BUILT
    }
    noises = dict.fromkeys(noise_keys(), "auto")
    return {**arguments, **noises, "selection": "farthest-points"}


def potential_fit() -> dict:
    """Return the keys of ``[potential.fit]``; noises stand in ``[fit]``."""
    shared = {*_SHARED, *(quantity(name).noise_key for name in ENERGIES)}
    return {key: value for key, value in FIT.items() if key not in shared}


def default_polarization_settings(kind: str, frames, targets) -> dict:
    """Return complete settings of a model of these targets."""
    parameters = parameters_of(kind)
    is_induced = not parameters.keys() & {*RESPONSES}
    settings = {
        "fit": {**fit_defaults(kind), "targets": list(targets)},
        "terms": induced_terms() if is_induced else dipole_terms(),
    }
    energies = [name for name in targets if name in ENERGIES]
    if energies:
        terms = default_settings(frames, energies)["terms"]
        settings["potential"] = {"fit": potential_fit(), "terms": terms}
    for name in RESPONSES:
        if name in targets and name in parameters:
            settings[name] = {"terms": polarizability_terms(frames)}
    return settings


def check_polarization_settings(kind: str, settings: dict) -> dict:
    """Return complete settings, as `check_settings` does for a potential.

    Raises
    ------
    SettingsError
        Also for settings of what is not fitted, and those of a part that the whole
        model decides on.
    """
    parts = [name for name in PARTS if name in parameters_of(kind)]
    check_names("settings", settings, ["fit", "terms", *parts])
    dipole_part = {key: settings[key] for key in ("fit", "terms") if key in settings}
    checked = check_settings(dipole_part, fit_defaults(kind), (*_FREE, *noise_keys()))
    for name in PARTS:
        if name not in settings:
            continue
        part = settings[name]
        for key in _SHARED & {*part.get("fit", {})}:
            raise SettingsError(
                f"{name}.fit.{key} has no use: [fit] holds for all parts of the model"
            )
        try:
            if name == "potential":
                checked[name] = check_settings(part, potential_fit())
            else:
                checked[name] = check_tensor_settings(part)
                for key in _SHARED:
                    del checked[name]["fit"][key]
        except SettingsError as problem:
            raise SettingsError(f"[{name}]: {problem}") from None
    return checked


def build_polarization_model(kind: str, settings: dict, progress: bool = False):
    """Return the unfitted model of complete or partial settings."""
    settings = check_polarization_settings(kind, settings)
    fit = dict(settings["fit"])
    noises = {name: fit.pop(key) for key, name in noise_keys().items() if key in fit}
    fixed_noises = {name: noise for name, noise in noises.items() if noise != "auto"}
    terms = build_tensor_terms(settings)
    descriptors, covariances, sizes = zip(*terms, strict=True)
    parts = {}
    if "potential" in settings:
        parts["potential"] = build_potential(settings["potential"])
    for name in RESPONSES:
        if name in settings:
            parts[name] = build_tensor_model(settings[name])
    return CLASSES[kind](
        list(descriptors),
        list(covariances),
        list(sizes),
        **{**fit, "selection": SELECTIONS[fit["selection"]]()},
        noises=fixed_noises or None,
        progress=progress,
        **parts,
    )
