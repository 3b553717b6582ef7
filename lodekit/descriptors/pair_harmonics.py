"""The harmonics of a spherical expansion as equivariant features: tensors of pairs.

They are products of the expansion with a constant, so that everything that is done to
products is done to them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.structures.batch import StructureBatch

from .equivariant_power_spectrum import EquivariantPowerSpectrum
from .expansion import CoefficientJacobian


class PairHarmonics(EquivariantPowerSpectrum):
    """The coefficients of an expansion: p^lambda_mu[q] = left[lambda mu, q].

    Atomic moments of model files of formats 1 and 2 are made of them; lambda-SOAP is
    more accurate.

    Parameters
    ----------
    left : SphericalExpansion or LodeSphericalExpansion
    """

    def __init__(self, left):
        super().__init__(left, ConstantExpansion())

    def take_expansions(self, descriptor) -> None:
        """Take the left expansion of a `PowerSpectrum`, which is equal to this one."""
        self.left = descriptor.left

    def couple(self, order: int, sigma: int, center: int, species, left, right=None):
        """Do what the base does, whatever the right factor of invariants is."""
        ones = constant_coefficients(len(left))
        return super().couple(order, sigma, center, species, left, ones)


def constant_coefficients(n_atoms: int) -> np.ndarray:
    """Return 1 as a coefficient with l = 0, (n_atoms, 1, 1)."""
    return np.ones((n_atoms, 1, 1))


class ConstantExpansion:
    """An expansion with one coefficient, 1, for all atoms."""

    max_angular, n_radial, reach = 0, 1, 0.0

    def n_channels(self, species: np.ndarray) -> int:
        """Return the number of channels."""
        return 1

    def expand(self, batch: StructureBatch, species: np.ndarray) -> Constants:
        """Return the coefficients of a batch."""
        return Constants(batch)


@dataclass
class Constants:
    """Coefficients of a `ConstantExpansion`, see `Expansion`."""

    batch: StructureBatch
    n_channels, has_charges = 1, False

    @property
    def coefficients(self) -> np.ndarray:
        """1 for every atom, (n_atoms, 1, 1)."""
        return constant_coefficients(self.batch.n_atoms)

    def reverse(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return derivatives by positions and strain, which are zero."""
        batch = self.batch
        return np.zeros((batch.n_atoms, 3)), np.zeros((batch.n_structures, 3, 3))

    def jacobian(self) -> CoefficientJacobian:
        """Return no derivatives by positions."""
        none = np.zeros(0, dtype=np.intp)
        return CoefficientJacobian(none, none, none, np.zeros((0, 3, 1, 1)))

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives by strain, zeros."""
        return np.zeros((self.batch.n_atoms, 3, 3, 1, 1))
