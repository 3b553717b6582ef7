"""Charge equilibration: charges of least energy for given electronegativities.

    U(a, R) = min over q of sum_i chi_i q_i + J_i q_i^2 / 2 + q.A q / 2,

at the total charge of the structure, or of its fragments, and where charge flows over
bonds with what these cost. Latents are the electronegativities chi, and where the
hardness is that of environments, x with

    J_i = J_element(i) exp(h_i),    h_i = L tanh(x_i / L),    t = dh/dx = 1 - (h / L)^2.

J is positive whatever x is, so that the energy keeps its minimum; the limit L, far
beyond what environments do, keeps J finite. The least energy is stationary in the
charges (review, Eqs. 14 and 15), which answer to potentials by -Abar:

    U_chi = q,    U_x = q^2 J t / 2,    q_R = -Abar (A_R q + chi_R + q J_R),
    (U_Ra + U_aa a_R) = (q_R, q J t q_R + (q^2 / 2) J t (t - 2 h / L^2) x_R),

and bonds add to q_R what they add to d(dU/dR)/dchi. Sums of charges f.q answer in the
same way, by one solution a = -Abar f:

    f.q_R = a.(A_R q + chi_R + q J_R).
"""

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
from ase.data import chemical_symbols

from lodekit.electrostatics import (
    ChargeEquilibration,
    CoulombInteraction,
    MultipoleInteraction,
    MultipoleMatrix,
)
from lodekit.electrostatics.equilibration import DENSE_ATOMS
from lodekit.observables.charge_observable import AffineCharges
from lodekit.observables.fragments import given_charges
from lodekit.regression.kept_rows import make_anew
from lodekit.regression.latent import ReversePass
from lodekit.regression.latent_states import KernelFeatures
from lodekit.structures.stress import symmetric_part

from .bonds import BondEquilibration
from .moved_dipoles import EquilibratedDipoles
from .response import Solved
from .rows import position_rows

#: L.
FARTHEST = 10.0


