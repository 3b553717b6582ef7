"""Overlaps and Coulomb interactions of functions: near sums over pairs of sites.

The formulas are in `lodekit.kernels.gaussian_pairs`; results here are in atomic-like
units of Å, without the Coulomb constant.
"""

from __future__ import annotations

import math

import numpy as np
from vesin import NeighborList

from lodekit.electrostatics.boundary import Boundary
from lodekit.kernels.gaussian_pairs import fill_blocks

from .coupling import coupling_tables
from .pair_blocks import PairBlocks
from .sites import Sites, as_index

#: Polynomials in front of exp(-x) are at most exp of this where x is large.
POLYNOMIAL_MARGIN = 12.0


def largest_argument(accuracy: float) -> float:
    """Return the x beyond which exp(-x) times a polynomial is below ``accuracy``."""
    if not 1e-15 <= accuracy <= 1e-2:
        raise ValueError(
            f"accuracy must be between 1e-15 and 1e-2, got {accuracy:g}; it is "
            "relative to the largest integrals"
        )
    return -math.log(accuracy) + POLYNOMIAL_MARGIN


def pair_integrals(
    left: Sites,
    right: Sites,
    boundary: Boundary,
    *,
    coulomb: bool,
    spread: float = 0.0,
    accuracy: float = 1e-12,
) -> PairBlocks:
    """Return integrals between functions, summed over lattice images.

    Parameters
    ----------
    left, right : Sites
        Functions; one and the same object for a symmetric matrix.
    boundary : Boundary
        Open or periodic.
    coulomb : bool
        The Coulomb interaction (1/Å times the charges) instead of the overlap.
    spread : float
        In Å^2; the Coulomb interaction is without that of charges smeared by it (the
        near part of an Ewald sum); 0 for all of it, of open structures.
    accuracy : float
        Relative, where sums are cut.
    """
    longest = largest_argument(accuracy)
    whole = coulomb and spread == 0.0
    reach = 2.0 * math.sqrt(longest * (left.widest + right.widest + spread))
    first, second, first_image, vectors = site_pairs(
        left, right, boundary, np.inf if whole else reach
    )
    kinds = np.column_stack([left.kinds[first], right.kinds[second]])
    sizes = left.table.sizes[kinds[:, 0]] * right.table.sizes[kinds[:, 1]]
    first_value = as_index(np.cumsum([0, *sizes]))
    values = np.empty(first_value[-1])
    largest_l = left.table.largest_l, right.table.largest_l
    fill_blocks(
        first_image,
        vectors,
        as_index(kinds),
        first_value,
        left.table.arrays,
        right.table.arrays,
        as_index(largest_l),
        coupling_tables(*largest_l),
        coulomb,
        float(spread),
        np.inf if whole else longest,
        values,
    )
    return PairBlocks(left, right, first, second, first_value, values)


def site_pairs(
    left: Sites, right: Sites, boundary: Boundary, reach: float
) -> tuple[np.ndarray, ...]:
    """Return pairs of sites, and the vectors of all images within ``reach`` (Å).

    Returns
    -------
    first, second : ndarray of shape (n_pairs,)
        Left and right sites; first <= second where both sides are one object.
    first_image : ndarray of shape (n_pairs + 1,)
        Vectors of a pair are ``first_image[p]:first_image[p + 1]``.
    vectors : ndarray of shape (n_images, 3)
        From the left site to images of the right one, in Å.
    """
    if boundary.n_periodic == 0:
        first, second, vectors = open_pairs(left, right, reach)
    else:
        first, second, vectors = periodic_pairs(left, right, boundary, reach)
    order = np.lexsort((second, first))
    first, second, vectors = first[order], second[order], vectors[order]
    starts = np.ones(len(first), dtype=bool)
    starts[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    first_image = as_index(np.append(np.flatnonzero(starts), len(first)))
    return (
        as_index(first[starts]),
        as_index(second[starts]),
        first_image,
        np.ascontiguousarray(vectors),
    )


def open_pairs(left: Sites, right: Sites, reach: float) -> tuple[np.ndarray, ...]:
    """Return first and second sites and vectors of an open structure."""
    if left is right:
        first, second = np.triu_indices(left.n_sites)
    else:
        shape = (left.n_sites, right.n_sites)
        first, second = (index.ravel() for index in np.indices(shape))
    vectors = right.positions[second] - left.positions[first]
    near = np.einsum("pd,pd->p", vectors, vectors) <= reach**2
    return first[near], second[near], vectors[near]


def periodic_pairs(
    left: Sites, right: Sites, boundary: Boundary, reach: float
) -> tuple[np.ndarray, ...]:
    """Return first and second sites and vectors of all images within ``reach``."""
    same = left is right
    positions = left.positions
    if not same:
        positions = np.concatenate([left.positions, right.positions])
    cell = np.where(boundary.pbc[:, None], boundary.cell, 0.0)
    search = NeighborList(cutoff=reach, full_list=False, sorted=False, n_threads=1)
    i, j, vectors = search.compute(positions, cell, boundary.pbc, quantities="ijD")
    i, j = i.astype(np.intp), j.astype(np.intp)
    swap = i > j
    i[swap], j[swap] = j[swap], i[swap]
    vectors[swap] *= -1.0
    if same:
        images = i == j  # listed once for both directions
        sites = np.arange(left.n_sites)
        first = np.concatenate([i, i[images], sites])
        second = np.concatenate([j, j[images], sites])
        zero = np.zeros((left.n_sites, 3))
        return first, second, np.concatenate([vectors, -vectors[images], zero])
    across = (i < left.n_sites) & (j >= left.n_sites)
    return i[across], j[across] - left.n_sites, vectors[across]
