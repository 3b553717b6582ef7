"""Settings of a potential: defaults chosen from the data, checks, and construction.

The layout is that of the TOML file: a table ``[fit]`` and any number of tables
``[terms.NAME]``, each a descriptor with its covariance and sparse points.
"""

from __future__ import annotations

import copy
import numbers

from lodekit.descriptors.hyperparameters import check_charges
from lodekit.errors import SettingsError, suggest
from lodekit.models.sparse_potential import SparsePotential
from lodekit.quantities import ENERGIES, quantity
from lodekit.regression import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
)
from lodekit.terms.tables import (
    BY_SPECIES,
    FROM_DATA,
    TERMS,
    build_terms,
    potential_terms,
    remainder_terms,
)

SELECTIONS = {
    "farthest-points": FarthestPointSelection,
    "cur": CurSelection,
    "pivoted-cholesky": PivotedCholeskySelection,
}

FIT = {
    "targets": None,
    **{quantity(name).noise_key: "auto" for name in ENERGIES},
    "baseline": "composition",
    "solver": "cholesky",
    "selection": "farthest-points",
    "validation_fraction": 1.0,
    "n_ensemble": 32,
    "random_state": 0,
}

#: The model with the charges says what is fitted.
REMAINDER_FIT = {key: value for key, value in FIT.items() if key != "targets"}


def default_settings(frames, targets=None) -> dict:
    """Return settings for ``frames``: what a first-time user gets.

    Parameters
    ----------
    frames : list of ase.Atoms
    targets : list of str, optional
        Targets to fit; all that the frames have where None.

    Returns
    -------
    settings : dict
        Complete: every key that `check_settings` knows.
    """
    fit = {**FIT, "targets": list(targets) if targets else None}
    return {"fit": fit, "terms": potential_terms(frames)}


def remainder_settings() -> dict:
    """Return settings of the potential of what charges leave over."""
    return {"fit": dict(REMAINDER_FIT), "terms": remainder_terms()}


def check_settings(settings: dict, fit_defaults: dict = FIT, free=()) -> dict:
    """Return complete settings: defaults filled in, nothing unknown.

    ``fit_defaults`` are the keys of ``[fit]``, those of a potential if not given, of
    which the ``free`` ones need not be of the kind of their default.

    Raises
    ------
    SettingsError
        For an unknown section or key (with the nearest known one), a term without type,
        no term at all, or text where a number belongs.
    """
    check_names("settings", settings, ["fit", "terms"])
    fit = settings.get("fit", {})
    check_names("[fit]", fit, fit_defaults)
    bound = {key: value for key, value in fit.items() if key not in free}
    check_kinds("[fit]", bound, fit_defaults)
    terms = settings.get("terms", {})
    check_table("[terms]", terms)
    if not terms:
        raise SettingsError("settings need at least one term, such as [terms.soap]")
    checked = {}
    for name, term in terms.items():
        check_table(f"[terms.{name}]", term)
        kind = term.get("type")
        if kind not in TERMS:
            raise SettingsError(
                f"[terms.{name}] needs type = one of {', '.join(TERMS)}, got {kind!r}"
            )
        check_names(f"[terms.{name}]", term, TERMS[kind])
        check_kinds(f"[terms.{name}]", term, TERMS[kind])
        check_source_charges(f"[terms.{name}]", term)
        checked[name] = {**TERMS[kind], **term}
    fit = {**fit_defaults, **copy.deepcopy(fit)}
    if fit["selection"] not in SELECTIONS:
        raise SettingsError(
            f"fit.selection must be one of {', '.join(SELECTIONS)}, "
            f"got {fit['selection']!r}"
        )
    return {"fit": fit, "terms": checked}


def check_source_charges(where: str, term: dict) -> None:
    """Raise ``SettingsError`` unless charges of sources are a word or a table."""
    value = term.get("charges", FROM_DATA)
    if isinstance(value, str) and value not in (FROM_DATA, BY_SPECIES):
        raise SettingsError(
            f'{where} charges must be "{FROM_DATA}", "{BY_SPECIES}" (one unit, and one '
            f"channel, for every element) or a table such as {{Zn = 1, O = -1}}, got "
            f"{value!r}"
        )
    if not isinstance(value, str):
        try:
            check_charges(value)
        except SettingsError as problem:
            raise SettingsError(f"{where} {problem}") from None


def check_table(where: str, given) -> None:
    """Raise ``SettingsError`` unless ``given`` is a dictionary."""
    if not isinstance(given, dict):
        raise SettingsError(f"{where} must be a table of settings, got {given!r}")


def check_kinds(where: str, given: dict, defaults: dict) -> None:
    """Raise ``SettingsError`` where the default is a number or a truth value."""
    for key, value in given.items():
        wanted = kind_of(defaults[key])
        if wanted and kind_of(value) != wanted:
            raise SettingsError(f"{where} {key} must be {wanted}, got {value!r}")


def kind_of(value) -> str:
    """Return the kind of a number or truth value in words, nothing for all else."""
    if isinstance(value, bool):
        return "true or false"
    return "a number" if isinstance(value, numbers.Real) else ""


def check_names(where: str, given: dict, known) -> None:
    """Raise ``SettingsError`` for a key that is not among ``known``."""
    check_table(where, given)
    for key in given:
        if key not in known:
            raise SettingsError(
                f"{where} has an unknown key '{key}'{suggest(key, known)}; known: "
                f"{', '.join(known)}"
            )


def build_potential(settings: dict, progress: bool = False):
    """Return the unfitted `SparsePotential` of complete or partial settings."""
    return SparsePotential(**build_arguments(check_settings(settings), progress))


def build_arguments(settings: dict, progress: bool = False) -> dict:
    """Return the arguments of a model that complete settings stand for."""
    arguments = dict(settings["fit"])
    descriptors, covariances, sizes = zip(*build_terms(settings), strict=True)
    return {
        **arguments,
        "descriptor": list(descriptors),
        "covariance": list(covariances),
        "n_sparse": list(sizes),
        "selection": SELECTIONS[arguments["selection"]](),
        "progress": progress,
    }
