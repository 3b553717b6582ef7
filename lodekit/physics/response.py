"""Responses: from the latents of atoms to an energy and its derivatives.

A response takes the latents a of a batch of structures, U(a, R), where R stands for
positions and strain. ``solve(frames, weights)`` of a response returns a `Solved`. A
response is a batch's, not a structure's: features are made, and passed back, for many
structures at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lodekit.observables.charges import AffineCharges
from lodekit.regression.kept_rows import make_anew
from lodekit.regression.latent import ReversePass
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part


class Response(Protocol):
    """Latents to an energy and moments; holds no weights.

    Attributes
    ----------
    rank : int
        Number of weights of all latents.
    kernels : list
        Of all latents, with sparse points.
    """

    rank: int
    kernels: list

    def solve(self, frames, weights: np.ndarray, keep=make_anew) -> Solved:
        """Return the solution of structures for latents with some weights.

        ``keep(name, make)`` returns what was made for the same structures before, of
        what depends on no weights.
        """


class Solved:
    """Latents of a batch of structures, and the energy they have: the base of all.

    A subclass sets the attributes below and has ``energies`` (n_structures,) in eV,
    ``slopes``, ``add_fixed``, ``slope_changes``, and ``affine`` where charges are
    measured.

    Parameters
    ----------
    frames : list of ase.Atoms
    beside : Solved, optional
        Another response of the same structures, whose features are shared.

    Attributes
    ----------
    frames : list of ase.Atoms
    batch : StructureBatch
    cache : dict
        Features made so far, see `Latent.evaluate`.
    states : list of LatentState
        The latents; their weights stand side by side.
    """

    states: list
    #: Whether rows are made, whose sums are those that values should come from, too.
    expects_rows = False

    def __init__(self, frames, beside: Solved | None = None):
        self.frames = frames
        if beside is None:
            self.batch, self.cache = StructureBatch.from_frames(frames), {}
        else:
            self.batch, self.cache = beside.batch, beside.cache

    def atoms_of(self, index: int) -> slice:
        """Return the atoms of one structure."""
        return slice(self.batch.first_atom[index], self.batch.first_atom[index + 1])

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        raise NotImplementedError

    @property
    def slopes(self) -> list[np.ndarray]:
        """U_a by latent, (n_atoms, n_components)."""
        raise NotImplementedError

    def add_fixed(self, positions: np.ndarray, strain: np.ndarray) -> None:
        """Add U_R in place: positions (n_atoms, 3) and strain (n_structures, 3, 3)."""
        raise NotImplementedError

    def slope_changes(self, index: int, strain: bool) -> list[np.ndarray]:
        """Return U_aR + U_aa a_R of one structure by latent.

        Of shape (n_atoms, n_components, n) with n = 3 n_atoms of positions, or the six
        components of strain.
        """
        raise NotImplementedError

    def affine(self, index: int) -> AffineCharges:
        """Return the charges of one structure, affine around the weights."""
        raise NotImplementedError

    def linear(self, index: int, name: str) -> AffineCharges:
        """Return the charges that a target which is linear in them is about."""
        if self.last is None or self.last[0] != index:
            self.last = index, self.affine(index)
        return self.last[1]

    #: The last charges of `linear`, which all targets of a structure are about.
    last: tuple | None = None

    def fixed(self, index: int) -> AffineCharges:
        """Return the charges and moments of one structure as they are, without rows.

        Each of the moments has one weight, which is 1.
        """
        raise NotImplementedError

    def energy_of(self, index: int, charges: np.ndarray) -> float:
        """Return U in eV of one structure with other charges, (n_atoms,) in e."""
        raise NotImplementedError

    def pull(self, reverse_pass: ReversePass) -> None:
        """Add what changes the energies as latents follow the atoms."""
        for state, slopes in zip(self.states, self.slopes, strict=True):
            state.pull(reverse_pass, slopes)

    @cached_property
    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of the energies by positions and strain.

        In eV/Å, (n_atoms, 3), and in eV, (n_structures, 3, 3).
        """
        reverse_pass = ReversePass(self.batch)
        self.pull(reverse_pass)
        gradients = reverse_pass.run()
        self.add_fixed(*gradients)
        return gradients

    def parts(self):
        """Yield `EnergyParts` of every structure."""
        positions, strain = self.gradients
        for index, energy in enumerate(self.energies):
            yield EnergyParts(energy, -positions[self.atoms_of(index)], strain[index])

    @cached_property
    def effects(self) -> np.ndarray:
        """U_a . Phi: what every atom changes the energies by, (n_atoms, rank)."""
        pairs = zip(self.slopes, self.states, strict=True)
        return np.hstack([np.einsum("ic,icw->iw", part, s.rows) for part, s in pairs])

    def energy_rows(self) -> np.ndarray:
        """Return the derivatives of the energies by the weights, (n_structures, _)."""
        return np.add.reduceat(self.effects, self.batch.first_atom[:-1], axis=0)


@dataclass
class EnergyParts:
    """The contribution of charges to the energy of one structure.

    Attributes
    ----------
    energy : float
        In eV.
    forces : ndarray of shape (n_atoms, 3)
        In eV/Å, with the charges' own derivatives.
    strain : ndarray of shape (3, 3)
        Derivative with respect to strain in eV, symmetric or not.
    """

    energy: float
    forces: np.ndarray
    strain: np.ndarray

    def stress(self, atoms) -> np.ndarray:
        """Return the stress in eV/Å^3, Voigt (6,)."""
        return symmetric_part(self.strain) / atoms.get_volume()
