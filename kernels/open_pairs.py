"""Interactions 1/r^p of all pairs of an open system, points or Gaussians."""

import math

from numba import njit, prange


@njit(cache=True, error_model="numpy", inline="always")
def pair_value(square, variance, exponent):
    """Return erf(r / (sqrt(2) s)) / r, or 1/r^p for s = 0, and -(1/r) d/dr of it."""
    r = math.sqrt(square)
    if variance > 0.0:
        a = 1.0 / math.sqrt(2.0 * variance)
        x = a * a * square
        peak = 2.0 * a / math.sqrt(math.pi)
        if x < 1e-3:
            # erf cancels: its power series
            value = peak * (1.0 - x * (1.0 / 3.0 - x * (0.1 - x / 42.0)))
            slope = 2.0 * a * a * peak * (1.0 / 3.0 - x * (0.2 - x / 14.0))
            return value, slope
        value = math.erf(a * r) / r
        return value, (value - peak * math.exp(-x)) / square
    if square == 0.0:
        return math.inf, math.inf
    value = 1.0 / r if exponent == 1 else (1.0 / r) ** exponent
    return value, exponent * value / square


@njit(cache=True, error_model="numpy", parallel=True)
def fill_open_rows(positions, variances, exponent, start, rows):
    """Fill rows (n_rows, n_atoms) of the matrix from row ``start``."""
    for row in prange(rows.shape[0]):
        i = start + row
        for j in range(positions.shape[0]):
            x = positions[j, 0] - positions[i, 0]
            y = positions[j, 1] - positions[i, 1]
            z = positions[j, 2] - positions[i, 2]
            value, _ = pair_value(
                x * x + y * y + z * z, variances[i] + variances[j], exponent
            )
            rows[row, j] = value


@njit(cache=True, error_model="numpy", parallel=True)
def add_open_gradients(
    positions, variances, exponent, left, right, potential, gradients
):
    """Add the gradients of a.V b and the potential V b, without self-terms.

    Shapes: positions and gradients (n_atoms, 3); left, right, potential (n_atoms,).
    """
    n_atoms = positions.shape[0]
    for i in prange(n_atoms):
        total = 0.0
        gx = 0.0
        gy = 0.0
        gz = 0.0
        for j in range(n_atoms):
            if j == i:
                continue
            x = positions[j, 0] - positions[i, 0]
            y = positions[j, 1] - positions[i, 1]
            z = positions[j, 2] - positions[i, 2]
            value, slope = pair_value(
                x * x + y * y + z * z, variances[i] + variances[j], exponent
            )
            total += value * right[j]
            factor = slope * (left[i] * right[j] + left[j] * right[i])
            gx += factor * x
            gy += factor * y
            gz += factor * z
        potential[i] += total
        gradients[i, 0] += gx
        gradients[i, 1] += gy
        gradients[i, 2] += gz
