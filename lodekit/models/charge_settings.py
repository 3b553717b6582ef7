"""Settings of charge and dipole models, in the layout of those of potentials."""

from __future__ import annotations

from .settings import (
    CHARGE_SOAP,
    FAR_CHARGES,
    SELECTIONS,
    build_terms,
    check_settings,
)

FIT = {
    "targets": None,
    "charges_noise": "auto",
    "dipole_noise": "auto",
    "quadrupole_noise": "auto",
    "max_multipole": 0,
    "charge_width": 1.0,
    "selection": "farthest-points",
    "validation_fraction": 0.1,
    "random_state": 0,
}
NOISES = ("charges", "dipole", "quadrupole")


def default_charge_settings(targets) -> dict:
    """Return complete settings of a `ChargeModel` for these targets."""
    terms = {"soap": dict(CHARGE_SOAP)}
    if "charges" in targets:
        terms["lode"] = dict(FAR_CHARGES)
    return {"fit": {**FIT, "targets": list(targets)}, "terms": terms}


def default_dipole_settings(targets) -> dict:
    """Return complete settings of a `DipoleModel` for these targets."""
    settings = default_charge_settings(targets)
    settings["fit"]["max_multipole"] = 1
    return settings


def check_charge_settings(settings: dict) -> dict:
    """Return complete settings, as `check_settings` does for a potential."""
    return check_settings(settings, FIT)


def build_charges(settings: dict, progress: bool = False, kind: str = "ChargeModel"):
    """Return the unfitted `ChargeModel` or `DipoleModel` of settings."""
    from . import charge_model

    settings = check_charge_settings(settings)
    terms = build_terms(settings)
    arguments = dict(settings["fit"])
    given = {name: arguments.pop(f"{name}_noise") for name in NOISES}
    noises = {
        name: noise
        for name, noise in given.items()
        if noise != "auto" and name in (arguments["targets"] or NOISES)
    }
    return getattr(charge_model, kind)(
        [descriptor for descriptor, _, _ in terms],
        [covariance for _, covariance, _ in terms],
        [n_sparse for _, _, n_sparse in terms],
        selection=SELECTIONS[arguments.pop("selection")](),
        noises=noises or None,
        progress=progress,
        **arguments,
    )
