"""Thole's damping: charges and dipoles of near atoms as exponential clouds.

The potential of a unit charge at distance r, with x = a r^3 / (alpha_i alpha_j)^(1/2)
and the polarizabilities alpha of both atoms, is

    B_0 = (1 - exp(-x) + x^(1/3) Gamma(2/3, x)) / r,

and its derivatives follow from B_(n+1) = -(1/r) dB_n/dr: those of a point are (2n -
1)!! / r^(2n + 1), and what the damping changes of them is

    C_n = -(2n - 1)!! / r^(2n + 1) p_n(x) exp(-x),    p_1 = 1,
    p_(n+1) = p_n + 3 x (p_n - p_n') / (2n + 1).

It ends with exp(-x), so that a sum over near pairs joins those of points.

References
----------
B. T. Thole, Chem. Phys. 59, 341 (1981); P. Ren, J. W. Ponder, J. Phys. Chem. B 107,
5933 (2003).
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import Polynomial
from scipy.special import gamma, gammaincc

from lodekit.numerics.mesh import monomials

from .multipole_sums import monomial_tables
from .multipoles import MultipoleInteraction
from .near_sum import check_pairs, find_half_pairs

#: Usual value of a.
USUAL = 0.39
#: x beyond which atoms are points: exp(-x) is below all digits.
LARGEST_X = 36.0


class TholeInteraction(MultipoleInteraction):
    """Point charges and dipoles that Thole's damping keeps apart.

    Parameters
    ----------
    positions, cell, pbc, accuracy, cutoff
        As in `MultipoleInteraction`.
    polarizabilities : array_like of shape (n_atoms,)
        Of which the damping is made, in Å^3.
    factor : float
        a.

    Raises
    ------
    ValueError
        If a polarizability or a is not positive.
    """

    def __init__(
        self, positions, cell, pbc, polarizabilities, factor=USUAL, **arguments
    ):
        super().__init__(positions, cell, pbc, 0.0, **arguments)
        volumes = np.asarray(polarizabilities, dtype=float)
        if volumes.shape != (len(self.positions),) or not (volumes > 0.0).all():
            raise ValueError("Thole's damping needs a positive number for every atom")
        if not 0.0 < factor < np.inf:
            raise ValueError(f"Thole's factor must be positive, got {factor!r}")
        self.polarizabilities, self.factor = volumes, float(factor)

    def parts(self, positions, widths) -> list:
        """Return the sums of points, and what damping changes between atoms."""
        parts = super().parts(positions, widths)
        if len(positions) == len(self.positions):
            parts.append(self.damping(positions))
        return parts

    def damping(self, positions) -> TholeSum:
        """Return the sum over near pairs."""
        n_atoms = len(positions)
        longest = (LARGEST_X / self.factor) ** (1 / 3)
        longest *= self.polarizabilities.max() ** (1 / 3)
        if self.boundary.n_periodic == 0:
            first, second = np.triu_indices(n_atoms, 1)
            vectors = positions[second] - positions[first]
            pairs = check_pairs(first, second, vectors, n_atoms)
        else:
            pairs = find_half_pairs(self.boundary, positions, longest, n_atoms)
        near = np.linalg.norm(pairs[2], axis=1) < longest
        first, second, vectors = (part[near] for part in pairs)
        scales = np.sqrt(self.polarizabilities[first] * self.polarizabilities[second])
        return TholeSum(first, second, -vectors, self.factor / scales, n_atoms)


class TholeSum:
    """The change of pair potentials by damping: a part of an interaction.

    Parameters
    ----------
    first, second : ndarray of shape (n_pairs,)
    vectors : ndarray of shape (n_pairs, 3)
        r, from the second atom to the first, in Å.
    factors : ndarray of shape (n_pairs,)
        x / r^3 in Å^-3.
    n_atoms : int
    """

    def __init__(self, first, second, vectors, factors, n_atoms: int):
        self.first, self.second, self.n_atoms = first, second, n_atoms
        self.vectors, self.factors = vectors, factors

    def radial(self, n_orders: int) -> np.ndarray:
        """Return C_0, C_1 ..., (n_orders, n_pairs)."""
        r = np.linalg.norm(self.vectors, axis=1)
        x = self.factors * r**3
        tail = np.cbrt(x) * gamma(2 / 3) * gammaincc(2 / 3, x)
        values = [(tail - np.exp(-x)) / r]
        shape, point, argument = Polynomial([1.0]), 1.0, Polynomial([0.0, 3.0])
        for order in range(1, n_orders):
            values.append(-point / r ** (2 * order + 1) * shape(x) * np.exp(-x))
            shape = shape + argument * (shape - shape.deriv()) / (2 * order + 1)
            point *= 2 * order + 1
        return np.array(values)

    def tensors(self, recursion, degrees, lower: int = 0) -> np.ndarray:
        """Return derivatives by monomial of C_0, or of its integral, (n_pairs, n).

        With ``lower`` of h, where -(1/r) dh/dr is C_0; that of degree 0 has no meaning.
        """
        highest = int(degrees.max())
        radial = self.radial(highest + 1 - lower)
        if lower:
            radial = np.concatenate([np.zeros((1, radial.shape[1])), radial])
        # layers[n][c] is d^c of the n-th function of r, C_n
        layers = np.zeros((highest + 1, len(recursion), len(self.vectors)))
        layers[:, 0] = radial
        for c in range(1, len(recursion)):
            axis, less, lesser, count = recursion[c]
            for order in range(highest + 1 - degrees[c]):
                value = self.vectors[:, axis] * layers[order + 1, less]
                if count:
                    value = value + count * layers[order + 1, lesser]
                layers[order, c] = -value
        return layers[0].T

    def add(self, moments, derivatives, strain) -> None:
        """Add derivatives at the atoms and the strain gradient of the energy."""
        recursion, sums, raised, degrees = monomial_tables()
        tensors = self.tensors(recursion, degrees)
        signs = (-1.0) ** monomials(2).sum(axis=1)  # of moments at the other atom
        of_pairs = np.einsum(
            "pb,pab->pa", signs * moments[self.second], tensors[:, sums]
        )
        np.add.at(derivatives, self.first, of_pairs)
        parity = (-1.0) ** degrees  # r changes its sign
        back = np.einsum(
            "pb,pab->pa", signs * moments[self.first], (tensors * parity)[:, sums]
        )
        np.add.at(derivatives, self.second, back)
        slopes = np.einsum("pb,pbx->px", moments[self.first], of_pairs[:, raised])
        strain += self.vectors.T @ slopes

    def add_tensors(self, recursion, degrees, lower: int, tensors) -> None:
        """Add the tensors of pairs, as in `kernels.multipole_pairs`."""
        values = self.tensors(recursion, degrees, lower)
        parity = (-1.0) ** degrees
        low, high = (
            np.minimum(self.first, self.second),
            np.maximum(self.first, self.second),
        )
        places = low * self.n_atoms - low * (low - 1) // 2 + high - low
        turned = np.where((self.first > self.second)[:, None], parity * values, values)
        np.add.at(tensors, places, turned)
        itself = self.first == self.second  # an image on either side
        np.add.at(tensors, places[itself], parity * values[itself])
