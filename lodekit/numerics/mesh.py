"""Sums over k-vectors of periodic structures at linear cost: B-splines and an FFT."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache

import numpy as np
from ase.geometry import minkowski_reduce
from numba import get_num_threads
from scipy import fft

from lodekit.kernels.mesh import (
    first_points,
    interpolate,
    interpolate_charges,
    spread,
    spread_charges,
)

#: Number of planes of a grid that are transformed along z at a time.
PLANES = 16


class Mesh:
    """Sums over k-vectors for the atoms of one periodic structure.

    Phases exp(ik.R) are interpolated between the points of an even grid by cardinal
    B-splines (smooth particle mesh). `transform` and `evaluate` are exact transposes
    of each other, and derivatives are derivatives of the splines: gradients are exact
    for the computed values.

    Parameters
    ----------
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    cell : ndarray of shape (3, 3)
        Cell vectors in Å, one per row.
    k_cutoff : float
        Largest k in 1/Å.
    spacing : float
        Largest distance of grid points along a cell vector in Å, below pi / k_cutoff;
        see `mesh_parameters`.
    order : int
        Number of grid points under a spline, per axis; at least the degree of
        derivatives plus 2.

    Attributes
    ----------
    k_vectors : ndarray of shape (n_k, 3)
        One of k and -k for every k-vector shorter than the cutoff, without k = 0.
    cell : ndarray of shape (3, 3)
        Vectors of the same lattice, by `shortest_vectors`.
    shape : tuple of int
        Number of grid points along these.

    References
    ----------
    U. Essmann et al., J. Chem. Phys. 103, 8577 (1995).
    """

    def __init__(self, positions, cell, k_cutoff: float, spacing: float, order: int):
        if not spacing * k_cutoff < np.pi:
            raise ValueError(
                f"the grid spacing must be below pi / k_cutoff = "
                f"{np.pi / k_cutoff:.4g} Å, got {spacing:.4g} Å"
            )
        self.cell = shortest_vectors(np.asarray(cell, dtype=float))
        self.order = order
        self.volume = abs(np.linalg.det(self.cell))
        self.fractional = np.ascontiguousarray(positions @ np.linalg.inv(self.cell))
        self.largest, self.indices, self.k_vectors = find_k_vectors(
            self.cell.tobytes(), k_cutoff
        )
        lengths = np.linalg.norm(self.cell, axis=1)
        self.shape = tuple(
            fft.next_fast_len(max(int(np.ceil(length / spacing)), 2 * most + 2), real)
            for length, most, real in zip(
                lengths, self.largest, (False, False, True), strict=True
            )
        )

    @cached_property
    def spline_factors(self) -> np.ndarray:
        """Fourier transform of the spline at the k-vectors, shape (n_k,)."""
        factors = np.ones(len(self.indices))
        for column, most, n_points in zip(
            self.indices.T, self.largest, self.shape, strict=True
        ):
            index = np.arange(-most, most + 1)
            factors *= (np.sinc(index / n_points) ** self.order)[column + most]
        return factors

    @cached_property
    def starts(self) -> np.ndarray:
        """First grid point of every atom along every axis, (n_atoms, 3)."""
        starts = np.empty(self.fractional.shape, dtype=np.intp)
        first_points(self.fractional, self.shape, self.order, starts)
        return starts

    @cached_property
    def tiling(self) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of tiles along x and y, and the tile of every atom."""
        shape = np.array(self.shape[:2])
        tiles = np.maximum(shape // self.order // 2 * 2, 1)
        x, y = (self.starts[:, :2] * tiles // shape).T
        return tiles, x * tiles[1] + y

    @cached_property
    def sorted_atoms(self) -> np.ndarray:
        """Atoms in an order in which neighbours follow each other, tile by tile."""
        return np.lexsort((self.starts[:, 2], self.tiling[1]))

    def transform(self, values: np.ndarray, degree: int = 0, rows=None) -> np.ndarray:
        """Return sum_i v_i exp(-ik.R_i), of shape (n_k, n_channels).

        Parameters
        ----------
        values : ndarray of shape (n_rows, n_atoms, n_channels)
            What multiplies the exponential and its derivatives with respect to R_i.
        degree, rows
            These derivatives, as in `evaluate`.
        """
        values = np.ascontiguousarray(values, dtype=float)
        combinations = self.combinations(degree, rows)
        if values.shape[:2] != (len(combinations), len(self.fractional)):
            raise ValueError(
                f"values must have shape ({len(combinations)}, {len(self.fractional)}, "
                f"n_channels), derivatives first, got {values.shape}"
            )
        tiles, tile_of_atom = self.tiling
        first = np.zeros(tiles.prod() + 1, dtype=np.intp)
        np.cumsum(np.bincount(tile_of_atom, minlength=tiles.prod()), out=first[1:])
        grids = np.zeros((*self.shape, values.shape[2]))
        where = self.fractional, self.sorted_atoms, first, tiles, self.order
        if degree == 0 and values.shape[2] == 1:
            charges = (combinations.T @ values[:, :, 0])[0]
            spread_charges(charges, *where, grids.reshape(self.shape))
        else:
            spread(values, *where, monomials(degree), combinations, grids)
        _, k, l = self.largest
        options = {"overwrite_x": True, "workers": get_num_threads()}
        half = np.empty((*self.shape[:2], l + 1, values.shape[2]), dtype=complex)
        for planes in self.plane_blocks():
            lines = fft.rfft(grids[planes], axis=2, **options)
            half[planes] = lines[:, :, : l + 1]
        del grids
        half = fft.fft(half, axis=1, **options)
        half = np.concatenate([half[:, : k + 1], half[:, self.shape[1] - k :]], axis=1)
        half = fft.fft(half, axis=0, **options)
        return half[self.places] / self.spline_factors[:, None]

    def evaluate(self, spectra: np.ndarray, degree: int = 0, rows=None) -> np.ndarray:
        """Return sum_k Re(A(k) exp(ik.R_i)) and derivatives with respect to R_i.

        Parameters
        ----------
        spectra : ndarray of shape (n_k, n_channels)
            Amplitudes A at ``k_vectors``.
        degree : int
            Largest degree of derivatives.
        rows : ndarray of shape (n_rows, n_monomials), optional
            Wanted combinations of the derivatives listed by `monomials`; by default
            each of them, the value first.

        Returns
        -------
        values : ndarray of shape (n_rows, n_atoms, n_channels)
        """
        return self.interpolate(self.fields(spectra), None, degree, rows)

    def fields(self, spectra: np.ndarray) -> np.ndarray:
        """Return grids for `interpolate`, of shape (*shape, n_channels)."""
        n_channels = spectra.shape[1]
        n_x, n_y, n_z = self.shape
        _, k, l = self.largest
        options = {"norm": "forward", "overwrite_x": True, "workers": get_num_threads()}
        narrow = np.zeros((n_x, 2 * k + 1, l + 1, n_channels), dtype=complex)
        # of index 0 along z the transform takes the real part, the others come twice
        once = np.where(self.indices[:, 2] == 0, 1.0, 0.5) / self.spline_factors
        narrow[self.places] = spectra * once[:, None]
        narrow = fft.ifft(narrow, axis=0, **options)
        half = np.zeros((n_x, n_y, l + 1, n_channels), dtype=complex)
        half[:, : k + 1] = narrow[:, : k + 1]
        half[:, n_y - k :] = narrow[:, k + 1 :]
        del narrow
        half = fft.ifft(half, axis=1, **options)
        grids = np.empty((*self.shape, n_channels))
        for planes in self.plane_blocks():
            grids[planes] = fft.irfft(half[planes], n_z, axis=2, **options)
        return grids

    def plane_blocks(self) -> Iterator[slice]:
        """Yield ranges of planes, to hold few padded lines at a time."""
        for start in range(0, self.shape[0], PLANES):
            yield slice(start, start + PLANES)

    def interpolate(
        self, grids: np.ndarray, atoms=None, degree: int = 0, rows=None
    ) -> np.ndarray:
        """Return `evaluate` at some atoms, by default at all, from `fields`.

        Atoms that are neighbours in ``sorted_atoms`` are the fastest to do together.
        """
        columns = self.sorted_atoms if atoms is None else np.arange(atoms.size)
        atoms = self.sorted_atoms if atoms is None else atoms
        combinations = self.combinations(degree, rows)
        where = self.fractional, atoms, columns, self.order
        if degree <= 1 and grids.shape[3] == 1:
            along = np.empty((atoms.size, 1 + 3 * degree))
            interpolate_charges(grids.reshape(self.shape), *where, along)
            return (combinations @ along.T)[:, :, None]
        values = np.empty((len(combinations), atoms.size, grids.shape[3]))
        interpolate(grids, *where, monomials(degree), combinations, values)
        return values

    def combinations(self, degree: int, rows) -> np.ndarray:
        """Return the wanted combinations of derivatives along the grid."""
        axes = np.linalg.inv(self.cell) * self.shape
        derivatives = change_of_axes(axes, degree)
        return derivatives if rows is None else np.ascontiguousarray(rows @ derivatives)

    @cached_property
    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the k-vectors are on the grid, without empty columns along y."""
        return (
            self.indices[:, 0] % self.shape[0],
            self.indices[:, 1] % (2 * self.largest[1] + 1),
            self.indices[:, 2],
        )


def shortest_vectors(cell: np.ndarray) -> np.ndarray:
    """Return vectors of the same lattice that make smaller grids and errors.

    A cell that is short enough stays as it is: strains of a cubic cell would otherwise
    change its vectors, and results would jump by the error of the mesh.
    """
    shortest = minkowski_reduce(cell)[0]
    sizes = [np.prod(np.linalg.norm(vectors, axis=1)) for vectors in (shortest, cell)]
    return shortest if sizes[0] < 0.8 * sizes[1] else cell


@lru_cache(maxsize=2)
def find_k_vectors(cell: bytes, k_cutoff: float) -> tuple[np.ndarray, ...]:
    """Return one of k and -k for all k-vectors within a sphere, without 0.

    They are kept, since cells of trajectories are often the same.

    Parameters
    ----------
    cell : bytes
        Of an array of shape (3, 3), vectors in Å as rows.
    k_cutoff : float
        Radius of the sphere in 1/Å.

    Returns
    -------
    largest : ndarray of shape (3,)
        Largest index along every reciprocal vector.
    indices : ndarray of shape (n_k, 3)
    k_vectors : ndarray of shape (n_k, 3)
        In 1/Å.
    """
    cell = np.frombuffer(cell).reshape(3, 3)
    largest = (k_cutoff * np.linalg.norm(cell, axis=1) / (2.0 * np.pi)).astype(int)
    h, k, l = (np.arange(-most, most + 1) for most in largest)
    grid = np.meshgrid(h, k, l[l >= 0], indexing="ij")
    indices = np.stack(grid, axis=-1).reshape(-1, 3)
    flat = (indices[:, 0] > 0) | ((indices[:, 0] == 0) & (indices[:, 1] > 0))
    indices = indices[(indices[:, 2] > 0) | flat]
    vectors = indices @ (2.0 * np.pi * np.linalg.inv(cell).T)
    inside = np.einsum("kd,kd->k", vectors, vectors) < k_cutoff**2
    arrays = largest, indices[inside], vectors[inside]
    for array in arrays:
        array.flags.writeable = False
    return arrays


@lru_cache(maxsize=16)
def monomials(degree: int) -> np.ndarray:
    """Return exponents (a, b, c) up to a total degree, (n_monomials, 3).

    They come by degree, then with falling a, then b: 1, x, y, z, xx, xy, xz, yy, ...
    """
    return np.array(
        [
            (a, b, total - a - b)
            for total in range(degree + 1)
            for a in range(total, -1, -1)
            for b in range(total - a, -1, -1)
        ]
    )


def change_of_axes(axes: np.ndarray, degree: int) -> np.ndarray:
    """Return the matrix of monomials in x = ``axes`` @ u over monomials in u."""
    exponents = monomials(degree)
    place = {tuple(e): i for i, e in enumerate(exponents.tolist())}
    matrix = np.zeros((len(exponents), len(exponents)))
    matrix[0, 0] = 1.0
    units = np.eye(3, dtype=int)
    # shift[j, i]: u_j times monomial i is which monomial
    lower = len(monomials(degree - 1)) if degree else 0
    shift = np.array(
        [[place[tuple(e + u)] for e in exponents[:lower]] for u in units]
    ).reshape(3, lower)
    for row in range(1, len(exponents)):
        axis = int(np.argmax(exponents[row] > 0))
        below = place[tuple(exponents[row] - units[axis])]
        for u in range(3):
            matrix[row, shift[u]] += axes[axis, u] * matrix[below, :lower]
    return matrix
