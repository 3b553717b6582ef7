"""Energies of equilibrated charges as rows, linear around the present weights.

The energy at its minimum, U, is quadratic in the weights w of chi = Phi w, and
stationary in the charges, so that dU/dw = Phi^T q with the equilibrated charges q.
Forces follow exactly as well: with dU/dR = q.A_R q / 2 + q.chi_R,

    d(dU/dR)/dw = (A_R q + chi_R).dq/dw + q.Phi_R,    dq/dw = -Abar Phi.

The same with strain. Where the hardness is that of environments, J = J_element exp(h)
with h = L tanh(x / L), x = X v and t = dh/dx, dU/dR has the term
sum_i (q_i^2 J_i / 2) h_i,R and A_R q the term q_i J_i h_i,R, and

    d(dU/dR)/dv = (A_R q + chi_R + q J h_R).dq/dv
                  + sum_i (q_i^2 J_i / 2) [t_i X_i,R + h_i,R (t_i - 2 h_i / L^2) X_i].
"""

from __future__ import annotations

import numpy as np

from lodekit.fitting.kept_rows import make_anew
from lodekit.observables.charges import AffineCharges
from lodekit.structures.stress import symmetric_part

from .charge_equilibration_batch import EquilibratedBatch
from .charge_equilibration_environments import FARTHEST


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
        values = np.array([found.energy for found in self.together.solutions])
        return self.together.energy_rows() / self.sizes[:, None], values / self.sizes

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        positions, _ = self._gradients()
        together = self.together
        rows = self._fixed(together.latent.force_rows)
        for index in range(len(self.charges)):
            own = together.own(index)
            rows[own] -= self._changes(index)[:-9].reshape(rows[own].shape)
        return rows.reshape(positions.size, -1), -positions.ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        _, strain = self._gradients()
        together = self.together
        rows = self._fixed(together.latent.strain_rows)
        kept, values = [], []
        for index, atoms in enumerate(together.frames):
            if atoms.pbc.all():
                change = symmetric_part(self._changes(index)[-9:].reshape(3, 3, -1))
                kept.append((rows[index] + change) / atoms.get_volume())
                values.append(symmetric_part(strain[index]) / atoms.get_volume())
        return np.concatenate(kept), np.concatenate(values)

    def _fixed(self, make) -> np.ndarray:
        """Return rows of what Phi_R changes at fixed charges, (..., rank).

        ``make`` is `Latent.force_rows` or `Latent.strain_rows`; elements do not move.
        """
        together, model = self.together, self.together.model
        own = make(together.batch, together.states, together.scales)
        rows = np.zeros((*own.shape[:-1], model.rank))
        rows[..., model.species_.size : model.n_linear] = own
        if model.hardness_scales.size:
            scales = 0.5 * together.charges**2 * together.hardness
            scales *= together.hardness_changes[1]
            more = make(together.batch, together.states, scales)
            n_elements = model.species_.size
            own = slice(model.n_linear + n_elements, None)
            rows[..., own] = more * model.hardness_scales[n_elements:]
        return rows

    def _changes(self, index: int) -> np.ndarray:
        """Return derivatives by the weights at fixed Phi_R, (3 n + 9, rank).

        Of dU/dR and the strain derivative; where charge flows over bonds, with what
        changes in these.
        """
        together, features = self.together, self.features[index]
        changes = together.potential_gradients[index].T @ self.charges[index].matrix
        charges = together.charges[together.own(index)][:, None]
        slopes = together.hardness_rows(index, features)
        if slopes.size:
            changes[:, features.shape[1] :] += self._stiffening(index)
        if self.has_bonds:
            positions, strain = together.equilibrations[index].gradient_rows(
                together.solutions[index], np.hstack([features, charges * slopes])
            )
            rank = changes.shape[1]
            changes[:-9] += positions.reshape(-1, rank)
            changes[-9:] += strain.reshape(-1, rank)
        return changes

    def _stiffening(self, index: int) -> np.ndarray:
        """Return sum_i (q_i^2 J_i / 2) h_i,R (t_i - 2 h_i / L^2) X_i."""
        together, own = self.together, self.together.own(index)
        change, slope = (part[own] for part in together.hardness_changes)
        scales = 0.5 * together.charges[own] ** 2 * together.hardness[own]
        scales *= slope - 2.0 * change / FARTHEST**2
        rows = together.model.hardness_features(self.features[index])
        return together.hardness_gradients[index].T @ (scales[:, None] * rows)

    def _gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Return `EquilibratedBatch.gradients`."""
        if self.gradients is None:
            self.gradients = self.together.gradients()
        return self.gradients
