"""Spherical expansion of a sum over neighbours, and its reverse pass.

Every descriptor that is a sum over pairs runs through this one loop,

    c[i, lm, a n] = sum over neighbours j of species a:  g_nl(r_ij) Y_lm(r_ij / |r_ij|)

with radial functions ``g_nl`` given as a table of values, first and second derivatives
on an even grid (quintic Hermite splines), so that SOAP densities, other densities and
the near part of LODE differ in their tables only. ``factors`` multiplies g_nl by pair:
a cutoff function has kinks that a spline must not smooth.

Shapes used below
-----------------
vectors (n_pairs, 3)              from centre to neighbour
channels (n_pairs,)               channel of the neighbour's species
factors (n_pairs, 2)              f(r_ij) and its derivative
table (n_knots, 3, n_l * n_padded)  g, g' and g'' at r = knot * spacing, l-major;
                                  n_padded is n_radial rounded up to a multiple of 4
prefactors (n_l, n_l)             norms of the real spherical harmonics, [l, m]
inverses (n_l + 1,)               1 / k for k > 0
coefficients (n_atoms, n_l * n_l, n_channels, n_radial)
"""

import numpy as np
from numba import njit, prange


@njit(cache=True, error_model="numpy")
def fill_hermite(fraction, spacing, weights, slopes):
    """Fill the six quintic Hermite weights of a point, and their derivatives.

    ``fraction`` in [0, 1] is the place between two knots; the weights multiply
    g, g', g'' of the left knot, then of the right one.
    """
    t = fraction
    t2 = t * t
    t3 = t2 * t
    t4 = t2 * t2
    t5 = t4 * t
    h = spacing
    weights[3] = 10.0 * t3 - 15.0 * t4 + 6.0 * t5
    weights[0] = 1.0 - weights[3]
    weights[1] = h * (t - 6.0 * t3 + 8.0 * t4 - 3.0 * t5)
    weights[4] = h * (-4.0 * t3 + 7.0 * t4 - 3.0 * t5)
    weights[2] = h * h * 0.5 * (t2 - 3.0 * t3 + 3.0 * t4 - t5)
    weights[5] = h * h * 0.5 * (t3 - 2.0 * t4 + t5)
    slopes[3] = (30.0 * t2 - 60.0 * t3 + 30.0 * t4) / h
    slopes[0] = -slopes[3]
    slopes[1] = 1.0 - 18.0 * t2 + 32.0 * t3 - 15.0 * t4
    slopes[4] = -12.0 * t2 + 28.0 * t3 - 15.0 * t4
    slopes[2] = h * 0.5 * (2.0 * t - 9.0 * t2 + 12.0 * t3 - 5.0 * t4)
    slopes[5] = h * 0.5 * (3.0 * t2 - 8.0 * t3 + 5.0 * t4)


@njit(cache=True, error_model="numpy")
def fill_radial(table, knot, weights, values):
    """Interpolate all radial functions with the six given weights."""
    size = table.shape[2]
    for k in range(size):
        values[k] = (
            weights[0] * table[knot, 0, k]
            + weights[1] * table[knot, 1, k]
            + weights[2] * table[knot, 2, k]
            + weights[3] * table[knot + 1, 0, k]
            + weights[4] * table[knot + 1, 1, k]
            + weights[5] * table[knot + 1, 2, k]
        )


@njit(cache=True, error_model="numpy")
def fill_legendre(z, inverses, legendre):
    """Fill the polynomials q[l, m](z) = P_lm(z) / (1 - z^2)^(m/2), no phase.

    ``inverses`` holds 1 / k: divisions would take most of the time.
    """
    n_l = legendre.shape[0]
    for m in range(n_l):
        if m == 0:
            legendre[0, 0] = 1.0
        else:
            legendre[m, m] = (2 * m - 1) * legendre[m - 1, m - 1]
        if m + 1 < n_l:
            legendre[m + 1, m] = (2 * m + 1) * z * legendre[m, m]
        for l in range(m + 2, n_l):
            legendre[l, m] = inverses[l - m] * (
                (2 * l - 1) * z * legendre[l - 1, m] - (l + m - 1) * legendre[l - 2, m]
            )


