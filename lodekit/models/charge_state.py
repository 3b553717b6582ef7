"""A fitted model of charges as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.physics.equilibration import WIDEST
from lodekit.quantities import CHARGES
from lodekit.regression.dual_equations import DualSolution
from lodekit.regression.latent import Latent
from lodekit.regression.normal_equations import Solution
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel

from .potential_state import read_scales
from .sparse_potential import SparsePotential


class ChargeState:
    """The part of `LinearChargeModel` that writes model files and reads them.

    A subclass with more to keep writes it in `add_state` and reads it in `take_state`.
    """

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add terms, the posterior of the weights, and the potential."""
        check_is_fitted(self, "weights_")
        store = PointStore()
        settings["terms"], more = self.latent_.get_state("terms", store)
        arrays |= more
        arrays |= solution_arrays(self.solution_)
        arrays["weights"] = self.weights_
        settings |= {
            "solution": type(self.solution_).__name__,
            "targets": self.targets_,
            "is_charged": self.is_charged_,
            "std_scales": self.std_scales_,
        }
        if self.potential_ is not None:
            rest = self.potential_.get_state()
            settings["potential"] = rest["settings"]
            arrays |= {f"potential/{n}": array for n, array in rest["arrays"].items()}
        if self.ensemble_ is not None:
            arrays["ensemble"] = self.ensemble_
        self.add_state(settings, arrays, store)
        arrays |= store.arrays()

    def add_state(self, settings: dict, arrays: dict, store: PointStore) -> None:
        """Add what a subclass keeps to settings and arrays."""

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        self.latent_ = Latent.from_state(stored, "terms", self.species_)
        self.targets_ = stored.setting("targets", list)
        if not set(self.targets_) <= set(CHARGES):
            raise ValueError(f"the targets are {self.targets_!r:.60}")
        self.is_charged_ = stored.setting("is_charged", bool)
        self.std_scales_ = read_scales(stored)
        self.potential_ = None
        if stored.has_setting("potential") or stored.has("ensemble"):
            self.potential_ = self.take_potential(stored.part("potential"))
        self.take_state(stored)
        self.weights_ = stored.array("weights", self.rank)
        self.solution_ = read_solution(stored, self.weights_)
        self.ensemble_ = None
        if stored.has("ensemble") or self.needs_ensemble:
            n_rows = self.species_.size + self.rank
            n_members = self.potential_.ensemble_.shape[1]
            self.ensemble_ = stored.array("ensemble", n_rows, n_members)
        self._share_features()

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
