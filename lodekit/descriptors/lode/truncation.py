"""Transforms of potentials that are truncated beyond a distance from a plane.

Replacing the potential of an atom by zero where |z| > R, z along the normal of a slab,
leaves periodic images of thickness up to R without effect when they repeat every 2 R
along the normal. The smearing is applied after the truncation, so that transforms keep
their Gaussian decay: phi_slab(k) = phi(k) - exp(-(k s)^2 / 2) T(k_par, k_z), with
k_z = n pi / R.
"""

from __future__ import annotations

import numpy as np
from scipy import special

#: Step of the trapezoidal rule in log s: errors fall as exp(-5 / step).
STEP = 0.1


def tail_factors(
    exponent: int, smearing: float, parallel_squares, normal_indices, half_height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return k^2 T / (4 pi), and its logarithmic derivative by k_par^2.

    For p = 1 that is (-1)^n exp(-k_par R). Else the potential is a sum of Gaussians of
    widths sqrt(s^2 + smearing^2), each with a closed form in the Faddeeva function.

    Parameters
    ----------
    exponent : int
        p, 1 or at least 3.
    smearing : float
        In Å.
    parallel_squares : ndarray of shape (n_k,)
        k_par^2 in 1/Å^2.
    normal_indices : ndarray of shape (n_k,)
        n in k_z = n pi / R; not 0 where k_par is.
    half_height : float
        R in Å.

    References
    ----------
    C. A. Rozzi et al., Phys. Rev. B 73, 205119 (2006), for p = 1.
    """
    signs = 1.0 - 2.0 * (normal_indices % 2)
    if exponent == 1:
        parallel = np.sqrt(parallel_squares)
        slopes = np.zeros(parallel.size)
        np.divide(-0.5 * half_height, parallel, out=slopes, where=parallel > 0.0)
        return signs * np.exp(-parallel * half_height), slopes
    s = np.exp(np.arange(np.log(half_height / 9.0), np.log(half_height) + 12.0, STEP))
    weights = STEP * s**2 * (s**2 + smearing**2) ** (0.5 * (1.0 - exponent))
    weights *= np.exp(-0.5 * (half_height / s) ** 2)
    distinct, place = np.unique(np.abs(normal_indices), return_inverse=True)
    normal = distinct * np.pi / half_height
    argument = (1j * half_height / s - normal[:, None] * s) / np.sqrt(2.0)
    waves = special.wofz(argument).real[place] * weights
    waves *= np.exp(-0.5 * np.outer(parallel_squares, s**2))
    factor = 2.0 ** (1.5 - 0.5 * exponent) * np.sqrt(np.pi)
    factor *= 1.0 / special.gamma(0.5 * exponent)
    squares = parallel_squares + normal[place] ** 2
    values = waves.sum(axis=1)
    slopes = 1.0 / squares - 0.5 * (waves @ s**2) / values
    return signs * 0.5 * factor * squares * values, slopes


def truncated_transform_at_zero(
    exponent: int, smearing: float, half_height: float
) -> float:
    """Return phi_slab(0); the potential of a plane is -2 pi |z| for p = 1."""
    if exponent == 1:
        return -2.0 * np.pi * half_height**2
    s = half_height * np.exp(np.arange(-30.0, 40.0, STEP))
    values = s**2 * (s**2 + smearing**2) ** (0.5 * (1.0 - exponent))
    values *= special.erf(half_height / s / np.sqrt(2.0))
    factor = (2.0 * np.pi) ** 1.5 * 2.0 ** (1.0 - 0.5 * exponent)
    return float(factor / special.gamma(0.5 * exponent) * STEP * values.sum())
