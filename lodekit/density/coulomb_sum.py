"""The Coulomb interaction between functions, open, in slabs and in crystals."""

from __future__ import annotations

import math

import numpy as np

from lodekit.electrostatics.boundary import Boundary
from lodekit.units import COULOMB_CONSTANT

from .moments import charges_of
from .pair_blocks import PairBlocks
from .reciprocal import FarPart, GaussianSplit, choose_spread
from .sites import Sites
from .two_center import largest_argument, pair_integrals

#: Left sites whose interactions are made at once.
LARGEST_PART = 2000


class CoulombSum:
    """Interactions of the functions of two sets of sites, in eV.

    Open structures are summed over all pairs. Crystals and slabs are split: the
    interaction minus that of smeared functions is summed over lattice images, that of
    smeared functions over k-vectors. In crystals every function has a uniform
    background that neutralises it, and there is no k = 0 term: the mean potential of
    the cell is zero, and metal surrounds the crystal. Slabs have no background; there,
    the matrix is positive for densities without a net charge only.

    Parameters
    ----------
    left, right : Sites
        One and the same object for a symmetric matrix.
    boundary : Boundary
    accuracy : float
        Relative to the largest interactions.
    spread : float, optional
        What the far part is smeared by, in Å^2; chosen by speed when left out. Results
        do not depend on it.
    """

    def __init__(
        self,
        left: Sites,
        right: Sites,
        boundary: Boundary,
        *,
        accuracy: float = 1e-10,
        spread: float | None = None,
    ):
        self.left, self.right = left, right
        self.boundary = boundary
        self.accuracy = accuracy
        self.far = None
        self.spread = 0.0
        if boundary.n_periodic:
            longest = largest_argument(accuracy)
            widest = left.widest + right.widest
            sites = np.concatenate([left.positions, right.positions])
            thickness = 0.0
            if boundary.n_periodic == 2 and len(sites):
                thickness = float(np.ptp(boundary.heights(sites)))
            self.spread = spread or choose_spread(boundary, thickness, widest, longest)
            split = GaussianSplit(
                self.spread,
                2.0 * math.sqrt(longest * (widest + self.spread)),
                math.sqrt(longest / self.spread),
            )
            self.far = FarPart(boundary, split, thickness)

    def near(self, left: Sites) -> PairBlocks:
        """Return the near part between some left sites and all right ones."""
        return pair_integrals(
            left,
            self.right,
            self.boundary,
            coulomb=True,
            spread=self.spread,
            accuracy=self.accuracy,
        )

    def dense(self) -> np.ndarray:
        """Return the matrix (n_left, n_right), in eV times units of coefficients."""
        matrix = self.near(self.left).dense()
        if self.far is not None:
            self.far.add_matrix(matrix, self.left, self.right)
        matrix *= COULOMB_CONSTANT
        return matrix

    def matvec(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the matrix times vectors (n_right,) or (n_right, n), in eV.

        The matrix is never whole in memory, but where both sides are one object.
        """
        vectors = coefficients.reshape(len(coefficients), -1)
        symmetric = self.left is self.right
        parts = [self.left] if symmetric else self.left.parts(LARGEST_PART)
        results = [self.near(part) @ vectors for part in parts]
        if self.far is not None:
            density = self.far.density(self.right, vectors)
            charge = charges_of(self.right) @ vectors
            for part, result in zip(parts, results, strict=True):
                result += self.far.interact(part, density, charge)
        result = COULOMB_CONSTANT * np.concatenate(results)
        return result.reshape(len(result), *coefficients.shape[1:])
