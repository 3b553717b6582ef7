"""A fitted charge equilibration as plain settings and arrays, for model files."""

from __future__ import annotations

import numpy as np

from lodekit.stored_model import StoredModel

from .charge_state import WIDEST
from .charged_remainder import ChargedRemainder
from .sparse_potential import SparsePotential


class EquilibrationState:
    """What `ChargeEquilibrationModel` keeps beyond `ChargeState`."""

    def add_state(self, settings: dict, arrays: dict, store) -> None:
        """Add hardness, widths and accuracy."""
        settings["accuracy"] = self.accuracy_
        arrays.update(hardness=self.hardness_, widths=self.widths_)
        if self.bond_hardness_ is not None:
            arrays["bond_hardness"] = self.bond_hardness_
        if self.hardness_amplitudes_ is not None:
            arrays["hardness_amplitudes"] = self.hardness_amplitudes_

    def take_potential(self, stored: StoredModel):
        """Return the potential of the remainder, with or without charges."""
        kind = ChargedRemainder if stored.has("charge_means") else SparsePotential
        return kind.from_stored(stored)

    def take_state(self, stored: StoredModel) -> None:
        """Take what `add_state` added."""
        n_species = self.species_.size
        summary = StoredModel({"settings": self.summary_, "arrays": {}})
        self.has_fragments_ = summary.setting("has_fragments", bool)
        self.accuracy_ = stored.positive("accuracy", largest=0.1, least=1e-12)
        self.hardness_ = read_positive(stored, "hardness", n_species)
        self.widths_ = read_positive(stored, "widths", n_species)
        if self.widths_.max() > WIDEST:
            raise ValueError(f"a charge is {self.widths_.max():g} Å wide")
        self.bond_hardness_ = self.hardness_amplitudes_ = None
        if stored.has("bond_hardness"):
            shape = n_species, n_species
            self.bond_hardness_ = read_positive(stored, "bond_hardness", *shape)
            if not np.array_equal(self.bond_hardness_, self.bond_hardness_.T):
                raise ValueError("the bond hardness of pairs is not symmetric")
        if stored.has("hardness_amplitudes"):
            self.hardness_amplitudes_ = stored.array(
                "hardness_amplitudes", len(self.latent_.kernels)
            )


def read_positive(stored: StoredModel, name: str, *shape) -> np.ndarray:
    """Return an array of positive numbers."""
    array = stored.array(name, *shape)
    if not (array > 0.0).all():
        raise ValueError(f"the array {name!r} is not positive")
    return array
