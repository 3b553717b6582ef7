"""Factors of equivariant features that are contracted with the adjoint of a tensor.

With the adjoint y of a tensor of an atom, s = sum_mu y_mu p_mu[l1 q1 l2 q2] is bilinear
in the expansions x and z,

    s = sum_m1 x[l1 m1, q1] X[l1 m1, l2 q2],
    X[l1 m1, l2 q2] = sum_m2,mu C[m1, m2, mu] y_mu z[l2 m2, q2],

and so has derivatives of the form that `Factor` has for invariants, with X in the place
of its partner. What turns derivatives of invariants into rows does the same here.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .channels import Channels
from .clebsch_gordan import clebsch_gordan
from .power_spectrum import Factor


class ContractedFactor:
    """One factor of sum_mu y_mu p_mu for centres of one species.

    Parameters
    ----------
    factor : Factor
        The expansion that carries derivatives, and its place in the product.
    other : ndarray of shape (n_atoms, n_lm, n_q)
        Coefficients of the other factor, z.
    channels : Channels
    sigma : int
    atoms : ndarray of shape (n,)
        The centres.
    adjoint : ndarray of shape (n, 2 order + 1)
        y.
    """

    def __init__(
        self, factor: Factor, other, channels: Channels, sigma, atoms, adjoint
    ):
        self.factor, self.other, self.channels = factor, other, channels
        self.sigma, self.atoms, self.adjoint = sigma, atoms, adjoint

    @property
    def side(self) -> str:
        """Place of the factor in the product."""
        return self.factor.side

    @property
    def voigt_jacobian(self) -> np.ndarray:
        """Derivatives of the factor by symmetric strain."""
        return self.factor.voigt_jacobian

    @property
    def n_channels(self) -> int:
        """Number of channels of neighbours of the factor."""
        return self.factor.n_channels

    @property
    def n_l(self) -> int:
        """Number of angular channels of the factor."""
        return int(np.sqrt(self.factor.expansion.coefficients.shape[1]) + 0.5)

    @cached_property
    def roles(self) -> list[tuple]:
        """Parts that the factor has in channels: (l, q), (l', q') of z, and signs.

        Exchanging both factors of a product multiplies it by sigma. Columns l', q' of z
        are numbered for every l.
        """
        l1, l2, q1, q2 = self.channels.numbers.T
        scales = self.channels.scales
        roles = []
        if self.side != "right":
            roles.append((l1, q1, l2, q2, scales))
        if self.side != "left":
            roles.append((l2, q2, l1, q1, self.sigma * scales))
        return roles

    @cached_property
    def columns(self) -> list[np.ndarray]:
        """Pairs (l', q') by l, each of them once, (n, 2)."""
        pairs = []
        for l in range(self.n_l):
            parts = [
                np.stack([other_l, other_q], axis=1)[own_l == l]
                for own_l, _, other_l, other_q, _ in self.roles
            ]
            pairs.append(np.unique(np.concatenate(parts), axis=0))
        return pairs

    @property
    def n_partner(self) -> int:
        """Number of columns of the partner; shorter ones are filled up with zeros."""
        return max(len(pairs) for pairs in self.columns)

    @cached_property
    def partner(self) -> np.ndarray:
        """X of all atoms, zero for others than the centres, (n_atoms, n_lm, n)."""
        n_lm = self.factor.expansion.coefficients.shape[1]
        partner = np.zeros((len(self.other), n_lm, self.n_partner))
        other = self.other[self.atoms]
        for l, pairs in enumerate(self.columns):
            lm = np.arange(l * l, (l + 1) ** 2)
            for other_l in np.unique(pairs[:, 0]):
                columns = np.flatnonzero(pairs[:, 0] == other_l)
                table = clebsch_gordan(l, int(other_l), self.channels.order)
                turned = np.einsum("abk,ik->iab", table, self.adjoint)
                place = slice(other_l**2, (other_l + 1) ** 2)
                values = turned @ other[:, place][:, :, pairs[columns, 1]]
                partner[np.ix_(self.atoms, lm, columns)] = values
        return partner

    def weights(self, points: np.ndarray, n_l: int) -> np.ndarray:
        """Return the factors of the coefficients' derivatives in d(s . point).

        As `Factor.weights`, for selected channels.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_channels)
        n_l : int

        Returns
        -------
        weights : ndarray of shape (n_points, n_l, n_own, n_partner)
        """
        n_own = self.factor.expansion.coefficients.shape[2]
        weights = np.zeros((n_l, n_own, self.n_partner, len(points)))
        for own_l, own_q, other_l, other_q, scales in self.roles:
            places = np.empty(len(own_l), dtype=np.intp)
            for l, pairs in enumerate(self.columns):
                chosen = np.flatnonzero(own_l == l)
                keys = {tuple(pair): place for place, pair in enumerate(pairs.tolist())}
                wanted = zip(
                    other_l[chosen].tolist(), other_q[chosen].tolist(), strict=True
                )
                places[chosen] = [keys[pair] for pair in wanted]
            # within a role no place occurs twice
            weights[own_l, own_q, places] += (points * scales).T
        return np.moveaxis(weights, 3, 0)
