"""Projections of a smeared power law on a radial basis."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import special

from lodekit.descriptors.radial_basis import GaussianTypeOrbitals, Monomials
from lodekit.numerics.quadrature import gauss_legendre

from .power_law import far_factors, scaled_transform, transform_at_zero

#: Range in Å that the nodes resolve at least; near parts must be shorter.
LEAST_SPAN = 30.0


class PotentialProjections:
    """Integrals over k from which every radial function of LODE is made.

    A potential with the Fourier transform phi(k) at distance r from an atom contributes
    g_nl(r) Y_lm to the coefficients of this atom, with

        g_nl(r) = (2 / pi) int k^2 phi(k) I_nl(k) j_l(k r) dk,
        I_nl(k) = int r^2 R_nl(r) j_l(k r) dr.

    The integrand decays as a Gaussian and is smooth, so that Gauss-Legendre nodes
    serve; where there is a logarithm at k = 0, they are those of sqrt(k).

    Parameters
    ----------
    basis : GaussianTypeOrbitals or Monomials
        Radial functions R_nl.
    max_angular : int
        Largest l, inclusive.
    smearing : float
        Width s of the Gaussians in Å.
    exponent : int
        p of the potential, 1 / r^p far away; 0 for a Gaussian.

    References
    ----------
    A. Grisafi, M. Ceriotti, J. Chem. Phys. 151, 204105 (2019); K. K. Huguenin-Dumittan,
    P. Loche, N. Haoran, M. Ceriotti, J. Phys. Chem. Lett. 14, 9612 (2023).
    """

    def __init__(
        self,
        basis: GaussianTypeOrbitals | Monomials,
        max_angular: int,
        smearing: float,
        exponent: int = 1,
    ):
        self.basis = basis
        self.max_angular = max_angular
        self.smearing = smearing
        self.exponent = exponent
        self.extent = basis.extent
        # beyond this distance the basis sees the source as a point, to double precision
        spread = np.hypot(smearing, basis.tail_width)
        self.end = 9.0 * float(spread) + basis.tail_start
        # functions with a kink at the centre or an edge have tails of powers of 1 / k,
        # which only the smearing ends
        narrowest = np.hypot(smearing, basis.narrowest)
        k_end = 1.5 * (9.5 + 0.3 * (basis.max_radial + max_angular)) / narrowest
        k_end = max(k_end, 8.5 / smearing)
        n_nodes = 48 + 0.55 * k_end * max(self.extent + self.end, LEAST_SPAN)
        self.k, self.k_weights = gauss_legendre(n_nodes, k_end)
        if self.has_logarithm:
            root, weights = gauss_legendre(2.0 * n_nodes, 1.0)
            self.k, self.k_weights = k_end * root**2, 2.0 * k_end * root * weights
        self.potential = self.transform(self.k)
        self.integrals = self.radial_integrals(self.k)

    @property
    def has_logarithm(self) -> bool:
        """Whether the transform has a logarithm of k."""
        return self.exponent >= 3 and self.exponent % 2 == 1

    def transform(self, k: np.ndarray) -> np.ndarray:
        """Return k^2 phi(k), k in 1/Å and positive."""
        return scaled_transform(k, self.exponent, self.smearing)

    @cached_property
    def at_zero_k(self) -> np.ndarray:
        """The k = 0 value of c_n00 at a density of 1 / Å^3, shape (n_radial,).

        Zero for p = 1, 2 and 3, where a background takes its place.
        """
        phi = transform_at_zero(self.exponent, self.smearing)
        return np.sqrt(4.0 * np.pi) * phi * self.basis.moments(0, 2)

    def radial_integrals(self, k: np.ndarray) -> np.ndarray:
        """Return I_nl(k), shape (k.size, max_angular + 1, n_radial), k in 1/Å."""
        n_nodes = 48 + 0.55 * self.extent * max(k.max(initial=0.0), 8.0)
        r, weights = gauss_legendre(n_nodes, self.extent)
        functions = self.basis.by_angular(r, self.max_angular)
        bessel = spherical_bessel(self.max_angular, np.outer(k, r))
        return np.moveaxis(bessel @ (functions * (weights * r**2)[:, None]), 0, 1)

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
    def far_terms(self) -> np.ndarray:
        """Factors of r^-(p + l + 2j) in g_nl(r), (n_terms, n_l, n_radial)."""
        factors = far_factors(self.exponent, self.max_angular)
        terms = np.empty((factors.shape[1], len(factors), self.basis.size))
        for l, row in enumerate(factors):
            for j, factor in enumerate(4.0 * np.pi / (2.0 * l + 1.0) * row):
                terms[j, l] = factor * self.basis.moments(l, l + 2 * j + 2)
        return terms

    def far_field(self, r: np.ndarray) -> np.ndarray:
        """Return g_nl(r) far away: inverse powers of r times moments of the basis.

        For p = 1 that is 4 pi / (2l + 1) r^-(l+1) int r'^(l+2) R_n(r') dr', exact once
        Gaussians have died off, else a truncated asymptotic series. Returns g, g' and
        g'' as an array of shape (r.size, 3, max_angular + 1, n_radial).
        """
        n_terms, n_l = self.far_terms.shape[:2]
        l, j = np.arange(n_l), np.arange(n_terms)
        power = -(self.exponent + l + 2.0 * j[:, None])
        value = r[:, None, None] ** power
        slope = power / r[:, None, None] * value
        bend = (power - 1.0) / r[:, None, None] * slope
        derivatives = np.stack([value, slope, bend], axis=1)
        return np.einsum("rdjl,jln->rdln", derivatives, self.far_terms)


def spherical_bessel(max_angular: int, x: np.ndarray) -> np.ndarray:
    """Return j_l(x) for l up to ``max_angular``, shape (max_angular + 1, *x.shape)."""
    l = np.arange(max_angular + 1).reshape(-1, *[1] * x.ndim)
    return special.spherical_jn(l, x)
