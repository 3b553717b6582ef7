"""Charges conditioned on the total charge, atomic moments, and the energy they have.

With q = Phi w + c (Q - s.w) of `ConditionedCharges` and the potential V at the charges,
the energy of charges changes with the features as dU = sum_i (V_i - V_c) dPhi_i . (w +
l g) + l h . sum_i dPhi_i; that of atomic moments with the fields at these.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.electrostatics import CoulombInteraction, MultipoleInteraction
from lodekit.observables.charges import AffineCharges, total_charge
from lodekit.observables.moments import MULTIPLICITY, VOIGT
from lodekit.regression.latent import ReversePass
from lodekit.structures.batch import StructureBatch

from .charge_conditioning import ConditionedCharges
from .charge_energy import EnergyParts
from .dipole_gradients import EnvironmentDipoles


class MovingCharges:
    """Charges of structures that follow the atoms, with the moments beside them.

    Parameters
    ----------
    model : ChargeModel
        Its ``weights_`` are used, and the covariance of its ``solution_``.
    frames : list of ase.Atoms

    Attributes
    ----------
    charges : list of ConditionedCharges
        By structure.
    moments : list of ndarray of shape (n_atoms, 3 or 6)
        Atomic dipoles in e·Å and quadrupoles in e·Å², as far as there are any.
    results : list of ElectrostaticResult or MultipoleResult
        By structure.
    potentials : list of ndarray of shape (n_atoms,)
        V in V, by structure.
    scales : ndarray of shape (n_atoms,)
        V - V_c: what the energies change by with Phi w of the atoms.
    fields : list of ndarray of shape (n_atoms, 3 or 6)
        F: what they change by with the moments, in V/Å and V/Å^2.
    moment_rows : list of ndarray of shape (n_atoms, 3 or 6, rank)
        Psi: the moments are linear in weights.
    """

    def __init__(self, model, frames):
        self.model = model
        self.frames = frames
        self.batch = StructureBatch.from_frames(frames)
        self.cache: dict = {}
        self.states = model.latent_.evaluate(self.batch, self.cache)
        self.moment_states = model.moments_.evaluate(self.batch, self.cache)
        self.covariances = model.latent_.covariances(self.batch, self.states)
        self.solution = model.solution_.with_weights(model.weights_)
        self.charges = self.condition(
            model._padded(self.batch, self.states, self.covariances)
        )
        self.moment_rows = model.moments_.rows(self.batch, self.moment_states)
        ranks = np.cumsum([kernel.rank for kernel in model.moments_.kernels])
        weights = model.weights_[model.rank - model.moments_.rank :]
        self.moment_weights = np.split(weights, ranks[:-1]) if len(ranks) else []
        pairs = zip(self.moment_rows, self.moment_weights, strict=True)
        self.moments = [own @ w for own, w in pairs]
        found = [self.interact(i, own.values) for i, own in enumerate(self.charges)]
        self.results, self.potentials, fields = zip(*found, strict=True)
        self.fields = [np.concatenate(order) for order in zip(*fields, strict=True)]
        pairs = zip(self.charges, self.potentials, strict=True)
        self.scales = np.concatenate([own.scales(values) for own, values in pairs])

    def condition(self, features) -> list[ConditionedCharges]:
        """Return the charges of every structure."""
        sums = np.add.reduceat(features, self.batch.first_atom[:-1], axis=0)
        spreads = self.solution.apply_covariance(sums.T).T
        return [
            ConditionedCharges.of(
                features[self.own(index)], self.solution, total_charge(atoms), spread
            )
            for index, (atoms, spread) in enumerate(
                zip(self.frames, spreads, strict=True)
            )
        ]

    def own(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    def affine(self):
        """Yield the charges and moments of every structure, affine in the weights."""
        for index, charges in enumerate(self.charges):
            moments = tuple(rows[self.own(index)] for rows in self.moment_rows)
            moved = EnvironmentDipoles(self.model, self.frames[index], charges)
            yield AffineCharges(charges.matrix, charges.offset, moments, moved)

    @cached_property
    def interactions(self) -> list:
        """Those of charges, or of charges and moments, by structure."""
        kind = MultipoleInteraction if self.moments else CoulombInteraction
        return [self.interaction(atoms, kind) for atoms in self.frames]

    def interaction(self, atoms, kind):
        """Return the interaction of one structure."""
        width = self.model.charge_width_
        return kind(atoms.positions, atoms.cell[:], atoms.pbc, width)

    def interact(self, index: int, charges):
        """Return the electrostatic energy of one structure, with what it depends on.

        Returns
        -------
        result : ElectrostaticResult or MultipoleResult
        potential : ndarray of shape (n_atoms,)
            Derivative by the charges in V.
        fields : list of ndarray of shape (n_atoms, 3 or 6)
            Derivatives by the moments in V/Å and V/Å^2.
        """
        interaction = self.interactions[index]
        if not self.moments:
            result = interaction.compute(charges)
            return result, result.potential, []
        dipoles, *others = (own[self.own(index)] for own in self.moments)
        quadrupoles = [1.5 * matrices(tensors) for tensors in others]  # Buckingham's
        result = interaction.compute(charges, dipoles, *quadrupoles)
        fields = [-result.fields.field]
        if others:
            components = [result.fields.field_gradient[:, a, b] for a, b in VOIGT]
            fields.append(-0.5 * MULTIPLICITY * np.stack(components, axis=1))
        return result, result.potential, fields

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        return np.array([result.energy for result in self.results])

    def further_effects(self) -> np.ndarray:
        """Return F.Psi: what energies change by with the weights of moments.

        By atom in eV, (n_atoms, rank).
        """
        pairs = zip(self.fields, self.moment_rows, strict=True)
        parts = [np.einsum("ic,icw->iw", field, rows) for field, rows in pairs]
        return np.concatenate([np.zeros((self.batch.n_atoms, 0)), *parts], axis=1)

    @cached_property
    def levels(self) -> np.ndarray:
        """Levels l by structure, (n_structures, 1)."""
        return np.array([[own.level] for own in self.charges])

    @cached_property
    def spreads(self) -> np.ndarray:
        """Spreads g by structure, (n_structures, rank)."""
        return np.array([own.spread for own in self.charges])

    @cached_property
    def responses(self) -> np.ndarray:
        """B sum_j (V_j - V_c) Phi_j by structure, (n_structures, rank)."""
        moved = [
            self.scales[self.own(index)] @ own.features
            for index, own in enumerate(self.charges)
        ]
        return self.solution.apply_covariance(np.transpose(moved)).T

    def adjoints(self, vectors: np.ndarray) -> list[np.ndarray]:
        """Return d(Phi_i . vector)/d(features of i) by term.

        With a vector (n_structures, rank) for every structure.
        """
        return self.model.latent_.adjoints(
            self.batch, self.states, vectors[:, self.kernels], self.covariances
        )

    @property
    def kernels(self) -> slice:
        """Columns of the kernels, between those of elements and atomic moments."""
        n_species = self.model.species_.size
        return slice(n_species, n_species + self.model.latent_.rank)

    def sum_gradients(self, own: list, shared) -> tuple[np.ndarray, np.ndarray]:
        """Return derivatives of sum_i Phi_i . (scales_i own + shared).

        Of adjoints ``own`` and vectors ``shared`` (n_structures, rank): by positions
        (n_atoms, 3) and strain (n_structures, 3, 3).
        """
        together = ReversePass(self.batch)
        together.add(self.states, own, self.scales)
        together.add(self.states, self.adjoints(shared))
        return together.run()

    @cached_property
    def moved(self) -> list[np.ndarray]:
        """d(Phi_i . (w + l g))/d(features of i), by term."""
        return self.adjoints(self.solution.weights + self.levels * self.spreads)

    @cached_property
    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the energies by positions and strain.

        In eV/Å, (n_atoms, 3), and in eV, (n_structures, 3, 3).
        """
        together = ReversePass(self.batch)
        self.pull(together)
        positions, strain = together.run()
        return self.add_fixed(positions, strain)

    def pull(self, together: ReversePass) -> None:
        """Add what changes the energies as charges and moments follow the atoms."""
        together.add(self.states, self.moved, self.scales)
        together.add(self.states, self.adjoints(self.levels * self.responses))
        if self.moments:
            self.model.moments_.pull(
                together, self.moment_states, self.moment_weights, self.fields
            )

    def add_fixed(self, positions, strain) -> tuple[np.ndarray, np.ndarray]:
        """Add derivatives of the energies at fixed charges and moments, in place."""
        for index, result in enumerate(self.results):
            positions[self.own(index)] -= result.forces
            strain[index] += result.strain_gradient
        return positions, strain

    def energy_parts(self):
        """Yield the energy of every structure with forces and strain derivative."""
        positions, strain = self.gradients
        for index, energy in enumerate(self.energies):
            yield EnergyParts(energy, -positions[self.own(index)], strain[index])


def matrices(tensors: np.ndarray) -> np.ndarray:
    """Return symmetric (n, 3, 3) of (n, 6): xx, yy, zz, yz, xz, xy."""
    return tensors[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