@njit(cache=True, error_model="numpy")
def fill_azimuth(x, y, cosines, sines):
    """Fill Re and Im of (x + iy)^m."""
    cosines[0] = 1.0
    sines[0] = 0.0
    for m in range(1, cosines.size):
        cosines[m] = x * cosines[m - 1] - y * sines[m - 1]
        sines[m] = x * sines[m - 1] + y * cosines[m - 1]


@njit(cache=True, error_model="numpy")
def fill_harmonics(prefactors, legendre, cosines, sines, harmonics):
    """Fill the real spherical harmonics, index l*l + l + m."""
    for l in range(legendre.shape[0]):
        middle = l * l + l
        harmonics[middle] = prefactors[l, 0] * legendre[l, 0]
        for m in range(1, l + 1):
            value = prefactors[l, m] * legendre[l, m]
            harmonics[middle + m] = value * cosines[m]
            harmonics[middle - m] = value * sines[m]


@njit(cache=True, error_model="numpy")
def fill_harmonic_gradients(
    u, prefactors, legendre, cosines, sines, harmonics, gradients
):
    """Fill r times the Cartesian gradient of Y_lm at the unit vector ``u``, (3, n_lm).

    The gradient of the solid harmonic r^l Y_lm on the unit sphere, less its radial part
    l u Y_lm.
    """
    for l in range(legendre.shape[0]):
        middle = l * l + l
        for m in range(l + 1):
            value = legendre[l, m]
            along_z = (l + m) * legendre[l - 1, m] if l > m else 0.0
            sideways = -legendre[l - 1, m + 1] if l > m + 1 else 0.0
            for sign in range(2 if m > 0 else 1):
                index = middle - m if sign else middle + m
                azimuth = sines[m] if sign else cosines[m]
                if m == 0:
                    azimuth_x = 0.0
                    azimuth_y = 0.0
                elif sign:
                    azimuth_x = m * sines[m - 1]
                    azimuth_y = m * cosines[m - 1]
                else:
                    azimuth_x = m * cosines[m - 1]
                    azimuth_y = -m * sines[m - 1]
                norm = prefactors[l, m]
                radial = l * harmonics[index]
                gradients[0, index] = (
                    norm * (u[0] * sideways * azimuth + value * azimuth_x)
                    - u[0] * radial
                )
                gradients[1, index] = (
                    norm * (u[1] * sideways * azimuth + value * azimuth_y)
                    - u[1] * radial
                )
                gradients[2, index] = norm * along_z * azimuth - u[2] * radial


