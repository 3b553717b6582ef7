"""A fitted model of latent charges as plain settings and arrays, for model files."""

from __future__ import annotations


class LatentChargeState:
    """What `LatentChargeModel` keeps beyond `ChargeState`."""

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        state = super().get_state()
        state["settings"]["charge_width"] = self.charge_width_
        state["settings"]["charge_prior"] = self.charge_prior
        return state

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        model = super().from_state(state)
        model.charge_width = model.charge_width_ = state["settings"]["charge_width"]
        model.charge_prior = state["settings"]["charge_prior"]
        return model
