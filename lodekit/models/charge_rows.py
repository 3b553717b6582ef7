"""Energies of charges conditioned on the total charge, as rows around present weights.

With q = Phi w + c (Q - s.w) of `ConditionedCharges`, where the covariance B of weights
in c = Phi g / (s.g), g = B s, stays as it is, and atomic moments t = Psi w, all of them
M = (q, t), the energy U = M.A M / 2 with the potential V and the fields F, (V, F) = A
M, has

    dU/dw = (V - V_c).Phi + F.Psi,
    d(dU/dR)/dw = (A_R M + A M_R).M_w + (V - V_c).Phi_R - (V.c_R) s + F.Psi_R,
    V.c_R = sum_i Phi_i,R . [(V_i - V_c) g + B sum_j (V_j - V_c) Phi_j] / (s.g),
    q_R = T - c sum_i T_i,    T_i = Phi_i,R . (w + l g) + l Phi_i B s_R,
    q_w = Phi - c s,    t_R = Psi_R w,    t_w = Psi.

The same with strain.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.electrostatics import MultipoleInteraction, MultipoleMatrix
from lodekit.fitting.kept_rows import make_anew
from lodekit.observables.charges import AffineCharges
from lodekit.observables.moments import MULTIPLICITY
from lodekit.structures.stress import symmetric_part

from .dipole_gradients import EnvironmentDipoles
from .moving_charges import MovingCharges

#: Where the monomials xx, xy, xz, yy, yz, zz stand among xx, yy, zz, yz, xz, xy.
BY_MONOMIAL = [0, 5, 4, 1, 3, 2]


class ChargeExpansion(MovingCharges):
    """Structures with rows around the weights of a model, for `JointFit`."""

    def __init__(self, model, frames, keep=make_anew):
        self.keep = keep
        super().__init__(model, frames)

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target is about.

        For a total charge, those before they are conditioned.
        """
        charges = self.charges[index]
        if name == "total_charge":
            return AffineCharges(charges.features, np.zeros(len(charges.features)))
        moments = tuple(self.moment_rows_of(index))
        moved = EnvironmentDipoles(self.model, self.frames[index], charges)
        return AffineCharges(charges.matrix, charges.offset, moments, moved)

    def moment_rows_of(self, index: int) -> list[np.ndarray]:
        """Return Psi of one structure by order, (n_atoms, 3 or 6, rank)."""
        return [rows[self.own(index)] for rows in self.moment_rows]

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/atom."""
        sizes = np.diff(self.batch.first_atom)
        rows = np.array(
            [
                self.scales[self.own(index)] @ own.features
                for index, own in enumerate(self.charges)
            ]
        )
        effects = self.further_effects()
        first = self.batch.first_atom[:-1]
        rows[:, self.kernels.stop :] += np.add.reduceat(effects, first, axis=0)
        return rows / sizes[:, None], self.energies / sizes

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        latent, moments = self.model.latent_, self.model.moments_
        own = [-latent.force_rows(self.batch, self.states, self.scales)]
        sums = self.keep(
            "sums of forces", lambda: -latent.force_rows(self.batch, self.states)
        )
        moved = [latent.atom_gradients(self.states, self.moved)[:, None]]
        if self.moments:
            of_moments = self.batch, self.moment_states
            own.append(-moments.force_rows(*of_moments, self.fields))
            moved += moments.atom_gradients(*of_moments, self.moment_weights)
        own = np.concatenate(own, axis=2)
        rows = []
        for index in range(len(self.frames)):
            atoms = self.own(index)
            row = self.rows(
                index,
                np.concatenate(own[atoms]),
                np.concatenate(sums[atoms]),
                [merge_axes(changes[atoms, :, atoms]) for changes in moved],
                merge_axes(self.matrices[index].gradients(self.packed[index])),
                self.share_gradients[0][atoms].ravel(),
            )
            rows.append(-row)
        return np.concatenate(rows), -self.gradients[0].ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        latent, moments = self.model.latent_, self.model.moments_
        own = [latent.strain_rows(self.batch, self.states, self.scales)]
        sums = self.keep(
            "sums of strain", lambda: latent.strain_rows(self.batch, self.states)
        )
        moved = [latent.atom_strain_gradients(self.states, self.moved)[:, None]]
        if self.moments:
            of_moments = self.batch, self.moment_states
            own.append(moments.strain_rows(*of_moments, self.fields))
            moved += moments.atom_strain_gradients(*of_moments, self.moment_weights)
        own = np.concatenate(own, axis=2)
        rows, values = [], []
        for index, frame in enumerate(self.frames):
            if frame.pbc.all():
                row = self.rows(
                    index,
                    own[index],
                    sums[index],
                    [symmetric_part(changes[self.own(index)], -2) for changes in moved],
                    symmetric_part(
                        self.matrices[index].strain_gradients(self.packed[index]), -2
                    ),
                    symmetric_part(self.share_gradients[1][index]),
                )
                rows.append(row / frame.get_volume())
                values.append(
                    symmetric_part(self.gradients[1][index]) / frame.get_volume()
                )
        return np.concatenate(rows), np.concatenate(values)

    @cached_property
    def share_gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """V.c_R times s.g: positions (n_atoms, 3) and strain (n_structures, 3, 3)."""
        return self.sum_gradients(self.adjoints(self.spreads), self.responses)

    @cached_property
    def interactions(self) -> list[MultipoleInteraction]:
        """Those of charges and moments by structure."""
        return [matrix.interaction for matrix in self.matrices]

    @cached_property
    def matrices(self) -> list[MultipoleMatrix]:
        """A by structure, kept from step to step."""
        return self.keep("interactions", self.make_matrices)

    def make_matrices(self) -> list[MultipoleMatrix]:
        """Return A by structure."""
        n_moments = (1, 4, 10)[len(self.moments)]
        return [
            MultipoleMatrix(self.interaction(atoms, MultipoleInteraction), n_moments)
            for atoms in self.frames
        ]

    @cached_property
    def packed(self) -> list[np.ndarray]:
        """M by structure, (n_atoms, n_moments)."""
        packed = []
        for index, charges in enumerate(self.charges):
            moments = [own[self.own(index), :, None] for own in self.moments]
            packed.append(pack(charges.values[:, None, None], moments)[..., 0])
        return packed

    def rows(self, index, own, sums, moved, slopes, shares) -> np.ndarray:
        """Return d(dU/dx)/dw of one structure for n variables x.

        Parameters
        ----------
        own : ndarray of shape (n, rank of kernels and moments)
            (V - V_c).Phi_x and F.Psi_x, without columns of elements.
        sums : ndarray of shape (n, rank of the kernels)
            s_x.
        moved : list of ndarray
            Phi_i,x . (w + l g), (n_atoms, 1, n), then t_x, (n_atoms, 3 or 6, n).
        slopes : ndarray of shape (n_atoms, n_moments, n)
            A_x M.
        shares : ndarray of shape (n,)
            V.c_x times s.g.
        """
        charges = self.charges[index]
        spread = charges.solution.apply_covariance(charges.features.T)[self.kernels]
        moved_charges = moved[0] + charges.level * (sums @ spread).T[:, None]
        moved_charges -= np.multiply.outer(charges.share, moved_charges.sum(axis=0))
        changes = pack(moved_charges, moved[1:])
        slopes = slopes + self.respond(index, changes)
        rows = np.tensordot(slopes, self.sources(index), ((0, 1), (0, 1)))
        rows[:, self.kernels.start :] += own
        total = charges.features.sum(axis=0)
        return rows - np.outer(shares, total) / (total @ charges.spread)

    def respond(self, index: int, changes: np.ndarray) -> np.ndarray:
        """Return A times changes of M, (n_atoms, n_moments, n)."""
        n_sources = changes.shape[0] * changes.shape[1]
        matrix = self.matrices[index].matrix.reshape(n_sources, n_sources)
        return (matrix @ changes.reshape(n_sources, -1)).reshape(changes.shape)

    def sources(self, index: int) -> np.ndarray:
        """Return M_w of one structure, (n_atoms, n_moments, rank)."""
        charges = self.charges[index].matrix[:, None]
        rank, stop = charges.shape[2], self.kernels.stop
        moments = []
        for own in self.moment_rows_of(index):
            start, stop = stop, stop + own.shape[2]
            moments.append(np.pad(own, ((0, 0), (0, 0), (start, rank - stop))))
        return pack(charges, moments)


def pack(charges: np.ndarray, moments: list) -> np.ndarray:
    """Return charges and moments by monomial, (n_atoms, n_moments, n).

    Of charges (n_atoms, 1, n), dipoles (n_atoms, 3, n), quadrupoles (n_atoms, 6, n).
    """
    parts = [charges, *moments[:1]]
    for quadrupoles in moments[1:]:
        parts.append((0.5 * MULTIPLICITY[:, None] * quadrupoles)[:, BY_MONOMIAL])
    return np.concatenate(parts, axis=1)


def merge_axes(changes: np.ndarray) -> np.ndarray:
    """Return derivatives by positions (..., n_atoms, 3) as (..., 3 n_atoms)."""
    return changes.reshape(*changes.shape[:-2], -1)
