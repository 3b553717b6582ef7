"""From every pair once to pairs of every centre."""

import numpy as np
from numba import njit


@njit(cache=True, error_model="numpy")
def mirror_pairs(first, second, vectors, n_atoms):
    """List every pair in both directions, sorted by centre.

    Shapes: first and second (n_pairs,), the atoms of each pair; vectors (n_pairs, 3)
    from the first to the second.

    Returns
    -------
    centers, neighbors : ndarray of shape (2 * n_pairs,)
    both : ndarray of shape (2 * n_pairs, 3)
        From centre to neighbour.
    first_pair : ndarray of shape (n_atoms + 1,)
    """
    n_pairs = first.size
    first_pair = np.zeros(n_atoms + 1, dtype=np.intp)
    for pair in range(n_pairs):
        first_pair[first[pair] + 1] += 1
        first_pair[second[pair] + 1] += 1
    for atom in range(n_atoms):
        first_pair[atom + 1] += first_pair[atom]
    following = first_pair.copy()
    centers = np.empty(2 * n_pairs, dtype=np.intp)
    neighbors = np.empty(2 * n_pairs, dtype=np.intp)
    both = np.empty((2 * n_pairs, 3))
    for pair in range(n_pairs):
        for direction in range(2):
            center = second[pair] if direction else first[pair]
            neighbor = first[pair] if direction else second[pair]
            sign = -1.0 if direction else 1.0
            place = following[center]
            following[center] += 1
            centers[place] = center
            neighbors[place] = neighbor
            for axis in range(3):
                both[place, axis] = sign * vectors[pair, axis]
    return centers, neighbors, both, first_pair
