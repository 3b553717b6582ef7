"""Charges conditioned on the total charge of their structure, and their derivatives.

A Gaussian process puts what is missing where the charges are uncertain: with prior
features Phi (n_atoms, rank), posterior mean w and covariance A^-1 of the weights,

    q = Phi w + c (Q - s.w),    c = Phi g / (s.g),    g = A^-1 s,    s = sum_i Phi_i.

Atoms move Phi, so that for a potential V at the charges

    sum_i V_i dq_i = sum_i dPhi_i . [(V_i - V_c) (w + l g) + l h],

l = (Q - s.w) / (s.g), V_c = sum_i c_i V_i, h = A^-1 sum_i (V_i - V_c) Phi_i.

References
----------
C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), Eq. 2.19, for one more observation without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class ConditionedCharges:
    """Charges of one structure.

    Attributes
    ----------
    features : ndarray of shape (n_atoms, rank)
        Phi.
    solution : Solution or DualSolution
    spread : ndarray of shape (rank,)
        g.
    share : ndarray of shape (n_atoms,)
        c: sums to 1.
    level : float
        l.
    total : float
        Q in e.
    """

    features: np.ndarray
    solution: object
    spread: np.ndarray
    share: np.ndarray
    level: float
    total: float

    @classmethod
    def of(cls, features, solution, total, spread=None):
        """Condition on a total charge in e; ``spread`` is made where None."""
        sums = features.sum(axis=0)
        if spread is None:
            spread = solution.apply_covariance(sums)
        share = features @ spread
        size = share.sum()
        level = (total - sums @ solution.weights) / size
        return cls(features, solution, spread, share / size, float(level), total)

    @property
    def matrix(self) -> np.ndarray:
        """The matrix of charges that are affine in the weights, q = matrix w + c Q."""
        return self.features - np.outer(self.share, self.features.sum(axis=0))

    @property
    def offset(self) -> np.ndarray:
        """The charges at weights of zero, c Q."""
        return self.share * self.total

    @property
    def values(self) -> np.ndarray:
        """The charges in e, (n_atoms,)."""
        return self.matrix @ self.solution.weights + self.offset

    def scales(self, potential: np.ndarray) -> np.ndarray:
        """Return V_i - V_c."""
        return potential - self.share @ potential
