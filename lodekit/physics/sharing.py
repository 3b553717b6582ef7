"""How the charges of a structure come to sum to its total charge.

Every atom takes a share c_i of what latents a leave of the total charge Q,

    q_i = a_i + c_i (Q - sum_j a_j),

so that a potential V at the charges has the slopes U_a,i = V_i - V_c with V_c =
sum_i c_i V_i. `EqualShares` have c = 1 / n, or 0 where charges need not sum to Q.
`ConditionedShares` are those of `ConditionedCharges`: c depends on features of the
atoms, U has the explicit derivative (V.c_R) (Q - sum_j a_j), and

    q_R = T - c sum_i T_i,    T_i = Phi_i,R . (w + l g) + l Phi_i B s_R,
    V.c_R = sum_i Phi_i,R . [(V_i - V_c) g + B sum_j (V_j - V_c) Phi_j] / (s.g).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.observables.charges import total_charge
from lodekit.regression.latent import ReversePass
from lodekit.regression.latent_states import ElementState, scalar_gradients
from lodekit.structures.stress import symmetric_part

from .conditioning import ConditionedCharges


class EqualShares:
    """The same share for every atom of a structure.

    Parameters
    ----------
    state : ElementState
        The latents of the charges.
    frames : list of ase.Atoms
    conserving : bool
        Whether charges sum to the total charge; if not, they are the latents.
    """

    def __init__(self, state: ElementState, frames, conserving: bool = True):
        self.state, self.batch = state, state.batch
        self.totals = [total_charge(atoms) for atoms in frames]
        sizes = np.diff(self.batch.first_atom)
        self.shares = [np.full(n, conserving / n) for n in sizes]

    def atoms_of(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    def charges(self, index: int) -> np.ndarray:
        """Return q of one structure in e, (n_atoms,)."""
        latents = self.state.values[self.atoms_of(index), 0]
        return latents + self.shares[index] * (self.totals[index] - latents.sum())

    def features(self, index: int) -> np.ndarray:
        """Return Phi of the atoms of one structure, (n_atoms, rank)."""
        return self.state.rows[self.atoms_of(index), 0]

    def matrix(self, index: int) -> np.ndarray:
        """Return q_w of one structure, (n_atoms, rank)."""
        features = self.features(index)
        return features - np.outer(self.shares[index], features.sum(axis=0))

    def conditioned(self, index: int) -> ConditionedCharges | None:
        """Return the conditioned charges of one structure, None here."""
        return None

    def slopes(self, index: int, potential: np.ndarray) -> np.ndarray:
        """Return V_i - V_c of one structure, (n_atoms, ...)."""
        return potential - self.shares[index] @ potential

    def pull(self, reverse_pass: ReversePass, scales: np.ndarray) -> None:
        """Add what changes sum_i V_i q_i; ``scales`` (n_atoms,) are V_i - V_c."""
        self.state.pull(reverse_pass, scales[:, None])

    def moved(self, strain: bool) -> list[np.ndarray]:
        """Return q_R by structure, (n_atoms, 1, n)."""
        return [
            changed - np.multiply.outer(share, changed.sum(axis=0))
            for changed, share in zip(self.followed(strain), self.shares, strict=True)
        ]

    def followed(self, strain: bool) -> list[np.ndarray]:
        """Return T by structure, (n_atoms, 1, n): charges that follow the atoms."""
        return self.state.atom_gradients(strain)

    def share_changes(self, scales: np.ndarray, strain: bool) -> list:
        """Return V.c_R by structure, (n,)."""
        return [0.0] * len(self.shares)


class ConditionedShares(EqualShares):
    """Shares by the posterior of charges: see `ConditionedCharges`.

    Parameters
    ----------
    state, frames
        As in `EqualShares`, with covariances among the features.
    solution : Solution or DualSolution
        Posterior with the weights w of the charges and what stands beside them, whose
        features are 0.
    keep : callable
        Keeps derivatives that depend on no weights.
    """

    def __init__(self, state, frames, solution, keep):
        super().__init__(state, frames)
        self.solution, self.keep = solution, keep
        self.kernels = slice(state.n_species, state.rank)
        padded = self.padded(state.rows[:, 0])
        sums = np.add.reduceat(padded, self.batch.first_atom[:-1], axis=0)
        spreads = solution.apply_covariance(sums.T).T
        self.all = [
            ConditionedCharges.of(padded[self.atoms_of(index)], solution, total, spread)
            for index, (total, spread) in enumerate(
                zip(self.totals, spreads, strict=True)
            )
        ]
        self.shares = [charges.share for charges in self.all]

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with columns of zeros for other weights of the posterior."""
        missing = self.solution.weights.size - rows.shape[1]
        return np.pad(rows, ((0, 0), (0, missing))) if missing else rows

    def conditioned(self, index: int) -> ConditionedCharges:
        """Return the conditioned charges of one structure."""
        return self.all[index]

    @cached_property
    def levels(self) -> np.ndarray:
        """Levels l by structure, (n_structures, 1)."""
        return np.array([[charges.level] for charges in self.all])

    @cached_property
    def spreads(self) -> np.ndarray:
        """Spreads g by structure, (n_structures, rank)."""
        return np.array([charges.spread for charges in self.all])

    @cached_property
    def main(self) -> list[np.ndarray]:
        """d(Phi_i . (w + l g))/d(features of i), by term."""
        return self.adjoints(self.solution.weights + self.levels * self.spreads)

    def adjoints(self, vectors: np.ndarray) -> list[np.ndarray]:
        """Return d(Phi_i . vector)/d(features of i) by term, (n_structures, rank)."""
        return self.state.features.adjoints(vectors[:, self.kernels])

    def responses(self, scales: np.ndarray) -> np.ndarray:
        """Return B sum_j (V_j - V_c) Phi_j by structure, (n_structures, rank)."""
        weighted = scales[:, None] * self.state.rows[:, 0]
        sums = np.add.reduceat(weighted, self.batch.first_atom[:-1], axis=0)
        return self.solution.apply_covariance(self.padded(sums).T).T

    def pull(self, reverse_pass: ReversePass, scales: np.ndarray) -> None:
        """Add what changes sum_i V_i q_i; ``scales`` (n_atoms,) are V_i - V_c."""
        states = self.state.features.states
        reverse_pass.add(states, self.main, scales)
        shared = self.adjoints(self.levels * self.responses(scales))
        reverse_pass.add(states, shared)

    def followed(self, strain: bool) -> list[np.ndarray]:
        """Return T by structure, (n_atoms, 1, n)."""
        followed = scalar_gradients(self.state.features, self.main, strain)
        sums = self.sum_rows(strain)
        for index, (charges, part) in enumerate(zip(self.all, followed, strict=True)):
            spread = charges.solution.apply_covariance(charges.features.T)
            sum_rows = sums[index] if strain else sums[self.atoms_of(index)]
            changes = sum_rows.reshape(part.shape[-1], -1) @ spread[self.kernels]
            part += charges.level * changes.T[:, None]
        return followed

    def sum_rows(self, strain: bool) -> np.ndarray:
        """Return s_R of the kernels, (n_atoms, 3, _) or (n_structures, 6, _)."""
        features = self.state.features
        latent, arguments = features.latent, (self.batch, features.states)
        if strain:
            return self.keep("sums of strain", lambda: latent.strain_rows(*arguments))
        return self.keep("sums of forces", lambda: -latent.force_rows(*arguments))

    def share_changes(self, scales: np.ndarray, strain: bool) -> list[np.ndarray]:
        """Return V.c_R by structure, (n,)."""
        positions, by_strain = self.share_gradients(scales)
        sizes = [charges.features.sum(axis=0) @ charges.spread for charges in self.all]
        if strain:
            part = symmetric_part(by_strain, 1)
            return [changes / size for changes, size in zip(part, sizes, strict=True)]
        return [
            positions[self.atoms_of(index)].ravel() / size
            for index, size in enumerate(sizes)
        ]

    def share_gradients(self, scales: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return V.c_R times s.g: positions (n_atoms, 3), strain (n, 3, 3)."""
        reverse_pass = ReversePass(self.batch)
        states = self.state.features.states
        reverse_pass.add(states, self.adjoints(self.spreads), scales)
        reverse_pass.add(states, self.adjoints(self.responses(scales)))
        return reverse_pass.run()
