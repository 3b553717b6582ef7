"""Weights in blocks by conjugate gradients, where dense equations take too much memory.

The equations are those of `lodekit.regression.block_equations`; H is never made. The
preconditioner is the posterior without the coupling of atoms, see
`lodekit.regression.block_posterior`.
"""

from __future__ import annotations

import numpy as np

from .block_layout import BlockLayout, StructureRows
from .block_posterior import BlockPosterior

#: Iterations end where the preconditioned residual is below this, relative to b.
TOLERANCE = 1e-5
MAX_STEPS = 1500


class BlockIterations:
    """H and b of structures as rows that are kept; see `BlockEquations`.

    Parameters
    ----------
    layout : BlockLayout
    precisions : dict of key to ndarray of shape (n_channels,)
    """

    def __init__(self, layout: BlockLayout, precisions: dict):
        self.layout, self.posterior = layout, BlockPosterior(layout, precisions)
        self.precisions = layout.per_channel(precisions)
        self.rows: list[StructureRows] = []
        self.moment = np.zeros(layout.size)
        self.n_steps = 0

    @staticmethod
    def bytes_needed(rows: StructureRows) -> int:
        """Return the memory that the rows of some structures take."""
        features = sum(values.nbytes for values in rows.features.values())
        return features + rows.metrics.nbytes + rows.values.nbytes

    def add(self, rows: StructureRows) -> None:
        """Add the rows of structures of one composition."""
        self.rows.append(rows)
        self.moment += self.layout.join(rows.project(rows.weigh(rows.values)))
        self.posterior.add(rows)

    def multiply(self, weights: np.ndarray, strength: float) -> np.ndarray:
        """Return (H + s D) times weights."""
        parts, product = self.layout.split(weights), strength * self.precisions
        product *= weights
        for rows in self.rows:
            values = rows.weigh(rows.expand(parts))
            product += self.layout.join(rows.project(values))
        return product

    def preconditioner(self):
        """Return a function of a residual and s, the inverse of the approximate H."""
        factors = self.posterior.factorize()

        def apply(residual: np.ndarray, strength: float) -> np.ndarray:
            parts = {
                key: factors[key].solve(part, strength)
                for key, part in self.layout.split(residual).items()
            }
            return self.layout.join(parts)

        return apply

    def solve(self, strength: float, start=None) -> np.ndarray:
        """Return the weights at a strength s of the prior.

        Parameters
        ----------
        strength : float
        start : ndarray of shape (n_weights,), optional
            Weights to begin with, such as those of another strength.
        """
        apply = self.preconditioner()
        weights, residual = np.zeros_like(self.moment), self.moment.copy()
        if start is not None:
            weights = start.copy()
            residual -= self.multiply(start, strength)
        scale = self.moment @ apply(self.moment, strength)
        direction = improved = apply(residual, strength)
        square = residual @ improved
        for _ in range(MAX_STEPS):
            if square <= TOLERANCE**2 * scale:
                break
            self.n_steps += 1
            product = self.multiply(direction, strength)
            step = square / (direction @ product)
            weights += step * direction
            residual -= step * product
            improved = apply(residual, strength)
            square, before = residual @ improved, square
            direction = improved + square / before * direction
        return weights

    def path(self, strength: float) -> WarmPath:
        """Return weights at other strengths, each from those of the one before."""
        return WarmPath(self, strength)


class WarmPath:
    """Weights at several strengths, each found from those of the strength before.

    Parameters
    ----------
    equations : BlockIterations
    strength : float
        In the middle of the strengths.

    Attributes
    ----------
    strengths : ndarray of shape (n,)
        At which weights are known, from the largest to the smallest.
    basis : ndarray of shape (n, n_weights)
    """

    def __init__(self, equations: BlockIterations, strength: float):
        self.strength = strength
        self.strengths = strength * np.geomspace(1e2, 1e-2, 5)
        weights, solutions = None, []
        for value in self.strengths:
            weights = equations.solve(value, weights)
            solutions.append(weights)
        self.basis = np.array(solutions)

    def coordinates(self, strength: float) -> np.ndarray:
        """Return the weights in the basis: interpolated in the logarithm of s."""
        place = np.interp(
            -np.log(strength), -np.log(self.strengths), np.arange(len(self.strengths))
        )
        return np.maximum(0.0, 1.0 - abs(place - np.arange(len(self.strengths))))
