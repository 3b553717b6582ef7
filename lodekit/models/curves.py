"""Fits of a model to more and more frames, with one pass over the rows of all of them.

See `lodekit.fitting.nested`: sparse points, the baseline and charges of sources are
those of the largest set.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lodekit.fitting.nested import nested_fits

from .model import Model
from .updates import check_updatable


def can_share_rows(model: Model, targets=()) -> bool:
    """Return whether fits of a model to more and more frames can share their rows."""
    try:
        check_updatable(model, targets)
    except ValueError:
        return False
    return hasattr(model, "take_fits") and getattr(model, "solver", "") != "qr"


def fit_to_more(
    model: Model, frames: list, members: list[np.ndarray], **arguments
) -> Iterator[tuple[Model, float]]:
    """Fit to more and more frames; yield the model after every fit, and seconds.

    Parameters
    ----------
    model : Model
        One that `can_share_rows`; it is the same object every time.
    frames : list of ase.Atoms
    members : list of ndarray of int
        Frames of each fit, ascending; each has those before, the last one has all.
    **arguments
        Of ``model.fit``.

    Yields
    ------
    model : Model
    seconds : float
        From the beginning to the end of this fit.
    """
    with nested_fits(members) as nested:
        model.fit(frames, **arguments)
    last = [fits[-1] for fits in nested.fits]
    for number, some in enumerate(members):
        fits = [fits_of_size[number] for fits_of_size in nested.fits]
        model.take_fits(fits, last, len(some))
        last = fits
        yield model, fits[-1].seconds
