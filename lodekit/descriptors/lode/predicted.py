"""LODE of sources whose charges depend on their surroundings.

With charges q_j and G_ij what a unit charge at j adds to the coefficients of atom i,

    c_i = sum_j G_ij q_j,    dc_i/dR = sum_j G_ij,R q_j + G_ij q_j,R.

A reverse pass needs no G: the adjoint of the coefficients becomes one of the charges,
u_j = sum_i y_i.G_ij, and what predicts the charges turns it into gradients.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.descriptors.expansion import CoefficientJacobian
from lodekit.structures.batch import StructureBatch

from .periodic import all_pairs


class PredictedExpansion:
    """An `Expansion` of one channel, whose sources have predicted charges.

    Parameters
    ----------
    lode : LodeSphericalExpansion
    batch : StructureBatch
    charges : object
        Charges of the batch with derivatives, as `ChargeState` of lodekit.regression.
    """

    n_channels, has_charges = 1, True

    def __init__(self, lode, batch: StructureBatch, charges):
        self.lode, self.batch, self.charges = lode, batch, charges
        self.channels = np.zeros(batch.n_atoms, dtype=np.intp)
        self.expansion = lode.expand_sources(batch, self.channels, 1, charges.values)

    @property
    def coefficients(self) -> np.ndarray:
        """Coefficients of shape (n_atoms, n_lm, n_radial)."""
        return self.expansion.coefficients

    @property
    def has_neighbor(self) -> np.ndarray:
        """Whether an atom has sources: always, (n_atoms, 1)."""
        return np.ones((self.batch.n_atoms, 1), dtype=bool)

    def reverse(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into position and strain gradients."""
        by_charges = np.zeros(self.batch.n_atoms)
        positions, strain = self.expansion.reverse(adjoint, by_charges)
        more_positions, more_strain = self.charges.gradients(by_charges)
        return positions + more_positions, strain + more_strain

    @cached_property
    def responses(self) -> np.ndarray:
        """G, (n_atoms, n_lm, n_radial, atoms of the largest structure)."""
        places = self.batch.index_in_structure
        largest = int(places.max(initial=0)) + 1
        units = np.ones(self.batch.n_atoms)
        values = self.lode.expand_sources(self.batch, places, largest, units).values
        return np.moveaxis(values, 2, 3)

    def structures(self):
        """Yield the atoms of every structure, and the responses G between them."""
        limits = self.batch.first_atom
        for start, stop in zip(limits[:-1], limits[1:], strict=True):
            yield slice(start, stop), self.responses[start:stop, ..., : stop - start]

    def jacobian(self) -> CoefficientJacobian:
        """Return the derivatives with respect to positions, all pairs of atoms.

        The sum over all movers is zero, since no charge depends on where the whole is.
        """
        fixed = self.expansion.jacobian()
        centers, movers = all_pairs(self.batch)
        first = np.searchsorted(centers, np.arange(self.batch.n_atoms + 1))
        derivatives = np.zeros((centers.size, *fixed.derivatives.shape[1:]))
        charge_gradients = self.charges.atom_gradients()
        for atoms, responses in self.structures():
            n_atoms = atoms.stop - atoms.start
            change = np.tensordot(responses, charge_gradients[atoms, atoms], (3, 0))
            # (center, lm, n, mover, axis), and no entry for the centre
            change = np.moveaxis(change, (3, 4), (1, 2))
            apart = ~np.eye(n_atoms, dtype=bool)
            derivatives[first[atoms.start] : first[atoms.stop]] = change[apart]
        first_atom = self.batch.first_atom[self.batch.structure_of_atom[fixed.centers]]
        rank = fixed.movers - first_atom - (fixed.movers > fixed.centers)
        np.add.at(derivatives, first[fixed.centers] + rank, fixed.derivatives)
        channels = np.zeros(centers.size, dtype=np.intp)
        return CoefficientJacobian(centers, movers, channels, derivatives)

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""
        jacobian = self.expansion.strain_jacobian()
        charge_gradients = self.charges.atom_strain_gradients()
        for atoms, responses in self.structures():
            change = np.tensordot(responses, charge_gradients[atoms], (3, 0))
            jacobian[atoms] += np.moveaxis(change, (1, 2), (3, 4))
        return jacobian
