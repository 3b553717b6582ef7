"""LODE of charged sources: sums of the potentials of all species, weighted by charges.

With charges B_sc of the elements s in channels c, c[i, lm, c n] is the sum over s of
c[i, lm, s n] B_sc. Where a structure has no net charge in a channel, the potential is
that of a neutral system at every boundary: the neutralising background of a cell is
none, and sums over large open structures and slabs do not grow with their size.
"""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from lodekit.descriptors.expansion import CoefficientJacobian
from lodekit.errors import SettingsError


class ChargedExpansion:
    """An `Expansion` whose channels are sums of those of another one.

    Parameters
    ----------
    species : LodeExpansion
        Unit charges, one channel for each species.
    charges : ndarray of shape (n_species, n_channels)
        In e.
    """

    has_charges = True

    def __init__(self, species, charges: np.ndarray):
        self.species = species
        self.charges = charges
        values = species.values
        total = np.einsum("ilsn,sc->ilcn", values, charges)
        self.coefficients = total.reshape(*values.shape[:2], -1)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return self.charges.shape[1]

    @property
    def has_neighbor(self) -> np.ndarray:
        """Whether an atom has sources in a channel, (n_atoms, n_channels)."""
        return self.species.has_neighbor @ (self.charges != 0.0)

    def reverse(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into position and strain gradients."""
        n_atoms, n_lm, _, n_radial = self.species.values.shape
        adjoint = adjoint.reshape(n_atoms, n_lm, self.n_channels, n_radial)
        by_species = np.einsum("ilcn,sc->ilsn", adjoint, self.charges)
        return self.species.reverse(by_species.reshape(n_atoms, n_lm, -1))

    def jacobian(self) -> CoefficientJacobian:
        """Return the derivatives with respect to positions.

        A mover has one entry for every channel that its species has charges in.
        """
        by_species = self.species.jacobian()
        scales = self.charges[by_species.channels]
        entries, channels = np.nonzero(scales)
        scales = scales[entries, channels][:, None, None, None]
        return CoefficientJacobian(
            by_species.centers[entries],
            by_species.movers[entries],
            channels,
            by_species.derivatives[entries] * scales,
        )

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""
        by_species = self.species.strain_jacobian()
        n_atoms, n_lm, n_species, n_radial = self.species.values.shape
        by_species = by_species.reshape(n_atoms, 3, 3, n_lm, n_species, n_radial)
        total = np.einsum("iablsn,sc->iablcn", by_species, self.charges)
        return total.reshape(n_atoms, 3, 3, n_lm, -1)


def charge_matrix(charges: dict, species: np.ndarray) -> np.ndarray:
    """Return charges (n_species, n_channels) of species in e.

    Raises
    ------
    SettingsError
        If ``charges``, by symbol, lack a species.
    """
    symbols = [chemical_symbols[z] for z in species]
    missing = [symbol for symbol in symbols if symbol not in charges]
    if missing:
        raise SettingsError(
            f"`charges` of LODE have no {', '.join(missing)}, which the structures "
            f"have; they know {', '.join(charges)}"
        )
    return np.array([charges[symbol] for symbol in symbols])
