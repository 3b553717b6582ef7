"""Settings of charge models, in the layout of those of potentials.

``[fit]`` holds the arguments of the model, ``[terms.NAME]`` the descriptors of its
charges, and where energies are fitted ``[potential.fit]`` and
``[potential.terms.NAME]`` the potential of what the charges leave over.
"""

from __future__ import annotations

import inspect
from importlib import import_module

from lodekit.errors import SettingsError
from lodekit.quantities import CHARGES, ENERGIES, quantity
from lodekit.terms.tables import charge_terms, may_be_far

from .potential import (
    REMAINDER_FIT,
    build_arguments,
    build_potential,
    check_names,
    check_settings,
    remainder_settings,
)

#: Keys of the noise of every target; those of energies where these shape the charges.
NOISES = {name: quantity(name).noise_key for name in CHARGES}
ENERGY_NOISES = {name: quantity(name).noise_key for name in ENERGIES}
#: Arguments that are objects, or follow from other settings.
_BUILT = {"descriptor", "covariance", "n_sparse", "noises", "potential", "progress"}
#: Arguments that are numbers, or something else that the model checks.
_FREE = ("hardness", "widths", "bond_hardness")


def fit_defaults(kind: str) -> dict:
    """Return the keys of ``[fit]``, which are the arguments of a class of models."""
    parameters = inspect.signature(_model_class(kind)).parameters
    arguments = {
        name: p.default for name, p in parameters.items() if name not in _BUILT
    }
    noises = [*NOISES.values(), *ENERGY_NOISES.values()]
    return {
        "targets": None,
        **dict.fromkeys(noises, "auto"),
        **arguments,
        "selection": "farthest-points",
    }


def default_charge_settings(kind: str, frames, targets) -> dict:
    """Return complete settings of a class of models for frames and targets."""
    fit = {**fit_defaults(kind), "targets": list(targets)}
    has_energies = bool(set(targets) & set(ENERGIES))
    linear = not has_energies or _model_class(kind).linear_with_energies
    terms = charge_terms(linear, may_be_far(frames, targets))
    settings = {"fit": fit, "terms": terms}
    if has_energies:
        settings["potential"] = {"terms": remainder_settings()["terms"]}
    return settings


def remainder_fit(learning: bool) -> dict:
    """Return the keys of ``[potential.fit]`` with their defaults.

    Where energies shape the charges the remainder is part of one fit, and has no noises
    or baseline of its own.
    """
    if learning:
        return {"selection": REMAINDER_FIT["selection"]}
    return dict(REMAINDER_FIT)


def check_charge_settings(kind: str, settings: dict) -> dict:
    """Return complete settings, as `check_settings` does for a potential.

    Raises
    ------
    SettingsError
        Also for settings of energies that are not fitted.
    """
    check_names("settings", settings, ["fit", "terms", "potential"])
    charge_part = {key: settings[key] for key in ("fit", "terms") if key in settings}
    checked = check_settings(charge_part, fit_defaults(kind), _FREE)
    fit = checked["fit"]
    learning = fit.get("learn_from_energies", True)
    fixed = [key for key in ENERGY_NOISES.values() if fit[key] != "auto"]
    if fixed and not learning:
        raise SettingsError(
            f"fit.{fixed[0]} needs fit.learn_from_energies = true; the noise of the "
            f"remainder of the energies is potential.fit.{fixed[0]}"
        )
    if "potential" in settings:
        if not set(fit["targets"] or ()) & set(ENERGIES):
            raise SettingsError(
                "[potential] is fitted to energy, forces or stress; name some of them "
                "among the targets"
            )
        checked["potential"] = check_remainder(settings["potential"], learning)
    return checked


def check_remainder(settings: dict, learning: bool) -> dict:
    """Return complete settings of the remainder."""
    fit = settings.get("fit", {})
    useless = [key for key in REMAINDER_FIT if key in fit and key != "selection"]
    if learning and useless:
        raise SettingsError(
            f"potential.fit.{useless[0]} has no use where charges and remainder are "
            "one fit: [fit] holds for both"
        )
    try:
        return check_settings(settings, remainder_fit(learning))
    except SettingsError as problem:
        raise SettingsError(f"[potential]: {problem}") from None


def build_charge_model(kind: str, settings: dict, progress: bool = False):
    """Return the unfitted model of complete or partial settings."""
    settings = check_charge_settings(kind, settings)
    arguments = build_arguments(settings, progress)
    noises = {
        target: arguments.pop(key)
        for target, key in {**NOISES, **ENERGY_NOISES}.items()
        if key in arguments
    }
    fixed_noises = {
        target: noise for target, noise in noises.items() if noise != "auto"
    }
    arguments["noises"] = fixed_noises or None
    if "potential" in settings:
        arguments["potential"] = build_potential(settings["potential"], progress)
    return _model_class(kind)(**arguments)


def _model_class(kind: str):
    return getattr(import_module("lodekit.models"), kind)
