"""Smeared power laws: Fourier transforms and expansion far away."""

from __future__ import annotations

import numpy as np
from scipy import special

#: Exponents p of featomic's ``SmearedPowerLaw``.
EXPONENTS = range(10)
#: Number of terms kept of the asymptotic series of the potential far away.
N_TERMS = 21


def scaled_transform(k: np.ndarray, exponent: int, smearing: float) -> np.ndarray:
    """Return k^2 phi(k) of the potential that one atom makes.

    The potential is gamma(p / 2, r^2 / (2 s^2)) / (Gamma(p / 2) r^p), with gamma the
    lower incomplete Gamma function: 1 / r^p far away, and erf(r / (sqrt(2) s)) / r for
    p = 1. Its transform is

        phi(k) = pi^(3/2) (2 s^2)^((3 - p) / 2) / Gamma(p / 2) E_((p - 1) / 2)(x),

    with x = (k s)^2 / 2 and the generalised exponential integrals E_n; for p = 1 this
    is (4 pi / k^2) exp(-x). For p = 0 the potential is a Gaussian of width s and L2
    norm 1 as in SOAP, with phi(k) = (4 pi s^2)^(3/4) exp(-x).

    Parameters
    ----------
    k : ndarray
        Wave numbers in 1/Å, positive.
    exponent : int
        p.
    smearing : float
        s in Å.

    References
    ----------
    K. K. Huguenin-Dumittan, P. Loche, N. Haoran, M. Ceriotti, J. Phys. Chem. Lett. 14,
    9612 (2023), supplementary information D.
    """
    x = 0.5 * (k * smearing) ** 2
    if exponent == 0:
        return (4.0 * np.pi * smearing**2) ** 0.75 * k**2 * np.exp(-x)
    if exponent == 1:
        return 4.0 * np.pi * np.exp(-x)
    if exponent % 2:
        integral = special.expn((exponent - 1) // 2, x)
    else:
        order = 0.5
        integral = np.sqrt(np.pi / x) * special.erfc(np.sqrt(x))
        while order < 0.5 * (exponent - 1):
            integral = (np.exp(-x) - x * integral) / order
            order += 1.0
    return prefactor(exponent, smearing) * k**2 * integral


def transform_at_zero(exponent: int, smearing: float) -> float:
    """Return phi(0), and 0 where it does not exist: p = 1, 2 and 3.

    There the k = 0 term is dropped, a uniform background for every species.
    """
    if exponent == 0:
        return (4.0 * np.pi * smearing**2) ** 0.75
    if exponent <= 3:
        return 0.0
    return prefactor(exponent, smearing) * 2.0 / (exponent - 3.0)


def prefactor(exponent: int, smearing: float) -> float:
    """Return pi^(3/2) (2 s^2)^((3 - p) / 2) / Gamma(p / 2)."""
    power = (2.0 * smearing**2) ** (0.5 * (3.0 - exponent))
    return float(np.pi**1.5 * power / special.gamma(0.5 * exponent))


def far_factors(exponent: int, max_angular: int) -> np.ndarray:
    """Return a_lj of 1 / |r - r'|^p = sum_lj a_lj r'^(l+2j) / r^(p+l+2j) P_l(cos).

    The connection of Gegenbauer polynomials of order p / 2 with Legendre polynomials:
    a_lj = (2l + 1) (p / 2)_(l+j) ((p - 1) / 2)_j / (j! (3 / 2)_(l+j)). For p = 1 it is
    1 for j = 0 and 0 else, for p = 0 there is nothing far away.

    Returns
    -------
    factors : ndarray of shape (max_angular + 1, n_terms)
    """
    if exponent == 0:
        return np.zeros((max_angular + 1, 1))
    l = np.arange(max_angular + 1)[:, None]
    j = np.arange(1 if exponent == 1 else N_TERMS)
    factors = (2 * l + 1) * special.poch(0.5 * exponent, l + j)
    factors *= special.poch(0.5 * (exponent - 1), j)
    return factors / (special.factorial(j) * special.poch(1.5, l + j))
