"""Values of solid-harmonic Gaussians at points.

A shell is sum_p f_p r^l exp(-a_p r^2) Y_lm around its centre, nothing beyond its reach.
Shapes: points (n_points, 3); centres (n_centres, 3), lattice images included, with
kinds (n_centres,) and first_function (n_centres,), where the functions of a centre
begin. Shells of a kind are first_shell[kind]:first_shell[kind + 1], sorted by l, their
primitives first_primitive[shell]:first_primitive[shell + 1] of exponents and factors;
squares (n_shells,) are the squared reaches of shells.
"""

import math

import numpy as np
from numba import njit, prange


@njit(cache=True, error_model="numpy")
def fill_solid_harmonics(x, y, z, n_l, prefactors, harmonics):
    """Fill r^l Y_lm for l < n_l at index l*l + l + m."""
    square = x * x + y * y + z * z
    cosine, sine, start = 1.0, 0.0, 1.0
    for m in range(n_l):
        below, legendre = 0.0, start
        for l in range(m, n_l):
            value = prefactors[l, m] * legendre
            harmonics[l * l + l + m] = value * cosine
            if m > 0:
                harmonics[l * l + l - m] = value * sine
            above = (2 * l + 1) * z * legendre - (l + m) * square * below
            below, legendre = legendre, above / (l - m + 1)
        cosine, sine = x * cosine - y * sine, x * sine + y * cosine
        start *= 2 * m + 1


@njit(cache=True, error_model="numpy")
def radial_value(first, last, exponents, factors, square):
    """Return sum_p f_p exp(-a_p r^2) of a shell."""
    value = 0.0
    for p in range(first, last):
        value += factors[p] * math.exp(-exponents[p] * square)
    return value


@njit(cache=True, parallel=True, error_model="numpy")
def add_values(
    points, centres, kinds, first_function, table, prefactors, coefficients, values
):
    """Add sums of functions times ``coefficients`` (n_functions,) to (n_points,).

    ``table`` is (first_shell, shell_l, first_primitive, exponents, factors, squares).
    """
    first_shell, shell_l, first_primitive, exponents, factors, squares = table
    n_l = prefactors.shape[0]
    for point in prange(points.shape[0]):
        harmonics = np.empty(n_l * n_l)
        total = 0.0
        for centre in range(centres.shape[0]):
            x = points[point, 0] - centres[centre, 0]
            y = points[point, 1] - centres[centre, 1]
            z = points[point, 2] - centres[centre, 2]
            square = x * x + y * y + z * z
            kind, place, is_filled = kinds[centre], first_function[centre], False
            for shell in range(first_shell[kind], first_shell[kind + 1]):
                l = shell_l[shell]
                if square < squares[shell]:
                    if not is_filled:
                        fill_solid_harmonics(x, y, z, n_l, prefactors, harmonics)
                        is_filled = True
                    sum_m = 0.0
                    for m in range(2 * l + 1):
                        sum_m += coefficients[place + m] * harmonics[l * l + m]
                    first, last = first_primitive[shell], first_primitive[shell + 1]
                    total += sum_m * radial_value(
                        first, last, exponents, factors, square
                    )
                place += 2 * l + 1
        values[point] += total


@njit(cache=True, parallel=True, error_model="numpy")
def add_functions(points, centres, kinds, first_function, table, prefactors, matrix):
    """Add the values of all functions to (n_points, n_functions)."""
    first_shell, shell_l, first_primitive, exponents, factors, squares = table
    n_l = prefactors.shape[0]
    for point in prange(points.shape[0]):
        harmonics = np.empty(n_l * n_l)
        for centre in range(centres.shape[0]):
            x = points[point, 0] - centres[centre, 0]
            y = points[point, 1] - centres[centre, 1]
            z = points[point, 2] - centres[centre, 2]
            square = x * x + y * y + z * z
            kind, place, is_filled = kinds[centre], first_function[centre], False
            for shell in range(first_shell[kind], first_shell[kind + 1]):
                l = shell_l[shell]
                if square < squares[shell]:
                    if not is_filled:
                        fill_solid_harmonics(x, y, z, n_l, prefactors, harmonics)
                        is_filled = True
                    first, last = first_primitive[shell], first_primitive[shell + 1]
                    radial = radial_value(first, last, exponents, factors, square)
                    for m in range(2 * l + 1):
                        matrix[point, place + m] += radial * harmonics[l * l + m]
                place += 2 * l + 1
