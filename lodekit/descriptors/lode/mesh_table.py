"""Radial functions of the far part of LODE in the form that a mesh takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from scipy.interpolate import BPoly

from lodekit.descriptors.radial import RadialTable
from lodekit.numerics.mesh_accuracy import mesh_parameters

#: Number of k at which the functions are fitted.
N_NODES = 400
#: Where the functions are fitted from, in 1/Å: cells up to 200 Å.
SMALLEST_K = 0.03
#: Density of neighbours, in 1/Å^3, for which errors are estimated.
NOMINAL_DENSITY = 0.1
#: Shares of the tolerance for the fit and for the mesh.
FIT_SHARE, MESH_SHARE = 0.2, 0.5


@dataclass(frozen=True)
class MeshTable:
    """Far functions of all n and l made from a few functions of k alone.

    k^2 times the far part of (n, l) is k^l sum_q h_q(k) A_l[q, n]. With k^l Y_lm(k) a
    polynomial in k, which derivatives of a field put in, all l share the same fields:
    one for every h_q and species.

    Attributes
    ----------
    series : ndarray of shape (2, n_terms, n_q)
        h_q(k) = t_q(x) + s(x) u_q(x), with x = k / k_cutoff and Chebyshev series t and
        u in 2 x^2 - 1.
    singular : tuple of (int, bool)
        s(x) is x to this power, times log x or not.
    k_cutoff : float
        Largest k in 1/Å.
    mixing : ndarray of shape (n_l, n_q, n_radial)
        The matrices A_l.
    spacing : float
        Spacing of the mesh in Å.
    order : int
        Order of its splines.
    """

    series: np.ndarray
    singular: tuple[int, bool]
    k_cutoff: float
    mixing: np.ndarray
    spacing: float
    order: int

    def evaluate(self, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return h_q(k) and the derivatives, arrays of shape (k.size, n_q)."""
        x = k / self.k_cutoff
        regular, rest = self.series
        value, slope = even_series(x, regular)
        if rest.any():
            factor, change = singular_factor(x[:, None], *self.singular)
            more, more_slope = even_series(x, rest)
            value += factor * more
            slope += factor * more_slope + change * more
        return value, slope / self.k_cutoff


def make_mesh_table(
    far: RadialTable,
    far_radial: list,
    scale: np.ndarray,
    k_cutoff: float,
    extent: float,
    exponent: int,
    tolerance: float,
) -> MeshTable:
    """Fit the table of a split.

    Parameters
    ----------
    far, far_radial, k_cutoff
        See `Split`.
    scale : ndarray of shape (n_l, n_radial)
        Units of errors.
    extent : float
        Range in Å beyond which the functions have nothing in real space.
    exponent : int
        p of the potential 1 / r^p: its transform has a term k^(p - 3), with log k if p
        is odd, that is no polynomial in k^2.
    tolerance : float
        Largest error of coefficients in units of ``scale``, for neighbours at random
        places at the nominal density.
    """
    # where there is a logarithm, the table is poor before its first knot
    start = max(SMALLEST_K, far.spacing)
    step = (k_cutoff - start) / N_NODES
    k = start + step * (np.arange(N_NODES) + 0.5)
    functions = far_functions(far, far_radial, k) / scale
    # the squared error of a coefficient is sum (w e)^2, with e that of the functions
    weights = np.sqrt(8.0 * NOMINAL_DENSITY * step) / k
    l = np.arange(len(scale))
    powers = weights[:, None] * (k[:, None] / k_cutoff) ** l

    n_terms = int(10 + 0.5 * k_cutoff * extent)
    singular = (exponent - 1, bool(exponent % 2))
    basis = series_basis(k / k_cutoff, n_terms, singular if exponent > 1 else None)
    fits = [
        np.linalg.lstsq(
            power[:, None] * basis, weights[:, None] * function, rcond=1e-6 * tolerance
        )[0]
        for power, function in zip(powers.T, np.swapaxes(functions, 0, 1), strict=True)
    ]
    fits = np.stack(fits, axis=1)
    modes = common_modes(np.tensordot(basis, fits, 1), powers, FIT_SHARE * tolerance)
    series = fits.reshape(len(fits), -1) @ modes.T
    series = np.concatenate([series, np.zeros((2 * n_terms - len(series), len(modes)))])
    mixing = np.moveaxis(modes.reshape(-1, *scale.shape), 0, 1)
    amplitudes = weights[:, None] * np.abs(functions).max(axis=2)
    spacing, order = mesh_parameters(k, amplitudes, MESH_SHARE * tolerance)
    return MeshTable(
        series=series.reshape(2, n_terms, -1),
        singular=singular,
        k_cutoff=k_cutoff,
        mixing=mixing * (scale / k_cutoff ** l[:, None])[:, None],
        spacing=spacing,
        order=order,
    )


def far_functions(far: RadialTable, far_radial: list, k: np.ndarray) -> np.ndarray:
    """Return k^2 times the far part of all n and l, (k.size, n_l, n_radial)."""
    table = BPoly.from_derivatives(far.knots, far.values)(k)
    table = table.reshape(k.size, len(far_radial), -1)
    parts = [
        (-1.0) ** (l // 2) * table[:, l, : len(mode)] @ mode
        for l, mode in enumerate(far_radial)
    ]
    return np.stack(parts, axis=1)


def common_modes(functions, powers, tolerance: float) -> np.ndarray:
    """Return few functions that make all: a matrix (n_q, n_l * n_radial).

    Parameters
    ----------
    functions : ndarray of shape (n_k, n_l, n_radial)
        The far functions without their factors (k / k_cutoff)^l.
    powers : ndarray of shape (n_k, n_l)
        Weights of errors, times these factors.
    tolerance : float
        Largest error.
    """
    flat = functions.reshape(len(functions), -1)
    _, _, modes = np.linalg.svd(powers[:, :1] * flat, full_matrices=False)
    for size in range(1, len(modes)):
        rest = flat - flat @ modes[:size].T @ modes[:size]
        rest = powers[..., None] * rest.reshape(functions.shape)
        if np.sqrt((rest**2).sum(axis=0)).max() < tolerance:
            return modes[:size]
    return modes


def series_basis(x: np.ndarray, n_terms: int, singular) -> np.ndarray:
    """Return the functions of `MeshTable.series` at x, (x.size, n_functions)."""
    basis = chebyshev.chebvander(2.0 * x**2 - 1.0, n_terms - 1)
    if singular is None:
        return basis
    factor = singular_factor(x, *singular)[0]
    return np.concatenate([basis, factor[:, None] * basis], axis=1)


def even_series(x: np.ndarray, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Chebyshev series in 2 x^2 - 1 and derivatives, (x.size, n_functions)."""
    polynomials = chebyshev.chebvander(2.0 * x**2 - 1.0, len(series) - 1)
    slopes = polynomials[:, :-1] @ chebyshev.chebder(series)
    return polynomials @ series, slopes * 4.0 * x[:, None]


def singular_factor(x: np.ndarray, power: int, log: bool):
    """Return x^power, times log x if wanted, and the derivative; x > 0."""
    if not log:
        return x**power, power * x ** (power - 1)
    return x**power * np.log(x), x ** (power - 1) * (power * np.log(x) + 1.0)
