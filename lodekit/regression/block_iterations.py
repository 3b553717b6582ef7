"""Weights in blocks by conjugate gradients, where dense equations take too much memory.

The equations are those of `lodekit.regression.block_equations`; H is never made. With
the mean S of the blocks of the metrics between channels of the same atom and
component, and G = sum Phi^T Phi,

    H + s D ~ S x G + s D x 1

is a preconditioner that is inverted at any s with the eigenvectors of G, and those of S
with D: they are made once.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg

from .block_layout import BlockLayout, StructureRows

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
        self.layout, self.channel_precisions = layout, precisions
        self.precisions = layout.per_channel(precisions)
        self.rows: list[StructureRows] = []
        self.moment = np.zeros(layout.size)
        shapes = layout.shapes.items()
        self.grams = {key: np.zeros((rank, rank)) for key, (_, rank) in shapes}
        self.overlaps = {key: np.zeros((n, n)) for key, (n, _) in shapes}
        self.n_atoms = dict.fromkeys(layout.shapes, 0)
        self.n_steps = 0

    @staticmethod
    def bytes_needed(rows: StructureRows) -> int:
        """Return the memory that the rows of some structures take."""
        features = sum(own.nbytes for own in rows.features.values())
        return features + rows.metrics.nbytes + rows.values.nbytes

    def add(self, rows: StructureRows) -> None:
        """Add the rows of structures of one composition."""
        self.rows.append(rows)
        self.moment += self.layout.join(rows.project(rows.weigh(rows.values)))
        for key, places in rows.places.items():
            features = rows.features[key].reshape(-1, self.layout.shapes[key][1])
            self.grams[key] += features.T @ features
            same_atom = places.transpose(0, 2, 1)
            blocks = rows.metrics[:, same_atom[..., :, None], same_atom[..., None, :]]
            self.overlaps[key] += blocks.mean(axis=2).sum(axis=(0, 1))
            self.n_atoms[key] += len(places) * len(rows)

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
        factors = {}
        for key in self.layout.shapes:
            gram = np.linalg.eigh(self.grams[key])
            overlap = self.overlaps[key] / max(1, self.n_atoms[key])
            metric = linalg.eigh(overlap, np.diag(self.channel_precisions[key]))
            factors[key] = *gram, *metric

        def apply(residual: np.ndarray, strength: float) -> np.ndarray:
            parts = {}
            for key, own in self.layout.split(residual).items():
                squares, turns, scales, channels = factors[key]
                turned = channels.T @ own @ turns
                turned /= np.outer(scales, np.maximum(squares, 0.0)) + strength
                parts[key] = channels @ turned @ turns.T
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
        weights, found = None, []
        for value in self.strengths:
            weights = equations.solve(value, weights)
            found.append(weights)
        self.basis = np.array(found)

    def coordinates(self, strength: float) -> np.ndarray:
        """Return the weights in the basis: interpolated in the logarithm of s."""
        place = np.interp(
            -np.log(strength), -np.log(self.strengths), np.arange(len(self.strengths))
        )
        return np.maximum(0.0, 1.0 - abs(place - np.arange(len(self.strengths))))
