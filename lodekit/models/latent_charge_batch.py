"""Latent charges and their energy for one batch of structures, and rows around them.

Charges are the latents of atoms, moved by one number for each structure of n atoms so
that they sum to its total charge, q = P Phi w + Q / n with P = 1 - 1 1^T / n. With the
interactions A of different atoms, their energy is U = q.A q / 2, and with the potential
V = A q

    dU/dw = (P V).Phi,    dU/dR = q.A_R q / 2 + (P V).(Phi w)_R,
    d(dU/dR)/dw = (A_R q + A P (Phi w)_R).P Phi + (P V).Phi_R.

The same with strain. A Gaussian charge does not interact with itself here: what depends
on one atom alone is the task of the remainder.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.electrostatics import CoulombInteraction
from lodekit.fitting.kept_rows import make_anew
from lodekit.observables.charges import AffineCharges, total_charge
from lodekit.regression.latent import ReversePass
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part
from lodekit.units import COULOMB_CONSTANT

from .charge_energy import EnergyParts


class LatentBatch:
    """Charges of structures that fit into memory together, and their energies.

    Parameters
    ----------
    model : LatentChargeModel
        Its ``weights_`` are used.
    frames : list of ase.Atoms

    Attributes
    ----------
    charges : list of ndarray of shape (n_atoms,)
        In e, by structure.
    potentials : list of ndarray of shape (n_atoms,)
        V in V, by structure.
    """

    def __init__(self, model, frames):
        self.model = model
        self.frames = frames
        self.batch = StructureBatch.from_frames(frames)
        self.cache: dict = {}
        self.states = model.latent_.evaluate(self.batch, self.cache)
        n_species = model.species_.size
        self.values, self.adjoints = model.latent_.values(
            self.batch,
            self.states,
            model.latent_.coefficients(model.weights_[n_species:]),
        )
        kinds = np.searchsorted(model.species_, self.batch.species)
        self.values += model.element_prior * model.weights_[kinds]
        self.interactions = [
            Interaction(atoms, model.charge_width_) for atoms in frames
        ]
        self.charges = [
            atom_charges(self.values[self.own(index)], total_charge(atoms))
            for index, atoms in enumerate(frames)
        ]
        self.potentials = [
            interaction @ charges
            for interaction, charges in zip(
                self.interactions, self.charges, strict=True
            )
        ]

    def own(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        pairs = zip(self.charges, self.potentials, strict=True)
        return np.array([0.5 * charges @ potential for charges, potential in pairs])

    @property
    def scales(self) -> np.ndarray:
        """P V of all atoms."""
        return np.concatenate([own - own.mean() for own in self.potentials])

    @cached_property
    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the energies by positions and strain.

        In eV/Å, (n_atoms, 3), and in eV, (n_structures, 3, 3).
        """
        together = ReversePass(self.batch)
        self.pull(together)
        return self.add_fixed(*together.run())

    def pull(self, together: ReversePass) -> None:
        """Add what changes the energies as charges follow the atoms."""
        together.add(self.states, self.adjoints, self.scales)

    def add_fixed(self, positions, strain) -> tuple[np.ndarray, np.ndarray]:
        """Add derivatives of the energies at fixed charges, in place."""
        for index, charges in enumerate(self.charges):
            more = self.interactions[index].gradients(charges, charges)
            positions[self.own(index)] += 0.5 * more[0]
            strain[index] += 0.5 * more[1]
        return positions, strain

    def energy_parts(self):
        """Yield the energy of every structure with forces and strain derivative."""
        positions, strain = self.gradients
        for index, energy in enumerate(self.energies):
            yield EnergyParts(energy, -positions[self.own(index)], strain[index])


