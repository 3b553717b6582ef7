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


class EnergyExpansion:
    """First derivatives of energies, forces and stress by the weights.

    Parameters
    ----------
    model : ChargeEquilibrationModel
    together : EquilibratedBatch

    Attributes
    ----------
    charges : list of AffineCharges
        One for each structure.
    """

    def __init__(self, model, together: EquilibratedBatch):
        self.together = together
        self.sizes = np.diff(together.batch.first_atom)
        pairs = list(model._features(together.frames))
        self.features = [features for _, features in pairs]
        self.charges = [model._charges(atoms, features) for atoms, features in pairs]
        self.slopes = None

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
        slopes, positions, _ = self._slopes()
        together = self.together
        scales = together.charges * together.stiffness
        rows = self._padded(
            together.latent.force_rows(together.batch, together.states, scales)
        )
        for index, charges in enumerate(self.charges):
            own = together.own(index)
            changes = slopes[index][:, :-9].T @ charges.matrix
            rows[own] -= changes.reshape(rows[own].shape)
        return rows.reshape(positions.size, -1), -positions.ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        slopes, _, strain = self._slopes()
        together = self.together
        scales = together.charges * together.stiffness
        rows = self._padded(
            together.latent.strain_rows(together.batch, together.states, scales)
        )
        kept, values = [], []
        for index, (atoms, charges) in enumerate(
            zip(together.frames, self.charges, strict=True)
        ):
            if atoms.pbc.all():
                change = slopes[index][:, -9:].T @ charges.matrix
                change = voigt_rows(change.reshape(3, 3, -1))
                kept.append((rows[index] + change) / atoms.get_volume())
                values.append(voigt_rows(strain[index]) / atoms.get_volume())
        return np.concatenate(kept), np.concatenate(values)

    def _padded(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with columns of the elements, which do not move, in front."""
        n_elements = self.features[0].shape[1] - rows.shape[-1]
        return np.concatenate([np.zeros((*rows.shape[:-1], n_elements)), rows], axis=-1)

    def _slopes(self):
        """Return (A_R q + chi_R) by structure, and the gradients of the energies.

        Returns
        -------
        slopes : list of ndarray of shape (n, 3 n + 9)
            Derivatives of the potential of every atom by positions and strain.
        positions, strain : ndarray
            See `EquilibratedBatch.gradients`.
        """
        if self.slopes is None:
            together = self.together
            slopes = [np.zeros((n, 3 * n + 9)) for n in self.sizes]
            first = together.batch.first_atom[:-1]
            for atom in range(self.sizes.max()):
                # one atom of every structure at a time: one reverse pass for all
                having = np.flatnonzero(self.sizes > atom)
                chosen = np.zeros(together.batch.n_atoms)
                chosen[first[having] + atom] = 1.0
                scales = chosen * together.stiffness
                gradients, strain = together.latent.gradients(
                    together.batch, together.states, together.adjoints, scales
                )
                for index in having:
                    own = together.own(index)
                    more = together.equilibrations[index].interaction.gradients(
                        chosen[own], together.charges[own]
                    )
                    slopes[index][atom, :-9] = (gradients[own] + more[0]).ravel()
                    slopes[index][atom, -9:] = (strain[index] + more[1]).ravel()
            self.slopes = slopes, *together.gradients()
        return self.slopes


def voigt_rows(strain: np.ndarray) -> np.ndarray:
    """Return the symmetric part of (3, 3, ...) as (6, ...)."""
    symmetric = 0.5 * (strain + np.swapaxes(strain, 0, 1))
    return symmetric[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
