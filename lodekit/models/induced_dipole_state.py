"""A fitted model of induced dipoles as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np

from lodekit.physics.induced_dipole_latents import InducedLatents
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel

from .charge_checks import check_thole
from .charge_state import read_solution, solution_arrays
from .sparse_potential import SparsePotential
from .tensor_state import kernel_state, read_kernels


class InducedDipoleState:
    """The part of `InducedDipoleModel` that writes model files and reads them."""

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add latents, their posterior, and the potential."""
        store = PointStore()
        kept, more = kernel_state(self.latents_.kernels, store)
        settings |= kept
        settings |= {
            "targets": self.targets_,
            "solution": type(self.solution_).__name__,
        }
        arrays |= more | store.arrays() | solution_arrays(self.solution_)
        arrays["weights"] = self.solution_.weights
        arrays["reference"] = self.latents_.reference
        if self.latents_.whole_charges is not None:
            arrays["whole_charges"] = self.latents_.whole_charges
        if self.potential_ is not None:
            state = self.potential_.get_state()
            settings["potential"] = state["settings"]
            arrays |= {f"potential/{n}": array for n, array in state["arrays"].items()}

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        self.targets_ = stored.setting("targets", list)
        if not {*self.targets_} <= {*self.possible_targets}:
            raise ValueError(f"the targets are {self.targets_!r:.60}")
        kernels = read_kernels(stored, self.species_)
        if {*kernels} != {(0, 1), (1, 1)}:
            raise ValueError("the kernels are not of order 0 and 1")
        reference = stored.array("reference", self.species_.size)
        if not (reference > 0.0).all():
            raise ValueError("the reference polarizabilities are not positive")
        whole = None
        if stored.has("whole_charges"):
            whole = stored.array("whole_charges", self.species_.size)
            if (whole != np.rint(whole)).any():
                raise ValueError("the whole charges are not whole")
        check_thole(self.thole)
        self.latents_ = InducedLatents(
            self.species_, kernels, reference, whole, self.thole
        )
        weights = stored.array("weights", self.latents_.rank)
        self.solution_ = read_solution(stored, weights)
        self.potential_ = None
        if stored.has_setting("potential"):
            self.potential_ = SparsePotential.from_stored(stored.part("potential"))
