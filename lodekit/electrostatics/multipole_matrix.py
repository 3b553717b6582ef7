"""The matrix of all interactions of charges, dipoles and quadrupoles, and how it moves.

In terms of T_c(i, j), the derivative d^c of the potential at atom i of a unit charge at
atom j and its images, the matrix is

    A_(ib, ja) = (-1)^|a| T_(a + b)(i, j)

for monomials a and b. T depends on r_i - r_j, so that the gradient by r_i is T of one
degree more. With strain, and with the same derivatives H of h, -(1/r) dh/dr = f,

    dT_c / de_xy = -H_(c + x + y) - delta_xy T_c - c_x T_(c - x + y).

For the near part this is r_x d^(c + y) f, as r_x r_y f'/r = -d_x d_y h - delta_xy f.
For the far part, where h has the weights -s(k) of `FarKernel`, the terms are the
changes of the weights, of the volume, and of (ik)^c.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.kernels.multipole_pairs import add_felt, add_felt_gradients, fill_matrix
from lodekit.numerics.mesh import monomials
from lodekit.units import COULOMB_CONSTANT

from .multipole_sums import monomial_tables, turn_table
from .multipoles import MultipoleInteraction, check_shape

#: Degree of the highest moments, by their number.
DEGREES = {1: 0, 4: 1, 10: 2}


class MultipoleMatrix:
    """The matrix A of an interaction, of energy M.A M / 2, and gradients of A M.

    Moments M are those of `MultipoleInteraction.pack`, (n_atoms, n_moments), so that
    A M is the potential in V with its derivatives by monomial of degree 0 to 2. What
    does not depend on moments is kept: for 200 atoms with quadrupoles about 55 MB. In a
    slab, charges must add up to zero.

    Parameters
    ----------
    interaction : MultipoleInteraction
    n_moments : {10, 4, 1}
        Of one atom: with quadrupoles, with dipoles, or charges alone.
    """

    def __init__(self, interaction: MultipoleInteraction, n_moments: int = 10):
        if n_moments not in DEGREES:
            raise ValueError(
                "n_moments must be 1 (charges), 4 (and dipoles) or 10 (and "
                f"quadrupoles), got {n_moments}"
            )
        self.interaction = interaction
        self.n_moments = n_moments
        self.degree = DEGREES[n_moments]

    @property
    def nbytes(self) -> int:
        """Memory in bytes of all that is kept."""
        n_atoms, degree = len(self.interaction.positions), self.degree
        n_kept = sum(len(monomials(2 * degree + n_more)) for n_more in (1, 2))
        n_pairs = n_atoms * (n_atoms + 1) // 2
        return 8 * ((n_atoms * self.n_moments) ** 2 + n_pairs * n_kept)

    @cached_property
    def matrix(self) -> np.ndarray:
        """A, (n_atoms, n_moments, n_atoms, n_moments), in eV per moment and moment."""
        _, sums, _, degrees = monomial_tables(self.degree, self.degree + 1)
        n_atoms = len(self.interaction.positions)
        matrix = np.empty((n_atoms, self.n_moments) * 2)
        fill_matrix(self.tensors, sums, degrees, matrix)
        return matrix

    @cached_property
    def tensors(self) -> np.ndarray:
        """T_c by pair of atoms i <= j, (n_pairs, n_monomials)."""
        tensors = self._sum_tensors(1, lower=0)
        interaction = self.interaction
        spread = COULOMB_CONSTANT * interaction.spread(interaction.widths)
        first, second = np.triu_indices(len(spread))
        tensors[:, 0] += spread[first] + spread[second]
        return tensors

    @cached_property
    def strain_tensors(self) -> np.ndarray:
        """H_c by pair of atoms i <= j, (n_pairs, n_monomials); H_0 has no meaning."""
        return self._sum_tensors(2, lower=1)

    def _sum_tensors(self, n_more: int, lower: int) -> np.ndarray:
        """Return tensors for derivatives of ``n_more`` degrees above the moments'."""
        recursion, _, _, degrees = monomial_tables(self.degree, self.degree + n_more)
        interaction = self.interaction
        n_atoms = len(interaction.positions)
        tensors = np.zeros((n_atoms * (n_atoms + 1) // 2, len(recursion)))
        for part in interaction.parts(interaction.positions, interaction.widths):
            part.add_tensors(recursion, degrees, lower, tensors)
        tensors *= COULOMB_CONSTANT
        return tensors

    def gradients(self, moments) -> np.ndarray:
        """Return the derivatives of A M by positions at fixed moments.

        Parameters
        ----------
        moments : array_like of shape (n_atoms, n_moments)

        Returns
        -------
        gradients : ndarray of shape (n_atoms, n_moments, n_atoms, 3)
            Of the potential's derivatives at an atom by the positions of all.
        """
        moments = self._check_moments(moments)
        _, sums, raised, degrees = monomial_tables(self.degree, self.degree + 1)
        gradients = np.zeros((*moments.shape, len(moments), 3))
        add_felt_gradients(self.tensors, sums, raised, degrees, moments, gradients)
        return gradients

    def strain_gradients(self, moments) -> np.ndarray:
        """Return the derivatives of A M by strain at fixed moments.

        Atoms and cell move, r_b -> r_b + sum_a r_a e_ab, moments do not turn.

        Parameters
        ----------
        moments : array_like of shape (n_atoms, n_moments)

        Returns
        -------
        gradients : ndarray of shape (n_atoms, n_moments, 3, 3)

        Raises
        ------
        ValueError
            For a slab.
        """
        if self.interaction.boundary.n_periodic == 2:
            raise ValueError(
                "gradients by strain are for open and for fully periodic structures, "
                "not for slabs"
            )
        moments = self._check_moments(moments)
        _, sums, _, degrees = monomial_tables(self.degree, self.degree + 2)
        derivatives = np.zeros((len(moments), len(sums)))
        add_felt(self.strain_tensors, sums, degrees, moments, derivatives)
        raised = monomial_tables(self.degree + 1, self.degree + 2)[2]
        gradients = -derivatives[:, raised[raised[: self.n_moments]]]
        gradients -= self._turned(moments)
        return gradients

    def _turned(self, moments: np.ndarray) -> np.ndarray:
        """Return the sum of delta_xy T_c + c_x T_(c - x + y) over moments."""
        table = turn_table(self.degree)
        turned = np.einsum("ja,xyac->jcxy", moments, table)
        turned += moments[..., None, None] * np.eye(3)
        n_rows = moments.size
        columns = np.empty((n_rows, 10))
        columns[:, 0], columns[:, 1:] = moments.ravel(), turned.reshape(n_rows, 9)
        products = self.matrix.reshape(n_rows, n_rows) @ columns
        potential = products[:, 0].reshape(moments.shape)
        change = products[:, 1:].reshape(*moments.shape, 3, 3)
        return change + np.einsum("xybc,ic->ibxy", table, potential)

    def _check_moments(self, moments) -> np.ndarray:
        """Return moments as an array, or say what is wrong with their shape."""
        shape = len(self.interaction.positions), self.n_moments
        return np.ascontiguousarray(check_shape("moments", moments, shape))
