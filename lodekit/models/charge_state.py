"""A fitted model of charges as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.parameters import decode_parameters, encode_parameters
from lodekit.quantities import CHARGES
from lodekit.regression.dual_equations import DualSolution
from lodekit.regression.latent import Latent
from lodekit.regression.normal_equations import Solution
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel

from .charge_energy import share_features
from .potential_state import read_scales, read_summary
from .sparse_potential import SparsePotential

#: No charge of an atom is wider, in Å; sums of wider ones would not end.
WIDEST = 20.0


class ChargeState:
    """What `LinearChargeModel` does to become a model file and come back.

    A subclass with more to keep writes it in `add_state` and reads it in `take_state`.
    """

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "weights_")
        store = PointStore()
        terms, arrays = self.latent_.get_state("terms", store)
        arrays |= solution_arrays(self.solution_)
        arrays.update(species=self.species_, weights=self.weights_)
        settings = {
            "parameters": encode_parameters(self),
            "terms": terms,
            "solution": type(self.solution_).__name__,
            "targets": self.targets_,
            "is_charged": self.is_charged_,
            "std_scales": self.std_scales_,
            "summary": self.summary_,
        }
        if self.potential_ is not None:
            rest = self.potential_.get_state()
            settings["potential"] = rest["settings"]
            arrays |= {f"potential/{n}": array for n, array in rest["arrays"].items()}
        if self.ensemble_ is not None:
            arrays["ensemble"] = self.ensemble_
        self.add_state(settings, arrays, store)
        self.add_range(settings, arrays)
        arrays |= store.arrays()
        return {"class": type(self).__name__, "settings": settings, "arrays": arrays}

    def add_state(self, settings: dict, arrays: dict, store: PointStore) -> None:
        """Add what a subclass keeps to settings and arrays."""

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`.

        Raises
        ------
        ValueError, KeyError
            If the state contradicts itself, or lacks something.
        """
        stored = StoredModel(state)
        model = cls(**decode_parameters(cls, stored.setting("parameters", dict)))
        model.species_ = stored.species()
        model.latent_ = Latent.from_state(stored, "terms", model.species_)
        model.targets_ = stored.setting("targets", list)
        if not set(model.targets_) <= set(CHARGES):
            raise ValueError(f"the targets are {model.targets_!r:.60}")
        model.is_charged_ = stored.setting("is_charged", bool)
        model.std_scales_ = read_scales(stored)
        model.summary_ = read_summary(stored, model.species_)
        model.potential_ = None
        if stored.has_setting("potential") or stored.has("ensemble"):
            model.potential_ = model.take_potential(stored.part("potential"))
        model.take_state(stored)
        model.take_range(stored)
        model.weights_ = stored.array("weights", model.rank)
        model.solution_ = read_solution(stored, model.weights_)
        model.ensemble_ = None
        if stored.has("ensemble") or model.needs_ensemble:
            n_rows = model.species_.size + model.rank
            n_members = model.potential_.ensemble_.shape[1]
            model.ensemble_ = stored.array("ensemble", n_rows, n_members)
        stored.finish()
        share_features(model)
        return model

    #: Whether the energies of every model of this class have standard deviations.
    needs_ensemble = False

    def take_potential(self, stored: StoredModel):
        """Return the potential of the remainder."""
        return SparsePotential.from_stored(stored)

    def take_state(self, stored: StoredModel) -> None:
        """Take what `add_state` added."""


def read_width(stored: StoredModel) -> float:
    """Return the width of Gaussian charges in Å, 0 for point charges."""
    return stored.positive("charge_width", largest=WIDEST, least=0.0)


def solution_arrays(solution) -> dict[str, np.ndarray]:
    """Return the arrays of a posterior, beside the weights, by name."""
    if isinstance(solution, DualSolution):
        return {
            "solution/rows": solution.rows,
            "solution/variances": solution.variances,
        }
    return {"solution/factor": solution.factor}


def read_solution(stored: StoredModel, weights: np.ndarray):
    """Return the posterior of weights that `solution_arrays` describes."""
    kind, rank = stored.setting("solution", str), weights.size
    if kind == "DualSolution":
        rows = stored.array("solution/rows", None, rank)
        variances = stored.array("solution/variances", len(rows))
        if not (variances > 0.0).all():
            raise ValueError("the variances of the solution are not positive")
        return DualSolution(weights, rows, variances)
    if kind != "Solution":
        raise ValueError(f"the solution is a {kind!r:.40}")
    factor = np.asfortranarray(stored.array("solution/factor", rank, rank))
    if not (np.diag(factor) > 0.0).all() or np.triu(factor, 1).any():
        raise ValueError("the factor of the solution is no Cholesky factor")
    return Solution(weights, factor)
