"""Settings of charge models, in the layout of those of potentials.

``[fit]`` holds the arguments of the model, ``[terms.NAME]`` the descriptors of its
charges, and where energies are fitted ``[potential.fit]`` and
``[potential.terms.NAME]`` the potential of what the charges leave over.
"""

from __future__ import annotations

import inspect
from importlib import import_module

from lodekit.errors import SettingsError

from .charge_energy import ENERGY_TARGETS
from .settings import (
    REMAINDER_FIT,
    build_arguments,
    build_potential,
    charge_terms,
    check_names,
    check_settings,
    remainder_settings,
)

#: Models whose charges know of what is far by a LODE term, where they are fitted.
_FAR = ("ChargeModel", "DipoleModel")
#: Models whose charges can learn from energies.
_LEARNING = ("ChargeEquilibrationModel", "LatentChargeModel")
#: Keys of the noise of every target; those of energies where charges learn from them.
NOISES = {
    "charges": "charge_noise",
    "dipole": "dipole_noise",
    "quadrupole": "quadrupole_noise",
    "mep": "mep_noise",
}
ENERGY_NOISES = {
    "energy": "energy_noise",
    "forces": "force_noise",
    "stress": "stress_noise",
}
#: Arguments that are objects, or follow from other settings.
_BUILT = {"descriptor", "covariance", "n_sparse", "noises", "potential", "progress"}
#: Arguments that are numbers, or something else that the model checks.
_FREE = ("hardness", "widths", "bond_hardness")


def fit_defaults(kind: str) -> dict:
    """Return the keys of ``[fit]``, which are the arguments of a class of models."""
    parameters = inspect.signature(_model_class(kind)).parameters
    own = {name: p.default for name, p in parameters.items() if name not in _BUILT}
    noises = {**NOISES, **(ENERGY_NOISES if kind in _LEARNING else {})}
    return {
        "targets": None,
        **dict.fromkeys(noises.values(), "auto"),
        **own,
        "selection": "farthest-points",
    }


def default_charge_settings(kind: str, targets) -> dict:
    """Return complete settings of a class of models for these targets."""
    fit = {**fit_defaults(kind), "targets": list(targets)}
    if "learn_from_energies" in fit and set(targets) <= set(ENERGY_TARGETS):
        fit["learn_from_energies"] = True
    far = "charges" in targets and kind in _FAR
    settings = {"fit": fit, "terms": charge_terms(far)}
    if set(targets) & set(ENERGY_TARGETS):
        rest = remainder_settings()
        settings["potential"] = {**rest, "fit": remainder_fit(kind)}
    return settings


def remainder_fit(kind: str) -> dict:
    """Return the keys of ``[potential.fit]`` with their defaults.

    Latent charges are fitted together with the remainder, which has no noises or
    baseline of its own.
    """
    if kind == "LatentChargeModel":
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
    own = {key: settings[key] for key in ("fit", "terms") if key in settings}
    checked = check_settings(own, fit_defaults(kind), _FREE)
    fit = checked["fit"]
    given = [key for key in ENERGY_NOISES.values() if fit.get(key, "auto") != "auto"]
    if given and not fit.get("learn_from_energies", True):
        raise SettingsError(
            f"fit.{given[0]} needs fit.learn_from_energies = true; the noise of what "
            f"charges leave over is potential.fit.{given[0]}"
        )
    if "potential" in settings:
        if not set(fit["targets"] or ()) & set(ENERGY_TARGETS):
            raise SettingsError(
                "[potential] is fitted to energy, forces or stress; name some of them "
                "among the targets"
            )
        try:
            potential = check_settings(settings["potential"], remainder_fit(kind))
        except SettingsError as problem:
            raise SettingsError(f"[potential]: {problem}") from None
        checked["potential"] = potential
    return checked


def build_charge_model(kind: str, settings: dict, progress: bool = False):
    """Return the unfitted model of complete or partial settings."""
    settings = check_charge_settings(kind, settings)
    arguments = build_arguments(settings, progress)
    noises = {
        target: arguments.pop(key)
        for target, key in {**NOISES, **ENERGY_NOISES}.items()
        if key in arguments
    }
    given = {target: noise for target, noise in noises.items() if noise != "auto"}
    arguments["noises"] = given or None
    if "potential" in settings:
        arguments["potential"] = build_potential(settings["potential"], progress)
    return _model_class(kind)(**arguments)


def _model_class(kind: str):
    return getattr(import_module("lodekit.models"), kind)
