"""Spherical expansion of a sum over neighbours, and its reverse pass.

Every descriptor that is a sum over pairs runs through this one loop,

    c[i, lm, a n] = sum over neighbours j of species a:  f_ij g_nl(r_ij) Y_lm(r_ij)

with radial functions g_nl given as a table of values, first and second derivatives on
an even grid (quintic Hermite splines), so that SOAP densities, other densities and the
near part of LODE differ in their tables only. The factor f takes what has kinks, which
a spline must not smooth. The neighbours of one species are taken in blocks with the
pair as last index of all arrays: that is what the compiler turns into vector
instructions. It may reorder the sum over a block (``reassoc``), always in the same way,
and one thread sums all of an atom: results do not depend on the number of threads.

Shapes: vectors (n_pairs, 3) from centre to neighbour; channels (n_pairs,) of the
neighbour's species; factors (n_pairs, 2) with f and its derivative; pairs of an atom
first_pair[atom]:first_pair[atom + 1]; table (n_knots, 3, n_l * n_even) with g, g' and
g'' at r = knot * spacing, l-major, n_even the number of radial functions rounded up to
an even number; prefactors (n_l, n_l), the norms of real harmonics, [l, m]; coefficients
(n_atoms, n_l * n_l, n_channels, n_radial). Blocks: geometry (16, BLOCK) with direction,
distance and twelve spline weights; radial (2, n_l, n_even, BLOCK) with f g and its
derivative; legendre (n_l, n_l, BLOCK); azimuth (n_l, 2, BLOCK); harmonics (n_lm,
BLOCK); gradients (3, n_lm, BLOCK).
"""

import numpy as np
from numba import njit, prange

# rows of seven cache lines: a power of two would crowd into one part of the cache
BLOCK = 56
CHUNK = 16


@njit(cache=True, error_model="numpy")
def make_scratch(n_l, n_even):
    """Return geometry, radial, legendre, azimuth and harmonics for one thread."""
    return (
        np.empty((16, BLOCK)),
        np.empty((2, n_l, n_even, BLOCK)),
        np.empty((n_l, n_l, BLOCK)),
        np.empty((n_l, 2, BLOCK)),
        np.empty((n_l * n_l, BLOCK)),
    )


