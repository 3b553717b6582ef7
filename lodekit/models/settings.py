"""Settings of a potential: defaults chosen from the data, checks, and construction.

The layout is that of the TOML file: a table ``[fit]`` and any number of tables
``[terms.NAME]``, each a descriptor with its covariance and sparse points.
"""

from __future__ import annotations

import copy
import numbers

import numpy as np

from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.descriptors.hyperparameters import check_charges
from lodekit.errors import SettingsError, suggest
from lodekit.regression import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
    PolynomialCovariance,
)

from .source_charges import BY_SPECIES, FROM_DATA

SELECTIONS = {
    "farthest-points": FarthestPointSelection,
    "cur": CurSelection,
    "pivoted-cholesky": PivotedCholeskySelection,
}

FIT = {
    "targets": None,
    "energy_noise": "auto",
    "force_noise": "auto",
    "stress_noise": "auto",
    "baseline": "composition",
    "solver": "cholesky",
    "selection": "farthest-points",
    "validation_fraction": 1.0,
    "n_ensemble": 32,
    "random_state": 0,
}

#: The model with the charges says what is fitted.
REMAINDER_FIT = {key: value for key, value in FIT.items() if key != "targets"}

SOAP = {
    "type": "soap",
    "cutoff": 5.0,
    "smoothing_width": 2.0,
    "density_width": 0.3,
    "center_atom_weight": 1.0,
    "scaling_exponent": 8,
    "scaling_radius": 1.8,
    "max_radial": 7,
    "max_angular": 4,
    "zeta": 2,
    "offset": 0.0,
    "n_sparse": 1000,
}

#: Charges and dipoles are fitted to fewer numbers.
CHARGE_SOAP = {**SOAP, "n_sparse": 400}

#: Charges of the sources of LODE, and what they leave of energies, where both are
#: learned for that purpose alone.
SMALL_CHARGES = {**CHARGE_SOAP, "n_sparse": 100}

#: What the nearest atoms take and give, whatever is behind them.
NEAR_CHARGES = {
    **CHARGE_SOAP,
    "cutoff": 3.5,
    "smoothing_width": 1.0,
    "scaling_radius": 1.3,
    "max_radial": 5,
    "max_angular": 3,
    "zeta": 1,
}

#: What is between the nearest atoms and the far field, for remainders of energies: the
#: scaling of the default all but leaves out what is beyond 4 Å.
WIDE_SOAP = {
    **SOAP,
    "cutoff": 6.0,
    "scaling_exponent": 2,
    "scaling_radius": 2.0,
    "max_radial": 8,
}

SMALL_REMAINDER = {**WIDE_SOAP, "n_sparse": 100}

LODE = {
    "type": "lode",
    "cutoff": 4.0,
    "smoothing_width": 1.0,
    "density_width": 0.5,
    "scaling_exponent": 4,
    "scaling_radius": 1.5,
    "density_max_radial": 3,
    "smearing": 1.0,
    "exponent": 1,
    "radius": 2.0,
    "max_radial": 1,
    "max_angular": 2,
    "charges": FROM_DATA,
    "accuracy": 1e-6,
    "zeta": 1,
    "offset": 0.0,
    "n_sparse": 500,
}

#: 1 / r^6 of every species: its sums converge, whatever the boundary is.
DISPERSION = {"exponent": 6, "charges": BY_SPECIES}

FAR_CHARGES = {**LODE, "n_sparse": 200}

TERMS = {"soap": SOAP, "lode": LODE}


def default_settings(frames, targets=None) -> dict:
    """Return settings for ``frames``: what a first-time user gets.

    A SOAP term for the surroundings, and LODE terms for what lies beyond the cutoff: a
    linear one, whose tails are those of charges and multipoles, and its square for
    induction, both of sources that carry charges; and the same with 1 / r^6 of every
    species, for dispersion and the packing of atoms. The size of the data decides how
    many sparse points there are.

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
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    n_sparse = int(
        np.clip(np.ceil(len(numbers) / np.unique(numbers).size / 3), 300, 2000)
    )
    soap = {**SOAP, "n_sparse": n_sparse}
    lode = {**LODE, "n_sparse": min(LODE["n_sparse"], n_sparse)}
    dispersion = {**lode, **DISPERSION}
    terms = {
        "soap": soap,
        "lode": lode,
        "induction": {**lode, "zeta": 2},
        "dispersion": dispersion,
        "packing": {**dispersion, "zeta": 2},
    }
    fit = {**FIT, "targets": list(targets) if targets else None}
    return {"fit": fit, "terms": terms}


def default_term_names() -> list[str]:
    """Return the names of terms that defaults give, of potentials and of charges."""
    others = {*charge_terms(), *remainder_settings()["terms"]}
    return sorted({*TERMS, "induction", "dispersion", "packing", *others})


def default_terms(frames) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of the default terms."""
    return build_terms(default_settings(frames))


