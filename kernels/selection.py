"""Greedy selection of points."""

import numpy as np
from numba import njit

#: Features after which a distance may be too long already.
BLOCK = 16


@njit(cache=True, error_model="numpy")
def farthest_points(points, n_select, first):
    """Select rows farthest from all selected ones, one after the other.

    Returns the indices and the distance squared of each pick to those before it; stops
    early (fewer indices) when every remaining row equals a selected one. A distance is
    summed no further than it matters, which is soon where the largest features are
    first.
    """
    n_points, n_features = points.shape
    nearest = np.full(n_points, np.inf)
    chosen = np.empty(n_select, dtype=np.intp)
    squares = np.empty(n_select)
    largest = 0.0
    for k in range(n_points):
        square = 0.0
        for f in range(n_features):
            square += points[k, f] * points[k, f]
        largest = max(largest, square)
    pick = first
    distance = np.inf
    for count in range(n_select):
        if distance <= 1e-24 * largest:
            return chosen[:count], squares[:count]
        chosen[count] = pick
        squares[count] = distance
        best = -1.0
        following = pick
        for k in range(n_points):
            square = 0.0
            start = 0
            while start < n_features and square < nearest[k]:
                stop = min(start + BLOCK, n_features)
                for f in range(start, stop):
                    difference = points[k, f] - points[pick, f]
                    square += difference * difference
                start = stop
            if square < nearest[k]:
                nearest[k] = square
            if nearest[k] > best:
                best = nearest[k]
                following = k
        pick = following
        distance = best
    return chosen, squares
