"""Particle mesh: spreading values of atoms onto an even grid, and interpolating back.

Atoms touch the ``order``^3 grid points around them with products of cardinal B-splines,
or of derivatives of these. `spread` is the exact transpose of `interpolate`. Both go
axis by axis, so that a product of derivatives costs little more than a value, and have
the points along z with all their channels, which lie side by side, as inner loop.

Shapes: grids (n_x, n_y, n_z, n_channels); fractional (n_atoms, 3), positions in units
of the cell vectors; monomials (n_monomials, 3), how often to derive along every axis,
in units of the grid spacing; combinations (n_rows, n_monomials), which sums of these
derivatives are wanted; values (n_rows, n_atoms, n_channels); atoms (n_some,) those to
take, in this order, and columns (n_some,) their places in the values; splines (3,
degree + 1, order).
"""

import numpy as np
from numba import njit, prange

CHUNK = 32


@njit(cache=True, error_model="numpy")
def first_points(fractional, shape, order, starts):
    """Fill the first grid point along every axis of all atoms, (n_atoms, 3)."""
    for atom in range(fractional.shape[0]):
        for axis in range(3):
            x = (fractional[atom, axis] % 1.0) * shape[axis] + 0.5 * order
            starts[atom, axis] = (int(np.floor(x)) - order + 1) % shape[axis]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def fill_splines(fractional, size, order, degree, work, splines):
    """Fill B-splines and derivatives (degree + 1, order) along one axis.

    ``work`` has ``order`` entries. A derivative of a spline is a difference of splines
    of lower order.
    """
    x = (fractional % 1.0) * size + 0.5 * order
    t = x - np.floor(x)
    # work[j] becomes the spline of order n at t + j
    work[:] = 0.0
    work[0] = 1.0
    for n in range(1, order + 1):
        if n > 1:
            scale = 1.0 / (n - 1)
            for j in range(n - 1, -1, -1):
                below = work[j - 1] if j > 0 else 0.0
                work[j] = scale * ((t + j) * work[j] + (n - t - j) * below)
        d = order - n
        if d <= degree:
            own = splines[d]
            for j in range(order):
                own[order - 1 - j] = work[j]
            for _ in range(d):
                for s in range(order - 1):
                    own[s] -= own[s + 1]


