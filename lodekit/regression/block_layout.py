"""Weights in blocks: channels that share features, such as the shells of one element.

With features Phi of an atom, (n_components, rank), the n_channels quantities of a block
are c[n, m] = sum_r Phi[m, r] w[n, r]. Structures of the same composition are added
together: their functions stand in the same places.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class BlockLayout:
    """Where the weights of every block are.

    Parameters
    ----------
    shapes : dict of key to (n_channels, rank)
        Of every block, in the order of the weights.
    """

    def __init__(self, shapes: dict):
        self.shapes = dict(shapes)
        sizes = [n_channels * rank for n_channels, rank in self.shapes.values()]
        ends = np.cumsum([0, *sizes]).tolist()
        self.slices = {
            key: slice(*pair)
            for key, pair in zip(shapes, zip(ends, ends[1:], strict=False), strict=True)
        }
        self.size = ends[-1]

    def split(self, weights: np.ndarray) -> dict:
        """Return views (n_channels, rank) of the weights of every block."""
        return {
            key: weights[place].reshape(self.shapes[key])
            for key, place in self.slices.items()
        }

    def join(self, parts: dict) -> np.ndarray:
        """Return all weights, from arrays (n_channels, rank) by block or 0 without."""
        weights = np.zeros(self.size)
        for key, part in parts.items():
            weights[self.slices[key]] = part.ravel()
        return weights

    def per_channel(self, values: dict) -> np.ndarray:
        """Return a value for every weight from values (n_channels,) by block."""
        parts = [np.repeat(values[key], rank) for key, (_, rank) in self.shapes.items()]
        return np.concatenate([np.zeros(0), *parts])


@dataclass
class StructureRows:
    """Rows of structures of one composition.

    Attributes
    ----------
    places : dict of key to ndarray of shape (n_atoms, n_channels, n_components)
        Where the functions of a block are in a structure.
    features : dict of key to ndarray of shape (n, n_atoms, n_components, rank)
        Phi, of all n structures.
    metrics : ndarray of shape (n, n_functions, n_functions)
        M.
    values : ndarray of shape (n, n_functions)
        What is fitted.
    """

    places: dict
    features: dict
    metrics: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.values)

    def expand(self, weights: dict) -> np.ndarray:
        """Return Psi w of weights (n_channels, rank) by block, (n, n_functions)."""
        values = np.zeros_like(self.values)
        for key, places in self.places.items():
            features = self.features[key]
            n, n_atoms, n_components, rank = features.shape
            coefficients = features.reshape(-1, rank) @ weights[key].T
            coefficients = coefficients.reshape(n, n_atoms, n_components, -1).swapaxes(
                2, 3
            )
            values[:, places] = coefficients
        return values

    def project(self, values: np.ndarray) -> dict:
        """Return Psi^T of values (n, n_functions), arrays (n_channels, rank)."""
        projected = {}
        for key, places in self.places.items():
            features = self.features[key]
            n_channels, rank = places.shape[1], features.shape[-1]
            columns = values[:, places].transpose(2, 0, 1, 3).reshape(n_channels, -1)
            projected[key] = columns @ features.reshape(-1, rank)
        return projected

    def weigh(self, values: np.ndarray) -> np.ndarray:
        """Return M times values (n, n_functions)."""
        return np.matmul(self.metrics, values[:, :, None])[:, :, 0]

    def square(self, values: np.ndarray) -> np.ndarray:
        """Return the squared metric norms of values (n, n_functions), (n,)."""
        return np.einsum("af,af->a", values, self.weigh(values))