@njit(cache=True, error_model="numpy")
def next_block(channels, first, last, channel, pairs):
    """Fill ``pairs`` with the next ones of a channel; return how many, where next."""
    size = 0
    while first < last and size < pairs.size:
        if channels[first] == channel:
            pairs[size] = first
            size += 1
        first += 1
    return size, first


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def fill_geometry(vectors, pairs, spacing, n_knots, geometry):
    """Fill directions, distances and quintic Hermite weights of a block.

    Weights 0 to 5 multiply g, g', g'' of the left knot, then of the right one; 6 to 11
    are their derivatives. The block is filled up to a multiple of 8, which is returned.
    """
    size = (pairs.size + 7) // 8 * 8
    for p in range(size):
        pair = pairs[min(p, pairs.size - 1)]
        for axis in range(3):
            geometry[axis, p] = vectors[pair, axis]
    h = spacing
    for p in range(size):
        x = geometry[0, p]
        y = geometry[1, p]
        z = geometry[2, p]
        r = np.sqrt(x * x + y * y + z * z)
        geometry[0, p] = x / r
        geometry[1, p] = y / r
        geometry[2, p] = z / r
        geometry[3, p] = r
        t = r / h - min(int(r / h), n_knots - 2)
        t2 = t * t
        t3 = t2 * t
        t4 = t2 * t2
        t5 = t4 * t
        geometry[4, p] = 1.0 - (10.0 * t3 - 15.0 * t4 + 6.0 * t5)
        geometry[5, p] = h * (t - 6.0 * t3 + 8.0 * t4 - 3.0 * t5)
        geometry[6, p] = h * h * 0.5 * (t2 - 3.0 * t3 + 3.0 * t4 - t5)
        geometry[7, p] = 10.0 * t3 - 15.0 * t4 + 6.0 * t5
        geometry[8, p] = h * (-4.0 * t3 + 7.0 * t4 - 3.0 * t5)
        geometry[9, p] = h * h * 0.5 * (t3 - 2.0 * t4 + t5)
        geometry[10, p] = (-30.0 * t2 + 60.0 * t3 - 30.0 * t4) / h
        geometry[11, p] = 1.0 - 18.0 * t2 + 32.0 * t3 - 15.0 * t4
        geometry[12, p] = h * 0.5 * (2.0 * t - 9.0 * t2 + 12.0 * t3 - 5.0 * t4)
        geometry[13, p] = (30.0 * t2 - 60.0 * t3 + 30.0 * t4) / h
        geometry[14, p] = -12.0 * t2 + 28.0 * t3 - 15.0 * t4
        geometry[15, p] = h * 0.5 * (3.0 * t2 - 8.0 * t3 + 5.0 * t4)
    return size


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def fill_radial(geometry, order, pairs, factors, size, table, spacing, radial):
    """Fill the radial functions (order 0) or their derivatives (1) of a block."""
    n_l, n_even = radial.shape[1:3]
    row = np.empty(table.shape[2])
    for p in range(pairs.size):
        knot = min(int(geometry[3, p] / spacing), table.shape[0] - 2)
        value = factors[pairs[p], 0]
        slope = factors[pairs[p], 1] if order else 0.0
        first = 10 if order else 4
        a = value * geometry[first, p] + slope * geometry[4, p]
        b = value * geometry[first + 1, p] + slope * geometry[5, p]
        c = value * geometry[first + 2, p] + slope * geometry[6, p]
        d = value * geometry[first + 3, p] + slope * geometry[7, p]
        e = value * geometry[first + 4, p] + slope * geometry[8, p]
        f = value * geometry[first + 5, p] + slope * geometry[9, p]
        for k in range(row.size):
            row[k] = (
                a * table[knot, 0, k]
                + b * table[knot, 1, k]
                + c * table[knot, 2, k]
                + d * table[knot + 1, 0, k]
                + e * table[knot + 1, 1, k]
                + f * table[knot + 1, 2, k]
            )
        for l in range(n_l):
            for n in range(n_even):
                radial[order, l, n, p] = row[l * n_even + n]
    radial[order, :, :, pairs.size : size] = 0.0


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def fill_harmonics(geometry, size, prefactors, legendre, azimuth, harmonics):
    """Fill Y_lm from P_lm / (1 - z^2)^(m/2), no phase, and Re and Im of (x + iy)^m."""
    n_l = prefactors.shape[0]
    for p in range(size):
        legendre[0, 0, p] = 1.0
        azimuth[0, 0, p] = 1.0
        azimuth[0, 1, p] = 0.0
    for m in range(n_l):
        odd = 2.0 * m + 1.0
        if m + 1 < n_l:
            for p in range(size):
                legendre[m + 1, m + 1, p] = odd * legendre[m, m, p]
                legendre[m + 1, m, p] = odd * geometry[2, p] * legendre[m, m, p]
            for p in range(size):
                real = azimuth[m, 0, p]
                imag = azimuth[m, 1, p]
                azimuth[m + 1, 0, p] = geometry[0, p] * real - geometry[1, p] * imag
                azimuth[m + 1, 1, p] = geometry[0, p] * imag + geometry[1, p] * real
        for l in range(m + 2, n_l):
            one = (2.0 * l - 1.0) / (l - m)
            two = (l + m - 1.0) / (l - m)
            for p in range(size):
                legendre[l, m, p] = (
                    one * geometry[2, p] * legendre[l - 1, m, p]
                    - two * legendre[l - 2, m, p]
                )
    for l in range(n_l):
        for m in range(l + 1):
            for p in range(size):
                value = prefactors[l, m] * legendre[l, m, p]
                harmonics[l * l + l - m, p] = value * azimuth[m, 1, p]
                harmonics[l * l + l + m, p] = value * azimuth[m, 0, p]


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def fill_gradients(geometry, size, prefactors, legendre, azimuth, harmonics, gradients):
    """Fill r times the Cartesian gradients of Y_lm.

    They are the gradient of the solid harmonic r^l Y_lm on the unit sphere, less its
    radial part l u Y_lm.
    """
    zeros = np.zeros(size)
    for l in range(prefactors.shape[0]):
        for m in range(l + 1):
            norm = prefactors[l, m]
            below = legendre[l - 1, m] if l > m else zeros
            beside = legendre[l - 1, m + 1] if l > m + 1 else zeros
            # d(x + iy)^m / dx = m (x + iy)^(m - 1), times i along y
            lower = azimuth[max(m - 1, 0)]
            for sign in range(2 if m > 0 else 1):
                lm = l * l + l - m if sign else l * l + l + m
                along_x = m * norm
                along_y = along_x if sign else -along_x
                for p in range(size):
                    scaled = norm * azimuth[m, sign, p]
                    radial = l * harmonics[lm, p]
                    sideways = -scaled * beside[p] - radial
                    value = legendre[l, m, p]
                    gradients[0, lm, p] = (
                        geometry[0, p] * sideways + along_x * value * lower[sign, p]
                    )
                    gradients[1, lm, p] = (
                        geometry[1, p] * sideways + along_y * value * lower[1 - sign, p]
                    )
                    gradients[2, lm, p] = (l + m) * below[p] * scaled - geometry[
                        2, p
                    ] * radial


