"""Radial functions: densities, cutoffs, and the tables of the pair loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from lodekit.numerics.quadrature import gauss_legendre

from .radial_basis import GaussianTypeOrbitals


@dataclass(frozen=True)
class RadialTable:
    """Radial functions g_nl and two derivatives on an even grid.

    Attributes
    ----------
    values : ndarray of shape (n_knots, 3, n_l * n_padded)
        g, g' and g'' at ``r = knot * spacing``, angular index first. The radial index
        is padded with zeros to an even number: the loops take two at a time.
    spacing : float
        Distance between two knots in Å.
    n_radial : int
        Number of radial functions, without padding.
    """

    values: np.ndarray
    spacing: float
    n_radial: int

    @classmethod
    def from_derivatives(cls, derivatives: np.ndarray, spacing: float) -> RadialTable:
        """Pack an array of shape (n_knots, 3, n_l, n_radial)."""
        n_radial = derivatives.shape[3]
        padding = [(0, 0)] * 3 + [(0, -n_radial % 2)]
        padded = np.pad(derivatives, padding)
        values = padded.reshape(*padded.shape[:2], -1)
        return cls(np.ascontiguousarray(values), float(spacing), n_radial)

    @property
    def knots(self) -> np.ndarray:
        """Places of the knots, shape (n_knots,)."""
        return self.spacing * np.arange(len(self.values))

    @property
    def at_center(self) -> np.ndarray:
        """g_n0 Y_00 of an atom at the centre, shape (n_radial,)."""
        return self.values[0, 0, : self.n_radial] / np.sqrt(4.0 * np.pi)

    def extended(self, tail: RadialTable) -> RadialTable:
        """Return the table with the knots of ``tail`` appended."""
        return replace(self, values=np.concatenate([self.values, tail.values]))

    def scaled(self, factors: np.ndarray) -> RadialTable:
        """Return the functions times ``factors`` of shape (n_l, n_radial)."""
        padded = np.pad(factors, [(0, 0), (0, -self.n_radial % 2)])
        return replace(self, values=self.values * padded.ravel())


def gaussian_overlaps(
    r: np.ndarray, basis: GaussianTypeOrbitals, max_angular: int, width: float
) -> np.ndarray:
    """Return the projections of a Gaussian at distance ``r`` on the basis.

    g_nl(r) = 4 pi (pi s^2)^(-3/4) int r'^2 R_n(r') exp(-(r^2 + r'^2) / (2 s^2))
    i_l(r r' / s^2) dr', with i_l the modified spherical Bessel functions, by
    Gauss-Legendre quadrature.

    Parameters
    ----------
    r : ndarray of shape (n_points,)
        Distances in Å.
    width : float
        Width s of the Gaussian in Å.

    Returns
    -------
    overlaps : ndarray of shape (n_points, max_angular + 1, basis.size)

    References
    ----------
    A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013), Eq. 24.
    """
    panel = min(width, basis.widths.min())
    nodes, weights = gauss_legendre(40 + 12 * basis.extent / panel, basis.extent)
    weighted = basis.evaluate(nodes) * (weights * nodes**2)[:, None]
    gaussian = np.exp(-0.5 * ((r[:, None] - nodes) / width) ** 2)
    argument = np.outer(r, nodes) / width**2
    overlaps = np.empty((r.size, max_angular + 1, basis.size))
    for l in range(max_angular + 1):
        overlaps[:, l] = (gaussian * scaled_spherical_in(l, argument)) @ weighted
    return 4.0 * np.pi * (np.pi * width**2) ** -0.75 * overlaps


def scaled_spherical_in(l: int, x: np.ndarray) -> np.ndarray:
    """Return exp(-x) i_l(x), the scaled modified spherical Bessel function, x >= 0."""
    small = x < 1e-6
    safe = np.where(small, 1.0, x)
    values = special.ive(l + 0.5, safe) * np.sqrt(0.5 * np.pi / safe)
    return np.where(small, x**l / special.factorial2(2 * l + 1), values)


def tabulate(
    function: Callable[[np.ndarray], np.ndarray],
    end: float,
    accuracy: float,
    smallest: float = 0.0,
) -> RadialTable:
    """Tabulate smooth radial functions on [0, end] for quintic Hermite interpolation.

    The knots are refined until values halfway between them agree with ``function``.

    Parameters
    ----------
    function : callable
        Takes distances of shape (n,) in Å, returns values of shape (n, n_l, n_radial).
    end : float
        Largest distance in Å.
    accuracy : float
        Largest error, relative to the largest value.
    smallest : float
        Where the table begins to be accurate; not 0 for functions with a logarithm
        there.
    """
    edges = [0.0, end]
    while 4.0 * smallest < edges[1] and smallest > 0.0:
        edges.insert(1, edges[1] / 4.0)
    pieces = [
        chebyshev_derivatives(function, *interval)
        for interval in zip(edges[:-1], edges[1:], strict=True)
    ]

    def derivative(order, r):
        piece = np.searchsorted(edges[1:-1], r, side="right")
        parts = [pieces[p][order](r[piece == p]) for p in range(len(pieces))]
        return np.concatenate(parts)

    n_intervals = 32
    while True:
        knots = np.linspace(0.0, end, n_intervals + 1)
        halfway = 0.5 * (knots[:-1] + knots[1:])
        table = np.stack([derivative(order, knots) for order in range(3)], axis=1)
        exact = derivative(0, halfway)
        error = np.abs(interpolate_halfway(table, knots[1]) - exact)
        error = error[halfway > smallest].max()
        if error <= accuracy * np.abs(exact).max() or n_intervals >= 8192:
            shape = function(knots[1:2]).shape[1:]
            table = table.reshape(n_intervals + 1, 3, *shape)
            return RadialTable.from_derivatives(table, knots[1])
        n_intervals *= 2


def interpolate_halfway(table: np.ndarray, spacing: float) -> np.ndarray:
    """Return the quintic Hermite interpolant in the middle of every interval."""
    weights = np.array([1.0, 5.0 / 16.0 * spacing, spacing**2 / 32.0]) / 2.0
    signs = np.array([1.0, -1.0, 1.0])
    left = np.einsum("d,kdf->kf", weights, table[:-1])
    return left + np.einsum("d,kdf->kf", weights * signs, table[1:])


def chebyshev_derivatives(function, start: float, end: float) -> list[Callable]:
    """Return smooth functions for the values and two derivatives of ``function``.

    A Chebyshev series of growing degree on [start, end] is differentiated term by term.
    """
    half = 0.5 * (end - start)
    degree = 64
    while True:
        angles = np.pi * (np.arange(degree) + 0.5) / degree
        nodes = start + half * (1.0 - np.cos(angles))
        values = function(nodes).reshape(degree, -1)
        x = (nodes - start) / half - 1.0
        series = 2.0 / degree * (chebyshev.chebvander(x, degree - 1).T @ values)
        series[0] *= 0.5
        tail = np.abs(series[-8:]).max() / max(np.abs(series).max(), 1e-300)
        if tail < 1e-13 or degree >= 1024:
            break
        degree *= 2
    return [
        lambda r, d=d: (
            chebyshev.chebval(
                (r - start) / half - 1.0, chebyshev.chebder(series, d, scl=1.0 / half)
            ).T
        )
        for d in range(3)
    ]


def cutoff_factors(distances: np.ndarray, cutoff: dict, scaling) -> np.ndarray:
    """Return smoothing times scaling at ``distances`` (Å) and its derivative, (n, 2).

    ``cutoff`` and ``scaling`` are featomic's dictionaries: smoothing ``ShiftedCosine``
    or ``Step``, scaling ``Willatt2018`` or None.
    """
    factors = np.zeros((distances.size, 2))
    factors[:, 0] = distances <= cutoff["radius"]
    if cutoff["smoothing"]["type"] == "ShiftedCosine" and cutoff["smoothing"]["width"]:
        width = cutoff["smoothing"]["width"]
        phase = np.pi * (distances - cutoff["radius"] + width) / width
        edge = (phase > 0.0) & (phase < np.pi)
        factors[edge, 0] = 0.5 * (1.0 + np.cos(phase[edge]))
        factors[edge, 1] = -0.5 * np.pi / width * np.sin(phase[edge])
    if scaling is not None:
        value, slope = willatt_scaling(distances, scaling)
        factors[:, 1] = factors[:, 1] * value + factors[:, 0] * slope
        factors[:, 0] *= value
    return factors


def willatt_scaling(distances: np.ndarray, scaling: dict):
    """Return c / (c + (r / r0)^m) and its derivative, arrays of shape (n,).

    References
    ----------
    M. J. Willatt, F. Musil, M. Ceriotti, Phys. Chem. Chem. Phys. 20, 29661 (2018), Eq.
    26.
    """
    rate, exponent, scale = scaling["rate"], scaling["exponent"], scaling["scale"]
    power = (distances / scale) ** exponent
    value = rate / (rate + power)
    slope = -rate * exponent * power / distances / (rate + power) ** 2
    return value, slope
