"""A fitted potential as plain settings and arrays, for model files."""

from __future__ import annotations

import numbers

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from lodekit.descriptors.serialization import (
    descriptor_from_settings,
    descriptor_settings,
)
from lodekit.regression.covariances import PolynomialCovariance
from lodekit.regression.latent import Latent

#: Sparse points of each species for a descriptor that comes without their number.
DEFAULT_N_SPARSE = 500


class PotentialState:
    """What `SparsePotential` does to become a model file and come back."""

    def _terms(self, frames) -> list[tuple]:
        """Return (descriptor, covariance, n_sparse) of every term."""
        return choose_terms(frames, self.descriptor, self.covariance, self.n_sparse)

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "weights_")
        arrays = {
            "species": self.species_,
            "baseline": self.baseline_,
            "weights": self.weights_,
            "ensemble": self.ensemble_,
        }
        terms, more = Latent(self.kernels_).get_state("terms")
        arrays.update(more)
        settings = {
            "terms": terms,
            "std_scales": self.std_scales_,
            "summary": self.summary_,
        }
        return {"class": "SparsePotential", "settings": settings, "arrays": arrays}

    def _coefficients(self) -> list:
        """Return what predictions contract covariances with."""
        return Latent(self.kernels_).coefficients(self.weights_)

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = cls()
        model.species_ = np.asarray(arrays["species"], dtype=np.intp)
        model.baseline_ = arrays["baseline"]
        model.weights_ = arrays["weights"]
        model.ensemble_ = arrays["ensemble"]
        model.std_scales_ = settings["std_scales"]
        model.summary_ = settings["summary"]
        model.noises_ = settings["summary"]["noises"]
        latent = Latent.from_state(settings["terms"], arrays, "terms", model.species_)
        model.kernels_ = latent.kernels
        model.coefficients_ = model._coefficients()
        model.descriptor = [kernel.descriptor for kernel in model.kernels_]
        model.covariance = [kernel.covariance for kernel in model.kernels_]
        return model


def choose_terms(frames, descriptor, covariance, n_sparse, default=None) -> list[tuple]:
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
    """
    if descriptor is None:
        from .settings import default_terms

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
    own = [
        descriptor_from_settings(descriptor_settings(one), known) for one in descriptors
    ]
    return list(zip(own, clone(list(covariances)), sizes, strict=True))


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
