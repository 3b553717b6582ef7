"""Settings of tensor models, in the layout of those of potentials."""

from __future__ import annotations

import inspect

from lodekit.errors import SettingsError
from lodekit.models.tensor_model import TensorModel
from lodekit.terms.tensors import build_tensor_terms, tensor_terms

from .potential import SELECTIONS, check_settings

#: Arguments that are objects, or follow from other settings.
_BUILT = {"descriptor", "covariance", "n_sparse", "progress"}
#: Arguments that are not of the kind of their default.
_FREE = ("spherical", "pseudotensors", "noises")


def fit_defaults() -> dict:
    """Return the keys of ``[fit]``, which are the arguments of `TensorModel`."""
    parameters = inspect.signature(TensorModel).parameters
    arguments = {
        name: p.default for name, p in parameters.items() if name not in _BUILT
    }
    return {**arguments, "selection": "farthest-points"}


def default_tensor_settings(targets) -> dict:
    """Return complete settings of a model of these targets."""
    return {
        "fit": {**fit_defaults(), "targets": list(targets)},
        "terms": tensor_terms(),
    }


def check_tensor_settings(settings: dict) -> dict:
    """Return complete settings, as `check_settings` does for a potential.

    Raises
    ------
    SettingsError
        Also for an ``offset``, which tensors do not have.
    """
    return check_offsets(check_settings(settings, fit_defaults(), _FREE))


def check_offsets(settings: dict) -> dict:
    """Return settings; raise ``SettingsError`` where a term has an offset."""
    for name, term in settings["terms"].items():
        if term["offset"]:
            raise SettingsError(
                f"[terms.{name}] offset must be 0: kernels of tensors have none, got "
                f"{term['offset']}"
            )
    return settings


def build_tensor_model(settings: dict, progress: bool = False) -> TensorModel:
    """Return the unfitted model of complete or partial settings."""
    settings = check_tensor_settings(settings)
    terms = build_tensor_terms(settings)
    descriptors, covariances, sizes = zip(*terms, strict=True)
    fit = settings["fit"]
    return TensorModel(
        list(descriptors),
        list(covariances),
        list(sizes),
        **{**fit, "selection": SELECTIONS[fit["selection"]](), "progress": progress},
    )
