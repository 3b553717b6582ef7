"""Near part of 1/r^p between pairs of Gaussians or points.

Every pair is listed once, with the vector from its first atom i to its second j; a pair
of an atom with its own image is allowed. The interaction of a pair of variance
s^2 = s_i^2 + s_j^2 is

    v(r) = 1/r^p - far(r) - erfc(r / (sqrt(2) s)) / r,

the last term only where s > 0 (and p = 1), and only out to ``reach`` times s. The far
part comes from ``table`` (n_intervals, 6): polynomials on an even grid in r^2 up to
cutoff^2, beyond which both 1/r^p and far(r) are left out.

The loops run on one core: pairs are listed in the order of the search, and two threads
would write the same atoms.
"""

import math

from numba import njit


@njit(cache=True, error_model="numpy", inline="always")
def near_value(square, variance, exponent, cutoff_square, table, reach):
    """Return v(r) and -(1/r) dv/dr at r^2 = ``square``."""
    value = 0.0
    slope = 0.0
    inverse_square = 1.0 / square
    r = math.sqrt(square)
    if square < cutoff_square:
        n_intervals = table.shape[0]
        place = square / cutoff_square * n_intervals
        interval = min(int(place), n_intervals - 1)
        x = place - interval
        c = table[interval]
        far = c[0] + x * (c[1] + x * (c[2] + x * (c[3] + x * (c[4] + x * c[5]))))
        change = c[1] + x * (
            2.0 * c[2] + x * (3.0 * c[3] + x * (4.0 * c[4] + x * 5.0 * c[5]))
        )
        bare = r * inverse_square if exponent == 1 else (r * inverse_square) ** exponent
        value = bare - far
        slope = exponent * bare * inverse_square
        slope += 2.0 * change * n_intervals / cutoff_square
    if variance > 0.0 and square < reach * reach * variance:
        a = 1.0 / math.sqrt(2.0 * variance)
        outside = math.erfc(a * r) / r
        value -= outside
        slope -= inverse_square * (
            outside + 2.0 * a / math.sqrt(math.pi) * math.exp(-a * a * square)
        )
    return value, slope


@njit(cache=True, error_model="numpy")
def add_near_matrix(
    first, second, vectors, variances, exponent, cutoff, table, reach, matrix
):
    """Add v of all pairs to a symmetric matrix (n_atoms, n_atoms)."""
    for pair in range(first.size):
        i = first[pair]
        j = second[pair]
        x = vectors[pair, 0]
        y = vectors[pair, 1]
        z = vectors[pair, 2]
        value, _ = near_value(
            x * x + y * y + z * z,
            variances[i] + variances[j],
            exponent,
            cutoff * cutoff,
            table,
            reach,
        )
        matrix[i, j] += value
        matrix[j, i] += value


@njit(cache=True, error_model="numpy")
def add_near_potential(
    first,
    second,
    vectors,
    variances,
    exponent,
    cutoff,
    table,
    reach,
    charges,
    potential,
):
    """Add sum_j v_ij q_j; charges and potential of shape (n_atoms, n_columns)."""
    for pair in range(first.size):
        i = first[pair]
        j = second[pair]
        x = vectors[pair, 0]
        y = vectors[pair, 1]
        z = vectors[pair, 2]
        value, _ = near_value(
            x * x + y * y + z * z,
            variances[i] + variances[j],
            exponent,
            cutoff * cutoff,
            table,
            reach,
        )
        for column in range(charges.shape[1]):
            potential[i, column] += value * charges[j, column]
            potential[j, column] += value * charges[i, column]


@njit(cache=True, error_model="numpy")
def add_near_gradients(
    first,
    second,
    vectors,
    variances,
    exponent,
    cutoff,
    table,
    reach,
    left,
    right,
    potential,
    gradients,
    strain,
):
    """Add the gradients of a.V b and the potential V b.

    Shapes: left, right and potential (n_atoms,); gradients (n_atoms, 3); strain (3, 3).
    """
    for pair in range(first.size):
        i = first[pair]
        j = second[pair]
        x = vectors[pair, 0]
        y = vectors[pair, 1]
        z = vectors[pair, 2]
        value, slope = near_value(
            x * x + y * y + z * z,
            variances[i] + variances[j],
            exponent,
            cutoff * cutoff,
            table,
            reach,
        )
        potential[i] += value * right[j]
        potential[j] += value * right[i]
        # d/dr_j of v is -slope times the vector from i to j
        factor = -slope * (left[i] * right[j] + left[j] * right[i])
        gx = factor * x
        gy = factor * y
        gz = factor * z
        gradients[j, 0] += gx
        gradients[j, 1] += gy
        gradients[j, 2] += gz
        gradients[i, 0] -= gx
        gradients[i, 1] -= gy
        gradients[i, 2] -= gz
        strain[0, 0] += x * gx
        strain[0, 1] += x * gy
        strain[0, 2] += x * gz
        strain[1, 1] += y * gy
        strain[1, 2] += y * gz
        strain[2, 2] += z * gz
    strain[1, 0] = strain[0, 1]
    strain[2, 0] = strain[0, 2]
    strain[2, 1] = strain[1, 2]
