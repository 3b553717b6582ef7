"""Integrals of functions times 1, r and r r: electrons, dipoles and quadrupoles.

With the transform f(k) of a function around its site, the integrals are f(0), i grad
f(0) and minus the second derivatives at 0: only l = 0 has a charge, l = 1 a dipole, and
second moments come from l = 0 (its trace) and l = 2.
"""

from __future__ import annotations

import math

import numpy as np

from .sites import Sites

#: Second derivatives of r^2 Y_2m for m = -2 to 2, without sqrt(15 / 4 pi).
_HESSIANS = np.zeros((5, 3, 3))
for _m, _a, _b in ((0, 0, 1), (1, 1, 2), (3, 0, 2)):
    _HESSIANS[_m, _a, _b] = _HESSIANS[_m, _b, _a] = 1.0
_HESSIANS[2] = np.diag([-1.0, -1.0, 2.0]) / math.sqrt(3.0)
_HESSIANS[4] = np.diag([1.0, -1.0, 0.0])
_HESSIANS *= math.sqrt(15.0 / (4.0 * math.pi))


def charges_of(sites: Sites) -> np.ndarray:
    """Return the integral of every function, (n_functions,), in Å^(3/2)."""

    def of_shell(l, spreads, amplitudes):
        values = np.zeros(2 * l + 1)
        if l == 0:
            values[0] = amplitudes.sum() / math.sqrt(4.0 * math.pi)
        return values

    return sites.per_function(of_shell)


def local_dipoles(sites: Sites) -> np.ndarray:
    """Return the first moments about the sites, (n_functions, 3), in Å^(5/2)."""

    def of_shell(l, spreads, amplitudes):
        values = np.zeros((2 * l + 1, 3))
        if l == 1:  # m = -1, 0, 1 is y, z, x
            norm = amplitudes.sum() * math.sqrt(3.0 / (4.0 * math.pi))
            values[[0, 1, 2], [1, 2, 0]] = norm
        return values

    return sites.per_function(of_shell)


def local_second_moments(sites: Sites) -> np.ndarray:
    """Return the second moments about the sites, (n_functions, 3, 3), in Å^(7/2)."""

    def of_shell(l, spreads, amplitudes):
        values = np.zeros((2 * l + 1, 3, 3))
        if l == 0:
            spread = 2.0 * (spreads @ amplitudes) / math.sqrt(4.0 * math.pi)
            values[0] = spread * np.eye(3)
        if l == 2:
            values[:] = amplitudes.sum() * _HESSIANS
        return values

    return sites.per_function(of_shell)


def dipoles_of(sites: Sites) -> np.ndarray:
    """Return the first moments about the origin, (n_functions, 3), in Å^(5/2)."""
    positions = sites.positions[sites.site_of_function]
    return charges_of(sites)[:, None] * positions + local_dipoles(sites)


def second_moments_of(sites: Sites) -> np.ndarray:
    """Return the second moments about the origin, (n_functions, 3, 3), in Å^(7/2)."""
    positions = sites.positions[sites.site_of_function]
    mixed = local_dipoles(sites)[:, :, None] * positions[:, None, :]
    squares = positions[:, :, None] * positions[:, None, :]
    return (
        charges_of(sites)[:, None, None] * squares
        + mixed
        + np.swapaxes(mixed, 1, 2)
        + local_second_moments(sites)
    )


def without_trace(tensors: np.ndarray) -> np.ndarray:
    """Return second moments (..., 3, 3) without their trace."""
    trace = np.trace(tensors, axis1=-2, axis2=-1)[..., None, None]
    return tensors - trace / 3.0 * np.eye(3)
