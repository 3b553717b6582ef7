"""The calculus of gradient rows, for every response.

With latents a = Phi w and an energy U(a, R), where R are positions or strain,

    dU/dw = U_a . Phi,
    dU/dR = U_R + U_a . a_R,
    d(dU/dR)/dw = (U_Ra + U_aa a_R) . Phi + U_a . Phi_R.

The first factor of the last line is what `Solved.slope_changes` returns, the total
change of the slopes U_a with R as the latents follow the atoms.
"""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import AffineCharges
from lodekit.structures.stress import symmetric_part

from .response import Solved


class EnergyRows:
    """Rows and values of energies, forces and stress around the weights of a solution.

    Each method returns rows (n, rank), and values (n,) of the response itself.
    """

    def __init__(self, solved: Solved):
        self.solved = solved
        solved.expects_rows = True
        self.sizes = np.diff(solved.batch.first_atom)

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target of one structure is about."""
        return self.solved.linear(index, name)

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/atom."""
        rows = self.solved.energy_rows() / self.sizes[:, None]
        return rows, self.solved.energies / self.sizes

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        rows = position_rows(self.solved)
        np.negative(rows, out=rows)
        return rows.reshape(-1, rows.shape[-1]), -self.solved.gradients[0].ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        solved, frames = self.solved, self.solved.frames
        chosen = [i for i, atoms in enumerate(frames) if atoms.pbc.all()]
        volumes = np.array([frames[i].get_volume() for i in chosen])
        rows = strain_rows(solved, chosen) / volumes[:, None, None]
        values = symmetric_part(solved.gradients[1][chosen], 1) / volumes[:, None]
        return rows.reshape(-1, rows.shape[-1]), values.ravel()


class SumRows:
    """Rows of energies that are linear in the weights, for `pack_rows`."""

    def __init__(self, solved: Solved):
        self.solved = solved

    def energy(self) -> np.ndarray:
        """Return derivatives of energies, (n_structures, rank)."""
        return self.solved.energy_rows()

    def forces(self) -> np.ndarray:
        """Return those of forces, (n_atoms, 3, rank)."""
        return -position_rows(self.solved)

    def strain(self) -> np.ndarray:
        """Return those of strain derivatives, (n_structures, 6, rank), Voigt."""
        return strain_rows(self.solved, list(range(len(self.solved.frames))))


def position_rows(solved: Solved) -> np.ndarray:
    """Return d(dU/dR)/dw by positions, (n_atoms, 3, rank)."""
    pairs = zip(solved.states, solved.slopes, strict=True)
    rows = np.concatenate([s.position_rows(atoms) for s, atoms in pairs], axis=2)
    for index in range(len(solved.frames)):
        atoms = solved.atoms_of(index)
        changes = changed_slopes(solved, index, strain=False)
        rows[atoms] += changes.reshape(rows[atoms].shape)
    return rows


def strain_rows(solved: Solved, chosen: list[int]) -> np.ndarray:
    """Return d(dU/d(strain))/dw of some structures, (n, 6, rank), Voigt."""
    pairs = zip(solved.states, solved.slopes, strict=True)
    rows = np.concatenate([s.strain_rows(part) for s, part in pairs], axis=2)[chosen]
    for place, index in enumerate(chosen):
        rows[place] += changed_slopes(solved, index, strain=True)
    return rows


def changed_slopes(solved: Solved, index: int, strain: bool) -> np.ndarray:
    """Return (U_Ra + U_aa a_R) . Phi of one structure, (n, rank)."""
    atoms = solved.atoms_of(index)
    parts = []
    for state, changes in zip(
        solved.states, solved.slope_changes(index, strain), strict=True
    ):
        n_atoms, n_components, n = changes.shape
        phi = state.rows[atoms].reshape(n_atoms * n_components, -1)
        parts.append(changes.reshape(n_atoms * n_components, n).T @ phi)
    return np.hstack(parts)
