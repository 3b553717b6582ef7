"""Solid harmonics as polynomials: what derivatives make of plane waves."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lodekit.numerics.mesh import monomials

from .expansion import harmonic_prefactors


@lru_cache(maxsize=16)
def solid_harmonics(max_angular: int) -> np.ndarray:
    """Return r^l Y_lm as polynomials in x, y and z, shape (n_lm, n_monomials).

    Real harmonics with lm = l*l + l + m, over all monomials up to ``max_angular`` in
    the order of `monomials`.
    """
    degree = max_angular
    one = np.zeros((degree + 1,) * 3)
    one[0, 0, 0] = 1.0
    x, y, z = (lambda p, axis=axis: np.roll(p, 1, axis) for axis in range(3))
    azimuth = [(one, np.zeros_like(one))]
    for _ in range(degree):
        real, imaginary = azimuth[-1]
        azimuth.append((x(real) - y(imaginary), x(imaginary) + y(real)))
    norms = harmonic_prefactors(degree)
    rows = np.zeros((degree + 1) ** 2, dtype=object)
    start = one
    for m in range(degree + 1):
        # r^(l-m) times the m-th derivative of the Legendre polynomial, for growing l
        below, legendre = np.zeros_like(one), start
        start = (2 * m + 1) * start
        for l in range(m, degree + 1):
            for sign, part in zip((1, -1), azimuth[m], strict=True):
                if sign > 0 or m > 0:
                    rows[l * l + l + sign * m] = norms[l, m] * multiply(legendre, part)
            square = x(x(below)) + y(y(below)) + z(z(below))
            below, legendre = (
                legendre,
                ((2 * l + 1) * z(legendre) - (l + m) * square) / (l - m + 1),
            )
    exponents = tuple(monomials(degree).T)
    return np.stack([row[exponents] for row in rows])


def multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the product of two polynomials of three variables, cut to their size."""
    product = np.zeros_like(p)
    for a, b, c in np.argwhere(p):
        shifted = np.roll(q, (a, b, c), (0, 1, 2))
        product += p[a, b, c] * shifted
    return product


def derivatives_of(polynomials: np.ndarray, degree: int, axis: int) -> np.ndarray:
    """Return polynomials times the variable of ``axis``, over one degree more.

    As polynomials in derivatives they act once more along ``axis``. From shape (n_rows,
    n_monomials of ``degree``) to (n_rows, n_monomials of ``degree + 1``).
    """
    higher = monomials(degree) + np.eye(3, dtype=int)[axis]
    result = np.zeros((len(polynomials), len(monomials(degree + 1))))
    result[:, places_of(higher, degree + 1)] = polynomials
    return result


@lru_cache(maxsize=16)
def gradient_matrices(max_angular: int) -> np.ndarray:
    """Return G with d(r^l Y_lm)/dx_a = sum G[a, lm, lm'] r^(l-1) Y_(l-1)m'.

    Shape (3, n_lm, n_lm).
    """
    rows = solid_harmonics(max_angular)
    exponents = monomials(max_angular)
    gradients = np.zeros((3, *rows.shape))
    for axis in range(3):
        has = np.flatnonzero(exponents[:, axis])
        lower = exponents[has] - np.eye(3, dtype=int)[axis]
        columns = places_of(lower, max_angular)
        gradients[axis][:, columns] = rows[:, has] * exponents[has, axis]
    return gradients @ np.linalg.pinv(rows)


def places_of(exponents: np.ndarray, degree: int) -> list[int]:
    """Return where monomials are among all up to ``degree``."""
    place = {tuple(e): i for i, e in enumerate(monomials(degree).tolist())}
    return [place[tuple(e)] for e in exponents.tolist()]
