"""Range separation of 1/r: a near part summed over pairs, a far part over k-vectors.

1/r is written as near(r) + far(r). The near part is negligible beyond a cutoff, and the
far part has no k-vectors beyond another. Only the far part is tabulated: with t = r^2
it is smooth down to r = 0, and its derivatives

    B_0 = far,  B_(n+1) = -2 dB_n/dt = -(1/r) dB_n/dr

are what fields, field gradients and forces of multipoles are made of.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev, legendre
from scipy import linalg, special

from lodekit.numerics.quadrature import gauss_legendre
from lodekit.numerics.smooth_step import smooth_step

#: Intervals of a table.
N_INTERVALS = 1024
#: Share of the k-range over which the far part is switched off smoothly, so that
#: nothing jumps when a change of the cell brings k-vectors in or out.
TAPER = 0.05


@dataclass(frozen=True, eq=False)
class Split:
    """Near and far part of 1/r^p.

    Attributes
    ----------
    exponent : int
        Exponent p.
    accuracy : float
        Error of forces relative to their root mean square.
    cutoff : float
        Range of the near part in Å.
    k_cutoff : float
        Largest k of the far part in 1/Å.
    table : ndarray of shape (n_orders, n_intervals, 6)
        Far B_n between the points of an even grid in t from 0 to cutoff^2: polynomials
        of the fraction of the interval, lowest power first.
    at_zero : ndarray of shape (n_orders,)
        Far B_n at r = 0.
    far_at_k_zero : float
        Finite part of the far part's Fourier transform at k = 0, in Å^(3-p).
    """

    exponent: int
    accuracy: float
    cutoff: float
    k_cutoff: float
    table: np.ndarray
    at_zero: np.ndarray
    far_at_k_zero: float

    def transform(self, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the far part's Fourier transform and its slope for k > 0."""
        raise NotImplementedError


