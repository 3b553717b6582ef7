"""A fitted potential as plain settings and arrays, for model files."""

from __future__ import annotations

from lodekit.regression.charge_latent import ChargeLatent
from lodekit.regression.latent import Latent
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel
from lodekit.terms.choice import choose_terms
from lodekit.terms.sources import predicted


class PotentialState:
    """The part of `SparsePotential` that writes model files and reads them."""

    #: The latent of the charges of sources, None where none are predicted.
    charge_latent_: ChargeLatent | None = None

    def _terms(self, frames) -> list[tuple]:
        """Return (descriptor, covariance, n_sparse) of every term."""
        return choose_terms(
            frames, self.descriptor, self.covariance, self.n_sparse, predict=True
        )

    def _set_sources(self) -> None:
        """Tell LODE terms what predicts the charges of their sources.

        Raises
        ------
        ValueError
            If there are such terms and nothing predicts their charges.
        """
        sides = predicted(kernel.descriptor for kernel in self.kernels_)
        if sides and self.charge_latent_ is None:
            raise ValueError(
                "sources have predicted charges, and nothing predicts them"
            )
        for side in sides:
            side.predictor = self.charge_latent_

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add terms, weights and their ensemble."""
        store = PointStore()
        settings["terms"], more = Latent(self.kernels_).get_state("terms", store)
        arrays |= more
        if self.charge_latent_ is not None:
            settings["sources"], more = self.charge_latent_.get_state(store)
            arrays |= more
        arrays |= store.arrays()
        arrays.update(
            baseline=self.baseline_, weights=self.weights_, ensemble=self.ensemble_
        )
        settings["std_scales"] = self.std_scales_

    def _coefficients(self) -> list:
        """Return the coefficients of covariances in predictions."""
        return Latent(self.kernels_).coefficients(self.weights_)

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        if stored.has_setting("sources"):
            self.charge_latent_ = ChargeLatent.from_state(stored, self.species_)
        latent = Latent.from_state(stored, "terms", self.species_)
        self.kernels_ = latent.kernels
        self._set_sources()
        self.baseline_ = stored.array("baseline", self.species_.size)
        self.take_state(stored)
        self.weights_ = stored.array("weights", self._rank)
        self.ensemble_ = stored.array("ensemble", self._rank, None)
        self.std_scales_ = read_scales(stored)
        self.noises_ = stored.setting("summary", dict)["noises"]
        self.coefficients_ = self._coefficients()

    def take_state(self, stored: StoredModel) -> None:
        """Take what the ``add_parts`` of a subclass added."""


def read_scales(stored: StoredModel) -> dict[str, float]:
    """Return the calibration factors of standard deviations by target."""
    scales = stored.setting("std_scales", dict)
    by_target = StoredModel({"settings": scales, "arrays": {}})
    return {name: by_target.positive(name) for name in scales}
