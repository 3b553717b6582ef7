"""Parameters of estimators in the words of JSON, and back.

What ``get_params`` returns goes into model files, so that a loaded model can be cloned
and fitted again. Only classes of a fixed table come back: reading runs no code.
"""

from __future__ import annotations

import inspect
import json
import math
from importlib import import_module

import numpy as np

from lodekit.descriptors.hyperparameters import as_dictionary
from lodekit.errors import ModelFileError

#: Objects that parameters may be, and the modules that they live in.
CLASSES = {
    "PowerSpectrum": "lodekit.descriptors",
    "EquivariantPowerSpectrum": "lodekit.descriptors",
    "ChannelSelection": "lodekit.descriptors.channel_selection",
    "SphericalExpansion": "lodekit.descriptors",
    "LodeSphericalExpansion": "lodekit.descriptors",
    "LodeBandExpansion": "lodekit.descriptors.lode.bands",
    "CoulombMatrixMoments": "lodekit.descriptors.global_descriptors",
    "ManyBodyTensor": "lodekit.descriptors.global_descriptors",
    "CoulombPairs": "lodekit.descriptors.global_descriptors",
    "PolynomialCovariance": "lodekit.regression",
    "EquivariantCovariance": "lodekit.regression",
    "FarthestPointSelection": "lodekit.regression",
    "CurSelection": "lodekit.regression",
    "PivotedCholeskySelection": "lodekit.regression",
    "SparsePotential": "lodekit.models",
    "TensorModel": "lodekit.models",
}


def encode_parameters(estimator) -> dict:
    """Return the parameters of an estimator by name, as JSON has them.

    Raises
    ------
    ModelFileError
        For a parameter that is no number, text, list, dictionary or object of lodekit.
    """
    return {
        name: encode(value, f"{type(estimator).__name__}.{name}")
        for name, value in estimator.get_params(deep=False).items()
    }


def decode_parameters(cls, encoded: dict, known: dict | None = None) -> dict:
    """Return the parameters that `encode_parameters` wrote for a class.

    Parameters
    ----------
    cls : type
        The estimator.
    encoded : dict
    known : dict, optional
        See `decode`.

    Raises
    ------
    ValueError
        For anything that `encode_parameters` does not write.
    """
    names = set(inspect.signature(cls).parameters)
    if not isinstance(encoded, dict) or not set(encoded) <= names:
        raise ValueError(f"a {cls.__name__} has other parameters than {encoded!r:.80}")
    known = {} if known is None else known
    return {name: decode(value, known) for name, value in encoded.items()}


def encode(value, name: str):
    """Return a parameter as JSON has it; ``name`` is for messages."""
    value = as_dictionary(value)
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"number": repr(value)}
    if isinstance(value, list):
        return [encode(item, name) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [encode(item, name) for item in value]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"array": encode(value.tolist(), name), "kind": value.dtype.name}
    if isinstance(value, dict):
        pairs = [[encode(key, name), encode(item, name)] for key, item in value.items()]
        return {"pairs": pairs}
    kind = type(value).__name__
    if kind in CLASSES and _class(kind) is type(value):
        return {"class": kind, "parameters": encode_parameters(value)}
    raise ModelFileError(_refusal(kind, value, name))


def _refusal(kind: str, value, name: str) -> str:
    """Say why a parameter cannot be written."""
    if isinstance(value, (np.random.RandomState, np.random.Generator)):
        parameter = name.rpartition(".")[2]
        return (
            f"{name} is a {kind}, whose seed is not known any more; set it to a whole "
            f"number, set_params({parameter}=0), and save again"
        )
    return (
        f"{name} is a {kind}, which a model file cannot hold; it can hold numbers, "
        f"texts, lists, dictionaries, {', '.join(CLASSES)}"
    )


def decode(value, known: dict | None = None):
    """Return the parameter that `encode` wrote.

    Parameters
    ----------
    value : object
        As JSON has it.
    known : dict, optional
        Objects by what they were made from: equal ones become one object, so that terms
        with the same density compute it once.
    """
    known = {} if known is None else known
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [decode(item, known) for item in value]
    names = set(value)
    if names == {"number"}:
        return float(value["number"])
    if names == {"tuple"}:
        return tuple(decode(item, known) for item in value["tuple"])
    if names == {"array", "kind"} and np.dtype(value["kind"]).kind in "biuf":
        return np.array(decode(value["array"], known), dtype=value["kind"])
    if names == {"pairs"}:
        return {decode(key, known): decode(item, known) for key, item in value["pairs"]}
    if names == {"class", "parameters"} and value["class"] in CLASSES:
        text = json.dumps(value, sort_keys=True)
        if text not in known:
            cls = _class(value["class"])
            known[text] = cls(**decode_parameters(cls, value["parameters"], known))
        return known[text]
    raise ValueError(f"a parameter is written as {value!r:.80}")


def _class(name: str):
    return getattr(import_module(CLASSES[name]), name)