def charge_terms(linear: bool = True) -> dict:
    """Return settings of the default terms of charges.

    SOAP for the surroundings and ``linear`` terms for what is near and, by LODE, for
    what is far. The square of the latter helps between the frames, but not beyond their
    size. The amplitudes follow from the data.
    """
    terms = {"soap": dict(CHARGE_SOAP)}
    if linear:
        terms |= {"near": dict(NEAR_CHARGES), "lode": dict(FAR_CHARGES)}
    return terms


def default_charge_terms(linear: bool = True) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of `charge_terms`."""
    return build_terms({"terms": charge_terms(linear)})


def remainder_settings() -> dict:
    """Return settings of the potential of what charges leave over: SOAP, near and wide.

    No LODE, since what goes beyond the cutoff is the charges' task.
    """
    terms = {"soap": dict(SOAP), "wide": dict(WIDE_SOAP)}
    return {"fit": dict(REMAINDER_FIT), "terms": terms}


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
    """Return what a number or a truth value is, nothing for all else."""
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
    from .sparse_potential import SparsePotential

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


def build_terms(settings: dict) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of every term."""
    builders = {"soap": build_soap, "lode": build_lode}
    descriptors: dict = {}  # terms that differ in their covariance share a descriptor
    for term in settings["terms"].values():
        key = descriptor_key(term)
        if key not in descriptors:
            descriptors[key] = builders[term["type"]](term)
    return [
        (
            descriptors[descriptor_key(term)],
            PolynomialCovariance(
                term["zeta"],
                normalize="each" if term["type"] == "soap" else "mean",
                offset=term["offset"],
            ),
            term["n_sparse"],
        )
        for term in settings["terms"].values()
    ]


def descriptor_key(term: dict) -> str:
    """Return what identifies the descriptor of a term."""
    covariance = ("zeta", "offset", "n_sparse")
    return repr(sorted((k, v) for k, v in term.items() if k not in covariance))


def build_density(term: dict, max_radial: int) -> SphericalExpansion:
    """Return the density expansion of a term."""
    density = {"type": "Gaussian", "width": term["density_width"]}
    density["center_atom_weight"] = term.get("center_atom_weight", 1.0)
    if term["scaling_exponent"]:
        density["scaling"] = {
            "type": "Willatt2018",
            "exponent": term["scaling_exponent"],
            "rate": 1.0,
            "scale": term["scaling_radius"],
        }
    return SphericalExpansion(
        cutoff={
            "radius": term["cutoff"],
            "smoothing": {"type": "ShiftedCosine", "width": term["smoothing_width"]},
        },
        density=density,
        basis=tensor_product(term["max_angular"], {"max_radial": max_radial}),
    )


def tensor_product(max_angular: int, radial: dict) -> dict:
    """Return a basis of Gaussian-type orbitals."""
    return {
        "type": "TensorProduct",
        "max_angular": max_angular,
        "radial": {"type": "Gto", **radial},
    }


def build_soap(term: dict) -> PowerSpectrum:
    """Return density x density."""
    return PowerSpectrum(build_density(term, term["max_radial"]))


def build_lode(term: dict) -> PowerSpectrum:
    """Return density x potential."""
    potential = LodeSphericalExpansion(
        density={
            "type": "SmearedPowerLaw",
            "smearing": term["smearing"],
            "exponent": term["exponent"],
        },
        basis=tensor_product(
            term["max_angular"],
            {"max_radial": term["max_radial"], "radius": term["radius"]},
        ),
        accuracy=term["accuracy"],
        charges=None if term["charges"] == BY_SPECIES else term["charges"],
    )
    return PowerSpectrum(build_density(term, term["density_max_radial"]), potential)
