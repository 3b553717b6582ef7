"""Coefficients by element and l: what one equivariant model learns at a time."""

from __future__ import annotations

import numpy as np

from .basis import DensityBasis


def channel_places(
    basis: DensityBasis, numbers: np.ndarray
) -> dict[tuple[int, int], np.ndarray]:
    """Return where the coefficients of every element and l are.

    Parameters
    ----------
    basis : DensityBasis
    numbers : ndarray of shape (n_atoms,)
        Atomic numbers of a structure, or of many, one after the other.

    Returns
    -------
    places : dict of ndarray of shape (n_atoms, n_shells, 2 l + 1)
        By atomic number and l: the atoms of the element in their order, its shells of
        this l, and m from -l to l. Every coefficient is in one of them once.

    Examples
    --------
    >>> from lodekit.density import layout_only
    >>> basis = layout_only({"H": (2, 1)}, "two s, one p")
    >>> places = channel_places(basis, np.array([1, 1]))
    >>> places[1, 0].tolist(), places[1, 1].tolist()
    ([[[0], [1]], [[5], [6]]], [[[2, 3, 4]], [[7, 8, 9]]])
    """
    numbers = np.asarray(numbers)
    starts = np.cumsum([0, *basis.sizes(numbers)])[:-1]
    places = {}
    for number in np.unique(numbers).tolist():
        start = starts[numbers == number]
        offset = 0
        for l, n_shells in enumerate(basis.counts(number)):
            size = n_shells * (2 * l + 1)
            if n_shells:
                part = np.arange(offset, offset + size).reshape(n_shells, 2 * l + 1)
                places[number, l] = start[:, None, None] + part
            offset += size
    return places
