"""Invariant products of two spherical expansions, their reverse pass and Jacobian.

    p[i, l, q1 q2] = sum over m of left[i, lm, q1] right[i, lm, q2] / sqrt(2l + 1)

with q the joint index of neighbour species and radial function. A density with itself
is symmetric in q1, q2: only q1 <= q2 is kept, times sqrt(2) off the diagonal, so that
dot products of features are those of the full array.

Products of expansions are products of small matrices, one for every atom and l, and
`multiply_tiles` is the loop that counts: sixteen numbers of the left factor stay in
registers while it runs over ``WIDTH`` columns, a number that the compiler knows. The
coefficients of one l are therefore copied to panels, (n_panels, n_groups, 4 * WIDTH):
``WIDTH`` columns each, four rows one after the other, filled up with zeros. One thread
computes all of an atom: results do not depend on the number of threads.
"""

import numpy as np
from numba import njit, prange

WIDTH = 16
CHUNK = 16


@njit(cache=True, error_model="numpy")
def make_columns(n_l, n_q):
    """Return zeros, (n_panels, n_rows, WIDTH), for coefficients of any l of an atom."""
    return np.zeros(((n_q + WIDTH - 1) // WIDTH, (2 * n_l + 2) // 4 * 4, WIDTH))


@njit(cache=True, error_model="numpy")
def fill_columns(coefficients, l, columns):
    """Copy the coefficients of one l of an atom; return the number of groups."""
    n_q = coefficients.shape[1]
    n_groups = (2 * l + 4) // 4
    for block in range(columns.shape[0]):
        first = block * WIDTH
        for m in range(2 * l + 1):
            for p in range(min(WIDTH, n_q - first)):
                columns[block, m, p] = coefficients[l * l + m, first + p]
        for m in range(2 * l + 1, 4 * n_groups):
            for p in range(WIDTH):
                columns[block, m, p] = 0.0
    return n_groups


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def multiply_tiles(left, right, product):
    """Fill ``product`` with left, (n_rows, n_columns), times a panel."""
    product[:] = 0.0
    for i in range(product.shape[0]):
        c = product[i]
        for k in range(right.shape[0]):
            b = right[k]
            a00 = left[4 * i, 4 * k]
            a01 = left[4 * i, 4 * k + 1]
            a02 = left[4 * i, 4 * k + 2]
            a03 = left[4 * i, 4 * k + 3]
            a10 = left[4 * i + 1, 4 * k]
            a11 = left[4 * i + 1, 4 * k + 1]
            a12 = left[4 * i + 1, 4 * k + 2]
            a13 = left[4 * i + 1, 4 * k + 3]
            a20 = left[4 * i + 2, 4 * k]
            a21 = left[4 * i + 2, 4 * k + 1]
            a22 = left[4 * i + 2, 4 * k + 2]
            a23 = left[4 * i + 2, 4 * k + 3]
            a30 = left[4 * i + 3, 4 * k]
            a31 = left[4 * i + 3, 4 * k + 1]
            a32 = left[4 * i + 3, 4 * k + 2]
            a33 = left[4 * i + 3, 4 * k + 3]
            for p in range(WIDTH):
                b0 = b[p]
                b1 = b[WIDTH + p]
                b2 = b[2 * WIDTH + p]
                b3 = b[3 * WIDTH + p]
                c[p] += a00 * b0 + a01 * b1 + a02 * b2 + a03 * b3
                c[WIDTH + p] += a10 * b0 + a11 * b1 + a12 * b2 + a13 * b3
                c[2 * WIDTH + p] += a20 * b0 + a21 * b1 + a22 * b2 + a23 * b3
                c[3 * WIDTH + p] += a30 * b0 + a31 * b1 + a32 * b2 + a33 * b3


@njit(cache=True, error_model="numpy", parallel=True)
def square_expansion(coefficients, features):
    """Fill the products of an expansion with itself.

    ``features`` has shape (n_atoms, n_l * n_q (n_q + 1) / 2).
    """
    n_atoms, n_lm, n_q = coefficients.shape
    n_l = int(np.sqrt(n_lm) + 0.5)
    for chunk in prange((n_atoms + CHUNK - 1) // CHUNK):
        columns = make_columns(n_l, n_q)
        panels = columns.reshape(columns.shape[0], -1, 4 * WIDTH)
        tile = np.empty((WIDTH // 4, 4 * WIDTH))
        rows = tile.reshape(WIDTH, WIDTH)
        for atom in range(chunk * CHUNK, min(n_atoms, (chunk + 1) * CHUNK)):
            source = coefficients[atom]
            target = features[atom]
            place = 0
            for l in range(n_l):
                n_groups = fill_columns(source, l, columns)
                norm = 1.0 / np.sqrt(2.0 * l + 1.0)
                for a in range(panels.shape[0]):
                    left = columns[a].T
                    first = a * WIDTH
                    n_rows = min(WIDTH, n_q - first)
                    for b in range(a, panels.shape[0]):
                        multiply_tiles(
                            left, panels[b, :n_groups], tile[: (n_rows + 3) // 4]
                        )
                        last = min(WIDTH, n_q - b * WIDTH)
                        # where q2 = 0 of this panel would be in the row of q1
                        offset = place + b * WIDTH - first
                        for q in range(n_rows):
                            for p in range(q if a == b else 0, last):
                                target[offset + p] = np.sqrt(2.0) * norm * rows[q, p]
                            if a == b:
                                target[offset + q] = norm * rows[q, q]
                            offset += n_q - first - q - 1
                    # rows of the triangle get shorter by one
                    place += n_rows * (n_q - first) - n_rows * (n_rows - 1) // 2


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def multiply_rows(l, source, matrix, target):
    """Fill the rows lm of ``target`` with those of ``source`` times ``matrix``.

    The rows of ``matrix`` are filled up with zeros to a multiple of four.
    """
    n_q = source.shape[1]
    for lm in range(l * l, (l + 1) * (l + 1)):
        for p in range(target.shape[1]):
            target[lm, p] = 0.0
        for q in range(0, n_q, 4):
            a = source[lm, q]
            b = source[lm, q + 1] if q + 1 < n_q else 0.0
            c = source[lm, q + 2] if q + 2 < n_q else 0.0
            d = source[lm, q + 3] if q + 3 < n_q else 0.0
            for p in range(target.shape[1]):
                target[lm, p] += (
                    a * matrix[q, p]
                    + b * matrix[q + 1, p]
                    + c * matrix[q + 2, p]
                    + d * matrix[q + 3, p]
                )


@njit(cache=True, error_model="numpy", parallel=True)
def reverse_square(adjoint, coefficients, gradients):
    """Fill d(scalar)/d(coefficients) from d(scalar)/d(features)."""
    n_atoms, n_lm, n_q = coefficients.shape
    n_l = int(np.sqrt(n_lm) + 0.5)
    for atom in prange(n_atoms):
        square = np.zeros((n_q + 3, n_q))
        place = 0
        for l in range(n_l):
            norm = np.sqrt(2.0) / np.sqrt(2.0 * l + 1.0)
            for q in range(n_q):
                square[q, q] = np.sqrt(2.0) * norm * adjoint[atom, place]
                for p in range(q + 1, n_q):
                    square[q, p] = norm * adjoint[atom, place + p - q]
                    square[p, q] = square[q, p]
                place += n_q - q
            multiply_rows(l, coefficients[atom], square, gradients[atom])


@njit(cache=True, error_model="numpy", parallel=True)
def multiply_expansions(left, right, features):
    """Fill the products of two expansions, (n_atoms, n_l * n_q_left * n_q_right)."""
    n_atoms, n_lm, n_left = left.shape
    n_right = right.shape[2]
    n_l = int(np.sqrt(n_lm) + 0.5)
    for chunk in prange((n_atoms + CHUNK - 1) // CHUNK):
        left_columns = make_columns(n_l, n_left)
        columns = make_columns(n_l, n_right)
        panels = columns.reshape(columns.shape[0], -1, 4 * WIDTH)
        tile = np.empty((WIDTH // 4, 4 * WIDTH))
        rows = tile.reshape(WIDTH, WIDTH)
        for atom in range(chunk * CHUNK, min(n_atoms, (chunk + 1) * CHUNK)):
            target = features[atom].reshape(n_l, n_left, n_right)
            for l in range(n_l):
                n_groups = fill_columns(left[atom], l, left_columns)
                fill_columns(right[atom], l, columns)
                norm = 1.0 / np.sqrt(2.0 * l + 1.0)
                for a in range(left_columns.shape[0]):
                    left_panel = left_columns[a].T
                    first = a * WIDTH
                    n_rows = min(WIDTH, n_left - first)
                    for b in range(panels.shape[0]):
                        multiply_tiles(
                            left_panel, panels[b, :n_groups], tile[: (n_rows + 3) // 4]
                        )
                        start = b * WIDTH
                        for q in range(n_rows):
                            for p in range(min(WIDTH, n_right - start)):
                                target[l, first + q, start + p] = norm * rows[q, p]


@njit(cache=True, error_model="numpy", parallel=True)
def reverse_multiply(adjoint, left, right, left_gradients, right_gradients):
    """Fill d(scalar)/d(left) and d(scalar)/d(right) from d(scalar)/d(features)."""
    n_atoms, n_lm, n_left = left.shape
    n_right = right.shape[2]
    n_l = int(np.sqrt(n_lm) + 0.5)
    for atom in prange(n_atoms):
        source = adjoint[atom].reshape(n_l, n_left, n_right)
        to_right = np.zeros((n_left + 3, n_right))
        to_left = np.zeros((n_right + 3, n_left))
        for l in range(n_l):
            norm = 1.0 / np.sqrt(2.0 * l + 1.0)
            for q in range(n_left):
                for p in range(n_right):
                    to_right[q, p] = norm * source[l, q, p]
                    to_left[p, q] = to_right[q, p]
            multiply_rows(l, left[atom], to_right, right_gradients[atom])
            multiply_rows(l, right[atom], to_left, left_gradients[atom])


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
