"""The terms of a latent: those that a user names, or those that suit the data."""

from __future__ import annotations

import numbers

from sklearn.base import clone

from lodekit.parameters import decode, encode
from lodekit.regression.covariances import PolynomialCovariance

from .sources import charge_sources
from .tables import default_terms

#: Sparse points of each species for a descriptor that comes without their number.
DEFAULT_N_SPARSE = 500


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
    copies = [decode(encode(one, "descriptor"), known) for one in descriptors]
    terms = list(zip(copies, clone(list(covariances)), sizes, strict=True))
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
