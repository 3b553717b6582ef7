"""Atomic dipoles, linear in weights, with the polarization and Born charges they make.

d_i = sum over terms of A Phi_i w, with Phi the features of an `EquivariantKernel` of
order 1 and A the matrix that turns its components y, z, x to x, y, z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.observables.tensors import axis_matrix
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.structures.batch import StructureBatch

#: A: components x, y, z of those of order 1.
AXES = axis_matrix()


@dataclass
class AtomicDipoles:
    """Kernels of atomic dipoles.

    Attributes
    ----------
    kernels : list of EquivariantKernel
        Of order 1, one for each term.
    """

    kernels: list[EquivariantKernel]

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(kernel.rank for kernel in self.kernels)

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to a dipole."""
        return max(kernel.reach for kernel in self.kernels)

    def restrict(self, species) -> None:
        """Drop the sparse points of other elements: their atoms have no dipoles."""
        for kernel in self.kernels:
            for z in {*kernel.points} - {int(z) for z in species}:
                del kernel.points[z]

    def evaluate(self, batch: StructureBatch) -> DipoleState:
        """Return the dipoles of a batch with their derivatives."""
        cache: dict = {}
        states = [kernel.evaluate(batch, cache) for kernel in self.kernels]
        return DipoleState(self, batch, states)

    def split(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return the weights of every kernel."""
        ends = np.cumsum([kernel.rank for kernel in self.kernels])
        return np.split(weights, ends[:-1])


@dataclass
class DipoleState:
    """Atomic dipoles of a batch.

    Attributes
    ----------
    dipoles : AtomicDipoles
    batch : StructureBatch
    states : list of EquivariantState
    """

    dipoles: AtomicDipoles
    batch: StructureBatch
    states: list

    def rows(self, atoms: np.ndarray) -> np.ndarray:
        """Return the rows of the dipoles of some atoms, (n, 3, rank)."""
        rows = np.concatenate([state.rows()[atoms] for state in self.states], axis=2)
        return np.einsum("am,imw->iaw", AXES, rows)

    def moment_rows(self) -> np.ndarray:
        """Return the rows of the sums of dipoles, (n_structures, 3, rank)."""
        rows = np.concatenate([state.structure_rows() for state in self.states], axis=2)
        return np.einsum("am,smw->saw", AXES, rows)

    def born_rows(self) -> np.ndarray:
        """Return the rows of d(sum of dipoles)/dR, (n_atoms, 3, 3, rank).

        The first axis of length 3 is that of the dipole, the second that of R.
        """
        rows = np.empty((self.batch.n_atoms, 3, 3, self.dipoles.rank))
        for axis, direction in enumerate(np.eye(3)):
            self.fill_rows(np.tile(direction, (self.batch.n_atoms, 1)), rows[:, axis])
        return rows

    def position_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return the rows of d(sum_i adjoint_i . d_i)/dR, (n_atoms, 3, rank)."""
        rows = np.empty((self.batch.n_atoms, 3, self.dipoles.rank))
        self.fill_rows(adjoint, rows)
        return rows

    def fill_rows(self, adjoint: np.ndarray, rows: np.ndarray) -> None:
        """Write `position_rows` into an array."""
        start = 0
        for state in self.states:
            columns = slice(start, start + state.kernel.rank)
            rows[:, :, columns] = state.position_rows(adjoint @ AXES)
            start = columns.stop

    def atom_gradients(self, weights: np.ndarray) -> np.ndarray:
        """Return d(d_i)/dR of all atoms, (n_atoms, 3, n_atoms, 3)."""
        pairs = zip(self.states, self.dipoles.split(weights), strict=True)
        total = sum(state.atom_gradients(weights) for state, weights in pairs)
        return np.einsum("am,imjb->iajb", AXES, total)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return the dipoles in e·Å, (n_atoms, 3)."""
        pairs = zip(self.states, self.dipoles.split(weights), strict=True)
        return sum(state.values(weights) for state, weights in pairs) @ AXES.T

    def gradients(self, weights: np.ndarray, adjoint: np.ndarray):
        """Return the derivatives of sum_i adjoint_i . d_i.

        Parameters
        ----------
        weights : ndarray of shape (rank,)
        adjoint : ndarray of shape (n_atoms, 3)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        adjoint = adjoint @ AXES
        pairs = zip(self.states, self.dipoles.split(weights), strict=True)
        parts = [state.gradients(weights, adjoint) for state, weights in pairs]
        return tuple(sum(of_kind) for of_kind in zip(*parts, strict=True))
