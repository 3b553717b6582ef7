"""Energies of charges conditioned on the total charge, as rows around present weights.

With q = Phi w + c (Q - s.w) of `ConditionedCharges`, where the covariance B of weights
in c = Phi g / (s.g), g = B s, stays as it is, the energy U = q.A q / 2 with V = A q has

    dU/dw = (V - V_c).Phi,
    d(dU/dR)/dw = (A_R q + A q_R).(Phi - c s) + (V - V_c).Phi_R - (V.c_R) s,
    V.c_R = sum_i Phi_i,R . [(V_i - V_c) g + B sum_j (V_j - V_c) Phi_j] / (s.g),
    q_R = T - c sum_i T_i,    T_i = Phi_i,R . (w + l g) + l Phi_i B s_R.

The same with strain.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.observables.charges import AffineCharges

from .charge_equilibration_rows import voigt_rows
from .kept_rows import make_anew
from .latent_charge_batch import potential_gradients
from .moving_charges import MovingCharges


class ChargeExpansion(MovingCharges):
    """Structures with rows around the weights of a model, for `JointFit`."""

    def __init__(self, model, frames, keep=make_anew):
        super().__init__(model, frames)
        self.keep = keep

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target is about.

        For a total charge, those before they are conditioned.
        """
        charges = self.charges[index]
        if name == "total_charge":
            return AffineCharges(charges.features, np.zeros(len(charges.features)))
        return AffineCharges(charges.matrix, charges.offset)

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/atom."""
        sizes = np.diff(self.batch.first_atom)
        rows = [
            self.scales[self.own(index)] @ own.features
            for index, own in enumerate(self.charges)
        ]
        return np.array(rows) / sizes[:, None], self.energies / sizes

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        latent = self.model.latent_
        own = -latent.force_rows(self.batch, self.states, self.scales)
        sums = self.keep(
            "sums of forces", lambda: -latent.force_rows(self.batch, self.states)
        )
        moved = latent.atom_gradients(self.states, self.moved)
        rows = []
        for index, slopes in enumerate(self.potential_gradients):
            atoms = self.own(index)
            n_atoms = len(slopes[0])
            rows.append(
                -self.rows(
                    index,
                    own[atoms].reshape(3 * n_atoms, -1),
                    sums[atoms].reshape(3 * n_atoms, -1),
                    moved[atoms, atoms].reshape(n_atoms, -1),
                    slopes[0],
                    self.share_gradients[0][atoms].ravel(),
                )
            )
        return np.concatenate(rows), -self.gradients[0].ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        latent = self.model.latent_
        own = latent.strain_rows(self.batch, self.states, self.scales)
        sums = self.keep(
            "sums of strain", lambda: latent.strain_rows(self.batch, self.states)
        )
        moved = latent.atom_strain_gradients(self.states, self.moved)
        rows, values = [], []
        for index, atoms in enumerate(self.frames):
            if atoms.pbc.all():
                slopes = self.potential_gradients[index][1].reshape(-1, 3, 3)
                row = self.rows(
                    index,
                    own[index],
                    sums[index],
                    voigt_rows(np.moveaxis(moved[self.own(index)], 0, -1)).T,
                    voigt_rows(np.moveaxis(slopes, 0, -1)).T,
                    voigt_rows(self.share_gradients[1][index]),
                )
                rows.append(row / atoms.get_volume())
                values.append(voigt_rows(self.gradients[1][index]) / atoms.get_volume())
        return np.concatenate(rows), np.concatenate(values)

    @cached_property
    def share_gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """V.c_R times s.g: positions (n_atoms, 3) and strain (n_structures, 3, 3)."""
        return self.sum_gradients(self.adjoints(self.spreads), self.responses)

    @cached_property
    def potential_gradients(self) -> list[tuple]:
        """A_R q by structure, for positions and strain."""
        pairs = zip(self.interactions, self.charges, strict=True)
        return [potential_gradients(matrix, own.values) for matrix, own in pairs]

    def rows(self, index, own, sums, moved, slopes, shares) -> np.ndarray:
        """Return d(dU/dx)/dw of one structure for n variables x.

        Parameters
        ----------
        own, sums : ndarray of shape (n, rank of the kernels)
            (V - V_c).Phi_x and s_x, without columns of elements.
        moved, slopes : ndarray of shape (n_atoms, n)
            Phi_i,x . (w + l g), and A_x q.
        shares : ndarray of shape (n,)
            V.c_x times s.g.
        """
        charges = self.charges[index]
        spread = charges.solution.apply_covariance(charges.features.T)[self.kernels]
        moved = moved + charges.level * (sums @ spread).T
        moved -= np.outer(charges.share, moved.sum(axis=0))
        rows = (slopes + self.interactions[index] @ moved).T @ charges.matrix
        rows[:, self.kernels] += own
        total = charges.features.sum(axis=0)
        return rows - np.outer(shares, total) / (total @ charges.spread)
