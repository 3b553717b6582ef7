"""A fitted charge equilibration as plain settings and arrays, for model files."""

from __future__ import annotations

from .charged_remainder import ChargedRemainder
from .sparse_potential import SparsePotential


class EquilibrationState:
    """What `ChargeEquilibrationModel` keeps beyond `ChargeState`."""

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        state = super().get_state()
        state["arrays"].update(hardness=self.hardness_, widths=self.widths_)
        if self.bond_hardness_ is not None:
            state["arrays"]["bond_hardness"] = self.bond_hardness_
        if self.hardness_amplitudes_ is not None:
            state["arrays"]["hardness_amplitudes"] = self.hardness_amplitudes_
        state["settings"]["accuracy"] = self.accuracy_
        return state

    @staticmethod
    def potential_from_state(state: dict):
        """Rebuild the potential of the remainder, with or without charges."""
        kind = (
            ChargedRemainder if "charge_means" in state["arrays"] else SparsePotential
        )
        return kind.from_state(state)

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = super().from_state(state)
        model.hardness_, model.widths_ = arrays["hardness"], arrays["widths"]
        model.bond_hardness_ = arrays.get("bond_hardness")
        model.bond_hardness = model.summary_["bond_hardness"] or None
        model.hardness_amplitudes_ = arrays.get("hardness_amplitudes")
        known = model.species_.tolist()
        model.hardness = dict(zip(known, model.hardness_.tolist(), strict=True))
        if model.hardness_amplitudes_ is not None:
            model.hardness = "environment"
        model.widths = dict(zip(known, model.widths_.tolist(), strict=True))
        model.charge_powers = getattr(model.potential_, "n_powers", 0)
        model.accuracy = model.accuracy_ = settings["accuracy"]
        return model
