"""Near part of 1/r^p between pairs of Gaussians or points.

Every pair is listed once, with the vector from its first atom i to its second j; a pair
of an atom with its own image is allowed. The interaction of a pair of variance
s^2 = s_i^2 + s_j^2 is

    v(r) = 1/r^p - far(r) - erfc(r / (sqrt(2) s)) / r,

the last term only where s > 0 (and p = 1), and only out to ``reach`` times s. The far
part comes from ``table`` (n_intervals, 6): polynomials on an even grid in r^2 up to
cutoff^2, beyond which both 1/r^p and far(r) are left out.

Loops over a list of pairs run on one core: two threads would write the same atoms.
"""

import math

import numpy as np
from numba import njit, prange


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


@njit(cache=True, error_model="numpy", parallel=True)
def add_cell_gradients(
    positions,
    first_atom,
    n_cells,
    cell,
    variances,
    exponent,
    cutoff,
    table,
    reach,
    range_square,
    left,
    right,
    potential,
    gradients,
    strain,
):
    """Add what `add_near_gradients` does, without a list of pairs.

    Atoms are sorted by the cells of a grid, which are wider than the range, at least
    three in every direction; ``positions`` (n_atoms, 3) are within the periodic cell,
    ``first_atom`` (n_grid + 1,) are the first atoms of the grid's cells. A row of cells
    along z reaches itself and four rows that come later, and has a sum of its own for
    each of the five: all rows are done at a time, with the same sums on any number of
    threads.
    """
    n_x, n_y, n_z = n_cells
    n_atoms = positions.shape[0]
    potentials = np.zeros((5, n_atoms))
    sums = np.zeros((5, n_atoms, 3))
    strains = np.zeros((n_x * n_y, 3, 3))
    for row in prange(n_x * n_y):
        x = row // n_y
        y = row % n_y
        for z in range(n_z):
            here = row * n_z + z
            # half of the 27 neighbours: those that come later
            for offset in range(13, 27):
                reached = offset // 3 - 4
                to_x = x + offset // 9 - 1
                to_y = y + (offset // 3) % 3 - 1
                to_z = z + offset % 3 - 1
                image_x = 1 if to_x == n_x else 0
                image_y = 1 if to_y == n_y else (-1 if to_y < 0 else 0)
                image_z = 1 if to_z == n_z else (-1 if to_z < 0 else 0)
                there = ((to_x - image_x * n_x) * n_y + to_y - image_y * n_y) * n_z + (
                    to_z - image_z * n_z
                )
                shift_x = (
                    image_x * cell[0, 0] + image_y * cell[1, 0] + image_z * cell[2, 0]
                )
                shift_y = (
                    image_x * cell[0, 1] + image_y * cell[1, 1] + image_z * cell[2, 1]
                )
                shift_z = (
                    image_x * cell[0, 2] + image_y * cell[1, 2] + image_z * cell[2, 2]
                )
                for i in range(first_atom[here], first_atom[here + 1]):
                    from_x = positions[i, 0] - shift_x
                    from_y = positions[i, 1] - shift_y
                    from_z = positions[i, 2] - shift_z
                    start = first_atom[there] if there != here else i + 1
                    for j in range(start, first_atom[there + 1]):
                        dx = positions[j, 0] - from_x
                        dy = positions[j, 1] - from_y
                        dz = positions[j, 2] - from_z
                        square = dx * dx + dy * dy + dz * dz
                        if square >= range_square:
                            continue
                        value, slope = near_value(
                            square,
                            variances[i] + variances[j],
                            exponent,
                            cutoff * cutoff,
                            table,
                            reach,
                        )
                        potentials[0, i] += value * right[j]
                        potentials[reached, j] += value * right[i]
                        factor = -slope * (left[i] * right[j] + left[j] * right[i])
                        gx = factor * dx
                        gy = factor * dy
                        gz = factor * dz
                        sums[reached, j, 0] += gx
                        sums[reached, j, 1] += gy
                        sums[reached, j, 2] += gz
                        sums[0, i, 0] -= gx
                        sums[0, i, 1] -= gy
                        sums[0, i, 2] -= gz
                        strains[row, 0, 0] += dx * gx
                        strains[row, 0, 1] += dx * gy
                        strains[row, 0, 2] += dx * gz
                        strains[row, 1, 1] += dy * gy
                        strains[row, 1, 2] += dy * gz
                        strains[row, 2, 2] += dz * gz
    for i in prange(n_atoms):
        for reached in range(5):
            potential[i] += potentials[reached, i]
            for axis in range(3):
                gradients[i, axis] += sums[reached, i, axis]
    for row in range(n_x * n_y):
        for a in range(3):
            for b in range(a, 3):
                strain[a, b] += strains[row, a, b]
    strain[1, 0] = strain[0, 1]
    strain[2, 0] = strain[0, 2]
    strain[2, 1] = strain[1, 2]
