"""A fitted model of tensors as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np

from lodekit.descriptors import EquivariantPowerSpectrum, PowerSpectrum
from lodekit.observables.tensors import Tensor, cartesian_parts
from lodekit.parameters import decode, encode
from lodekit.quantities import quantity
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.regression.stored_points import PointStore, check_term
from lodekit.stored_model import StoredModel

from .charge_state import read_solution, solution_arrays
from .tensor_fit import TensorPart


class TensorState:
    """The part of `TensorModel` that writes model files and reads them."""

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add kernels, and the parts of every tensor."""
        store = PointStore()
        kept, more = kernel_state(self.kernels_, store)
        settings |= {**kept, "tensors": [], "fits": {}}
        arrays |= more
        for name, parts in self.parts_.items():
            entry = tensor_settings(self.tensors_[name], parts)
            settings["tensors"].append(entry)
            for part in parts:
                number = str(len(settings["fits"]))
                entry["fits"].append(number)
                settings["fits"][number] = part_settings(part)
                more = {"weights": part.solution.weights}
                more |= solution_arrays(part.solution)
                arrays |= {f"fits/{number}/{n}": array for n, array in more.items()}
        arrays |= store.arrays()

    def check_tensors(self) -> None:
        """Raise ``ValueError`` where stored tensors are not those of the class."""

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        self.kernels_ = read_kernels(stored, self.species_)
        self.tensors_, self.parts_ = {}, {}
        fits = stored.part("fits")
        for entry in stored.setting("tensors", list):
            settings = StoredModel({"settings": entry, "arrays": {}})
            tensor = read_tensor_settings(settings)
            self.tensors_[tensor.name] = tensor
            self.parts_[tensor.name] = [
                read_part(fits.part(number), key, self.kernels_, self.species_)
                for number, key in zip(
                    settings.setting("fits", list), tensor.keys, strict=True
                )
            ]
        if not self.tensors_:
            raise ValueError("a model needs a tensor")
        self.check_tensors()
        self.targets_ = list(self.tensors_)


def check_tensor(tensors: dict, name: str) -> None:
    """Raise ``ValueError`` unless a quantity of the table is the only tensor."""
    tensor = tensors.get(name)
    if (
        len(tensors) != 1
        or tensor is None
        or tensor.per_atom != quantity(name).per_atom
    ):
        raise ValueError(f"the tensors are {list(tensors)!r:.60}, not {name}")


def kernel_state(kernels: dict, store: PointStore) -> tuple[dict, dict]:
    """Return settings and arrays of the kernels of every order and sigma.

    Environments go to ``store``.
    """
    first, arrays = next(iter(kernels.values())), {}
    settings = {
        "terms": [
            {
                "equivariants": encode(kernel.equivariants, "descriptor"),
                "covariance": encode(kernel.covariance, "covariance"),
            }
            for kernel in first
        ],
        "kernels": [],
    }
    for (order, sigma), of_part in kernels.items():
        entry = {"order": order, "sigma": sigma, "terms": []}
        for number, kernel in enumerate(of_part):
            name = f"kernels/{order}/{sigma}/{number}"
            term, more = kernel.get_state(name, store)
            entry["terms"].append(term)
            arrays |= more
        settings["kernels"].append(entry)
    return settings, arrays


