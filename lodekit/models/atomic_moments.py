"""Atomic dipoles and quadrupoles beside charges, each by a kernel of its order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.regression.tensor_kernel import TensorKernel

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
            )
            for order in range(1, max_multipole + 1)
        ]
        return cls(kernels)

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(kernel.rank for kernel in self.kernels)

    def evaluate(self, batch, cache: dict):
        """Return the features of a batch; ``cache`` as in `Latent.evaluate`."""
        if not self.kernels:
            return None
        first = self.kernels[0]
        return first.descriptor.evaluate(batch, first.species, cache)

    def rows(self, batch, state) -> list[np.ndarray]:
        """Return Phi of each order, (n_atoms, 3 or 6, rank), e·Å and e·Å² by weight."""
        return [
            PRIORS[kernel.order]
            * np.einsum(
                "ca,iaw->icw", CARTESIAN[kernel.order], kernel.rows(batch, state)
            )
            for kernel in self.kernels
        ]

    def gradients(self, batch, state, weights, adjoints):
        """Return the derivatives of sum_i adjoint_i . moment_i, over orders too.

        Parameters
        ----------
        batch : StructureBatch
        state : PowerSpectrumFeatures
        weights : list of ndarray of shape (rank,)
        adjoints : list of ndarray of shape (n_atoms, 3 or 6)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        by_features = np.zeros_like(state.features)
        by_coefficients = np.zeros_like(state.left.coefficients)
        for kernel, own, adjoint in zip(self.kernels, weights, adjoints, strict=True):
            adjoint = PRIORS[kernel.order] * adjoint @ CARTESIAN[kernel.order]
            features, tensors = kernel.reverse(batch, state, own, adjoint)
            by_features += features
            by_coefficients[:, kernel.harmonics] += tensors
        return state.reverse(by_features, by_coefficients)

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return arrays for a model file."""
        arrays = {}
        for kernel in self.kernels:
            arrays.update(kernel.get_arrays(f"moments/{kernel.order}"))
        return arrays

    @classmethod
    def from_arrays(cls, scalar: SparseKernel, max_multipole: int, arrays: dict):
        """Rebuild what `get_arrays` returned."""
        parts = scalar.descriptor, scalar.covariance, scalar.species, arrays
        return cls(
            [
                TensorKernel.from_arrays(order, *parts, f"moments/{order}")
                for order in range(1, max_multipole + 1)
            ]
        )
