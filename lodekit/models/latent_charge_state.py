"""A fitted model of latent charges as plain settings and arrays, for model files."""

from __future__ import annotations

from .sparse_potential import SparsePotential

PREFIX = "potential/"


class LatentChargeState:
    """What `LatentChargeModel` keeps beyond `ChargeState`."""

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        state = super().get_state()
        state["settings"]["charge_width"] = self.charge_width_
        state["arrays"]["ensemble"] = self.ensemble_
        rest = self.potential_.get_state()
        state["settings"]["potential"] = rest["settings"]
        for name, array in rest["arrays"].items():
            state["arrays"][PREFIX + name] = array
        return state

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = super().from_state(state)
        model.charge_width = model.charge_width_ = settings["charge_width"]
        model.ensemble_ = arrays["ensemble"]
        own = {
            name.removeprefix(PREFIX): array
            for name, array in arrays.items()
            if name.startswith(PREFIX)
        }
        model.potential_ = SparsePotential.from_state(
            {"settings": settings["potential"], "arrays": own}
        )
        return model