def read_kernels(stored: StoredModel, species: np.ndarray) -> dict:
    """Return the kernels of every order and sigma."""
    terms, known = [], {}
    for term in stored.setting("terms", list):
        equivariants = decode(term["equivariants"], known)
        covariance = decode(term["covariance"])
        if not isinstance(equivariants, EquivariantPowerSpectrum):
            raise ValueError(f"the descriptor of a term is {equivariants!r:.60}")
        if not isinstance(covariance, EquivariantCovariance):
            raise ValueError(f"the covariance of a term is {covariance!r:.60}")
        descriptor = known.setdefault(
            id(equivariants), PowerSpectrum(equivariants.left, equivariants.right)
        )
        check_term(descriptor, covariance.scalar)
        terms.append((equivariants, descriptor, covariance))
    kernels = {}
    for entry in stored.setting("kernels", list):
        settings_of_kernel = StoredModel({"settings": entry, "arrays": {}})
        key = (
            settings_of_kernel.setting("order", int),
            settings_of_kernel.setting("sigma", int),
        )
        kernels[key] = []
        for number, (term, settings) in enumerate(
            zip(terms, settings_of_kernel.setting("terms", list), strict=True)
        ):
            if key not in term[0].keys:
                raise ValueError(f"a descriptor lacks order and sigma {key}")
            kernel = EquivariantKernel(*key, *term, species)
            kernel.take_state(stored, settings, f"kernels/{key[0]}/{key[1]}/{number}")
            kernels[key].append(kernel)
    return kernels


def tensor_settings(tensor: Tensor, parts: list[TensorPart]) -> dict:
    """Return the settings of a target, but for the fits of its parts."""
    return {
        "name": tensor.name,
        "per_atom": tensor.per_atom,
        "shape": list(tensor.shape),
        "is_spherical": tensor.is_spherical,
        "is_pseudo": tensor.is_pseudo,
        "parts": [
            [part.order, part.sigma, directions]
            for part, directions in zip(parts, tensor.directions, strict=True)
        ],
        "fits": [],
    }


def read_tensor_settings(stored: StoredModel) -> Tensor:
    """Return a target from its settings."""
    name, shape = stored.setting("name", str), stored.setting("shape", list)
    shape = tuple(StoredModel.count(size) for size in shape)
    n_components = int(np.prod(shape))
    if stored.setting("is_spherical", bool):
        matrices = {(n_components // 2, 1): np.eye(n_components)[None]}
    else:
        matrices = cartesian_parts(n_components)
    kinds = [stored.setting(f"is_{kind}", bool) for kind in ("spherical", "pseudo")]
    tensor = Tensor(name, stored.setting("per_atom", bool), shape, [], *kinds)
    for order, sigma, directions in stored.setting("parts", list):
        sigma *= tensor.sign
        known = matrices.get((order, sigma), ())
        if not (
            len(directions) == len(known) > 0
            and all(type(number) is float for number in directions)
        ):
            raise ValueError(f"{name} has parts {stored.setting('parts', list)!r:.60}")
        tensor.add((order, sigma), directions, known)
    if not tensor.parts:
        raise ValueError(f"{name} has no parts")
    return tensor


def part_settings(part: TensorPart) -> dict:
    """Return the numbers of a fitted part."""
    return {
        "amplitudes": part.amplitudes,
        "spread": part.spread,
        "element_prior": part.element_prior,
        "std_scale": part.std_scale,
        "noise": part.noise,
        "left_out_error": part.left_out_error,
        "n_rows": part.n_rows,
        "solution": type(part.solution).__name__,
    }


def read_part(stored: StoredModel, key: tuple, kernels: dict, species) -> TensorPart:
    """Return a fitted part of order and sigma ``key``."""
    terms = kernels[key]
    amplitudes = stored.setting("amplitudes", list)
    if len(amplitudes) != len(terms) or not all(type(a) is float for a in amplitudes):
        raise ValueError(f"the amplitudes of a part are {amplitudes!r:.60}")
    n_elements = species.size if key == (0, 1) else 0
    part = TensorPart(
        *key,
        amplitudes,
        n_elements,
        stored.positive("spread"),
        stored.positive("element_prior"),
        std_scale=stored.positive("std_scale"),
        noise=stored.positive("noise"),
        left_out_error=stored.positive_or_none("left_out_error", least=0.0),
        n_rows=StoredModel.count(stored.setting("n_rows", int)),
    )
    rank = n_elements + sum(kernel.rank for kernel in terms)
    part.solution = read_solution(stored, stored.array("weights", rank))
    return part
