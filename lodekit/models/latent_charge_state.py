"""A fitted model of latent charges as plain settings and arrays, for model files."""

from __future__ import annotations

from lodekit.stored_model import StoredModel

from .charge_state import read_width


class LatentChargeState:
    """What `LatentChargeModel` keeps beyond `ChargeState`."""

    needs_ensemble = True

    def add_state(self, settings: dict, arrays: dict, store) -> None:
        """Add the charge width."""
        settings["charge_width"] = self.charge_width_

    def take_state(self, stored: StoredModel) -> None:
        """Take what `add_state` added; there is always a potential."""
        stored.setting("potential", dict)
        self.charge_width_ = read_width(stored)