@njit(cache=True, error_model="numpy", parallel=True, fastmath={"contract"})
def interpolate(
    grids, fractional, atoms, columns, order, monomials, combinations, values
):
    """Fill the combinations of derivatives of all channels at some atoms."""
    n_x, n_y, n_z, n_channels = grids.shape
    rows = grids.reshape(n_x, n_y, n_z * n_channels)
    degree = monomials.max()
    for chunk in prange((atoms.size + CHUNK - 1) // CHUNK):
        work = np.empty(order)
        splines = np.empty((3, degree + 1, order))
        starts = np.empty((1, 3), dtype=np.intp)
        along_x = np.empty((degree + 1, order * n_channels))
        along_xy = np.empty((degree + 1, degree + 1, order * n_channels))
        totals = np.empty((monomials.shape[0], n_channels))
        for entry in range(chunk * CHUNK, min(atoms.size, (chunk + 1) * CHUNK)):
            atom = atoms[entry]
            first_points(fractional[atom : atom + 1], grids.shape, order, starts)
            for axis in range(3):
                fill_splines(
                    fractional[atom, axis],
                    grids.shape[axis],
                    order,
                    degree,
                    work,
                    splines[axis],
                )
            along_xy[:] = 0.0
            for j in range(order):
                y = (starts[0, 1] + j) % n_y
                along_x[:] = 0.0
                for i in range(order):
                    x = (starts[0, 0] + i) % n_x
                    z = starts[0, 2]
                    done = 0
                    while done < order:
                        count = min(order - done, n_z - z)
                        source = rows[x, y, z * n_channels : (z + count) * n_channels]
                        for a in range(degree + 1):
                            weight = splines[0, a, i]
                            target = along_x[a, done * n_channels :]
                            for s in range(count * n_channels):
                                target[s] += weight * source[s]
                        done += count
                        z = 0
                for a in range(degree + 1):
                    for b in range(degree + 1 - a):
                        weight = splines[1, b, j]
                        for s in range(order * n_channels):
                            along_xy[a, b, s] += weight * along_x[a, s]
            totals[:] = 0.0
            for m in range(monomials.shape[0]):
                source = along_xy[monomials[m, 0], monomials[m, 1]]
                for k in range(order):
                    weight = splines[2, monomials[m, 2], k]
                    for c in range(n_channels):
                        totals[m, c] += weight * source[k * n_channels + c]
            for row in range(combinations.shape[0]):
                values[row, columns[entry]] = 0.0
                for m in range(monomials.shape[0]):
                    weight = combinations[row, m]
                    if weight != 0.0:
                        for c in range(n_channels):
                            values[row, columns[entry], c] += weight * totals[m, c]


@njit(cache=True, error_model="numpy", parallel=True, fastmath={"contract"})
def spread(
    values, fractional, atoms, first_atom, tiles, order, monomials, combinations, grids
):
    """Add the transpose of `interpolate` to ``grids``.

    ``tiles`` are the numbers of tiles along x and y, one or even, each at least
    ``order`` points wide: tiles of one of four colours do not touch each other. Atoms
    of a tile are ``atoms[first_atom[tile]:first_atom[tile + 1]]``.
    """
    n_x, n_y, n_z, n_channels = grids.shape
    rows = grids.reshape(n_x, n_y, n_z * n_channels)
    degree = monomials.max()
    halves = ((tiles[0] + 1) // 2, (tiles[1] + 1) // 2)
    for color in range(4):
        for task in prange(halves[0] * halves[1]):
            tile_x = 2 * (task // halves[1]) + color // 2
            tile_y = 2 * (task % halves[1]) + color % 2
            if tile_x < tiles[0] and tile_y < tiles[1]:
                tile = tile_x * tiles[1] + tile_y
                work = np.empty(order)
                splines = np.empty((3, degree + 1, order))
                starts = np.empty((1, 3), dtype=np.intp)
                along_x = np.empty((degree + 1, order * n_channels))
                along_xy = np.empty((degree + 1, degree + 1, order * n_channels))
                totals = np.empty((monomials.shape[0], n_channels))
                for entry in range(first_atom[tile], first_atom[tile + 1]):
                    atom = atoms[entry]
                    first_points(
                        fractional[atom : atom + 1], grids.shape, order, starts
                    )
                    for axis in range(3):
                        fill_splines(
                            fractional[atom, axis],
                            grids.shape[axis],
                            order,
                            degree,
                            work,
                            splines[axis],
                        )
                    totals[:] = 0.0
                    for row in range(combinations.shape[0]):
                        for m in range(monomials.shape[0]):
                            weight = combinations[row, m]
                            if weight != 0.0:
                                for c in range(n_channels):
                                    totals[m, c] += weight * values[row, atom, c]
                    along_xy[:] = 0.0
                    for m in range(monomials.shape[0]):
                        target = along_xy[monomials[m, 0], monomials[m, 1]]
                        for k in range(order):
                            weight = splines[2, monomials[m, 2], k]
                            for c in range(n_channels):
                                target[k * n_channels + c] += weight * totals[m, c]
                    for j in range(order):
                        y = (starts[0, 1] + j) % n_y
                        along_x[:] = 0.0
                        for a in range(degree + 1):
                            for b in range(degree + 1 - a):
                                weight = splines[1, b, j]
                                for s in range(order * n_channels):
                                    along_x[a, s] += weight * along_xy[a, b, s]
                        for i in range(order):
                            x = (starts[0, 0] + i) % n_x
                            z = starts[0, 2]
                            done = 0
                            while done < order:
                                count = min(order - done, n_z - z)
                                target = rows[
                                    x, y, z * n_channels : (z + count) * n_channels
                                ]
                                for a in range(degree + 1):
                                    weight = splines[0, a, i]
                                    source = along_x[a, done * n_channels :]
                                    for s in range(count * n_channels):
                                        target[s] += weight * source[s]
                                done += count
                                z = 0