@njit(
    cache=True,
    error_model="numpy",
    fastmath={"contract", "nsz", "arcp", "reassoc"},
)
def add_products(harmonics, radial, size, totals):
    """Add the sums over a block of Y_lm f g_nl to ``totals`` (n_lm, n_even)."""
    for l in range(radial.shape[1]):
        for lm in range(l * l, (l + 1) * (l + 1)):
            for n in range(0, radial.shape[2], 2):
                first = 0.0
                second = 0.0
                for p in range(size):
                    first += harmonics[lm, p] * radial[0, l, n, p]
                    second += harmonics[lm, p] * radial[0, l, n + 1, p]
                totals[lm, n] += first
                totals[lm, n + 1] += second


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})
def contract(source, radial, size, harmonics, gradients, sums):
    """Fill sums (6, BLOCK): 0 adjoint (f g)' Y; 1-3 adjoint f g grad Y; 4, 5 scratch.

    ``source`` (n_lm, n_even) is the adjoint.
    """
    sums[:4, :size] = 0.0
    for l in range(radial.shape[1]):
        for lm in range(l * l, (l + 1) * (l + 1)):
            sums[4:, :size] = 0.0
            for n in range(0, radial.shape[2], 2):
                a = source[lm, n]
                b = source[lm, n + 1]
                for p in range(size):
                    sums[4, p] += a * radial[0, l, n, p] + b * radial[0, l, n + 1, p]
                    sums[5, p] += a * radial[1, l, n, p] + b * radial[1, l, n + 1, p]
            for p in range(size):
                sums[0, p] += harmonics[lm, p] * sums[5, p]
                sums[1, p] += gradients[0, lm, p] * sums[4, p]
                sums[2, p] += gradients[1, lm, p] * sums[4, p]
                sums[3, p] += gradients[2, lm, p] * sums[4, p]


