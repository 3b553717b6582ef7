"""Electrostatic energies of charges and dipoles that their surroundings screen.

Charges and dipoles of atom i are divided by the root of

    eps_i = 1 + 4 pi sum_j a_j w(R_j - R_i),    w(r) = N (1 - r^2 / c^2)^3 within c,

with polarizabilities a of the elements and a window w whose integral is 1; the sum
leaves out i itself. In a homogeneous crystal eps_i is near its dielectric constant, at
surfaces and in clusters it is smaller, and for a single atom it is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.neighborlist import neighbor_list

from lodekit.electrostatics import MultipoleInteraction
from lodekit.units import FOUR_PI

from .dipole_electrostatics import DipoleEnergy

#: c in Å.
REACH = 6.0


@dataclass
class LocallyScreened:
    """Gaussian charges and dipoles in a medium that differs from place to place.

    Parameters
    ----------
    width : float
        In Å.
    species : ndarray of shape (n_species,)
    polarizabilities : ndarray of shape (n_species,)
        a in Å^3, by element.
    """

    width: float
    species: np.ndarray
    polarizabilities: np.ndarray

    #: What a summary says of the screening.
    screening = "local"

    def dielectric_constants(self, atoms):
        """Return eps of all atoms, and what their derivatives are made of.

        Returns
        -------
        constants : ndarray of shape (n_atoms,)
        pairs : tuple of ndarray
            Atoms i and j, and R_j - R_i in Å.
        slopes : ndarray of shape (n_pairs,)
            (1/r) d(eps_i)/dr of pairs in Å^-2.
        """
        first, second, vectors = neighbor_list("ijD", atoms, REACH)
        shares = 1.0 - (vectors**2).sum(axis=1) / REACH**2
        kinds = np.searchsorted(self.species, atoms.numbers)
        norm = FOUR_PI * 315.0 / (64.0 * np.pi * REACH**3)
        weights = norm * self.polarizabilities[kinds][second]
        values = np.bincount(first, weights * shares**3, minlength=len(atoms))
        slopes = -6.0 / REACH**2 * weights * shares**2
        return 1.0 + values, (first, second, vectors), slopes

    def compute(self, atoms, charges, dipoles) -> DipoleEnergy:
        """Return the energy of charges (n_atoms,) and dipoles (n_atoms, 3)."""
        constants, (first, second, vectors), slopes = self.dielectric_constants(atoms)
        factors = constants**-0.5
        interaction = MultipoleInteraction(
            atoms.positions, atoms.cell[:], atoms.pbc, self.width
        )
        result = interaction.compute(factors * charges, factors[:, None] * dipoles)
        field = result.fields.field
        by_factors = charges * result.fields.potential - (dipoles * field).sum(axis=1)
        by_constants = -0.5 * constants**-1.5 * by_factors
        pulls = (by_constants[first] * slopes)[:, None] * vectors
        positions = -result.forces
        np.add.at(positions, second, pulls)
        np.add.at(positions, first, -pulls)
        return DipoleEnergy(
            result.energy,
            positions,
            -factors[:, None] * field,
            result.strain_gradient + vectors.T @ pulls,
        )