class SolvedEquilibration(Solved):
    """Electronegativities, charges and their energy, for one batch of structures.

    Parameters
    ----------
    response : Equilibration
    frames, weights, keep, field
        As in `Equilibration.solve`.

    Attributes
    ----------
    hardness : ndarray of shape (n_atoms,)
        J in V/e.
    systems : list of ChargeEquilibration
    minima : list of EquilibratedCharges
        One for each structure.
    charges : ndarray of shape (n_atoms,)
        In e.
    """

    def __init__(self, response, frames, weights, keep, field=None):
        super().__init__(frames)
        self.response, self.keep, self.field = response, keep, field
        features = KernelFeatures(response.latent, self.batch, self.cache, keep)
        if keep is not make_anew:
            _ = features.rows  # values come from them as well
        parts = np.split(weights, len(response.latents))
        self.states = [
            latent.evaluate(features, part)
            for latent, part in zip(response.latents, parts, strict=True)
        ]
        self.weights = weights
        self.hardness = response.element_hardness(self.batch.species)
        if response.amplitudes is not None:
            self.hardness = self.hardness * np.exp(self.hardness_logs)
        self.systems, self.known_felt = self.make_systems(), {}
        self.find()

    @property
    def chi(self) -> np.ndarray:
        """Electronegativities in V, (n_atoms,)."""
        return self.states[0].values[:, 0]

    @cached_property
    def hardness_logs(self) -> np.ndarray:
        """H of the atoms, (n_atoms,)."""
        return FARTHEST * np.tanh(self.states[1].values[:, 0] / FARTHEST)

    @property
    def hardness_slopes(self) -> np.ndarray:
        """T = dh/dx, (n_atoms,)."""
        return 1.0 - (self.hardness_logs / FARTHEST) ** 2

    def make_systems(self) -> list[ChargeEquilibration]:
        """Return the charge equilibrations, with Coulomb matrices that are kept."""
        known = [None] * len(self.frames)
        largest = max(len(atoms) for atoms in self.frames)
        if self.keep is not make_anew and largest <= DENSE_ATOMS:
            known = self.keep("Coulomb matrices", self.make_matrices)
        return [
            self.response.system(
                atoms, self.hardness[self.atoms_of(index)], known[index]
            )
            for index, atoms in enumerate(self.frames)
        ]

    def make_matrices(self) -> list[np.ndarray]:
        """Return the Coulomb matrices of the structures."""
        make, elements = self.response.system, self.response.element_hardness
        systems = [make(atoms, elements(atoms.numbers)) for atoms in self.frames]
        return [system.interaction.dense() for system in systems]

    def find(self, potentials=0.0) -> None:
        """Find the charges of least energy, with further potentials (n_atoms,) in V."""
        chi = self.chi + potentials
        self.minima = [
            system.solve_from(
                system.start(*given_charges(atoms)),
                chi[self.atoms_of(index)],
                self.field,
            )
            for index, (atoms, system) in enumerate(
                zip(self.frames, self.systems, strict=True)
            )
        ]
        self.charges = np.concatenate([solution.charges for solution in self.minima])

    def pushed(self, potentials: np.ndarray) -> SolvedEquilibration:
        """Return the same latents with charges that feel further potentials in V."""
        other = copy.copy(self)
        for name in ("gradients", "effects"):
            vars(other).pop(name, None)
        other.known_felt = {}
        other.find(potentials)
        return other

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        return np.array([solution.energy for solution in self.minima])

    def energy_of(self, index: int, charges: np.ndarray) -> float:
        """Return U in eV of one structure with charges that are not the best."""
        system, chi = self.systems[index], self.chi[self.atoms_of(index)]
        start = system.start(*given_charges(self.frames[index]))
        return system.energy(charges, chi, start=start)

    @property
    def slopes(self) -> list[np.ndarray]:
        """U_a: charges, and q^2 J t / 2, (n_atoms, 1)."""
        parts = [self.charges]
        if len(self.states) > 1:
            changed = self.hardness * self.hardness_slopes
            parts.append(0.5 * self.charges**2 * changed)
        return [part[:, None] for part in parts]

    def add_fixed(self, positions, strain) -> None:
        """Add derivatives of the energies at fixed latents, in place.

        Derivatives of the charges do not occur: the energy is stationary in them.
        """
        for index, system in enumerate(self.systems):
            more = system.minimum_gradients(self.minima[index], self.field)
            positions[self.atoms_of(index)] += more[0]
            strain[index] += more[1]

    def pull_latents(self, reverse_pass: ReversePass, by_chi, by_hardness) -> None:
        """Add adjoints of sum_i a_i chi_i + b_i J_i, of a and b (n_atoms,)."""
        scales = [by_chi]
        if len(self.states) > 1:
            scales.append(by_hardness * self.hardness * self.hardness_slopes)
        for state, part in zip(self.states, scales, strict=True):
            state.pull(reverse_pass, part[:, None])

    def charge_gradients(self, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of sum_i f_i q_i by positions and strain.

        Without a field.

        Parameters
        ----------
        slopes : ndarray of shape (n_atoms,)
            f.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        answers = np.empty(self.batch.n_atoms)
        fixed = []
        for index, system in enumerate(self.systems):
            atoms = self.atoms_of(index)
            answers[atoms], *more = system.charge_gradients(
                self.minima[index], slopes[atoms]
            )
            fixed.append(more)
        reverse_pass = ReversePass(self.batch)
        self.pull_latents(reverse_pass, answers, answers * self.charges)
        positions, strain = reverse_pass.run()
        positions += np.concatenate([part for part, _ in fixed])
        strain += np.array([part for _, part in fixed])
        return positions, strain

    def latent_gradients(self, strain: bool) -> list[list[np.ndarray]]:
        """Return a_R by latent and structure, (n_atoms, n)."""
        known = self.keep_changes.setdefault(strain, [])
        if not known:
            for state in self.states:
                known.append([part[:, 0] for part in state.atom_gradients(strain)])
        return known

    @cached_property
    def keep_changes(self) -> dict:
        """The result of `latent_gradients`, by kind of derivative."""
        return {}

    @cached_property
    def matrices(self) -> list[MultipoleMatrix | None]:
        """A of open structures, kept from step to step; None of others.

        All derivatives come in one pass, which is exact where nothing is periodic.
        """
        return self.keep(
            "interactions",
            lambda: [
                None if atoms.pbc.any() else open_matrix(system.interaction)
                for atoms, system in zip(self.frames, self.systems, strict=True)
            ],
        )

    def felt(self, index: int, strain: bool) -> np.ndarray:
        """Return A_R q of one structure, (n_atoms, n)."""
        charges, matrix = self.charges[self.atoms_of(index)], self.matrices[index]
        if matrix is None:
            if index not in self.known_felt:
                interaction = self.systems[index].interaction
                self.known_felt[index] = interaction.potential_gradients(charges)
            felt = self.known_felt[index][int(strain)]
            return symmetric_part(felt.reshape(-1, 3, 3), 1) if strain else felt
        if strain:
            return symmetric_part(matrix.strain_gradients(charges[:, None])[:, 0], 1)
        return matrix.gradients(charges[:, None]).reshape(charges.size, -1)

    def charge_changes(self, index: int, strain: bool) -> np.ndarray:
        """Return q_R of one structure, (n_atoms, n)."""
        atoms, system = self.atoms_of(index), self.systems[index]
        changed = [latent[index] for latent in self.latent_gradients(strain)]
        potentials = self.felt(index, strain) + changed[0]
        if len(changed) > 1:
            stiffer = (self.hardness * self.hardness_slopes)[atoms, None] * changed[1]
            potentials = potentials + self.charges[atoms, None] * stiffer
        changes = system.respond(potentials)
        if isinstance(system, BondEquilibration):
            # derivatives of dU/dR by chi are those of q by R
            more = system.gradient_rows(self.minima[index], np.eye(len(changes)))
            more = symmetric_part(more[1]) if strain else more[0]
            changes = changes + more.reshape(-1, len(changes)).T
        return changes

    def slope_changes(self, index: int, strain: bool) -> list[np.ndarray]:
        """Return q_R, and q J t q_R + (q^2 / 2) J t (t - 2 h / L^2) x_R."""
        changes = self.charge_changes(index, strain)
        parts = [changes]
        if len(self.states) > 1:
            atoms = self.atoms_of(index)
            charges, t = self.charges[atoms], self.hardness_slopes[atoms]
            changed = self.hardness[atoms] * t
            bent = t - 2.0 * self.hardness_logs[atoms] / FARTHEST**2
            bent = 0.5 * charges**2 * changed * bent
            of_latents = self.latent_gradients(strain)[1][index]
            parts.append((charges * changed)[:, None] * changes)
            parts[1] = parts[1] + bent[:, None] * of_latents
        return [part[:, None] for part in parts]

    def affine(self, index: int) -> AffineCharges:
        """Return q = -Abar chi + ..., around the weights where x has any."""
        atoms = self.atoms_of(index)
        # there are often more weights than atoms
        response = self.systems[index].response_matrix()
        parts = [response @ self.states[0].rows[atoms, 0]]
        if len(self.states) > 1:
            scales = self.charges * self.hardness * self.hardness_slopes
            parts.append((response * scales[atoms]) @ self.states[1].rows[atoms, 0])
        matrix, charges = np.hstack(parts), self.charges[atoms]
        offset = charges - matrix @ self.weights
        return AffineCharges(matrix, offset, moved=self.moved(index))

    def moved(self, index: int) -> EquilibratedDipoles:
        """Return how the dipole of one structure follows displaced atoms."""
        return EquilibratedDipoles(self, index)

    def fixed(self, index: int) -> AffineCharges:
        """Return the charges of one structure as they are, see `Solved`."""
        charges = self.charges[self.atoms_of(index)]
        none = np.zeros((charges.size, 0))
        return AffineCharges(none, charges, moved=self.moved(index))

    def further(self, index: int) -> dict:
        """Return properties of one equilibrated structure besides charges."""
        atoms, solution = self.atoms_of(index), self.minima[index]
        return {
            "electronegativities": self.chi[atoms],
            "hardnesses": self.hardness[atoms],
            "chemical_potential": float(solution.chemical_potentials.mean()),
            "electrostatic_energy": solution.energy,
        }

    @cached_property
    def places(self) -> np.ndarray:
        """Positions from the centres of structures, (n_atoms, 3)."""
        centers = [atoms.positions.mean(axis=0) for atoms in self.frames]
        sizes = np.diff(self.batch.first_atom)
        return self.batch.positions - np.repeat(centers, sizes, axis=0)

    @cached_property
    def dipole_gradients(self) -> np.ndarray:
        """D of all structures, (n_atoms, 3, 3), see `EquilibratedDipoles`."""
        gradients = [self.charge_gradients(part)[0] for part in self.places.T]
        return np.stack(gradients, axis=1)

    @cached_property
    def dipole_rows(self) -> np.ndarray:
        """D_w of all structures, (n_atoms, 3, 3, rank), see `EquilibratedDipoles`."""
        _ = self.matrices, self.latent_gradients(strain=False)  # shared by all
        parts = [
            position_rows(self.pushed(part)) - position_rows(self.pushed(-part))
            for part in self.places.T
        ]
        return 0.5 * np.stack(parts, axis=1)


def open_matrix(interaction: CoulombInteraction) -> MultipoleMatrix:
    """Return A of an open structure."""
    positions, widths = interaction.positions, interaction.widths
    return MultipoleMatrix(MultipoleInteraction(positions, None, False, widths), 1)


def hardness_ranges(solutions: list[SolvedEquilibration]) -> dict[str, list[float]]:
    """Return the least and the largest J of atoms in V/e by element."""
    hardness = np.concatenate([solved.hardness for solved in solutions])
    numbers = np.concatenate([solved.batch.species for solved in solutions])
    ranges = {}
    for z in np.unique(numbers):
        part = hardness[numbers == z]
        ranges[chemical_symbols[z]] = [float(part.min()), float(part.max())]
    return ranges
