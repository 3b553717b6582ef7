"""The posterior of weights in blocks where the coupling of atoms is left out.

With the mean S of the blocks of the metrics between channels of the same atom and
component, and G = sum Phi^T Phi,

    H + s D ~ S x G + s D x 1 = (V^-T U) (sigma e + s) (V^-1 U^T),

with the eigenvectors U of G (e), and V of S with D (sigma). It is inverted at any s
without another decomposition: for standard deviations, and as a preconditioner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from .block_layout import BlockLayout, StructureRows


@dataclass
class BlockFactors:
    """Eigenvalues and eigenvectors of one block.

    Attributes
    ----------
    squares, turns : ndarray of shape (rank,) and (rank, rank)
        e and U.
    scales, channels : ndarray of shape (n_channels,) and (n_channels, n_channels)
        sigma and V.
    """

    squares: np.ndarray
    turns: np.ndarray
    scales: np.ndarray
    channels: np.ndarray

    def turn(self, values: np.ndarray) -> np.ndarray:
        """Return V^T values U of values (n_channels, rank)."""
        return self.channels.T @ values @ self.turns

    def diagonal(self, strength: float) -> np.ndarray:
        """Return sigma e + s, (n_channels, rank)."""
        return np.outer(self.scales, self.squares) + strength

    def solve(self, values: np.ndarray, strength: float) -> np.ndarray:
        """Return the inverse times values (n_channels, rank)."""
        turned = self.turn(values) / self.diagonal(strength)
        return self.channels @ turned @ self.turns.T

    def variance(self, values: np.ndarray, strength: float) -> float:
        """Return values . inverse . values."""
        return float(np.sum(self.turn(values) ** 2 / self.diagonal(strength)))


class BlockPosterior:
    """Sums for the factors of all blocks, from the rows of structures.

    Parameters
    ----------
    layout : BlockLayout
    precisions : dict of key to ndarray of shape (n_channels,)
        D, of every channel.
    """

    def __init__(self, layout: BlockLayout, precisions: dict):
        self.layout, self.precisions = layout, precisions
        shapes = layout.shapes.items()
        self.grams = {key: np.zeros((rank, rank)) for key, (_, rank) in shapes}
        self.overlaps = {key: np.zeros((n, n)) for key, (n, _) in shapes}
        self.n_atoms = dict.fromkeys(layout.shapes, 0)

    def add(self, rows: StructureRows) -> None:
        """Add the rows of structures of one composition."""
        for key, places in rows.places.items():
            features = rows.features[key].reshape(-1, self.layout.shapes[key][1])
            self.grams[key] += features.T @ features
            same_atom = places.transpose(0, 2, 1)
            blocks = rows.metrics[:, same_atom[..., :, None], same_atom[..., None, :]]
            self.overlaps[key] += blocks.mean(axis=2).sum(axis=(0, 1))
            self.n_atoms[key] += len(places) * len(rows)

    def factorize(self) -> dict[tuple, BlockFactors]:
        """Return the factors of every block."""
        factors = {}
        for key in self.layout.shapes:
            squares, turns = np.linalg.eigh(self.grams[key])
            overlap = self.overlaps[key] / max(1, self.n_atoms[key])
            metric = linalg.eigh(overlap, np.diag(self.precisions[key]))
            factors[key] = BlockFactors(np.maximum(squares, 0.0), turns, *metric)
        return factors
