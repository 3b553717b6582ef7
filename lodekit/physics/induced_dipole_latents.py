"""Charges, permanent dipoles and polarizabilities of atoms, and what they induce.

With features Phi of order 0 and 1 and weights w of the three latents of atom i,

    q_i = q_0 + Phi_i w_q, moved by one number for each structure to its total charge,
    mu_0i = Phi1_i w_mu,    log a_i = log a_0 + tanh(x_0 + Phi_i w_a),

where q_0, a_0 and x_0 depend on the element. Polarizabilities stay below e a_0, and the
widths of Gaussians are those that suit this bound, so that no weights make a
catastrophe: with the energies of dipoles with themselves, electrostatic energies of
Gaussians are positive. Induced dipoles minimise the energy U
(`lodekit.electrostatics.InducedDipoles`), so that its forces are

    -dU/dR - sum_i (dU/dq_i dq_i/dR + dU/dmu_0i dmu_0i/dR + dU/dlog a_i dlog a_i/dR).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.electrostatics import InducedDipoles
from lodekit.electrostatics.induced_dipoles import Induced, default_widths
from lodekit.observables.charges import total_charge
from lodekit.physics.response import EnergyParts
from lodekit.structures.batch import StructureBatch

from .atomic_dipoles import AtomicDipoles

#: Prior standard deviations: of charges by element and by environment in e, of dipoles
#: in e·Å, of x by element and by environment.
CHARGE_PRIORS, DIPOLE_PRIOR, LOG_PRIORS = (1.0, 0.2), 0.2, (1.0, 0.3)


@dataclass
class InducedLatents:
    """The three latents.

    Attributes
    ----------
    species : ndarray of shape (n_species,)
    kernels : dict of (order, sigma) to list of EquivariantKernel
        Of order 0 for charges and polarizabilities, of order 1 for dipoles.
    reference : ndarray of shape (n_species,)
        Polarizabilities in Å^3 from which a_0 is counted; widths of Gaussians follow
        from them.
    whole_charges : ndarray of shape (n_species,), optional
        q in e by element, where charges are not learned.
    thole : float, optional
        Factor of Thole's damping, instead of Gaussians.
    """

    species: np.ndarray
    kernels: dict
    reference: np.ndarray
    whole_charges: np.ndarray | None = None
    thole: float | None = None

    @property
    def dipoles(self) -> AtomicDipoles:
        """Kernels of permanent dipoles."""
        return AtomicDipoles(self.kernels[1, 1])

    @property
    def n_scalar(self) -> int:
        """Number of weights of polarizabilities, and of charges that are learned."""
        return self.species.size + sum(kernel.rank for kernel in self.kernels[0, 1])

    @property
    def n_charge(self) -> int:
        """Number of weights of charges."""
        return self.n_scalar if self.whole_charges is None else 0

    @property
    def n_linear(self) -> int:
        """Number of weights of charges and dipoles."""
        return self.n_charge + self.dipoles.rank

    @property
    def rank(self) -> int:
        """Number of weights."""
        return self.n_linear + self.n_scalar

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to the latents of an atom."""
        return max(
            kernel.reach for of_latent in self.kernels.values() for kernel in of_latent
        )

    def split(self, weights: np.ndarray) -> tuple:
        """Return the weights of charges, dipoles and polarizabilities."""
        return np.split(weights, [self.n_charge, self.n_linear])


