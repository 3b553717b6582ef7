"""Energies of equilibrated charges as rows, linear around the present weights.

The energy at its minimum, U, is quadratic in the weights w of chi = Phi w, and
stationary in the charges, so that dU/dw = Phi^T q with the equilibrated charges q.
Forces follow exactly as well: with dU/dR = q.A_R q / 2 + q.chi_R,

    d(dU/dR)/dw = (A_R q + chi_R).dq/dw + q.Phi_R,    dq/dw = -Abar Phi.

The same with strain.
"""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import AffineCharges

from .charge_equilibration_batch import EquilibratedBatch
from .kept_rows import make_anew


class EnergyExpansion:
    """First derivatives of energies, forces and stress by the weights.

    Parameters
    ----------
    model : ChargeEquilibrationModel
    frames : list of ase.Atoms

    Attributes
    ----------
    charges : list of AffineCharges
        One for each structure.
    """

    def __init__(self, model, frames, keep=make_anew):
        self.together = together = EquilibratedBatch(model, frames)
        self.sizes = np.diff(together.batch.first_atom)
        self.features = together.features
        self.charges = [
            model._charges(atoms, features)
            for atoms, features in zip(together.frames, self.features, strict=True)
        ]
        self.has_bonds = model.bond_hardness_ is not None
        self.gradients = None

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target is about."""
        return self.charges[index]

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/atom."""
        together = self.together
        rows = [
            features.T @ together.charges[together.own(index)]
            for index, features in enumerate(self.features)
        ]
        values = np.array([found.energy for found in together.solutions])
        return np.array(rows) / self.sizes[:, None], values / self.sizes

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        positions, _ = self._gradients()
        together = self.together
        scales = together.charges * together.stiffness
        rows = self._padded(
            together.latent.force_rows(together.batch, together.states, scales)
        )
        for index in range(len(self.charges)):
            own = together.own(index)
            rows[own] -= self._changes(index)[:-9].reshape(rows[own].shape)
        return rows.reshape(positions.size, -1), -positions.ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        _, strain = self._gradients()
        together = self.together
        scales = together.charges * together.stiffness
        rows = self._padded(
            together.latent.strain_rows(together.batch, together.states, scales)
        )
        kept, values = [], []
        for index, atoms in enumerate(together.frames):
            if atoms.pbc.all():
                change = voigt_rows(self._changes(index)[-9:].reshape(3, 3, -1))
                kept.append((rows[index] + change) / atoms.get_volume())
                values.append(voigt_rows(strain[index]) / atoms.get_volume())
        return np.concatenate(kept), np.concatenate(values)

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with columns of the elements, which do not move, in front."""
        n_elements = self.features[0].shape[1] - rows.shape[-1]
        return np.concatenate([np.zeros((*rows.shape[:-1], n_elements)), rows], axis=-1)

    def _changes(self, index: int) -> np.ndarray:
        """Return derivatives by the weights at fixed Phi_R, (3 n + 9, rank).

        Of dU/dR and the strain derivative; where charge flows over bonds, with what
        changes in these.
        """
        changes = (
            self.together.potential_gradients[index].T @ self.charges[index].matrix
        )
        if self.has_bonds:
            together = self.together
            positions, strain = together.equilibrations[index].gradient_rows(
                together.solutions[index], self.features[index]
            )
            rank = changes.shape[1]
            changes[:-9] += positions.reshape(-1, rank)
            changes[-9:] += strain.reshape(-1, rank)
        return changes

    def _gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Return `EquilibratedBatch.gradients`."""
        if self.gradients is None:
            self.gradients = self.together.gradients()
        return self.gradients


def voigt_rows(strain: np.ndarray) -> np.ndarray:
    """Return the symmetric part of (3, 3, ...) as (6, ...)."""
    symmetric = 0.5 * (strain + np.swapaxes(strain, 0, 1))
    return symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
