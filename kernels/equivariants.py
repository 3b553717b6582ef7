"""Clebsch-Gordan products of two spherical expansions, and their reverse pass.

    p[i, mu, c] = s_c sum over m1, m2 of C[m1, m2, mu] x[i, l1 m1, q1] y[i, l2 m2, q2]

with the left factor x and the right one y. A channel c is l1, l2, a column q1 of x and
q2 of y; s_c is its scale. Channels of the same l1 and l2 make a group. A group may go
into several orders lambda, which then share copies of its columns, one channel a lane.
The nonzero C of one l1, l2 and lambda are tables of terms: for every row, which is mu
for the features, m1 and m2 for the gradients of x and y, the two other indices.

Arguments of both functions:

left, right (n_atoms, n_lm, n_q)
    x and y.
centers (n_centers,)
    Atoms, each of them once.
columns (n_channels, 2), scales (n_channels,)
    q1 and q2, and s_c.
groups (n_groups, 6)
    l1, l2, the first channel and the one after the last, then the same for the products
    of the group.
products (n_products, 7)
    Starts of the tables by mu, m1 and m2 in ``first``; 2 lambda + 1; numbers of one
    centre in all blocks before; columns of the block; first column of the group in it.
first, terms (n_terms, 2), factors (n_terms,)
    Terms of row r of a table that starts at t are first[t + r] to first[t + r + 1].
    Their number is even: a term without partner is followed by one with factor 0.
features, adjoint (size,)
    Blocks (n_centers, 2 lambda + 1, n_columns), one after the other.
"""

import numpy as np
from numba import njit, prange

#: Channels taken at a time.
WIDTH = 256
#: Lanes are filled up to a multiple of it: loops over them then have no remainder.
LANES = 16
CHUNK = 8


@njit(cache=True, error_model="numpy")
def copy_columns(source, l, columns, lanes):
    """Fill the rows m of ``lanes`` with columns of one l of ``source``."""
    for m in range(2 * l + 1):
        row = source[l * l + m]
        for p in range(columns.size):
            lanes[m, p] = row[columns[p]]


@njit(cache=True, error_model="numpy")
def add_columns(lanes, l, columns, target):
    """Add the rows m of ``lanes`` to columns of one l of ``target``."""
    for m in range(2 * l + 1):
        row = target[l * l + m]
        for p in range(columns.size):
            row[columns[p]] += lanes[m, p]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def add_terms(first, n_rows, terms, factors, left, right, width, rows):
    """Add factor left[t] right[u] to every row, for its terms (t, u)."""
    for r in range(n_rows):
        row = rows[r]
        for k in range(first[r], first[r + 1], 2):
            a, b, v = left[terms[k, 0]], right[terms[k, 1]], factors[k]
            c, d, w = left[terms[k + 1, 0]], right[terms[k + 1, 1]], factors[k + 1]
            for p in range(width):
                row[p] += v * a[p] * b[p] + w * c[p] * d[p]


@njit(cache=True, error_model="numpy")
def most_rows(groups, products):
    """Return the largest number of components of any factor or product."""
    most = 1
    for group in range(groups.shape[0]):
        most = max(most, 2 * max(groups[group, 0], groups[group, 1]) + 1)
    for product in range(products.shape[0]):
        most = max(most, products[product, 3])
    return most


@njit(cache=True, error_model="numpy", parallel=True)
def couple_expansions(
    left,
    right,
    centers,
    columns,
    scales,
    groups,
    products,
    first,
    terms,
    factors,
    features,
):
    """Fill the features of ``centers``."""
    n_rows = most_rows(groups, products)
    for chunk in prange((centers.size + CHUNK - 1) // CHUNK):
        x = np.zeros((n_rows, WIDTH))
        y = np.zeros((n_rows, WIDTH))
        sums = np.zeros((n_rows, WIDTH))
        for place in range(chunk * CHUNK, min(centers.size, (chunk + 1) * CHUNK)):
            atom = centers[place]
            for group in range(groups.shape[0]):
                l1, l2, start, stop, product, last = groups[group]
                for c in range(start, stop, WIDTH):
                    n = min(WIDTH, stop - c)
                    width = (n + LANES - 1) // LANES * LANES
                    copy_columns(left[atom], l1, columns[c : c + n, 0], x)
                    copy_columns(right[atom], l2, columns[c : c + n, 1], y)
                    for s in range(product, last):
                        table, _, _, n_mu, before, n_columns, column = products[s]
                        sums[:n_mu, :width] = 0.0
                        add_terms(
                            first[table:], n_mu, terms, factors, x, y, width, sums
                        )
                        offset = (before * centers.size) + place * n_mu * n_columns
                        for mu in range(n_mu):
                            target = features[offset + column + c - start :]
                            for p in range(n):
                                target[p] = scales[c + p] * sums[mu, p]
                            offset += n_columns


@njit(cache=True, error_model="numpy", parallel=True)
def reverse_couple(
    left,
    right,
    centers,
    columns,
    scales,
    groups,
    products,
    first,
    terms,
    factors,
    adjoint,
    left_gradients,
    right_gradients,
):
    """Add d(scalar)/d(left) and d(scalar)/d(right) from d(scalar)/d(features).

    Both may be the same array, for the product of an expansion with itself.
    """
    n_rows = most_rows(groups, products)
    for chunk in prange((centers.size + CHUNK - 1) // CHUNK):
        x = np.zeros((n_rows, WIDTH))
        y = np.zeros((n_rows, WIDTH))
        by_x = np.zeros((n_rows, WIDTH))
        by_y = np.zeros((n_rows, WIDTH))
        by_p = np.zeros((n_rows, WIDTH))
        for place in range(chunk * CHUNK, min(centers.size, (chunk + 1) * CHUNK)):
            atom = centers[place]
            for group in range(groups.shape[0]):
                l1, l2, start, stop, product, last = groups[group]
                for c in range(start, stop, WIDTH):
                    n = min(WIDTH, stop - c)
                    width = (n + LANES - 1) // LANES * LANES
                    pairs = columns[c : c + n]
                    copy_columns(left[atom], l1, pairs[:, 0], x)
                    copy_columns(right[atom], l2, pairs[:, 1], y)
                    by_x[:, :width] = 0.0
                    by_y[:, :width] = 0.0
                    for s in range(product, last):
                        _, to_x, to_y, n_mu, before, n_columns, column = products[s]
                        offset = before * centers.size + place * n_mu * n_columns
                        for mu in range(n_mu):
                            source = adjoint[offset + column + c - start :]
                            for p in range(n):
                                by_p[mu, p] = scales[c + p] * source[p]
                            offset += n_columns
                        m1, m2 = 2 * l1 + 1, 2 * l2 + 1
                        add_terms(
                            first[to_x:], m1, terms, factors, by_p, y, width, by_x
                        )
                        add_terms(
                            first[to_y:], m2, terms, factors, by_p, x, width, by_y
                        )
                    add_columns(by_x, l1, pairs[:, 0], left_gradients[atom])
                    add_columns(by_y, l2, pairs[:, 1], right_gradients[atom])
