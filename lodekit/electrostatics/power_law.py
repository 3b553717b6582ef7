"""Interactions 1/r^p of points, such as dispersion."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
from scipy import special

from lodekit.numerics.smooth_step import smooth_step

from .interaction_matrix import NEUTRAL, InteractionMatrix
from .split import N_INTERVALS, TAPER, Split, polynomials

#: Largest exponent: beyond, a plain sum over near neighbours does.
LARGEST_EXPONENT = 12


class PowerLawInteraction(InteractionMatrix):
    """Matrix of 1/r^p summed over images, times vectors.

    The energy of atoms with strengths c is c.A c / 2 = (1/2) sum_ij c_i c_j / r_ij^p,
    in units of the strengths: with c = sqrt(C6), minus the energy for p = 6 is
    dispersion in eV if C6 is in eV Å^6. The interaction of an atom with itself is left
    out, that with its images is not.

    In periodic cells with p <= 3 every strength comes with a uniform background that
    neutralises it; for p = 3 the energy of a net strength remains undefined.

    Parameters
    ----------
    positions : array_like of shape (n_atoms, 3)
        Positions in Å.
    cell : array_like of shape (3, 3) or None
        Cell vectors in Å as rows; ignored if nothing is periodic.
    pbc : bool or array_like of shape (3,)
        Periodic directions: none or all.
    exponent : int
        Exponent p from 1 to 12.
    accuracy : float
        Error of the forces, relative to their root mean square.
    cutoff : float, optional
        Range in Å of the part that is summed over pairs, chosen for speed if None. It
        decides time alone.

    Raises
    ------
    ValueError
        As `CoulombInteraction`; also for slabs and for other exponents.
    """

    def __init__(self, positions, cell, pbc, exponent, *, accuracy=1e-8, cutoff=None):
        if exponent not in range(1, LARGEST_EXPONENT + 1):
            raise ValueError(
                f"exponent must be a whole number from 1 to {LARGEST_EXPONENT}, got "
                f"{exponent!r}"
            )
        if np.count_nonzero(np.broadcast_to(pbc, 3)) == 2:
            raise ValueError(
                "power laws are summed in 0 or 3 periodic directions, got 2; make the "
                "slab periodic with vacuum around it"
            )
        self.exponent = int(exponent)
        make = partial(PowerLawSplit.make, self.exponent)
        super().__init__(
            positions, cell, pbc, 0.0, accuracy, cutoff, self.exponent, make
        )

    def check_energy(self, charges) -> np.ndarray:
        """Return strengths whose energy is finite."""
        charges = self.check_charges(charges, 1)
        net = charges.sum()
        if (
            self.exponent == 3
            and self.boundary.n_periodic == 3
            and abs(net) > NEUTRAL * abs(charges).sum()
        ):
            raise ValueError(
                f"the sum of 1/r^3 in a periodic cell needs strengths that add up to "
                f"zero, got {net:.4g}"
            )
        return charges


class PowerLawSplit(Split):
    """Near and far part of 1/r^p by incomplete gamma functions.

    1/r^p is an integral over Gaussians exp(-s r^2); those with s < x belong to the far
    part.

    References
    ----------
    B. R. A. Nijboer and F. W. De Wette, Physica 23, 309 (1957); D. E. Williams, Acta
    Cryst. A 27, 452 (1971).
    """

    @classmethod
    @lru_cache(maxsize=32)
    def make(cls, exponent: int, cutoff: float, accuracy: float) -> PowerLawSplit:
        """Return the split with a range in Å for a relative accuracy of forces."""
        decay = power_law_decay(exponent, accuracy)
        table, at_zero = power_law_table(exponent, decay)
        x = decay / cutoff**2
        half = 0.5 * exponent
        scale = np.pi**1.5 / special.gamma(half)
        if exponent == 3:
            at_k_zero = 2.0 * np.pi * (np.log(4.0 * x) - np.euler_gamma)
        else:
            at_k_zero = scale * x ** (half - 1.5) / (half - 1.5)
        return cls(
            exponent=exponent,
            accuracy=accuracy,
            cutoff=cutoff,
            k_cutoff=2.0 * decay / cutoff / (1.0 - TAPER),
            table=table / cutoff**exponent,
            at_zero=at_zero / cutoff**exponent,
            far_at_k_zero=float(at_k_zero),
        )

    def transform(self, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the far part's Fourier transform and its slope for k > 0."""
        # with a = (3 - p) / 2: pi^1.5 / Gamma(p / 2) (k^2 / 4)^-a Gamma(a, k^2 / 4 x)
        x = (0.5 * self.k_cutoff * (1.0 - TAPER)) ** 2 / self.decay
        a = 1.5 - 0.5 * self.exponent
        scale = np.pi**1.5 / special.gamma(0.5 * self.exponent)
        square = 0.25 * k**2
        value = scale * square**-a * upper_gamma(a, square / x)
        slope = -2.0 * a * value / k
        slope -= scale * x**-a * np.exp(-square / x) * 2.0 / k
        step, bend, _ = smooth_step((k / self.k_cutoff - 1.0) / TAPER + 1.0)
        return value * step, slope * step + value * bend / TAPER / self.k_cutoff

    @property
    def decay(self) -> float:
        """Range squared times the limit x of the Gaussians."""
        return 0.5 * self.k_cutoff * (1.0 - TAPER) * self.cutoff


def power_law_decay(exponent: int, accuracy: float) -> float:
    """Return the exponent of the Gaussian at the cutoff (measured)."""
    return 2.0 + 0.5 * exponent - 1.1 * np.log(accuracy)


@lru_cache(maxsize=32)
def power_law_table(exponent: int, decay: float) -> tuple[np.ndarray, np.ndarray]:
    """Return table and value at zero of the far part of 1/r^p with cutoff 1."""
    t = np.arange(1, N_INTERVALS + 1) / N_INTERVALS
    values = []
    for n in range(3):
        half = 0.5 * exponent + n
        scale = 2.0**n * special.poch(0.5 * exponent, n)
        at_zero = scale * decay**half / special.gamma(half + 1.0)
        beyond = scale * special.gammainc(half, decay * t) / t**half
        values.append(np.concatenate([[at_zero], beyond]))
    values = np.stack(values)
    return polynomials(values, 1.0 / N_INTERVALS), values[:1, 0]


def upper_gamma(a: float, x: np.ndarray) -> np.ndarray:
    """Return the upper incomplete gamma function for a = 1, 1/2, 0, -1/2, ..."""
    if a > 0:
        return special.gamma(a) * special.gammaincc(a, x)
    if a == 0:
        return special.exp1(x)
    return (upper_gamma(a + 1.0, x) - x**a * np.exp(-x)) / a
