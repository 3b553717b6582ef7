"""Energies that are latents of atoms, with or without charges, and sums of energies.

`AtomicEnergies` are the response of a short-ranged potential, U = sum_i a_i.
`ChargedEnergies` are those of a potential that sees the charges of another response
(4G potentials),

    U = sum_p z_i^p a_ip,    z_i = (q_i - m) / s,

with powers p from 0, and mean m and standard deviation s of the charges of an element.
Charges depend on all atoms, and this energy is not stationary in them:

    U_a = z^p,    U_R = sum_i f_i q_i,R,    f_i = sum_p a_ip dz_i^p/dq_i,
    U_Ra = dz^p/dq q_R.

Responses add up: `add_energies` passes all of them back at once.

References
----------
T. W. Ko, J. A. Finkler, S. Goedecker, J. Behler, Nat. Commun. 12, 398 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.quantities import ENERGIES, quantity
from lodekit.regression.latent import Latent, ReversePass
from lodekit.regression.latent_states import ElementLatent, KernelFeatures
from lodekit.structures.stress import symmetric_part

from .equilibrated import SolvedEquilibration
from .response import Solved


class AtomicEnergies(Solved):
    """Energies of atoms by their environments and by element.

    Parameters
    ----------
    latent : Latent
    species, baseline : ndarray of shape (n_species,)
        Atomic numbers, and the energies of the elements in eV.
    weights : ndarray of shape (rank,)
        Of the latent.
    beside : Solved
        Another response of the same structures.
    """

    def __init__(self, latent: Latent, species, baseline, weights, beside: Solved):
        super().__init__(beside.frames, beside)
        features = KernelFeatures(latent, self.batch, self.cache)
        energies = ElementLatent(latent, species, 1.0)
        weights = np.concatenate([baseline, weights])
        self.states = [energies.evaluate(features, weights)]

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        values = self.states[0].values[:, 0]
        return np.add.reduceat(values, self.batch.first_atom[:-1])

    @property
    def slopes(self) -> list[np.ndarray]:
        """Ones."""
        return [np.ones((self.batch.n_atoms, 1))]

    def pull(self, reverse_pass: ReversePass) -> None:
        """Add what changes the energies as latents follow the atoms."""
        (state,) = self.states
        reverse_pass.add(state.features.states, state.contracted[1])

    def energy_of(self, index: int, charges: np.ndarray) -> float:
        """Return U of one structure, which does not depend on charges."""
        return self.energies[index]

    def add_fixed(self, positions, strain) -> None:
        """Add nothing: the energy is that of latents alone."""

    def slope_changes(self, index: int, strain: bool) -> list[np.ndarray]:
        """Return zeros: slopes are constant."""
        n_atoms = len(self.frames[index])
        return [np.zeros((n_atoms, 1, 6 if strain else 3 * n_atoms))]


@dataclass(frozen=True)
class ChargePowers:
    """Powers z^p of the charges of elements.

    Attributes
    ----------
    species : ndarray of shape (n_species,)
    means, spreads : ndarray of shape (n_species,)
        m and s in e.
    highest : int
    """

    species: np.ndarray
    means: np.ndarray
    spreads: np.ndarray
    highest: int

    def evaluate(self, numbers, charges) -> tuple[np.ndarray, np.ndarray]:
        """Return z^p and dz^p/dq in 1/e, (1 + highest, n_atoms)."""
        kinds = np.searchsorted(self.species, numbers)
        z = (charges - self.means[kinds]) / self.spreads[kinds]
        orders = np.arange(1 + self.highest)[:, None]
        slopes = orders * z ** np.maximum(orders - 1, 0) / self.spreads[kinds]
        return z**orders, slopes


class ChargedEnergies(Solved):
    """Energies of atoms that see equilibrated charges.

    Parameters
    ----------
    latent : Latent
    powers : ChargePowers
    weights : ndarray of shape ((1 + highest) * rank,)
    baseline : ndarray of shape (n_species,)
        Energies of the elements in eV.
    charged : SolvedEquilibration
        The charges, found without a field.
    """

    def __init__(self, latent, powers: ChargePowers, weights, baseline, charged):
        super().__init__(charged.frames, charged)
        self.charged: SolvedEquilibration = charged
        features = KernelFeatures(latent, self.batch, self.cache)
        energies = ElementLatent(latent, np.zeros(0, int), 0.0)
        parts = np.split(weights, 1 + powers.highest)
        self.states = [energies.evaluate(features, part) for part in parts]
        numbers = self.batch.species
        self.evaluate = powers.evaluate
        self.powers, self.by_charge = self.evaluate(numbers, charged.charges)
        self.baseline = baseline[np.searchsorted(powers.species, numbers)]

    @property
    def latents(self) -> np.ndarray:
        """A by power, (1 + highest, n_atoms)."""
        return np.array([state.values[:, 0] for state in self.states])

    @property
    def energies(self) -> np.ndarray:
        """U in eV, (n_structures,)."""
        values = (self.powers * self.latents).sum(axis=0) + self.baseline
        return np.add.reduceat(values, self.batch.first_atom[:-1])

    @property
    def slopes(self) -> list[np.ndarray]:
        """z^p."""
        return [power[:, None] for power in self.powers]

    def energy_of(self, index: int, charges: np.ndarray) -> float:
        """Return U in eV of one structure with other charges (n_atoms,) in e."""
        atoms = self.atoms_of(index)
        powers, _ = self.evaluate(self.batch.species[atoms], charges)
        return float(
            np.vdot(powers, self.latents[:, atoms]) + self.baseline[atoms].sum()
        )

    def add_fixed(self, positions, strain) -> None:
        """Add what changes the energies as charges follow the atoms."""
        slopes = (self.by_charge * self.latents).sum(axis=0)
        more = self.charged.charge_gradients(slopes)
        positions += more[0]
        strain += more[1]

    def slope_changes(self, index: int, strain: bool) -> list[np.ndarray]:
        """Return dz^p/dq q_R of one structure."""
        changes = self.charged.charge_changes(index, strain)[:, None]
        atoms = self.atoms_of(index)
        return [slope[atoms, None, None] * changes for slope in self.by_charge]


def add_energies(results: list[dict], responses: list[Solved], wanted) -> None:
    """Add the sum of energies, and its forces and stress, to dictionaries of results.

    Features of all responses are passed back once.

    Parameters
    ----------
    results : list of dict
    responses : list of Solved
        Of the same structures.
    wanted : set of str
        Of `ENERGIES`; stress is left out where a frame is not fully periodic.
    """
    first = responses[0]
    totals = sum(response.energies for response in responses)
    positions = strain = None
    if any(quantity(name).is_gradient for name in wanted):
        reverse_pass = ReversePass(first.batch)
        for response in responses:
            response.pull(reverse_pass)
        positions, strain = reverse_pass.run()
        for response in responses:
            response.add_fixed(positions, strain)
    energy, forces, stress = ENERGIES
    for index, (result, atoms) in enumerate(zip(results, first.frames, strict=True)):
        if energy in wanted:
            result[energy] = float(totals[index])
        if forces in wanted:
            result[forces] = -positions[first.atoms_of(index)]
        if stress in wanted and atoms.pbc.all():
            result[stress] = symmetric_part(strain[index]) / atoms.get_volume()
