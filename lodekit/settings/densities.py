"""Settings of models of densities, in the layout of those of potentials.

``[fit]`` holds the arguments of the model, with the weights ``overlap`` and ``coulomb``
of the metric; ``[terms.NAME]`` the descriptors.
"""

from __future__ import annotations

import inspect

from lodekit.density import DensityMetric
from lodekit.models.density_prediction import CHARGE_RESPONSE
from lodekit.models.density_targets import TARGETS
from lodekit.models.electron_density_model import ElectronDensityModel
from lodekit.quantities import family
from lodekit.terms.tensors import build_tensor_terms, density_terms

from .potential import SELECTIONS, check_settings
from .tensors import check_offsets

#: Arguments that are objects, or follow from other settings.
_BUILT = {"descriptor", "covariance", "n_sparse", "basis", "target", "progress"}
#: Arguments that are not of the kind of their default.
_FREE = ("strength", "targets")


def fit_defaults() -> dict:
    """Return the keys of ``[fit]`` with their defaults."""
    parameters = inspect.signature(ElectronDensityModel).parameters
    arguments = {
        name: p.default for name, p in parameters.items() if name not in _BUILT
    }
    del arguments["metric"]
    return {
        "targets": list(family("coefficients")[:1]),
        "overlap": 1.0,
        "coulomb": 0.0,
        **arguments,
        "strength": "auto",
        "selection": "farthest-points",
    }


def default_density_settings(targets) -> dict:
    """Return complete settings of a model of densities, or of responses."""
    return {
        "fit": {**fit_defaults(), "targets": list(targets)},
        "terms": density_terms(list(targets) == [CHARGE_RESPONSE]),
    }


def check_density_settings(settings: dict) -> dict:
    """Return complete settings, as `check_settings` does for a potential."""
    return check_offsets(check_settings(settings, fit_defaults(), _FREE))


def build_density_model(settings: dict, progress: bool = False) -> ElectronDensityModel:
    """Return the unfitted model of complete or partial settings."""
    settings = check_density_settings(settings)
    fit = dict(settings["fit"])
    metric = DensityMetric(fit.pop("overlap"), fit.pop("coulomb"))
    (main,) = fit.pop("targets")
    target = next(name for name, facts in TARGETS.items() if facts[2] == main)
    strength = fit.pop("strength")
    terms = build_tensor_terms(settings)
    descriptors, covariances, sizes = zip(*terms, strict=True)
    return ElectronDensityModel(
        list(descriptors),
        list(covariances),
        list(sizes),
        **{**fit, "selection": SELECTIONS[fit["selection"]]()},
        metric=metric,
        target=target,
        strength=None if strength == "auto" else strength,
        progress=progress,
    )
