"""A fitted model of polarization as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np

from lodekit.descriptors import EquivariantPowerSpectrum, PowerSpectrum
from lodekit.parameters import decode, encode
from lodekit.physics.atomic_dipoles import AtomicDipoles
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.regression.stored_points import PointStore, check_term
from lodekit.stored_model import StoredModel

from .charge_state import read_solution, solution_arrays
from .polarization_prediction import RESPONSES
from .sparse_potential import SparsePotential
from .tensor_model import TensorModel
from .tensor_state import check_tensor


class PolarizationState:
    """The part of `PolarizationModel` that writes model files and reads them."""

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add oxidation states, dipoles, potential and polarizability."""
        arrays["oxidation_states"] = self.oxidation_states_
        settings["targets"] = self.targets_
        if self.dipoles_ is not None:
            settings["dipoles"], more = dipole_state(self.dipoles_, self.solution_)
            arrays |= {f"dipoles/{name}": array for name, array in more.items()}
        if self.screening == "local" and self.electrostatics_ is not None:
            arrays["screening"] = self.electrostatics_.polarizabilities
        elif self.electrostatics_ is not None:
            settings["screening"] = self.electrostatics_.screening
        for name in ("potential", *RESPONSES):
            part = getattr(self, f"{name}_")
            if part is not None:
                state = part.get_state()
                settings[name] = state["settings"]
                arrays |= {f"{name}/{n}": array for n, array in state["arrays"].items()}

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        self.oxidation_states_ = stored.array("oxidation_states", self.species_.size)
        if not np.array_equal(self.oxidation_states_, np.rint(self.oxidation_states_)):
            raise ValueError("the oxidation states are not whole numbers")
        self.targets_ = stored.setting("targets", list)
        if not set(self.targets_) <= set(self.possible_targets):
            raise ValueError(f"the targets are {self.targets_!r:.60}")
        summary = stored.setting("summary", dict)
        self.dipoles_ = self.solution_ = None
        if stored.has_setting("dipoles"):
            part = stored.part("dipoles")
            self.dipoles_, self.solution_ = read_dipoles(part, self.species_)
            self.n_branch_rounds_ = summary.get("branch_rounds", 0)
        self.take_centers()
        self.electrostatics_ = None
        has_part = stored.has_setting("potential")
        has_part &= self.electrostatic_width is not None
        if has_part and self.screening == "local":
            values = stored.array("screening", self.species_.size)
            if not (values > 0.0).all():
                raise ValueError("the polarizabilities of a screening are not positive")
            self.electrostatics_ = self._local_electrostatics(values)
        elif has_part:
            self.electrostatics_ = self._electrostatics(stored.positive("screening"))
        self.potential_ = None
        if stored.has_setting("potential"):
            self.potential_ = SparsePotential.from_stored(stored.part("potential"))
        for name in RESPONSES:
            response = None
            if stored.has_setting(name):
                response = TensorModel.from_stored(stored.part(name))
                check_tensor(response.tensors_, name)
            setattr(self, f"{name}_", response)


def dipole_state(dipoles: AtomicDipoles, solution) -> tuple[dict, dict]:
    """Return settings and arrays of atomic dipoles and their posterior."""
    store, terms = PointStore(), []
    arrays = {"weights": solution.weights, **solution_arrays(solution)}
    for number, kernel in enumerate(dipoles.kernels):
        settings, more = kernel.get_state(f"terms/{number}", store)
        equivariants = encode(kernel.equivariants, "descriptor")
        covariance = encode(kernel.covariance, "covariance")
        terms.append(
            {**settings, "equivariants": equivariants, "covariance": covariance}
        )
        arrays |= more
    arrays |= store.arrays()
    return {"terms": terms, "solution": type(solution).__name__}, arrays


def read_dipoles(stored: StoredModel, species: np.ndarray):
    """Return atomic dipoles and their posterior, as `dipole_state` gave them."""
    kernels, known = [], {}
    for number, term in enumerate(stored.setting("terms", list)):
        equivariants = decode(term["equivariants"], known)
        covariance = decode(term["covariance"])
        if not isinstance(equivariants, EquivariantPowerSpectrum):
            raise ValueError(f"the descriptor of a term is {equivariants!r:.60}")
        if not isinstance(covariance, EquivariantCovariance):
            raise ValueError(f"the covariance of a term is {covariance!r:.60}")
        if (1, 1) not in equivariants.keys:
            raise ValueError("a descriptor has no vectors")
        descriptor = known.setdefault(
            id(equivariants), PowerSpectrum(equivariants.left, equivariants.right)
        )
        check_term(descriptor, covariance.scalar)
        kernel = EquivariantKernel(1, 1, equivariants, descriptor, covariance, species)
        kernel.take_state(stored, term, f"terms/{number}")
        kernels.append(kernel)
    if not kernels:
        raise ValueError("atomic dipoles need a term")
    dipoles = AtomicDipoles(kernels)
    weights = stored.array("weights", dipoles.rank)
    return dipoles, read_solution(stored, weights)
