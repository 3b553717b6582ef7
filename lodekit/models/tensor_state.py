"""A fitted model of tensors as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.descriptors.channel_selection import ChannelSelection
from lodekit.descriptors.serialization import (
    descriptor_from_settings,
    descriptor_settings,
)
from lodekit.observables.tensors import Tensor, cartesian_parts
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.regression.equivariant_kernel import EquivariantKernel

from .charge_state import SOLUTIONS
from .tensor_fit import TensorPart

#: Numbers of a `TensorPart` that go into the settings.
NUMBERS = (
    "order",
    "sigma",
    "amplitudes",
    "n_elements",
    "spread",
    "element_prior",
    "std_scale",
    "noise",
    "left_out_error",
    "n_rows",
)


class TensorState:
    """What `TensorModel` does to become a model file and come back."""

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "parts_")
        arrays = {"species": self.species_}
        first = next(iter(self.kernels_.values()))
        for number, kernel in enumerate(first):
            selection = kernel.descriptor.selection
            arrays |= selection.get_arrays(f"channels/{number}")
        for (order, sigma), kernels in self.kernels_.items():
            for number, kernel in enumerate(kernels):
                arrays |= kernel.get_arrays(f"kernels/{order}/{sigma}/{number}")
        settings = {
            "terms": [
                {
                    "descriptor": descriptor_settings(kernel.descriptor),
                    "covariance": kernel.covariance.get_params(),
                }
                for kernel in first
            ],
            "keys": [list(key) for key in self.kernels_],
            "tensors": [],
            "summary": self.summary_,
        }
        for name, parts in self.parts_.items():
            tensor = self.tensors_[name]
            settings["tensors"].append(
                {
                    "name": name,
                    "per_atom": tensor.per_atom,
                    "shape": list(tensor.shape),
                    "is_spherical": name in (self.spherical or ()),
                    "parts": [part_settings(part) for part in parts],
                }
            )
            for number, part in enumerate(parts):
                arrays |= part_arrays(part, f"tensors/{name}/{number}")
        return {"class": type(self).__name__, "settings": settings, "arrays": arrays}

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = cls()
        model.species_ = np.asarray(arrays["species"], dtype=np.intp)
        model.summary_ = settings["summary"]
        model.targets_ = [entry["name"] for entry in settings["tensors"]]
        model.targets = list(model.targets_)
        model.spherical = [
            entry["name"] for entry in settings["tensors"] if entry["is_spherical"]
        ]
        terms = terms_from_state(settings["terms"], arrays)
        model.descriptor = [descriptor for descriptor, _, _ in terms]
        model.covariance = [covariance for _, _, covariance in terms]
        model.kernels_ = {}
        for order, sigma in settings["keys"]:
            kernels = [
                EquivariantKernel(order, sigma, *term, model.species_) for term in terms
            ]
            for number, kernel in enumerate(kernels):
                kernel.set_arrays(arrays, f"kernels/{order}/{sigma}/{number}")
            model.kernels_[order, sigma] = kernels
        model.tensors_, model.parts_ = {}, {}
        for entry in settings["tensors"]:
            name = entry["name"]
            model.tensors_[name] = tensor_from_state(entry)
            model.parts_[name] = [
                part_from_state(part, arrays, f"tensors/{name}/{number}")
                for number, part in enumerate(entry["parts"])
            ]
        return model

    def save(self, path, overwrite: bool = False) -> None:
        """Write the fitted model to one file; see `lodekit.model_file`."""
        from lodekit.model_file import save_model

        save_model(self, path, overwrite=overwrite)


def terms_from_state(terms: list, arrays: dict) -> list[tuple]:
    """Return (descriptor, invariants, covariance) of every term."""
    known: dict = {}
    rebuilt = []
    for number, term in enumerate(terms):
        invariants = descriptor_from_settings(term["descriptor"], known)
        descriptor = EquivariantPowerSpectrum(
            invariants.left,
            invariants.right,
            selection=ChannelSelection.from_arrays(arrays, f"channels/{number}"),
        )
        covariance = EquivariantCovariance(**term["covariance"])
        rebuilt.append((descriptor, invariants, covariance))
    return rebuilt


def part_settings(part: TensorPart) -> dict:
    """Return the numbers of a part."""
    settings = {name: getattr(part, name) for name in NUMBERS}
    return {**settings, "solution": type(part.solution).__name__}


def part_arrays(part: TensorPart, name: str) -> dict[str, np.ndarray]:
    """Return the weights of a part and their posterior."""
    names = ("weights", *SOLUTIONS[type(part.solution).__name__][1])
    return {f"{name}/{own}": getattr(part.solution, own) for own in names}


def part_from_state(settings: dict, arrays: dict, name: str) -> TensorPart:
    """Rebuild a part from what `part_settings` and `part_arrays` returned."""
    kind, names = SOLUTIONS[settings["solution"]]
    solution = kind(*(arrays[f"{name}/{own}"] for own in ("weights", *names)))
    numbers = {own: settings[own] for own in NUMBERS}
    return TensorPart(**numbers, solution=solution)


def tensor_from_state(entry: dict) -> Tensor:
    """Rebuild what is known of a target."""
    shape = tuple(entry["shape"])
    n_components = int(np.prod(shape))
    matrices = cartesian_parts(n_components)
    if entry["is_spherical"]:
        matrices = {(n_components // 2, 1): np.eye(n_components)}
    parts = [
        (part["order"], part["sigma"], matrices[part["order"], part["sigma"]])
        for part in entry["parts"]
    ]
    return Tensor(entry["name"], entry["per_atom"], shape, parts)
