"""Projections of the smeared Coulomb potential on a radial basis."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import special

from .radial import GaussianTypeOrbitals, gauss_legendre


class PotentialProjections:
    """Integrals over k from which every radial function of LODE is made.

    A potential with the Fourier transform phi(k) at distance r from an atom contributes
    g_nl(r) Y_lm to the coefficients of this atom, with

        g_nl(r) = (2 / pi) int k^2 phi(k) I_nl(k) j_l(k r) dk,
        I_nl(k) = int r^2 R_n(r) j_l(k r) dr.

    The potential of a Gaussian of width s is phi(k) = (4 pi / k^2) exp(-k^2 s^2 / 2);
    the integrand is smooth and decays as a Gaussian, so that Gauss-Legendre nodes
    serve.

    Parameters
    ----------
    basis : GaussianTypeOrbitals
        Radial functions R_n.
    max_angular : int
        Largest l, inclusive.
    smearing : float
        Width s of the Gaussian charges in Å.

    References
    ----------
    A. Grisafi, M. Ceriotti, J. Chem. Phys. 151, 204105 (2019); K. K. Huguenin-Dumittan,
    P. Loche, N. Haoran, M. Ceriotti, J. Phys. Chem. Lett. 14, 9612 (2023).
    """

    def __init__(self, basis: GaussianTypeOrbitals, max_angular: int, smearing: float):
        self.basis = basis
        self.max_angular = max_angular
        self.smearing = smearing
        self.extent = basis.extent
        # beyond this distance the basis sees the charge as a point charge, to double
        # precision
        spread = np.hypot(smearing, basis.widths.max())
        self.end = 9.0 * float(spread) + 0.5 * basis.max_radial
        narrowest = np.hypot(smearing, basis.widths.min())
        k_end = 1.5 * (9.5 + 0.3 * (basis.max_radial + max_angular)) / narrowest
        n_nodes = 48 + 0.55 * k_end * (self.extent + self.end)
        self.k, self.k_weights = gauss_legendre(n_nodes, k_end)
        # k^2 phi(k)
        self.potential = 4.0 * np.pi * np.exp(-0.5 * (self.k * smearing) ** 2)
        self.integrals = self.radial_integrals(self.k)

    def radial_integrals(self, k: np.ndarray) -> np.ndarray:
        """Return I_nl(k), shape (k.size, max_angular + 1, n_radial), k in 1/Å."""
        n_nodes = 48 + 0.55 * self.extent * max(k.max(initial=0.0), 8.0)
        r, weights = gauss_legendre(n_nodes, self.extent)
        weighted = self.basis.evaluate(r) * (weights * r**2)[:, None]
        bessel = spherical_bessel(self.max_angular, np.outer(k, r))
        return np.moveaxis(bessel @ weighted, 0, 1)

    def project(self, r: np.ndarray) -> np.ndarray:
        """Return g_nl(r), shape (r.size, max_angular + 1, n_radial), r in Å."""
        weights = 2.0 / np.pi * self.k_weights * self.potential
        bessel = spherical_bessel(self.max_angular, np.outer(r, self.k))
        integrals = np.moveaxis(self.integrals * weights[:, None, None], 1, 0)
        return np.moveaxis(bessel @ integrals, 0, 1)

    @cached_property
    def at_center(self) -> np.ndarray:
        """g_n0(0) of the whole potential, shape (n_radial,)."""
        return self.project(np.zeros(1))[0, 0]

    @cached_property
    def scale(self) -> np.ndarray:
        """Largest |g_nl| of the whole potential, shape (max_angular + 1, n_radial).

        Errors of coefficients are measured in these units.
        """
        r = np.linspace(0.0, self.end, 101)
        return np.abs(self.project(r)).max(axis=0)

    @cached_property
    def relative_integrals(self) -> np.ndarray:
        """Integrals phi(k) I_nl(k) / scale at the nodes, (n_nodes, n_l, n_radial)."""
        phi = self.potential / self.k**2
        return phi[:, None, None] * self.integrals / self.scale

    @cached_property
    def moments(self) -> np.ndarray:
        """Multipole moments int r^(l+2) R_n(r) dr, (max_angular + 1, n_radial)."""
        power = 3.0 + np.arange(self.basis.size)
        l = np.arange(self.max_angular + 1)[:, None]
        rate = 0.5 / self.basis.widths**2
        half = 0.5 * (power + l)
        return 0.5 * special.gamma(half) * rate**-half @ self.basis.mixing.T

    def far_field(self, r: np.ndarray) -> np.ndarray:
        """Return g_nl(r) far away, 4 pi / (2l + 1) r^-(l+1) times the moments.

        Returns g, g' and g'' as an array of shape (r.size, 3, max_angular + 1,
        n_radial).
        """
        l = np.arange(self.max_angular + 1.0)
        value = 4.0 * np.pi / (2.0 * l + 1.0) * r[:, None] ** -(l + 1.0)
        slope = -(l + 1.0) / r[:, None] * value
        bend = -(l + 2.0) / r[:, None] * slope
        return np.stack([value, slope, bend], axis=1)[..., None] * self.moments


def spherical_bessel(max_angular: int, x: np.ndarray) -> np.ndarray:
    """Return j_l(x) for l up to ``max_angular``, shape (max_angular + 1, *x.shape)."""
    l = np.arange(max_angular + 1).reshape(-1, *[1] * x.ndim)
    return special.spherical_jn(l, x)
