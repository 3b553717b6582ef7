"""A fitted model of charges as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.regression.dual_equations import DualSolution
from lodekit.regression.latent import Latent
from lodekit.regression.normal_equations import Solution

from .sparse_potential import SparsePotential

#: Arrays of the two kinds of solution, beside the weights.
SOLUTIONS = {
    "DualSolution": (DualSolution, ("rows", "factor", "variances")),
    "Solution": (Solution, ("factor",)),
}
#: Before the names of arrays of the potential of the remainder.
PREFIX = "potential/"


class ChargeState:
    """What `LinearChargeModel` does to become a model file and come back.

    A subclass with more to keep adds to what ``super()`` returns, and takes it out.
    """

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "weights_")
        terms, arrays = self.latent_.get_state("terms")
        kind = type(self.solution_).__name__
        for name in SOLUTIONS[kind][1]:
            arrays[f"solution/{name}"] = getattr(self.solution_, name)
        arrays.update(species=self.species_, weights=self.weights_)
        settings = {
            "terms": terms,
            "solution": kind,
            "targets": self.targets_,
            "is_charged": self.is_charged_,
            "std_scales": self.std_scales_,
            "summary": self.summary_,
        }
        if self.potential_ is not None:
            rest = self.potential_.get_state()
            settings["potential"] = rest["settings"]
            arrays |= {PREFIX + name: array for name, array in rest["arrays"].items()}
        if self.ensemble_ is not None:
            arrays["ensemble"] = self.ensemble_
        return {"class": type(self).__name__, "settings": settings, "arrays": arrays}

    #: How the potential of the remainder is rebuilt.
    potential_from_state = staticmethod(SparsePotential.from_state)

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = cls()
        model.species_ = np.asarray(arrays["species"], dtype=np.intp)
        model.weights_ = arrays["weights"]
        kind, names = SOLUTIONS[settings["solution"]]
        model.solution_ = kind(
            model.weights_, *(arrays[f"solution/{name}"] for name in names)
        )
        for name in ("targets", "is_charged", "std_scales", "summary"):
            setattr(model, f"{name}_", settings[name])
        model.latent_ = Latent.from_state(
            settings["terms"], arrays, "terms", model.species_
        )
        model.ensemble_ = arrays.get("ensemble")
        model.potential_ = None
        if "potential" in settings:
            rest = {
                name.removeprefix(PREFIX): array
                for name, array in arrays.items()
                if name.startswith(PREFIX)
            }
            model.potential_ = cls.potential_from_state(
                {"settings": settings["potential"], "arrays": rest}
            )
        model.descriptor = [kernel.descriptor for kernel in model.latent_.kernels]
        model.covariance = [kernel.covariance for kernel in model.latent_.kernels]
        return model

    def save(self, path, overwrite: bool = False) -> None:
        """Write the fitted model to one file; see `lodekit.model_file`."""
        from lodekit.model_file import save_model

        save_model(self, path, overwrite=overwrite)
