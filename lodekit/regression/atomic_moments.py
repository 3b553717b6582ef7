"""Atomic dipoles and quadrupoles beside charges, each by a kernel of its order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.stored_model import StoredModel
from lodekit.structures.stress import symmetric_part

from .latent import ReversePass
from .latent_states import by_structure
from .sparse_kernel import SparseKernel
from .stored_points import PointStore
from .tensor_kernel import TensorKernel

#: Prior standard deviation of the components, in e·Å and e·Å², by order.
PRIORS = {1: 0.1, 2: 0.1}
#: Sparse points, 2 l + 1 weights each, by one of the charges'.
SHARES = {1: 0.5, 2: 0.3}

_HALF, _SIXTH = 0.5**0.5, 6.0**-0.5
#: Cartesian components (x, y, z or xx, yy, zz, yz, xz, xy) of the real harmonics with m
#: from -l to l, each of length 1.
CARTESIAN = {
    1: np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    2: np.array(
        [
            [0.0, 0.0, -_SIXTH, 0.0, _HALF],
            [0.0, 0.0, -_SIXTH, 0.0, -_HALF],
            [0.0, 0.0, 2.0 * _SIXTH, 0.0, 0.0],
            [0.0, _HALF, 0.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, _HALF, 0.0],
            [_HALF, 0.0, 0.0, 0.0, 0.0],
        ]
    ),
}


@dataclass
class AtomicMoments:
    """Dipoles and quadrupoles of atoms, linear in weights.

    Attributes
    ----------
    kernels : list of TensorKernel
        Of order 1, 2, as far as there are moments; all with one descriptor.
    """

    kernels: list[TensorKernel]

    @classmethod
    def select(cls, frames, scalar: SparseKernel, max_multipole: int, random_state):
        """Choose sparse points for the descriptor and covariance of charges."""
        n_sparse = max(len(points.features) for points in scalar.points.values())
        kernels = [
            TensorKernel.select(
                frames,
                order,
                scalar.descriptor,
                scalar.covariance,
                scalar.species,
                max(1, int(SHARES[order] * n_sparse)),
                random_state,
                compact=True,
            )
            for order in range(1, max_multipole + 1)
        ]
        return cls(kernels)

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(kernel.rank for kernel in self.kernels)

    def evaluate(self, batch, cache: dict, weights: np.ndarray) -> list[MomentState]:
        """Return the moments of a batch by order, with weights (rank,) of all orders.

        ``cache`` as in `Latent.evaluate`.
        """
        ends = np.cumsum([kernel.rank for kernel in self.kernels])
        parts = np.split(weights, ends[:-1]) if self.kernels else []
        return [
            MomentState(kernel, batch, cache, part)
            for kernel, part in zip(self.kernels, parts, strict=True)
        ]

    def get_state(self, store: PointStore) -> tuple[list, dict]:
        """Return settings by order, and arrays, for a model file."""
        settings, arrays = [], {}
        for kernel in self.kernels:
            part, more = kernel.get_state(f"moments/{kernel.order}", store)
            settings.append(part)
            arrays |= more
        return settings, arrays

    @classmethod
    def from_state(cls, stored: StoredModel, scalar: SparseKernel):
        """Rebuild what `get_state` returned, with the descriptor of ``scalar``."""
        settings = stored.setting("moments", list)
        if len(settings) > len(PRIORS):
            raise ValueError(f"moments of {len(settings)} orders")
        return cls(
            [
                TensorKernel.from_state(stored, part, f"moments/{order}", order, scalar)
                for order, part in enumerate(settings, start=1)
            ]
        )


class MomentState:
    """Moments of one order of one batch, see `LatentState`.

    Their components are Cartesian, (n_atoms, 3 or 6), in e·Å and e·Å².
    """

    def __init__(self, kernel: TensorKernel, batch, cache: dict, weights: np.ndarray):
        self.kernel, self.batch, self.cache = kernel, batch, cache
        self.weights, self.rank = weights, kernel.rank

    @cached_property
    def features(self):
        """Features of the batch."""
        part = self.kernel
        return part.descriptor.evaluate(self.batch, part.species, self.cache)

    @cached_property
    def rows(self) -> np.ndarray:
        """Psi, (n_atoms, n_components, rank)."""
        return to_cartesian(self.kernel, self.kernel.rows(self.batch, self.features))

    @cached_property
    def values(self) -> np.ndarray:
        """The moments, (n_atoms, n_components)."""
        return self.rows @ self.weights

    def pull(self, reverse_pass: ReversePass, adjoint: np.ndarray) -> None:
        """Add the adjoints of the features of sum_i adjoint_i . t_i."""
        by_features, tensors = self.kernel.reverse(
            self.batch, self.features, self.weights, self.harmonic(adjoint)
        )
        by_coefficients = np.zeros_like(self.features.left.coefficients)
        by_coefficients[:, self.kernel.harmonics] = tensors
        reverse_pass.add([self.features], [by_features], coefficients=by_coefficients)

    def position_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Psi_i)/dR, (n_atoms, 3, rank)."""
        adjoint = self.harmonic(adjoint)
        return -self.kernel.force_rows(self.batch, self.features, adjoint)

    def strain_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Psi_i)/d(strain), (n_structures, 6, rank)."""
        adjoint = self.harmonic(adjoint)
        return self.kernel.strain_rows(self.batch, self.features, adjoint)

    def atom_gradients(self, strain: bool = False) -> list[np.ndarray]:
        """Return d(t_i)/dR or by strain by structure, see `LatentState`."""
        arguments = self.batch, self.features, self.weights
        if strain:
            gradients = self.kernel.atom_strain_gradients(*arguments)
            gradients = symmetric_part(gradients, -2)
        else:
            gradients = self.kernel.atom_gradients(*arguments)
        return by_structure(to_cartesian(self.kernel, gradients), self.batch, strain)

    def harmonic(self, adjoint: np.ndarray) -> np.ndarray:
        """Return derivatives by harmonic components from those by Cartesian ones."""
        return PRIORS[self.kernel.order] * adjoint @ CARTESIAN[self.kernel.order]


def to_cartesian(kernel: TensorKernel, values: np.ndarray) -> np.ndarray:
    """Turn components of t_i, (n_atoms, 2 l + 1, ...), to those of moments."""
    n_atoms, n_components, *others = values.shape
    matrix = PRIORS[kernel.order] * CARTESIAN[kernel.order]
    moments = matrix @ values.reshape(n_atoms, n_components, -1)
    return moments.reshape(n_atoms, len(matrix), *others)
