"""Atomic dipoles and quadrupoles beside charges, each by a kernel of its order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.regression.latent import ReversePass
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.regression.stored_points import PointStore
from lodekit.regression.tensor_kernel import TensorKernel
from lodekit.stored_model import StoredModel

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

    def evaluate(self, batch, cache: dict):
        """Return the features of a batch; ``cache`` as in `Latent.evaluate`."""
        if not self.kernels:
            return None
        first = self.kernels[0]
        return first.descriptor.evaluate(batch, first.species, cache)

    def rows(self, batch, state) -> list[np.ndarray]:
        """Return Phi of each order, (n_atoms, 3 or 6, rank), e·Å and e·Å² by weight."""
        return [
            to_cartesian(kernel, kernel.rows(batch, state)) for kernel in self.kernels
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
        together = ReversePass(batch)
        self.pull(together, state, weights, adjoints)
        return together.run()

    def pull(self, together: ReversePass, state, weights, adjoints) -> None:
        """Add what `gradients` needs to a reverse pass."""
        by_features = np.zeros_like(state.features)
        by_coefficients = np.zeros_like(state.left.coefficients)
        for kernel, own, adjoint in zip(self.kernels, weights, adjoints, strict=True):
            adjoint = harmonic_adjoint(kernel, adjoint)
            features, tensors = kernel.reverse(together.batch, state, own, adjoint)
            by_features += features
            by_coefficients[:, kernel.harmonics] += tensors
        together.add([state], [by_features], coefficients=by_coefficients)

    def force_rows(self, batch, state, adjoints) -> np.ndarray:
        """Return minus d(sum_i adjoint_i . Phi_i)/dR, (n_atoms, 3, rank).

        ``adjoints`` are those of `gradients`; columns of all orders stand side by side.
        """
        rows = np.empty((batch.n_atoms, 3, self.rank))
        return self.fill_columns(TensorKernel.force_rows, batch, state, adjoints, rows)

    def strain_rows(self, batch, state, adjoints) -> np.ndarray:
        """Return d(sum_i adjoint_i . Phi_i)/d(strain), (n_structures, 6, rank).

        Voigt order xx, yy, zz, yz, xz, xy of the symmetric part.
        """
        rows = np.empty((batch.n_structures, 6, self.rank))
        return self.fill_columns(TensorKernel.strain_rows, batch, state, adjoints, rows)

    def fill_columns(self, method, batch, state, adjoints, rows) -> np.ndarray:
        """Write rows of every kernel to its columns."""
        start = 0
        for kernel, adjoint in zip(self.kernels, adjoints, strict=True):
            own = slice(start, start + kernel.rank)
            adjoint = harmonic_adjoint(kernel, adjoint)
            rows[..., own] = method(kernel, batch, state, adjoint)
            start = own.stop
        return rows

    def atom_gradients(self, batch, state, weights) -> list[np.ndarray]:
        """Return the derivatives of every component of every moment.

        Parameters
        ----------
        batch : StructureBatch
        state : PowerSpectrumFeatures
        weights : list of ndarray of shape (rank,)

        Returns
        -------
        gradients : list of ndarray of shape (n_atoms, 3 or 6, n_atoms, 3)
            By order; of the first atom by the position of the second.
        """
        return [
            to_cartesian(kernel, kernel.atom_gradients(batch, state, own))
            for kernel, own in zip(self.kernels, weights, strict=True)
        ]

    def atom_strain_gradients(self, batch, state, weights) -> list[np.ndarray]:
        """Do what `atom_gradients` does, for strain: (n_atoms, 3 or 6, 3, 3)."""
        return [
            to_cartesian(kernel, kernel.atom_strain_gradients(batch, state, own))
            for kernel, own in zip(self.kernels, weights, strict=True)
        ]

    def get_state(self, store: PointStore) -> tuple[list, dict]:
        """Return settings by order, and arrays, for a model file."""
        settings, arrays = [], {}
        for kernel in self.kernels:
            own, more = kernel.get_state(f"moments/{kernel.order}", store)
            settings.append(own)
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
                TensorKernel.from_state(stored, own, f"moments/{order}", order, scalar)
                for order, own in enumerate(settings, start=1)
            ]
        )


def harmonic_adjoint(kernel: TensorKernel, adjoint: np.ndarray) -> np.ndarray:
    """Return derivatives by t_i from those by Cartesian moments (n_atoms, 3 or 6)."""
    return PRIORS[kernel.order] * adjoint @ CARTESIAN[kernel.order]


def to_cartesian(kernel: TensorKernel, values: np.ndarray) -> np.ndarray:
    """Turn components of t_i, (n_atoms, 2 l + 1, ...), to those of moments."""
    n_atoms, n_components, *others = values.shape
    matrix = PRIORS[kernel.order] * CARTESIAN[kernel.order]
    moments = matrix @ values.reshape(n_atoms, n_components, -1)
    return moments.reshape(n_atoms, len(matrix), *others)