@njit(cache=True, error_model="numpy")
def add_products(harmonics, radial, target):
    """Add Y_lm g_nl to ``target`` (n_lm, n_padded), four radial functions at a time.

    Four named values are what the compiler turns into one vector instruction; a loop
    over n would be checked for overlapping arrays anew for every lm.
    """
    n_padded = target.shape[1]
    for l in range(radial.size // n_padded):
        for n in range(0, n_padded, 4):
            a = radial[l * n_padded + n]
            b = radial[l * n_padded + n + 1]
            c = radial[l * n_padded + n + 2]
            d = radial[l * n_padded + n + 3]
            for lm in range(l * l, (l + 1) * (l + 1)):
                harmonic = harmonics[lm]
                new_a = target[lm, n] + harmonic * a
                new_b = target[lm, n + 1] + harmonic * b
                new_c = target[lm, n + 2] + harmonic * c
                new_d = target[lm, n + 3] + harmonic * d
                target[lm, n] = new_a
                target[lm, n + 1] = new_b
                target[lm, n + 2] = new_c
                target[lm, n + 3] = new_d


@njit(cache=True, error_model="numpy")
def contract_adjoint(source, harmonics, values):
    """Fill ``values`` (n_l * n_padded): sums over m of source Y_lm, source padded.

    Four radial functions at a time, as in `add_products`.
    """
    n_padded = source.shape[1]
    for l in range(values.size // n_padded):
        for n in range(0, n_padded, 4):
            a = 0.0
            b = 0.0
            c = 0.0
            d = 0.0
            for lm in range(l * l, (l + 1) * (l + 1)):
                harmonic = harmonics[lm]
                a += harmonic * source[lm, n]
                b += harmonic * source[lm, n + 1]
                c += harmonic * source[lm, n + 2]
                d += harmonic * source[lm, n + 3]
            values[l * n_padded + n] = a
            values[l * n_padded + n + 1] = b
            values[l * n_padded + n + 2] = c
            values[l * n_padded + n + 3] = d


@njit(cache=True, error_model="numpy")
def dot(a, b):
    """Return the sum of products, four partial sums at a time."""
    s0 = 0.0
    s1 = 0.0
    s2 = 0.0
    s3 = 0.0
    for k in range(0, a.size, 4):
        s0 += a[k] * b[k]
        s1 += a[k + 1] * b[k + 1]
        s2 += a[k + 2] * b[k + 2]
        s3 += a[k + 3] * b[k + 3]
    return (s0 + s1) + (s2 + s3)


@njit(cache=True, error_model="numpy", parallel=True)
def expand_pairs(
    vectors,
    channels,
    factors,
    first_pair,
    table,
    spacing,
    prefactors,
    inverses,
    coefficients,
):
    """Add the expansion of all neighbours to ``coefficients``."""
    n_atoms, n_lm, n_channels, n_radial = coefficients.shape
    n_l = prefactors.shape[0]
    size = table.shape[2]
    for atom in prange(n_atoms):
        radial = np.empty(size)
        harmonics = np.empty(n_lm)
        legendre = np.zeros((n_l, n_l))
        cosines = np.empty(n_l)
        sines = np.empty(n_l)
        weights = np.empty(6)
        slopes = np.empty(6)
        totals = np.zeros((n_channels, n_lm, size // n_l))
        for pair in range(first_pair[atom], first_pair[atom + 1]):
            x = vectors[pair, 0]
            y = vectors[pair, 1]
            z = vectors[pair, 2]
            distance = np.sqrt(x * x + y * y + z * z)
            place = distance / spacing
            knot = min(int(place), table.shape[0] - 2)
            fill_hermite(place - knot, spacing, weights, slopes)
            for k in range(6):
                weights[k] *= factors[pair, 0]
            fill_radial(table, knot, weights, radial)
            fill_legendre(z / distance, inverses, legendre)
            fill_azimuth(x / distance, y / distance, cosines, sines)
            fill_harmonics(prefactors, legendre, cosines, sines, harmonics)
            add_products(harmonics, radial, totals[channels[pair]])
        for lm in range(n_lm):
            for channel in range(n_channels):
                for n in range(n_radial):
                    coefficients[atom, lm, channel, n] += totals[channel, lm, n]


@njit(cache=True, error_model="numpy", parallel=True)
def reverse_pairs(
    adjoint,
    vectors,
    channels,
    factors,
    first_pair,
    table,
    spacing,
    prefactors,
    inverses,
    pair_gradients,
):
    """Fill the gradient with respect to every pair vector, (n_pairs, 3).

    ``adjoint`` is the derivative of a scalar with respect to the coefficients.
    """
    n_atoms, n_lm, n_channels, n_radial = adjoint.shape
    n_l = prefactors.shape[0]
    size = table.shape[2]
    for atom in prange(n_atoms):
        radial = np.empty(size)
        radial_slope = np.empty(size)
        harmonics = np.empty(n_lm)
        gradients = np.empty((3, n_lm))
        legendre = np.zeros((n_l, n_l))
        cosines = np.empty(n_l)
        sines = np.empty(n_l)
        weights = np.empty(6)
        slopes = np.empty(6)
        contracted = np.empty(size)
        u = np.empty(3)
        source = np.zeros((n_channels, n_lm, size // n_l))
        for lm in range(n_lm):
            for channel in range(n_channels):
                for n in range(n_radial):
                    source[channel, lm, n] = adjoint[atom, lm, channel, n]
        for pair in range(first_pair[atom], first_pair[atom + 1]):
            distance = np.sqrt(
                vectors[pair, 0] ** 2 + vectors[pair, 1] ** 2 + vectors[pair, 2] ** 2
            )
            for axis in range(3):
                u[axis] = vectors[pair, axis] / distance
            place = distance / spacing
            knot = min(int(place), table.shape[0] - 2)
            fill_hermite(place - knot, spacing, weights, slopes)
            for k in range(6):
                slopes[k] = factors[pair, 0] * slopes[k] + factors[pair, 1] * weights[k]
                weights[k] *= factors[pair, 0]
            fill_radial(table, knot, weights, radial)
            fill_radial(table, knot, slopes, radial_slope)
            fill_legendre(u[2], inverses, legendre)
            fill_azimuth(u[0], u[1], cosines, sines)
            fill_harmonics(prefactors, legendre, cosines, sines, harmonics)
            fill_harmonic_gradients(
                u, prefactors, legendre, cosines, sines, harmonics, gradients
            )
            own = source[channels[pair]]
            contract_adjoint(own, harmonics, contracted)
            along = dot(contracted, radial_slope)
            for axis in range(3):
                contract_adjoint(own, gradients[axis], contracted)
                side = dot(contracted, radial)
                pair_gradients[pair, axis] = along * u[axis] + side / distance


@njit(cache=True, error_model="numpy", parallel=True)
def differentiate_pairs(
    vectors, factors, table, spacing, prefactors, inverses, derivatives
):
    """Fill d(f g_nl Y_lm)/d(vector) of every pair, (n_pairs, 3, n_lm, n_radial)."""
    n_lm, n_radial = derivatives.shape[2:]
    n_l = prefactors.shape[0]
    size = table.shape[2]
    n_padded = size // n_l
    for pair in prange(vectors.shape[0]):
        radial = np.empty(size)
        radial_slope = np.empty(size)
        harmonics = np.empty(n_lm)
        gradients = np.empty((3, n_lm))
        legendre = np.zeros((n_l, n_l))
        cosines = np.empty(n_l)
        sines = np.empty(n_l)
        weights = np.empty(6)
        slopes = np.empty(6)
        u = np.empty(3)
        distance = np.sqrt(
            vectors[pair, 0] ** 2 + vectors[pair, 1] ** 2 + vectors[pair, 2] ** 2
        )
        for axis in range(3):
            u[axis] = vectors[pair, axis] / distance
        place = distance / spacing
        knot = min(int(place), table.shape[0] - 2)
        fill_hermite(place - knot, spacing, weights, slopes)
        for k in range(6):
            slopes[k] = factors[pair, 0] * slopes[k] + factors[pair, 1] * weights[k]
            weights[k] *= factors[pair, 0]
        fill_radial(table, knot, weights, radial)
        fill_radial(table, knot, slopes, radial_slope)
        fill_legendre(u[2], inverses, legendre)
        fill_azimuth(u[0], u[1], cosines, sines)
        fill_harmonics(prefactors, legendre, cosines, sines, harmonics)
        fill_harmonic_gradients(
            u, prefactors, legendre, cosines, sines, harmonics, gradients
        )
        for axis in range(3):
            for l in range(n_l):
                for lm in range(l * l, (l + 1) * (l + 1)):
                    along = u[axis] * harmonics[lm]
                    side = gradients[axis, lm] / distance
                    for n in range(n_radial):
                        derivatives[pair, axis, lm, n] = (
                            along * radial_slope[l * n_padded + n]
                            + side * radial[l * n_padded + n]
                        )
