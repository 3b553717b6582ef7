"""Orthonormal radial bases of the expansions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special


@dataclass(frozen=True)
class GaussianTypeOrbitals:
    """Orthonormal radial basis R_n(r) made of r^n exp(-r^2 / (2 s_n^2)).

    The widths are s_n = radius * max(sqrt(n), 1) / (max_radial + 1) and the functions
    are orthonormalised symmetrically (Löwdin), as featomic's ``Gto`` does.

    Attributes
    ----------
    max_radial : int
        Largest n, inclusive: there are ``max_radial + 1`` functions.
    radius : float
        Extent of the basis in Å.
    """

    max_radial: int
    radius: float

    @property
    def size(self) -> int:
        """Number of radial functions."""
        return self.max_radial + 1

    @property
    def widths(self) -> np.ndarray:
        """Gaussian widths s_n in Å, shape (size,)."""
        n = np.arange(self.size)
        return self.radius * np.sqrt(np.maximum(n, 1)) / self.size

    @property
    def extent(self) -> float:
        """Distance in Å beyond which every function is below 1e-16 of its maximum."""
        return 10.0 * float(self.widths.max()) + self.max_radial * 0.5

    @property
    def tail_width(self) -> float:
        """Width in Å of the Gaussian tail of the functions."""
        return float(self.widths.max())

    @property
    def tail_start(self) -> float:
        """Distance in Å that the powers of r add to the Gaussian tail."""
        return 0.5 * self.max_radial

    @property
    def narrowest(self) -> float:
        """Width in Å of the narrowest function."""
        return float(self.widths.min())

    @property
    def mixing(self) -> np.ndarray:
        """Matrix from primitive to orthonormal functions, shape (size, size)."""
        n = np.arange(self.size)
        power = 3.0 + n[:, None] + n[None, :]
        inverse = 0.5 / self.widths**2
        rate = inverse[:, None] + inverse[None, :]
        return orthonormalization(0.5 * special.gamma(power / 2) * rate ** (-power / 2))

    def evaluate(self, r: np.ndarray) -> np.ndarray:
        """Return the orthonormal functions at ``r`` (Å), shape (r.size, size)."""
        n = np.arange(self.size)
        gaussians = np.exp(-0.5 * (r[:, None] / self.widths) ** 2)
        return (r[:, None] ** n * gaussians) @ self.mixing.T

    def by_angular(self, r: np.ndarray, max_angular: int) -> np.ndarray:
        """Return the functions for every l, shape (max_angular + 1, r.size, size)."""
        values = self.evaluate(r)
        return np.broadcast_to(values, (max_angular + 1, *values.shape))

    def moments(self, l: int, power: int) -> np.ndarray:
        """Return int r^power R_n(r) dr, the same for every l, shape (size,)."""
        half = 0.5 * (power + 1.0 + np.arange(self.size))
        return self.mixing @ (
            0.5 * special.gamma(half) * (2.0 * self.widths**2) ** half
        )


@dataclass(frozen=True)
class Monomials:
    """Orthonormal radial basis R_nl(r) made of r^(l + 2n) inside a sphere.

    Orthonormalised symmetrically (Löwdin), as featomic's ``Monomials``.

    Attributes
    ----------
    max_radial : int
        Largest n, inclusive: there are ``max_radial + 1`` functions for every l.
    radius : float
        Radius of the sphere in Å; the functions vanish outside.
    """

    max_radial: int
    radius: float
    tail_width = narrowest = 0.0

    @property
    def size(self) -> int:
        """Number of radial functions of one l."""
        return self.max_radial + 1

    @property
    def extent(self) -> float:
        """Distance in Å beyond which the functions vanish."""
        return self.radius

    @property
    def tail_start(self) -> float:
        """Distance in Å beyond which only smearing reaches."""
        return self.radius

    def mixing(self, l: int) -> np.ndarray:
        """Matrix from (r / radius)^(l + 2n) to orthonormal functions, (size, size)."""
        power = l + 2.0 * np.arange(self.size)
        return orthonormalization(
            self.radius**3 / (power[:, None] + power[None, :] + 3.0)
        )

    def by_angular(self, r: np.ndarray, max_angular: int) -> np.ndarray:
        """Return the functions at ``r`` (Å), at most the radius, for every l.

        Their shape is (max_angular + 1, r.size, size).
        """
        n = np.arange(self.size)
        x = (r / self.radius)[:, None]
        return np.stack(
            [x ** (l + 2 * n) @ self.mixing(l).T for l in range(max_angular + 1)]
        )

    def moments(self, l: int, power: int) -> np.ndarray:
        """Return int r^power R_nl(r) dr, shape (size,)."""
        n = np.arange(self.size)
        primitive = self.radius ** (power + 1.0) / (power + l + 2.0 * n + 1.0)
        return self.mixing(l) @ primitive


def orthonormalization(gram: np.ndarray) -> np.ndarray:
    """Return the Löwdin matrix to orthonormal functions from their overlaps.

    Raises
    ------
    ValueError
        If the functions are linearly dependent.
    """
    norms = 1.0 / np.sqrt(np.diag(gram))
    eigenvalues, vectors = np.linalg.eigh(gram * np.outer(norms, norms))
    if eigenvalues[0] < 1e-12:
        raise ValueError(
            f"the radial basis with max_radial = {len(gram) - 1} is linearly "
            "dependent; use fewer radial functions"
        )
    return (vectors / np.sqrt(eigenvalues)) @ vectors.T * norms


#: Radial bases by featomic's name.
RADIAL_BASES = {"Gto": GaussianTypeOrbitals, "Monomials": Monomials}