@njit(cache=True, error_model="numpy", parallel=True)
def expand_pairs(
    vectors, channels, factors, first_pair, table, spacing, prefactors, coefficients
):
    """Add the expansion of all neighbours to ``coefficients``."""
    n_atoms, n_lm, n_channels, n_radial = coefficients.shape
    n_l = prefactors.shape[0]
    for chunk in prange((n_atoms + CHUNK - 1) // CHUNK):
        pairs = np.empty(BLOCK, dtype=np.intp)
        totals = np.empty((n_lm, table.shape[2] // n_l))
        geometry, radial, legendre, azimuth, harmonics = make_scratch(
            n_l, totals.shape[1]
        )
        for atom in range(chunk * CHUNK, min(n_atoms, (chunk + 1) * CHUNK)):
            last = first_pair[atom + 1]
            for channel in range(n_channels):
                totals[:] = 0.0
                count, pair = next_block(
                    channels, first_pair[atom], last, channel, pairs
                )
                while count > 0:
                    block = pairs[:count]
                    size = fill_geometry(
                        vectors, block, spacing, table.shape[0], geometry
                    )
                    fill_radial(
                        geometry, 0, block, factors, size, table, spacing, radial
                    )
                    fill_harmonics(
                        geometry, size, prefactors, legendre, azimuth, harmonics
                    )
                    add_products(harmonics, radial, size, totals)
                    count, pair = next_block(channels, pair, last, channel, pairs)
                for lm in range(n_lm):
                    for n in range(n_radial):
                        coefficients[atom, lm, channel, n] += totals[lm, n]


@njit(
    cache=True,
    error_model="numpy",
    parallel=True,
    fastmath={"contract", "nsz", "arcp"},
)
def reverse_pairs(
    adjoint,
    vectors,
    channels,
    factors,
    first_pair,
    table,
    spacing,
    prefactors,
    pair_gradients,
):
    """Fill the gradient with respect to every pair vector, (n_pairs, 3).

    ``adjoint`` is the derivative of a scalar with respect to the coefficients.
    """
    n_atoms, n_lm, n_channels, n_radial = adjoint.shape
    n_l = prefactors.shape[0]
    for chunk in prange((n_atoms + CHUNK - 1) // CHUNK):
        pairs = np.empty(BLOCK, dtype=np.intp)
        source = np.zeros((n_lm, table.shape[2] // n_l))
        geometry, radial, legendre, azimuth, harmonics = make_scratch(
            n_l, source.shape[1]
        )
        gradients = np.empty((3, n_lm, BLOCK))
        sums = np.empty((6, BLOCK))
        for atom in range(chunk * CHUNK, min(n_atoms, (chunk + 1) * CHUNK)):
            last = first_pair[atom + 1]
            for channel in range(n_channels):
                for lm in range(n_lm):
                    for n in range(n_radial):
                        source[lm, n] = adjoint[atom, lm, channel, n]
                count, pair = next_block(
                    channels, first_pair[atom], last, channel, pairs
                )
                while count > 0:
                    block = pairs[:count]
                    size = fill_geometry(
                        vectors, block, spacing, table.shape[0], geometry
                    )
                    for order in range(2):
                        fill_radial(
                            geometry,
                            order,
                            block,
                            factors,
                            size,
                            table,
                            spacing,
                            radial,
                        )
                    fill_harmonics(
                        geometry, size, prefactors, legendre, azimuth, harmonics
                    )
                    fill_gradients(
                        geometry,
                        size,
                        prefactors,
                        legendre,
                        azimuth,
                        harmonics,
                        gradients,
                    )
                    contract(source, radial, size, harmonics, gradients, sums)
                    for p in range(count):
                        for axis in range(3):
                            pair_gradients[block[p], axis] = (
                                sums[0, p] * geometry[axis, p]
                                + sums[1 + axis, p] / geometry[3, p]
                            )
                    count, pair = next_block(channels, pair, last, channel, pairs)


@njit(
    cache=True,
    error_model="numpy",
    parallel=True,
    fastmath={"contract", "nsz", "arcp", "reassoc"},
)
def contract_pairs(
    adjoint, vectors, channels, factors, first_pair, table, spacing, prefactors, values
):
    """Fill sum_lm,n adjoint[i, lm, a, n] f g_nl Y_lm of every pair, (n_pairs,)."""
    n_atoms, n_lm, n_channels, n_radial = adjoint.shape
    n_l = prefactors.shape[0]
    for chunk in prange((n_atoms + CHUNK - 1) // CHUNK):
        pairs = np.empty(BLOCK, dtype=np.intp)
        geometry, radial, legendre, azimuth, harmonics = make_scratch(
            n_l, table.shape[2] // n_l
        )
        for atom in range(chunk * CHUNK, min(n_atoms, (chunk + 1) * CHUNK)):
            last = first_pair[atom + 1]
            for channel in range(n_channels):
                count, pair = next_block(
                    channels, first_pair[atom], last, channel, pairs
                )
                while count > 0:
                    block = pairs[:count]
                    size = fill_geometry(
                        vectors, block, spacing, table.shape[0], geometry
                    )
                    fill_radial(
                        geometry, 0, block, factors, size, table, spacing, radial
                    )
                    fill_harmonics(
                        geometry, size, prefactors, legendre, azimuth, harmonics
                    )
                    for p in range(count):
                        total = 0.0
                        for l in range(n_l):
                            for lm in range(l * l, (l + 1) * (l + 1)):
                                for n in range(n_radial):
                                    total += (
                                        adjoint[atom, lm, channel, n]
                                        * radial[0, l, n, p]
                                        * harmonics[lm, p]
                                    )
                        values[block[p]] = total
                    count, pair = next_block(channels, pair, last, channel, pairs)


@njit(cache=True, error_model="numpy", parallel=True)
def differentiate_pairs(vectors, factors, table, spacing, prefactors, derivatives):
    """Fill d(f g_nl Y_lm)/d(vector) of every pair, (n_pairs, 3, n_lm, n_radial)."""
    n_pairs, _, n_lm, n_radial = derivatives.shape
    n_l = prefactors.shape[0]
    for block in prange((n_pairs + BLOCK - 1) // BLOCK):
        pairs = np.arange(block * BLOCK, min((block + 1) * BLOCK, n_pairs))
        geometry, radial, legendre, azimuth, harmonics = make_scratch(
            n_l, table.shape[2] // n_l
        )
        gradients = np.empty((3, n_lm, BLOCK))
        size = fill_geometry(vectors, pairs, spacing, table.shape[0], geometry)
        for order in range(2):
            fill_radial(geometry, order, pairs, factors, size, table, spacing, radial)
        fill_harmonics(geometry, size, prefactors, legendre, azimuth, harmonics)
        fill_gradients(
            geometry, size, prefactors, legendre, azimuth, harmonics, gradients
        )
        row = np.empty((2, n_radial))
        for p in range(pairs.size):
            for l in range(n_l):
                for n in range(n_radial):
                    row[0, n] = radial[0, l, n, p] / geometry[3, p]
                    row[1, n] = radial[1, l, n, p]
                for axis in range(3):
                    for lm in range(l * l, (l + 1) * (l + 1)):
                        along = geometry[axis, p] * harmonics[lm, p]
                        side = gradients[axis, lm, p]
                        for n in range(n_radial):
                            derivatives[pairs[p], axis, lm, n] = (
                                along * row[1, n] + side * row[0, n]
                            )
