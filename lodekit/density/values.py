"""Values of functions and of their sums at points."""

from __future__ import annotations

import math

import numpy as np

from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.electrostatics.boundary import Boundary
from lodekit.kernels.gaussian_values import add_functions, add_values

from .grid import Grid
from .sites import Sites, as_index, positions_of

#: Points of a list that are evaluated at once.
PART = 1000


class FunctionValues:
    """Functions of sites, summed over lattice images, at points.

    Parameters
    ----------
    sites : Sites
    boundary : Boundary
    accuracy : float
        Functions end where they are smaller than at their largest by this.
    """

    def __init__(self, sites: Sites, boundary: Boundary, accuracy: float = 1e-10):
        self.sites, self.boundary = sites, boundary
        table = sites.table
        exponents = 0.25 / table.spreads
        l = np.repeat(table.shell_l, np.diff(table.first_primitive))
        factors = table.amplitudes * (exponents / math.pi) ** 1.5
        factors *= (2.0 * exponents) ** l
        softest = np.minimum.reduceat(exponents, table.first_primitive[:-1])
        # the polynomial in front of exp(-a r^2) grows with l
        squares = (-math.log(accuracy) + 2.0 + 2.0 * table.shell_l) / softest
        self.table = (*table.arrays[:3], exponents, factors, squares)
        self.prefactors = harmonic_prefactors(table.largest_l)
        of_kind = np.maximum.reduceat(squares, table.first_shell[:-1])
        self.reaches = np.sqrt(of_kind)[sites.kinds]

    def at(self, points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """Return the sum of functions times coefficients at points, (n_points,)."""
        points = positions_of(points)
        values = np.zeros(len(points))
        images = self.images(points)
        for start in range(0, len(points), PART):
            part = slice(start, start + PART)
            self._add(points[part], images, coefficients, values[part])
        return values

    def on_grid(self, grid: Grid, coefficients: np.ndarray) -> np.ndarray:
        """Return the sum of functions times coefficients on a grid, its shape."""
        values = np.zeros(grid.shape)
        images = self.images(grid.corners())
        for tile in grid.tiles():
            points = grid.points(tile)
            part = np.zeros(len(points))
            self._add(points, images, coefficients, part)
            values[tile] = part.reshape(values[tile].shape)
        return values

    def matrix(self, points: np.ndarray, images=None) -> tuple[np.ndarray, np.ndarray]:
        """Return the functions that reach points, and their values there.

        Parameters
        ----------
        points : ndarray of shape (n_points, 3)
        images : tuple, optional
            From `images`, of these points and others; made where left out.

        Returns
        -------
        functions : ndarray of shape (n,)
            Places among the coefficients, ascending.
        values : ndarray of shape (n_points, n)
        """
        images = self.images(points) if images is None else images
        centers, sites = self._select(points, *images)
        present, index = np.unique(sites, return_inverse=True)
        sizes = self.sites.table.sizes[self.sites.kinds[present]]
        first = np.concatenate([[0], np.cumsum(sizes)])
        values = np.zeros((len(points), first[-1]))
        add_functions(
            points,
            np.ascontiguousarray(centers),
            as_index(self.sites.kinds[sites]),
            as_index(first[index]),
            self.table,
            self.prefactors,
            values,
        )
        starts = self.sites.first_function[present]
        functions = np.arange(first[-1]) + np.repeat(starts - first[:-1], sizes)
        return functions, values

    def _add(self, points, images, coefficients, values):
        centers, sites = self._select(points, *images)
        add_values(
            points,
            np.ascontiguousarray(centers),
            as_index(self.sites.kinds[sites]),
            as_index(self.sites.first_function[sites]),
            self.table,
            self.prefactors,
            coefficients,
            values,
        )

    def images(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return centres (n, 3) and sites (n,) that reach into the box of points."""
        positions, sites = self.sites.positions, np.arange(self.sites.n_sites)
        if self.boundary.n_periodic and len(points):
            reach = self.reaches.max(initial=0.0)
            shifts = lattice_shifts(self.boundary, positions, points, reach)
            centers = (positions + shifts[:, None]).reshape(-1, 3)
            return self._select(points, centers, np.tile(sites, len(shifts)))
        return positions, sites

    def _select(self, points, centers, sites):
        """Return the centres whose functions reach into the box of points."""
        nearest = np.clip(centers, points.min(axis=0), points.max(axis=0))
        distances = np.linalg.norm(centers - nearest, axis=1)
        inside = distances < self.reaches[sites]
        return centers[inside], sites[inside]


def lattice_shifts(
    boundary: Boundary, positions: np.ndarray, points: np.ndarray, reach: float
) -> np.ndarray:
    """Return lattice vectors (n, 3) that bring positions within reach of points.

    All of them, and some more.
    """
    # distances to the planes of constant fractional coordinates are at most reach
    inverse = np.linalg.inv(boundary.cell)
    margin = reach * np.linalg.norm(inverse, axis=0)
    to, start = points @ inverse, positions @ inverse
    low = np.ceil(to.min(axis=0) - start.max(axis=0) - margin).astype(int)
    high = np.floor(to.max(axis=0) - start.min(axis=0) + margin).astype(int)
    low, high = (np.where(boundary.pbc, ends, 0) for ends in (low, high))
    ranges = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    steps = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    return steps @ boundary.cell