class LatentExpansion(LatentBatch):
    """A batch with rows: first derivatives by the weights of the charges.

    Attributes
    ----------
    rows : list of ndarray of shape (n_atoms, rank)
        Phi by structure.
    affine : list of AffineCharges
        The charges by structure.
    """

    def __init__(self, model, frames, keep=make_anew):
        super().__init__(model, frames)
        features = model.feature_rows(self.batch, self.states)
        self.rows = [features[self.own(index)] for index in range(len(frames))]
        self.affine = [
            model._charges(atoms, rows)
            for rows, atoms in zip(self.rows, frames, strict=True)
        ]

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a linear target is about.

        For a total charge, those before they are moved to sum to it.
        """
        if name == "total_charge":
            return AffineCharges(self.rows[index], np.zeros(len(self.rows[index])))
        return self.affine[index]

    def energy(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/atom."""
        sizes = np.diff(self.batch.first_atom)
        pairs = zip(self.potentials, self.affine, strict=True)
        rows = np.array([potential @ charges.matrix for potential, charges in pairs])
        return rows / sizes[:, None], self.energies / sizes

    def forces(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å."""
        moved = self.model.latent_.atom_gradients(self.states, self.adjoints)
        latent = self.model.latent_
        rows = self.padded(latent.force_rows(self.batch, self.states, self.scales))
        for index, charges in enumerate(self.affine):
            own = self.own(index)
            n_atoms = len(charges.matrix)
            slopes = self.slopes(index, 0, moved[own, own].reshape(n_atoms, -1))
            rows[own] -= (slopes.T @ charges.matrix).reshape(rows[own].shape)
        positions, _ = self.gradients
        return rows.reshape(positions.size, -1), -positions.ravel()

    def stress(self) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and values in eV/Å^3, of fully periodic structures."""
        latent = self.model.latent_
        moved = latent.atom_strain_gradients(self.states, self.adjoints)
        rows = self.padded(latent.strain_rows(self.batch, self.states, self.scales))
        _, strain = self.gradients
        kept, values = [], []
        for index, atoms in enumerate(self.frames):
            if atoms.pbc.all():
                own = moved[self.own(index)].reshape(len(atoms), 9)
                slopes = self.slopes(index, 1, own)
                change = slopes.T @ self.affine[index].matrix
                change = symmetric_part(change.reshape(3, 3, -1))
                kept.append((rows[index] + change) / atoms.get_volume())
                values.append(symmetric_part(strain[index]) / atoms.get_volume())
        return np.concatenate(kept), np.concatenate(values)

    def padded(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with columns of the elements, which do not move, in front."""
        n_species = self.model.species_.size
        return np.concatenate([np.zeros((*rows.shape[:-1], n_species)), rows], axis=-1)

    def slopes(self, index: int, axes: int, moved: np.ndarray) -> np.ndarray:
        """Return A_R q + A P (Phi w)_R of one structure, (n_atoms, n).

        Parameters
        ----------
        axes : {0, 1}
            Derivatives by positions or by strain.
        moved : ndarray of shape (n_atoms, n)
            (Phi w)_R.
        """
        change = self.interactions[index] @ (moved - moved.mean(axis=0))
        return self.potential_gradients[index][axes] + change

    @cached_property
    def potential_gradients(self) -> list[tuple]:
        """A_R q by structure, for positions and strain."""
        pairs = zip(self.interactions, self.charges, strict=True)
        # what a charge does to itself does not move
        return [own.matrix.potential_gradients(charges) for own, charges in pairs]


class Interaction:
    """Coulomb interaction of the Gaussian charges of different atoms.

    Parameters
    ----------
    atoms : ase.Atoms
    width : float
        Of all charges, in Å.
    """

    def __init__(self, atoms, width: float):
        self.matrix = CoulombInteraction(
            atoms.positions, atoms.cell[:], atoms.pbc, width
        )
        self.itself = COULOMB_CONSTANT / (np.sqrt(np.pi) * width) if width else 0.0

    def __matmul__(self, charges: np.ndarray) -> np.ndarray:
        """Return the potentials in V of charges in e, (n_atoms,) or (n_atoms, n)."""
        return self.matrix @ charges - self.itself * charges

    def gradients(self, left, right) -> tuple[np.ndarray, np.ndarray]:
        """Return those of left.A right; what does not move does not matter."""
        return self.matrix.gradients(left, right)


def atom_charges(latents: np.ndarray, total: float) -> np.ndarray:
    """Return latents moved so that they sum to the total charge."""
    return latents - latents.mean() + total / len(latents)


def project(rows: np.ndarray, total: float) -> AffineCharges:
    """Return the charges that features Phi (n_atoms, rank) give."""
    n_atoms = len(rows)
    return AffineCharges(rows - rows.mean(axis=0), np.full(n_atoms, total / n_atoms))