class CoulombSplit(Split):
    """Near and far part of 1/r, split by the prolate spheroidal function of order 0.

    Of all functions without k-vectors beyond a limit it is the one that is least
    outside a sphere: range times k-cutoff is about half that of the usual Gaussian
    split at the same accuracy. The far part's transform is 4 pi/k^2 times the prolate
    function of k.

    References
    ----------
    J. Liang, L. Lu, A. Barnett, L. Greengard, S. Jiang, Nat. Commun. (2025),
    arXiv:2505.09727.
    """

    @classmethod
    @lru_cache(maxsize=32)
    def make(cls, cutoff: float, accuracy: float, n_orders: int = 1) -> CoulombSplit:
        """Return the split with a range in Å for a relative accuracy of forces."""
        bandwidth = coulomb_bandwidth(accuracy)
        table, at_zero = coulomb_table(bandwidth, n_orders)
        scales = cutoff ** (-1.0 - 2.0 * np.arange(n_orders))
        variance = prolate(bandwidth)[1] * (cutoff / bandwidth) ** 2
        return cls(
            exponent=1,
            accuracy=accuracy,
            cutoff=cutoff,
            k_cutoff=bandwidth / cutoff,
            table=table * scales[:, None, None],
            at_zero=at_zero * scales,
            far_at_k_zero=-2.0 * np.pi * variance,
        )

    def transform(self, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the far part's Fourier transform and its slope for k > 0."""
        window, slope = prolate_window(self.k_cutoff * self.cutoff, k / self.k_cutoff)
        value = 4.0 * np.pi / k**2 * window
        return value, 4.0 * np.pi / k**2 * slope / self.k_cutoff - 2.0 * value / k


def coulomb_bandwidth(accuracy: float) -> float:
    """Return range times k-cutoff for a relative error of forces (measured)."""
    return 4.8 - 1.2 * np.log(accuracy)


@lru_cache(maxsize=32)
def prolate(bandwidth: float) -> tuple[np.ndarray, float]:
    """Return the prolate function of order 0 as a Legendre series, 1 at the middle.

    Returns
    -------
    series : ndarray of shape (n_terms,)
        Legendre coefficients on [-1, 1].
    curvature : float
        Minus the second derivative at the middle.

    References
    ----------
    H. Xiao, V. Rokhlin, N. Yarvin, Inverse Problems 17, 805 (2001), equations 62-65.
    """
    k = 2.0 * np.arange(int(30 + bandwidth))
    c2 = bandwidth**2
    diagonal = k * (k + 1) + c2 * (2 * k * (k + 1) - 1) / ((2 * k + 3) * (2 * k - 1))
    beside = c2 * (k + 2) * (k + 1) / ((2 * k + 3) * np.sqrt((2 * k + 1) * (2 * k + 5)))
    values, vectors = linalg.eigh_tridiagonal(
        diagonal, beside[:-1], select="i", select_range=(0, 0)
    )
    series = np.zeros(2 * k.size)
    series[::2] = vectors[:, 0] * np.sqrt(k + 0.5)
    # its differential equation at the middle: psi'' = -eigenvalue psi
    return series / legendre.legval(0.0, series), float(values[0])


def prolate_window(bandwidth: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tapered prolate function at x = k / k_cutoff, and its derivative."""
    series, slopes = window_series(bandwidth)
    x = np.minimum(x, 1.0)
    u = 2.0 * x**2 - 1.0
    # of rounding errors, too, a square root is taken
    value = np.maximum(chebyshev.chebval(u, series), 0.0)
    change = 4.0 * x * chebyshev.chebval(u, slopes)
    step, slope, _ = smooth_step((x - 1.0) / TAPER + 1.0)
    return value * step, change * step + value * slope / TAPER


@lru_cache(maxsize=32)
def window_series(bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the prolate function as a Chebyshev series in 2 x^2 - 1, and its slope."""
    even = prolate(bandwidth)[0]
    series = chebyshev.chebinterpolate(
        lambda u: legendre.legval(np.sqrt(0.5 * (u + 1.0)), even),
        int(20 + 0.6 * bandwidth),
    )
    return series, chebyshev.chebder(series)


@lru_cache(maxsize=32)
def coulomb_table(bandwidth: float, n_orders: int) -> tuple[np.ndarray, np.ndarray]:
    """Return table and values at zero of the far part of 1/r with cutoff 1.

    B_n(r) = (2 / pi) int psi(k) k^(2n) j_n(kr) / (kr)^n dk over the window psi.
    """
    panels = []
    for start, end in ((0.0, 1.0 - TAPER), (1.0 - TAPER, 1.0)):
        x, weights = gauss_legendre(48 + bandwidth, end - start)
        panels.append((x + start, weights))
    x, weights = (np.concatenate(parts) for parts in zip(*panels, strict=True))
    weights = 2.0 / np.pi * bandwidth * weights * prolate_window(bandwidth, x)[0]
    k = bandwidth * x
    r = np.sqrt(np.arange(N_INTERVALS + 1) / N_INTERVALS)
    values = np.stack(
        [
            reduced_bessel(n, np.outer(r, k)) @ (weights * k ** (2 * n))
            for n in range(n_orders + 2)
        ]
    )
    return polynomials(values, 1.0 / N_INTERVALS), values[:n_orders, 0]


def reduced_bessel(n: int, x: np.ndarray) -> np.ndarray:
    """Return j_n(x) / x^n, which is 1 / (2n + 1)!! at zero."""
    return special.hyp0f1(n + 1.5, -0.25 * x**2) / special.factorial2(2 * n + 1)


def polynomials(values: np.ndarray, spacing: float) -> np.ndarray:
    """Return quintic polynomials in t through B_n with two derivatives.

    Parameters
    ----------
    values : ndarray of shape (n_orders + 2, n_points)
        B_0, B_1, ... on an even grid in t.

    Returns
    -------
    table : ndarray of shape (n_orders, n_points - 1, 6)
    """
    value, slope, bend = (
        values[:-2],
        -0.5 * spacing * values[1:-1],
        0.25 * spacing**2 * values[2:],
    )
    rise = value[:, 1:] - value[:, :-1]
    s0, s1, b0, b1 = slope[:, :-1], slope[:, 1:], bend[:, :-1], bend[:, 1:]
    return np.stack(
        [
            value[:, :-1],
            s0,
            0.5 * b0,
            10.0 * rise - 6.0 * s0 - 4.0 * s1 - 1.5 * b0 + 0.5 * b1,
            -15.0 * rise + 8.0 * s0 + 7.0 * s1 + 1.5 * b0 - b1,
            6.0 * rise - 3.0 * s0 - 3.0 * s1 - 0.5 * b0 + 0.5 * b1,
        ],
        axis=-1,
    )
