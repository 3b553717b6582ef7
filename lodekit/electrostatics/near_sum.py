"""The near part: a sum over pairs within the cutoff."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy import special
from vesin import NeighborList

from lodekit.kernels.ewald_near import (
    add_cell_gradients,
    add_near_gradients,
    add_near_matrix,
    add_near_potential,
)

from .boundary import Boundary
from .cell_grid import CellGrid
from .split import Split

#: Least distance in Å of two atoms.
LEAST_DISTANCE = 1e-6


class NearSum:
    """Near part of the interaction of n atoms with each other, self-terms included.

    Parameters
    ----------
    boundary : Boundary
        With 2 or 3 periodic directions.
    split : Split
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    widths : ndarray of shape (n_atoms,)
        Widths of Gaussian charges in Å; 0 for points.
    tolerance : float
        Where erfc of a Gaussian's tail is left out.
    """

    def __init__(
        self,
        boundary: Boundary,
        split: Split,
        positions: np.ndarray,
        widths: np.ndarray,
        tolerance: float,
    ):
        self.boundary = boundary
        self.positions = positions
        self.variances = widths**2
        reach = gaussian_reach(tolerance)
        self.longest = max(
            split.cutoff, reach * math.sqrt(2.0) * widths.max(initial=0.0)
        )
        table = np.ascontiguousarray(split.table[0])
        self.function = (split.exponent, split.cutoff, table, reach)
        self.grid = CellGrid.of(boundary, positions, self.longest)
        if self.grid is None:
            self.pairs = find_half_pairs(boundary, positions, self.longest)
        self.self_terms = np.full(len(positions), -split.at_zero[0])
        is_wide = widths > 0
        self.self_terms[is_wide] += 1.0 / (math.sqrt(math.pi) * widths[is_wide])

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """First and second atom and vectors of pairs listed once."""
        return find_half_pairs(self.boundary, self.positions, self.longest)

    def add_matrix(self, matrix: np.ndarray) -> None:
        """Add the interactions to a symmetric (n_atoms, n_atoms)."""
        add_near_matrix(*self.pairs, self.variances, *self.function, matrix)
        matrix[np.diag_indices_from(matrix)] += self.self_terms

    def potential(self, charges: np.ndarray) -> np.ndarray:
        """Return the potential at the atoms; (n_atoms, n_columns) both."""
        potential = self.self_terms[:, None] * charges
        add_near_potential(
            *self.pairs, self.variances, *self.function, charges, potential
        )
        return potential

    def gradients(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the potential of ``right`` and the gradients of left.V right.

        In large cells without a list of pairs.
        """
        potential = np.zeros(len(left))
        gradients = np.zeros((len(left), 3))
        strain = np.zeros((3, 3))
        grid = self.grid
        if grid is None:
            sides = left, right, potential, gradients, strain
            add_near_gradients(*self.pairs, self.variances, *self.function, *sides)
        else:
            order = grid.order
            sorted_results = np.zeros(len(left)), np.zeros((len(left), 3))
            add_cell_gradients(
                grid.positions,
                grid.first_atom,
                grid.n_cells,
                grid.cell,
                self.variances[order],
                *self.function,
                self.longest**2,
                left[order],
                right[order],
                *sorted_results,
                strain,
            )
            potential[order], gradients[order] = sorted_results
            if not np.isfinite(potential).all():
                _ = self.pairs  # raises, saying which atoms are on one point
        potential += self.self_terms * right
        return potential, gradients, strain


def gaussian_reach(tolerance: float) -> float:
    """Return the distance, in widths, where erfc(r / (sqrt(2) s)) is ``tolerance``."""
    return math.sqrt(2.0) * float(special.erfcinv(tolerance))


def find_half_pairs(
    boundary: Boundary, positions: np.ndarray, cutoff: float, n_atoms: int | None = None
):
    """Return first and second site, and vectors, of pairs listed once each.

    Sites from ``n_atoms`` on are points that do not feel each other.

    Raises
    ------
    ValueError
        If an atom and another site are on the same point.
    """
    cell = np.where(boundary.pbc[:, None], boundary.cell, 0.0)
    search = NeighborList(cutoff=cutoff, full_list=False, sorted=False, n_threads=1)
    pairs, vectors = search.compute(positions, cell, boundary.pbc, quantities="PD")
    first, second = pairs.T.astype(np.intp, order="C")
    vectors = np.ascontiguousarray(vectors, dtype=float)
    return check_pairs(first, second, vectors, n_atoms or len(positions))


def check_pairs(first, second, vectors, n_atoms: int):
    """Leave out pairs of points, and refuse pairs of no distance."""
    if first.size and max(first.max(), second.max()) >= n_atoms:
        has_atom = (first < n_atoms) | (second < n_atoms)
        first, second, vectors = first[has_atom], second[has_atom], vectors[has_atom]
    squares = np.einsum("pd,pd->p", vectors, vectors)
    if squares.size and squares.min() < LEAST_DISTANCE**2:
        pair = int(squares.argmin())
        low, high = sorted((first[pair], second[pair]))
        if high >= n_atoms:
            raise ValueError(
                f"point {high - n_atoms + 1} sits on atom {low + 1}, where the "
                "potential of a point charge is infinite; move the point"
            )
        raise ValueError(
            f"atoms {low + 1} and {high + 1} are on top of each other; every pair must "
            "be apart"
        )
    return first, second, vectors
