"""Choice of grid spacing and spline order of a particle mesh for a wanted accuracy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

#: Orders of the splines.
ORDERS = range(4, 25, 2)
#: Largest k times grid spacing.
LARGEST_PHASE = 0.9 * np.pi
#: What a grid point and a spline point cost, in ns a channel, and how many atoms there
#: are in 1 Å^3: they decide speed alone.
GRID_COST, SPLINE_COST = 7.0, 0.12
NOMINAL_DENSITY = 0.05
#: Estimates hold for random structures; crystals and skewed cells are a little off.
MARGIN = 0.5


def mesh_parameters(
    k: np.ndarray, weights: np.ndarray, accuracy: float
) -> tuple[float, int]:
    """Return the spacing (Å) and order with which a mesh takes least time.

    The error of a phase is that of its first aliases, (x / (2 pi -+ x))^order with x
    the k-component times the spacing, averaged over directions; a derivative takes one
    off the order of interpolation.

    Parameters
    ----------
    k : ndarray of shape (n,)
        Sizes of k-vectors in 1/Å, up to the k-cutoff.
    weights : ndarray of shape (n, degree + 1)
        For every degree of derivatives that is evaluated, weights w of the relative
        errors e(k) of phases: the squared error of a result is sum (w e)^2.
    accuracy : float
        Largest error of a result.

    Raises
    ------
    ValueError
        If no order up to 24 is accurate enough.
    """
    best, parameters = np.inf, None
    for order in ORDERS:
        if order < weights.shape[1] + 2:
            continue
        spacing = widest_spacing(k, weights, MARGIN * accuracy, order)
        if spacing is None:
            continue
        cost = GRID_COST / (NOMINAL_DENSITY * spacing**3)
        cost += SPLINE_COST * weights.shape[1] * order**3
        if cost < best:
            best, parameters = cost, (spacing, order)
    if parameters is None:
        raise ValueError(
            f"no mesh reaches an accuracy of {accuracy:g}; ask for at least 1e-12"
        )
    return parameters


def widest_spacing(k, weights, accuracy: float, order: int) -> float | None:
    """Return the widest spacing in Å that keeps the accuracy; None if all fail."""
    for phase in LARGEST_PHASE * 0.95 ** np.arange(50):
        spacing = phase / k.max()
        if mesh_error(k, weights, spacing, order) <= accuracy:
            return float(spacing)
    return None


def mesh_error(k, weights, spacing: float, order: int) -> float:
    """Return the largest error of results, over the degrees of derivatives."""
    spreading = alias_squares(spacing * k, order)
    total = [
        weights[:, degree] ** 2
        @ (spreading + alias_squares(spacing * k, order - degree))
        for degree in range(weights.shape[1])
    ]
    return float(np.sqrt(max(total)))


def alias_squares(phase: np.ndarray, order: int) -> np.ndarray:
    """Return the squared aliases of exp(ik.R), averaged over directions, (n,)."""
    cosines, weights = half_sphere()
    x = np.outer(phase, cosines)
    below = x / (2.0 * np.pi - x)
    above = x / (2.0 * np.pi + x)
    return 3.0 * (below ** (2 * order) + above ** (2 * order)) @ weights


@lru_cache(maxsize=1)
def half_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of an average over cosines from 0 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    return 0.5 * (nodes + 1.0), 0.5 * weights
