"""Long-ranged energies of whole charges with atomic dipoles, or of Wannier centres.

Both are functions of positions and atomic dipoles, U_el(R, d), so that a model whose
dipoles follow the atoms has the forces -dU_el/dR - sum_i dU_el/dd_i . dd_i/dR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.electrostatics import CoulombInteraction, MultipoleInteraction
from lodekit.structures.values import is_number


@dataclass(frozen=True)
class DipoleEnergy:
    """U_el of one structure, and its derivatives.

    Attributes
    ----------
    energy : float
        In eV.
    positions : ndarray of shape (n_atoms, 3)
        dU/dR at fixed dipoles, in eV/Å.
    by_dipoles : ndarray of shape (n_atoms, 3)
        dU/dd in V/Å.
    strain : ndarray of shape (3, 3)
        dU/d(strain) at fixed dipoles in eV, symmetric with the part of turned dipoles.
    """

    energy: float
    positions: np.ndarray
    by_dipoles: np.ndarray
    strain: np.ndarray


@dataclass
class ChargesAndDipoles:
    """Gaussian charges and dipoles of one width at the atoms, in a medium.

    Attributes
    ----------
    width : float
        In Å.
    screening : float
        Dielectric constant by which the energy is divided.
    """

    width: float
    screening: float

    def compute(self, atoms, charges, dipoles) -> DipoleEnergy:
        """Return the energy of charges (n_atoms,) and dipoles (n_atoms, 3)."""
        interaction = MultipoleInteraction(
            atoms.positions, atoms.cell[:], atoms.pbc, self.width
        )
        result = interaction.compute(charges, dipoles)
        scale = 1.0 / self.screening
        return DipoleEnergy(
            scale * result.energy,
            -scale * result.forces,
            -scale * result.fields.field,
            scale * result.strain_gradient,
        )


@dataclass
class WannierCharges:
    """Gaussian charges at nuclei and at centroids of Wannier centres.

    Attributes
    ----------
    width : float
        In Å.
    screening : float
        Dielectric constant by which the energy is divided.
    species : ndarray of shape (n_species,)
    center_charges : ndarray of shape (n_species,)
        Of the centres of an atom, in e; the ions have the rest of its whole charge.
    """

    width: float
    screening: float
    species: np.ndarray
    center_charges: np.ndarray

    def compute(self, atoms, charges, dipoles) -> DipoleEnergy:
        """Return the energy of ions and of centres at R + d / c."""
        center_charges = self.center_charges[
            np.searchsorted(self.species, atoms.numbers)
        ]
        centers = np.flatnonzero(center_charges)
        center_charges = center_charges[centers, None]
        displacements = dipoles[centers] / center_charges
        sites = np.concatenate(
            [atoms.positions, atoms.positions[centers] + displacements]
        )
        ions = charges.astype(float).copy()
        ions[centers] -= center_charges[:, 0]
        # centres may sit on their atoms, where point charges would have no energy
        interaction = CoulombInteraction(sites, atoms.cell[:], atoms.pbc, self.width)
        result = interaction.compute(np.concatenate([ions, center_charges[:, 0]]))
        slopes = -result.forces / self.screening
        positions, of_centers = slopes[: len(atoms)].copy(), slopes[len(atoms) :]
        positions[centers] += of_centers
        by_dipoles = np.zeros_like(dipoles)
        by_dipoles[centers] = of_centers / center_charges
        # the sum moves centres with strain, here displacements stay
        strain = result.strain_gradient / self.screening
        strain = strain - np.einsum("ia,ib->ab", displacements, of_centers)
        return DipoleEnergy(
            result.energy / self.screening, positions, by_dipoles, strain
        )


def check_electrostatics(width, screening) -> None:
    """Check the arguments of electrostatic energies.

    Raises
    ------
    ValueError
    """
    if width is not None and not (is_number(width) and 0 < width < np.inf):
        raise ValueError(
            f"electrostatic_width must be a positive length in Å or None, got {width!r}"
        )
    is_constant = is_number(screening) and 0 < screening < np.inf
    if screening not in ("learned", "local") and not is_constant:
        raise ValueError(
            "screening must be a positive dielectric constant, 'learned' or 'local', "
            f"got {screening!r}"
        )
