"""A fitted potential as plain settings and arrays, for model files."""

from __future__ import annotations

import numbers

from sklearn.base import clone

from lodekit.parameters import (
    decode,
    encode,
)
from lodekit.regression.charge_latent import ChargeLatent
from lodekit.regression.covariances import PolynomialCovariance
from lodekit.regression.latent import Latent
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel

from .source_charges import charge_sources, predicted
from .terms import default_terms

#: Sparse points of each species for a descriptor that comes without their number.
DEFAULT_N_SPARSE = 500


class PotentialState:
    """What `SparsePotential` does to become a model file and come back."""

    #: What predicts charges of sources, None where nothing has to.
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
        """Return what predictions contract covariances with."""
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
    own = StoredModel({"settings": scales, "arrays": {}})
    return {name: own.positive(name) for name in scales}


def choose_terms(
    frames, descriptor, covariance, n_sparse, default=None, predict: bool = False
) -> list[tuple]:
    """Return (descriptor, covariance, n_sparse) of every term of a latent.

    Parameters
    ----------
    frames : list of ase.Atoms
        They decide where ``descriptor`` is None.
    descriptor, covariance, n_sparse
        One, a list, or None; see `SparsePotential`.
    default : callable, optional
        Returns the terms of ``frames`` where the descriptor is None; those of a
        potential where it is None itself.
    predict : bool
        Whether charges of sources can be predicted, see `charge_sources`.
    """
    if descriptor is None:
        if covariance is not None:
            raise ValueError(
                "`covariance` needs a `descriptor` to go with; where the descriptor is "
                "left to the data, so is the covariance"
            )
        descriptors, covariances, sizes = zip(
            *(default or default_terms)(frames), strict=True
        )
    else:
        several = isinstance(descriptor, (list, tuple))
        descriptors = descriptor if several else [descriptor]
        covariances = spread(
            covariance or PolynomialCovariance(), len(descriptors), "covariance"
        )
        sizes = [DEFAULT_N_SPARSE] * len(descriptors)
    if n_sparse is not None:
        sizes = spread(n_sparse, len(descriptors), "n_sparse")
    for size in sizes:
        check_whole("n_sparse", size)
    # The fitted model keeps objects of its own, so that `set_params` cannot change
    # it, and terms with equal densities share one.
    known: dict = {}
    own = [decode(encode(one, "descriptor"), known) for one in descriptors]
    terms = list(zip(own, clone(list(covariances)), sizes, strict=True))
    return charge_sources(frames, terms, predict)


def check_whole(name: str, value) -> None:
    """Raise ``ValueError`` unless ``value`` is a whole number of at least 1."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}")


def spread(value, count: int, name: str) -> list:
    """Return ``value`` as a list of ``count``, repeating a single one."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ValueError(
            f"`{name}` must be one value or one for each of the {count} descriptors, "
            f"got {len(value)}"
        )
    return list(value)
