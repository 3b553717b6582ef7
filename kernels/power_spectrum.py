"""Invariant products of two spherical expansions, their reverse pass and Jacobian.

    p[i, l, q1 q2] = sum over m of left[i, lm, q1] right[i, lm, q2] / sqrt(2l + 1)

with q the joint index of neighbour species and radial function. A density with itself
is symmetric in q1, q2: only q1 <= q2 is kept, times sqrt(2) off the diagonal, so that
dot products of features are those of the full array.
"""

import numpy as np
from numba import njit, prange


@njit(cache=True, error_model="numpy", parallel=True)
def square_expansion(coefficients, features):
    """Fill the products of an expansion with itself.

    ``features`` has shape (n_atoms, n_l * n_q (n_q + 1) / 2).
    """
    n_atoms, n_lm, n_q = coefficients.shape
    n_l = int(np.sqrt(n_lm) + 0.5)
    root_two = np.sqrt(2.0)
    for atom in prange(n_atoms):
        row = np.empty(n_q)
        source = coefficients[atom]
        target = features[atom]
        place = 0
        for l in range(n_l):
            norm = root_two / np.sqrt(2.0 * l + 1.0)
            for q in range(n_q):
                first = source[l * l, q]
                for p in range(q, n_q):
                    row[p] = first * source[l * l, p]
                for lm in range(l * l + 1, (l + 1) * (l + 1)):
                    value = source[lm, q]
                    for p in range(q, n_q):
                        row[p] += value * source[lm, p]
                target[place] = row[q] * norm / root_two
                for p in range(q + 1, n_q):
                    target[place + p - q] = row[p] * norm
                place += n_q - q


@njit(cache=True, error_model="numpy", parallel=True)
def reverse_square(adjoint, coefficients, gradients):
    """Fill d(scalar)/d(coefficients) from d(scalar)/d(features)."""
    n_atoms, n_lm, n_q = coefficients.shape
    n_l = int(np.sqrt(n_lm) + 0.5)
    root_two = np.sqrt(2.0)
    for atom in prange(n_atoms):
        square = np.empty((n_q, n_q))
        source = coefficients[atom]
        target = gradients[atom]
        place = 0
        for l in range(n_l):
            norm = root_two / np.sqrt(2.0 * l + 1.0)
            for q in range(n_q):
                square[q, q] = root_two * norm * adjoint[atom, place]
                for p in range(q + 1, n_q):
                    square[q, p] = norm * adjoint[atom, place + p - q]
                    square[p, q] = square[q, p]
                place += n_q - q
            for lm in range(l * l, (l + 1) * (l + 1)):
                for p in range(n_q):
                    target[lm, p] = 0.0
                for q in range(n_q):
                    value = source[lm, q]
                    for p in range(n_q):
                        target[lm, p] += value * square[q, p]


@njit(cache=True, error_model="numpy", parallel=True)
def multiply_expansions(left, right, features):
    """Fill the products of two expansions, (n_atoms, n_l * n_q_left * n_q_right)."""
    n_atoms, n_lm, n_left = left.shape
    n_right = right.shape[2]
    n_l = int(np.sqrt(n_lm) + 0.5)
    for atom in prange(n_atoms):
        row = np.empty(n_right)
        a = left[atom]
        b = right[atom]
        target = features[atom]
        place = 0
        for l in range(n_l):
            norm = 1.0 / np.sqrt(2.0 * l + 1.0)
            for q in range(n_left):
                for p in range(n_right):
                    row[p] = 0.0
                for lm in range(l * l, (l + 1) * (l + 1)):
                    value = a[lm, q]
                    for p in range(n_right):
                        row[p] += value * b[lm, p]
                for p in range(n_right):
                    target[place + p] = norm * row[p]
                place += n_right


@njit(cache=True, error_model="numpy", parallel=True)
def reverse_multiply(adjoint, left, right, left_gradients, right_gradients):
    """Fill d(scalar)/d(left) and d(scalar)/d(right) from d(scalar)/d(features)."""
    n_atoms, n_lm, n_left = left.shape
    n_right = right.shape[2]
    n_l = int(np.sqrt(n_lm) + 0.5)
    for atom in prange(n_atoms):
        a = left[atom]
        b = right[atom]
        grad_a = left_gradients[atom]
        grad_b = right_gradients[atom]
        place = 0
        for l in range(n_l):
            norm = 1.0 / np.sqrt(2.0 * l + 1.0)
            for lm in range(l * l, (l + 1) * (l + 1)):
                for p in range(n_right):
                    grad_b[lm, p] = 0.0
            for q in range(n_left):
                for lm in range(l * l, (l + 1) * (l + 1)):
                    total = 0.0
                    value = norm * a[lm, q]
                    for p in range(n_right):
                        total += adjoint[atom, place + p] * b[lm, p]
                        grad_b[lm, p] += value * adjoint[atom, place + p]
                    grad_a[lm, q] = norm * total
                place += n_right


@njit(cache=True, error_model="numpy", parallel=True)
def multiply_derivatives(derivatives, centers, partner, products):
    """Fill the products of coefficient derivatives with the other expansion.

    ``derivatives`` (n_entries, n_axes, n_lm, n_radial) belong to the atoms ``centers``,
    ``partner`` is (n_atoms, n_lm, n_q), ``products`` (n_entries, n_axes,
    n_l * n_radial * n_q).
    """
    n_entries, n_axes, n_lm, n_radial = derivatives.shape
    n_q = partner.shape[2]
    n_l = int(np.sqrt(n_lm) + 0.5)
    for entry in prange(n_entries):
        row = np.empty(n_q)
        other = partner[centers[entry]]
        for axis in range(n_axes):
            moving = derivatives[entry, axis]
            target = products[entry, axis]
            for l in range(n_l):
                norm = 1.0 / np.sqrt(2.0 * l + 1.0)
                for n in range(n_radial):
                    for q in range(n_q):
                        row[q] = 0.0
                    for lm in range(l * l, (l + 1) * (l + 1)):
                        value = norm * moving[lm, n]
                        for q in range(n_q):
                            row[q] += value * other[lm, q]
                    place = (l * n_radial + n) * n_q
                    for q in range(n_q):
                        target[place + q] = row[q]
