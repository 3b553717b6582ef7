"""Equilibrated charges of structures that fit into memory together."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.fitting.left_out import scale_of
from lodekit.observables.charges import OBSERVABLES, AffineCharges
from lodekit.observables.fragments import given_charges
from lodekit.regression.latent import ReversePass
from lodekit.structures.batch import StructureBatch

from .charge_energy import EnergyParts
from .charge_equilibration_environments import FARTHEST


class EquilibratedBatch:
    """Electronegativities, charges and their energy, for one batch of structures.

    Parameters
    ----------
    model : ChargeEquilibrationModel
    frames : list of ase.Atoms
    field : array_like of shape (3,) or None
        In V/Å.

    Attributes
    ----------
    chi : ndarray of shape (n_atoms,)
        Electronegativities in V: latents times the stiffness.
    hardness : ndarray of shape (n_atoms,)
        J in V/e.
    charges : ndarray of shape (n_atoms,)
        In e.
    solutions : list of EquilibratedCharges
        One for each structure.
    """

    def __init__(self, model, frames, field=None):
        self.model = model
        self.frames = frames
        self.field = field
        self.latent = model.latent_
        self.batch = StructureBatch.from_frames(frames)
        self.cache: dict = {}
        self.states = self.latent.evaluate(self.batch, self.cache)
        self.chi, self.adjoints = model.latent_values(
            self.batch, self.states, model.weights_[: model.n_linear]
        )
        self.stiffness = model.stiffness
        self.chi *= self.stiffness
        self.hardness, self.hardness_adjoints = model.hardness_values(
            self.batch, self.states
        )
        self.equilibrations = [
            model.equilibration(atoms, hardness=self.hardness[self.own(index)])
            for index, atoms in enumerate(frames)
        ]
        self.solutions = [
            one.solve_from(
                one.start(*given_charges(atoms)), self.chi[self.own(index)], field
            )
            for index, (atoms, one) in enumerate(
                zip(frames, self.equilibrations, strict=True)
            )
        ]
        self.charges = np.concatenate([found.charges for found in self.solutions])

    def own(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    @property
    def scales(self) -> np.ndarray:
        """What the energies change by with the latents of atoms, in eV."""
        return self.charges * self.stiffness

    def latent_gradients(self, by_chi, by_hardness) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of sum_i a_i chi_i + b_i J_i.

        Parameters
        ----------
        by_chi, by_hardness : ndarray of shape (n_atoms,)
            a and b.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        together = ReversePass(self.batch)
        self.pull_latents(together, by_chi, by_hardness)
        return together.run()

    def pull_latents(self, together: ReversePass, by_chi, by_hardness) -> None:
        """Add what `latent_gradients` needs to a reverse pass."""
        together.add(self.states, self.adjoints, by_chi * self.stiffness)
        if self.hardness_adjoints is not None:
            more = by_hardness * self.hardness
            together.add(self.states, self.hardness_adjoints, more)

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of the energies by positions and strain.

        Derivatives of the charges do not occur: the energy is stationary in them
        (review, Eqs. 14 and 15).

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
            In eV/Å.
        strain : ndarray of shape (n_structures, 3, 3)
            In eV.
        """
        together = ReversePass(self.batch)
        self.pull(together)
        return self.add_fixed(*together.run())

    def pull(self, together: ReversePass) -> None:
        """Add what changes the energies as electronegativities follow the atoms."""
        self.pull_latents(together, self.charges, 0.5 * self.charges**2)

    def add_fixed(self, positions, strain) -> tuple[np.ndarray, np.ndarray]:
        """Add derivatives of the energies at fixed charges, in place."""
        for index, equilibration in enumerate(self.equilibrations):
            own = self.own(index)
            more = equilibration.minimum_gradients(self.solutions[index], self.field)
            positions[own] += more[0]
            strain[index] += more[1]
        return positions, strain

    def charge_gradients(self, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of sum_i f_i q_i by positions and strain.

        Charges answer to changed potentials A_R q + chi_R + J_R q by -Abar, which is
        symmetric: one solution gives all derivatives. Without a field.

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
        given = []
        for index, equilibration in enumerate(self.equilibrations):
            own, found = self.own(index), self.solutions[index]
            answers[own], *more = equilibration.charge_gradients(found, slopes[own])
            given.append(more)
        positions, strain = self.latent_gradients(answers, answers * self.charges)
        positions += np.concatenate([own for own, _ in given])
        strain += np.array([own for _, own in given])
        return positions, strain

    @cached_property
    def dipole_gradients(self) -> np.ndarray:
        """Derivatives of dipoles at fixed charges of displaced atoms, (n_atoms, 3, 3).

        See `EquilibratedDipoles`.
        """
        centers = [atoms.positions.mean(axis=0) for atoms in self.frames]
        firsts = self.batch.positions - np.repeat(
            centers, np.diff(self.batch.first_atom), axis=0
        )
        return np.stack([self.charge_gradients(f)[0] for f in firsts.T], axis=1)

    @cached_property
    def potential_gradients(self) -> list[np.ndarray]:
        """A_R q + chi_R + J_R q by structure, (n_atoms, 3 n_atoms + 9).

        Derivatives of the potential of every atom by positions and strain.
        """
        slopes = self.atom_gradients(np.ones_like(self.charges), self.charges)
        for index, own in enumerate(slopes):
            charges = self.charges[self.own(index)]
            interaction = self.equilibrations[index].interaction
            own += np.hstack(interaction.potential_gradients(charges))
        return slopes

    @property
    def hardness_changes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return h and t = dh/dx of `EnvironmentHardness`, both (n_atoms,)."""
        elements = self.model.element_hardness(self.batch.species)
        changes = np.log(self.hardness / elements)
        return changes, 1.0 - (changes / FARTHEST) ** 2

    @cached_property
    def hardness_gradients(self) -> list[np.ndarray]:
        """d(ln J)/dR by structure, of every atom as `potential_gradients`."""
        return self.atom_gradients(np.zeros_like(self.charges), 1.0 / self.hardness)

    def atom_gradients(self, by_chi, by_hardness) -> list[np.ndarray]:
        """Return derivatives of the a_i chi_i + b_i J_i of every atom on its own.

        By structure, (n_atoms, 3 n_atoms + 9), of positions and strain; arguments as of
        `latent_gradients`.
        """
        sizes = np.diff(self.batch.first_atom)
        slopes = [np.zeros((n, 3 * n + 9)) for n in sizes]
        first = self.batch.first_atom[:-1]
        for atom in range(sizes.max()):
            # one atom of every structure at a time: one reverse pass for all
            having = np.flatnonzero(sizes > atom)
            chosen = np.zeros(self.batch.n_atoms)
            chosen[first[having] + atom] = 1.0
            gradients, strain = self.latent_gradients(
                chosen * by_chi, chosen * by_hardness
            )
            for index in having:
                slopes[index][atom, :-9] = gradients[self.own(index)].ravel()
                slopes[index][atom, -9:] = strain[index].ravel()
        return slopes

    def charge_rows(self, index: int) -> np.ndarray:
        """Return dq/dR and dq/d(strain) of one structure, (n_atoms, 3 n_atoms + 9)."""
        equilibration = self.equilibrations[index]
        rows = equilibration.respond(self.potential_gradients[index])
        if self.model.bond_hardness_ is not None:
            n_atoms = len(rows)
            # the derivatives of dU/dR by chi, which are those of q by R
            positions, strain = equilibration.gradient_rows(
                self.solutions[index], np.eye(n_atoms)
            )
            rows[:, :-9] += positions.reshape(-1, n_atoms).T
            rows[:, -9:] += strain.reshape(-1, n_atoms).T
        return rows

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        return np.array([found.energy for found in self.solutions])

    def energy_parts(self):
        """Yield the energy of every structure with forces and strain derivative."""
        positions, strain = self.gradients()
        for index, found in enumerate(self.solutions):
            yield EnergyParts(found.energy, -positions[self.own(index)], strain[index])

    @property
    def features(self) -> list[np.ndarray]:
        """Phi of the electronegativities in V by structure, (n_atoms, rank)."""
        rows = self.model.feature_rows(self.batch, self.states)
        return [rows[self.own(index)] for index in range(len(self.frames))]

    def hardness_rows(self, index: int, features) -> np.ndarray:
        """Return dJ/dv of one structure in V/e, (n_atoms, n_weights)."""
        return self.model.hardness_rows(self.frames[index].numbers, features)[1]

    def further_effects(self) -> np.ndarray:
        """Return what the energies change by with v, by atom in eV, (n_atoms, n)."""
        features = np.concatenate(self.features)
        _, slopes = self.model.hardness_rows(self.batch.species, features)
        return 0.5 * self.charges[:, None] ** 2 * slopes

    def energy_rows(self) -> np.ndarray:
        """Return the derivatives of the energies by the weights, (n_structures, rank).

        Those of the least energy are Phi^T q by the weights of chi = Phi w, and
        sum_i (q_i^2 / 2) dJ_i/dv by those of the hardness (review, Eqs. 14 and 15).
        """
        rows = []
        for index, features in enumerate(self.features):
            charges = self.charges[self.own(index)]
            slopes = self.hardness_rows(index, features)
            rows.append(np.append(charges @ features, 0.5 * charges**2 @ slopes))
        return np.array(rows)

    def energy_deviations(self) -> np.ndarray:
        """Return standard deviations of the energies in eV, (n_structures,).

        To first order in the weights.
        """
        deviations = self.model.solution_.standard_deviations(self.energy_rows())
        return scale_of(self.model.std_scales_, "charges") * deviations

    def observed(self, index: int, name: str) -> np.ndarray:
        """Return charges (e), dipole (e·Å, from the origin) or quadrupole (e·Å²)."""
        atoms, charges = self.frames[index], self.charges[self.own(index)]
        none = np.zeros((len(atoms), 0))
        moved = EquilibratedDipoles(self.model, atoms, self, index)
        fixed = AffineCharges(none, charges, moved=moved)
        return OBSERVABLES[name].value(atoms, fixed, self.model.weights_)


class EquilibratedDipoles:
    """How the dipole of one structure follows a displaced atom.

    Charges of least energy answer to changed potentials by -Abar, which is symmetric,
    so that sum_j R_j q_j changes as

        D_i = sum_j a_j (A q + chi + J q)_j,i,    a = -Abar R

    at the fixed charge of atom i: one solution for each component. With the hardness of
    elements and charges q = C w + q_0 this is affine in the weights,

        D_i = sum_j a_j chi_j,i + (A_i a) . (C w + q_0).

    Parameters
    ----------
    model : ChargeEquilibrationModel
    atoms : ase.Atoms
    together : EquilibratedBatch, optional
        With the structure, where there is one.
    index : int
        Its place there.

    Raises
    ------
    ValueError
        For a periodic structure: its charge flows from everywhere to everywhere.
    """

    def __init__(self, model, atoms, together=None, index=0):
        self.model = model
        self.atoms = atoms
        self.together = together
        self.index = index

    def check(self) -> None:
        """Raise ``ValueError`` where the dipole has no derivative."""
        if self.atoms.pbc.any():
            raise ValueError(
                "dipoles of equilibrated charges have derivatives in open structures: "
                "in a periodic one charge flows without an end; use a ChargeModel, "
                "DipoleModel or LatentChargeModel"
            )
        if self.together is not None and self.together.field is not None:
            raise ValueError("derivatives of dipoles are those without a field")

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Return D, affine in the weights.

        Returns
        -------
        matrix : ndarray of shape (n_atoms, 3, 3, rank)
        offset : ndarray of shape (n_atoms, 3, 3)
        """
        self.check()
        model, atoms = self.model, self.atoms
        if model.hardness_amplitudes_ is not None or model.bond_hardness_ is not None:
            raise ValueError(
                "derivatives of dipoles have standard deviations where the hardness is "
                "that of elements and there are no bonds; this model predicts them"
            )
        batch = StructureBatch.from_frames([atoms])
        states = model.latent_.evaluate(batch)
        charges = model._charges(atoms, model.feature_rows(batch, states))
        equilibration = model.equilibration(atoms)
        answers = equilibration.respond(atoms.positions - atoms.positions.mean(axis=0))
        shape = (len(atoms), 3, 3)
        matrix, offset = np.empty((*shape, model.rank)), np.empty(shape)
        own = slice(model.species_.size, model.n_linear)
        for axis, answer in enumerate(answers.T):
            felt = equilibration.interaction.potential_gradients(answer)[0]
            felt = felt.T.reshape(len(atoms), 3, -1)
            matrix[:, axis] = felt @ charges.matrix
            offset[:, axis] = felt @ charges.offset
            scales = answer * model.stiffness
            matrix[:, axis, :, own] -= model.latent_.force_rows(batch, states, scales)
        return matrix, offset

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return D at the weights of the model, (n_atoms, 3, 3)."""
        self.check()
        together = self.together or EquilibratedBatch(self.model, [self.atoms])
        return together.dipole_gradients[together.own(self.index)]