class InducedBatch:
    """Latents of structures at some weights, and the dipoles that they induce.

    Parameters
    ----------
    latents : InducedLatents
    weights : ndarray of shape (rank,)
    frames : list of ase.Atoms
    field : ndarray of shape (3,), optional
        In V/Å.
    """

    def __init__(self, latents: InducedLatents, weights, frames, field=None):
        self.latents, self.frames, self.field = latents, frames, field
        self.weights = latents.split(np.asarray(weights, dtype=float))
        self.batch, cache = StructureBatch.from_frames(frames), {}
        self.scalars = [
            kernel.evaluate(self.batch, cache) for kernel in latents.kernels[0, 1]
        ]
        self.vectors = latents.dipoles.evaluate(self.batch)
        kinds = np.searchsorted(latents.species, self.batch.species)
        self.is_element = np.eye(latents.species.size)[kinds]
        self.permanent = DIPOLE_PRIOR * self.vectors.values(self.weights[1])
        if latents.whole_charges is None:
            charges = self.scalar_values(self.weights[0], CHARGE_PRIORS)
            self.charges = self.conserve(charges)
        else:
            self.charges = latents.whole_charges[kinds]
        self.logs = np.tanh(self.scalar_values(self.weights[2], LOG_PRIORS))
        self.polarizabilities = latents.reference[kinds] * np.exp(self.logs)
        self.log_slopes = 1.0 - self.logs**2
        #: polarizabilities of which the damping is made
        self.largest = np.e * latents.reference[kinds]

    def own(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    def scalar_values(self, weights, priors) -> np.ndarray:
        """Return scalars of all atoms, (n_atoms,)."""
        n_species = self.latents.species.size
        values = priors[0] * (self.is_element @ weights[:n_species])
        start = n_species
        for state in self.scalars:
            kernel_weights = weights[start : start + state.kernel.rank]
            values += priors[1] * state.values(kernel_weights)[:, 0]
            start += state.kernel.rank
        return values

    def scalar_rows(self, priors) -> np.ndarray:
        """Return the rows of the scalars of all atoms, (n_atoms, n_scalar)."""
        parts = [state.rows()[:, 0] for state in self.scalars]
        return np.hstack([priors[0] * self.is_element, priors[1] * np.hstack(parts)])

    def scalar_gradients(self, weights, priors, adjoint):
        """Return the derivatives of sum_i adjoint_i s_i by positions and strain."""
        positions, strain = 0.0, 0.0
        start = self.latents.species.size
        for state in self.scalars:
            kernel_weights = priors[1] * weights[start : start + state.kernel.rank]
            more = state.gradients(kernel_weights, adjoint[:, None])
            positions, strain = positions + more[0], strain + more[1]
            start += state.kernel.rank
        return positions, strain

    def scalar_gradient_rows(self, priors, adjoint) -> np.ndarray:
        """Return the rows of `scalar_gradients` by positions."""
        parts = [np.zeros((self.batch.n_atoms, 3, self.latents.species.size))]
        for state in self.scalars:
            parts.append(priors[1] * state.position_rows(adjoint[:, None]))
        return np.concatenate(parts, axis=2)

    def scalar_jacobian(self, weights, priors) -> np.ndarray:
        """Return derivatives of every scalar by positions, (n_atoms, n_atoms, 3)."""
        total, start = 0.0, self.latents.species.size
        for state in self.scalars:
            kernel_weights = priors[1] * weights[start : start + state.kernel.rank]
            total = total + state.atom_gradients(kernel_weights)[:, 0]
            start += state.kernel.rank
        return total

    def latent_features(self) -> tuple:
        """Return derivatives of q, mu_0 and log a of all atoms by their weights."""
        charges = np.zeros((self.batch.n_atoms, 0))
        if self.latents.whole_charges is None:
            charges = self.project(self.scalar_rows(CHARGE_PRIORS))
        dipoles = DIPOLE_PRIOR * self.vectors.rows(np.arange(self.batch.n_atoms))
        logs = self.log_slopes[:, None] * self.scalar_rows(LOG_PRIORS)
        return charges, dipoles, logs

    def latent_gradients(self, by_charges, by_dipoles, by_logs):
        """Return derivatives of a sum of latents, by positions and strain.

        Parameters
        ----------
        by_charges, by_logs : ndarray of shape (n_atoms,)
            What multiplies q and log a.
        by_dipoles : ndarray of shape (n_atoms, 3)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        adjoint = DIPOLE_PRIOR * by_dipoles
        parts = [self.vectors.gradients(self.weights[1], adjoint)]
        adjoint = self.log_slopes * by_logs
        parts.append(self.scalar_gradients(self.weights[2], LOG_PRIORS, adjoint))
        if self.latents.whole_charges is None:
            adjoint = self.project(by_charges)
            parts.append(self.scalar_gradients(self.weights[0], CHARGE_PRIORS, adjoint))
        return tuple(sum(of_kind) for of_kind in zip(*parts, strict=True))

    def latent_gradient_rows(self, by_charges, by_dipoles, by_logs) -> np.ndarray:
        """Return the rows of gradients by positions, (n_atoms, 3, rank)."""
        parts = []
        if self.latents.whole_charges is None:
            adjoint = self.project(by_charges)
            parts.append(self.scalar_gradient_rows(CHARGE_PRIORS, adjoint))
        parts.append(DIPOLE_PRIOR * self.vectors.position_rows(by_dipoles))
        adjoint = self.log_slopes * by_logs
        parts.append(self.scalar_gradient_rows(LOG_PRIORS, adjoint))
        return np.concatenate(parts, axis=2)

    def latent_jacobians(self) -> tuple:
        """Return derivatives of latents of all atoms by the positions of all atoms.

        Of q, but for what keeps their sum, (n_atoms, n_atoms, 3); of mu_0, (n_atoms, 3,
        n_atoms, 3); and of what log a is the hyperbolic tangent of.
        """
        charges = np.zeros((self.batch.n_atoms, self.batch.n_atoms, 3))
        if self.latents.whole_charges is None:
            charges = self.scalar_jacobian(self.weights[0], CHARGE_PRIORS)
        dipoles = DIPOLE_PRIOR * self.vectors.atom_gradients(self.weights[1])
        return charges, dipoles, self.scalar_jacobian(self.weights[2], LOG_PRIORS)

    def conserve(self, charges: np.ndarray) -> np.ndarray:
        """Return charges moved to the total charge of every structure."""
        conserved = charges.copy()
        for index, atoms in enumerate(self.frames):
            atoms_of_structure = self.own(index)
            excess = charges[atoms_of_structure].sum() - total_charge(atoms)
            conserved[atoms_of_structure] -= excess / len(atoms)
        return conserved

    def project(self, values: np.ndarray) -> np.ndarray:
        """Return values without their mean over the atoms of every structure."""
        projected = values.copy()
        for index in range(len(self.frames)):
            atoms_of_structure = self.own(index)
            projected[atoms_of_structure] -= values[atoms_of_structure].mean(axis=0)
        return projected

    def system(self, index: int, iterative=None) -> InducedDipoles:
        """Return the atoms of one structure, which polarize each other."""
        atoms, place = self.frames[index], self.own(index)
        if self.latents.thole is None:
            damping = {"widths": default_widths(self.largest[place])}
        else:
            damping = {"thole": self.latents.thole}
            damping["thole_polarizabilities"] = self.largest[place]
        return InducedDipoles(
            atoms.positions,
            atoms.cell[:],
            atoms.pbc,
            self.polarizabilities[place],
            **damping,
            iterative=iterative,
        )

    def solve(self, index: int, system: InducedDipoles | None = None) -> Induced:
        """Return the induced dipoles of one structure."""
        place = self.own(index)
        system = self.system(index) if system is None else system
        return system.solve(self.charges[place], self.permanent[place], self.field)

    def energy_parts(self, solved: list[Induced]) -> list[EnergyParts]:
        """Return the energy of every structure with forces and strain derivative."""
        traces = np.concatenate(
            [
                np.trace(solution.by_polarizabilities, axis1=1, axis2=2)
                for solution in solved
            ]
        )
        positions, strain = self.latent_gradients(
            np.concatenate([solution.by_charges for solution in solved]),
            np.concatenate([solution.by_dipoles for solution in solved]),
            self.polarizabilities * traces,
        )
        return [
            EnergyParts(
                solution.energy,
                solution.forces - positions[self.own(index)],
                solution.strain_gradient + strain[index],
            )
            for index, solution in enumerate(solved)
        ]
