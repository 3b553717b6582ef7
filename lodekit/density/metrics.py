"""Metrics: how large a difference of two densities is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from scipy import sparse

from lodekit.electrostatics.boundary import Boundary
from lodekit.units import COULOMB_CONSTANT

from .basis import DensityBasis
from .coulomb_sum import CoulombSum
from .moments import charges_of
from .sites import Sites
from .two_center import pair_integrals

#: Å between the atoms of a slab and the plate that makes its metric positive.
PLATE_DISTANCE = 20.0


@dataclass(frozen=True)
class DensityMetric:
    """A norm of densities rho = sum c phi, as the matrix M in c.M c.

    The squared norm is ``overlap`` times the integral of rho(r)^2, in 1/Å^3, plus
    ``coulomb`` times that of k rho(r) rho(r') over the distance of r and r', in eV.
    Errors in the first are those of the density itself, errors in the second are those
    of the potential it makes; a mixture needs weights that bring both to one size.

    A charged slab has no finite energy: there, a net charge counts as if a grounded
    plate stood `PLATE_DISTANCE` beyond the atoms, so that the norm is positive; it is
    the energy alone for all differences without a net charge.

    Attributes
    ----------
    overlap, coulomb : float
        Weights; not negative, and not both zero.
    accuracy : float
        Relative accuracy of matrix elements.
    """

    overlap: float = 1.0
    coulomb: float = 0.0
    accuracy: float = 1e-10

    def __post_init__(self):
        """Refuse weights that make no norm."""
        weights = (self.overlap, self.coulomb)
        if not (np.isfinite(weights).all() and min(weights) >= 0 and max(weights) > 0):
            raise ValueError(
                f"a metric needs weights that are not negative and not both zero, got "
                f"overlap={self.overlap}, coulomb={self.coulomb}"
            )

    def matrix(self, atoms: Atoms, basis: DensityBasis) -> np.ndarray:
        """Return M of a structure (``ase.Atoms``), (n_functions, n_functions)."""
        sites, boundary = (
            Sites.of_atoms(atoms, basis),
            Boundary.of(atoms.cell, atoms.pbc),
        )
        matrix = np.zeros((sites.size, sites.size))
        if self.overlap:
            matrix = self.overlap * self._overlaps(sites, boundary).dense()
        if self.coulomb:
            coulomb = CoulombSum(sites, sites, boundary, accuracy=self.accuracy)
            matrix += self.coulomb * coulomb.dense()
            if boundary.n_periodic == 2:
                matrix += self.coulomb * plate(sites, boundary)
        return matrix

    def sparse_matrix(self, atoms: Atoms, basis: DensityBasis) -> sparse.csr_array:
        """Return M without pairs that do not overlap, of the overlap metric alone."""
        if self.coulomb:
            raise ValueError(
                "the Coulomb interaction of distant functions is not zero; a sparse "
                "matrix is there for the overlap metric, coulomb=0, only"
            )
        sites, boundary = (
            Sites.of_atoms(atoms, basis),
            Boundary.of(atoms.cell, atoms.pbc),
        )
        return self.overlap * self._overlaps(sites, boundary).sparse()

    def _overlaps(self, sites, boundary):
        return pair_integrals(
            sites, sites, boundary, coulomb=False, accuracy=self.accuracy
        )


def plate(sites: Sites, boundary: Boundary) -> np.ndarray:
    """Return the term that makes the Coulomb matrix of a slab positive, in eV.

    Between planes, the interaction is -2 pi k d / area; with the plate it is 2 pi k (D
    - d) / area, which is positive where no distance d is larger than D.
    """
    charges, heights = charges_of(sites), boundary.heights(sites.positions)
    distance = np.ptp(heights) + PLATE_DISTANCE
    factor = 2.0 * np.pi * COULOMB_CONSTANT * distance / boundary.measure
    return factor * np.outer(charges, charges)


def electron_counts(atoms: Atoms, basis: DensityBasis) -> np.ndarray:
    """Return s with s.c the number of electrons, (n_functions,)."""
    return charges_of(Sites.of_atoms(atoms, basis))
