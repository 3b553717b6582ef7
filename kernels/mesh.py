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

One channel, charges and their potential, has functions of its own: there views of
channels cost more than the arithmetic.
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
            spline = splines[d]
            for j in range(order):
                spline[order - 1 - j] = work[j]
            for _ in range(d):
                for s in range(order - 1):
                    spline[s] -= spline[s + 1]


@njit(cache=True, error_model="numpy", fastmath={"contract"})
def add_rows(weights, sources, first, step, target):
    """Add sum_i weights[i] sources[first + i step : first + i step + target.size].

    Four rows at a time: the target is loaded and stored less often.
    """
    i = 0
    while i + 4 <= weights.size:
        a = weights[i]
        b = weights[i + 1]
        c = weights[i + 2]
        d = weights[i + 3]
        start = first + i * step
        row_a = sources[start : start + target.size]
        row_b = sources[start + step : start + step + target.size]
        row_c = sources[start + 2 * step : start + 2 * step + target.size]
        row_d = sources[start + 3 * step : start + 3 * step + target.size]
        for s in range(target.size):
            target[s] += a * row_a[s] + b * row_b[s] + c * row_c[s] + d * row_d[s]
        i += 4
    while i < weights.size:
        a = weights[i]
        row_a = sources[first + i * step : first + i * step + target.size]
        for s in range(target.size):
            target[s] += a * row_a[s]
        i += 1


@njit(cache=True, error_model="numpy")
def filled_ranges(matrix):
    """Return the first non-zero column of every row and one after the last."""
    ranges = np.zeros((matrix.shape[0], 2), dtype=np.intp)
    for row in range(matrix.shape[0]):
        for column in range(matrix.shape[1]):
            if matrix[row, column] != 0.0:
                if ranges[row, 1] == 0:
                    ranges[row, 0] = column
                ranges[row, 1] = column + 1
    return ranges


@njit(cache=True, error_model="numpy", parallel=True)
def interpolate(
    grids, fractional, atoms, columns, order, monomials, combinations, values
):
    """Fill the combinations of derivatives of all channels at some atoms."""
    n_x, n_y, n_z, n_channels = grids.shape
    flat = grids.reshape(-1)
    step = n_y * n_z * n_channels
    width = order * n_channels
    n_d = monomials.max() + 1
    ranges = filled_ranges(combinations)
    for chunk in prange((atoms.size + CHUNK - 1) // CHUNK):
        work = np.empty(order)
        splines = np.empty((3, n_d, order))
        starts = np.empty((1, 3), dtype=np.intp)
        along_x = np.empty((n_d, order, width))
        along_xy = np.empty((n_d, n_d, width))
        flat_x = along_x.reshape(-1)
        totals = np.empty((monomials.shape[0], n_channels))
        flat_totals = totals.reshape(-1)
        for entry in range(chunk * CHUNK, min(atoms.size, (chunk + 1) * CHUNK)):
            place = fractional[atoms[entry]]
            first_points(place.reshape(1, 3), grids.shape, order, starts)
            for axis in range(3):
                fill_splines(
                    place[axis], grids.shape[axis], order, n_d - 1, work, splines[axis]
                )
            along_x[:] = 0.0
            for j in range(order):
                y = (starts[0, 1] + j) % n_y
                # the cell repeats: pieces up to its end, along x and along z
                x = starts[0, 0]
                i = 0
                while i < order:
                    n_i = min(order - i, n_x - x)
                    z = starts[0, 2]
                    k = 0
                    while k < order:
                        n_k = min(order - k, n_z - z)
                        first = ((x * n_y + y) * n_z + z) * n_channels
                        for a in range(n_d):
                            add_rows(
                                splines[0, a, i : i + n_i],
                                flat,
                                first,
                                step,
                                along_x[a, j, k * n_channels : (k + n_k) * n_channels],
                            )
                        k += n_k
                        z = 0
                    i += n_i
                    x = 0
            along_xy[:] = 0.0
            for a in range(n_d):
                first = a * order * width
                for b in range(n_d - a):
                    add_rows(splines[1, b], flat_x, first, width, along_xy[a, b])
            totals[:] = 0.0
            for m in range(monomials.shape[0]):
                a, b, c = monomials[m]
                add_rows(splines[2, c], along_xy[a, b], 0, n_channels, totals[m])
            for row in range(combinations.shape[0]):
                target = values[row, columns[entry]]
                target[:] = 0.0
                low, high = ranges[row]
                add_rows(
                    combinations[row, low:high],
                    flat_totals,
                    low * n_channels,
                    n_channels,
                    target,
                )


@njit(cache=True, error_model="numpy")
def find_tile(color, task, tiles):
    """Return the number of one tile of a colour, -1 where there is none.

    ``tiles`` are those along x and y; every second one along both has one colour.
    """
    half = (tiles[1] + 1) // 2
    tile_x = 2 * (task // half) + color // 2
    tile_y = 2 * (task % half) + color % 2
    if tile_x < tiles[0] and tile_y < tiles[1]:
        return tile_x * tiles[1] + tile_y
    return -1


@njit(cache=True, error_model="numpy", parallel=True)
def spread(
    values, fractional, atoms, first_atom, tiles, order, monomials, combinations, grids
):
    """Add the transpose of `interpolate` to ``grids``.

    ``tiles`` are the numbers of tiles along x and y, one or even, each at least
    ``order`` points wide: tiles of one of four colours do not touch each other. Atoms
    of a tile are ``atoms[first_atom[tile]:first_atom[tile + 1]]``.
    """
    n_x, n_y, n_z, n_channels = grids.shape
    flat = grids.reshape(-1)
    width = order * n_channels
    n_d = monomials.max() + 1
    transposed = combinations.T.copy()
    ranges = filled_ranges(transposed)
    n_atoms = values.shape[1]
    flat_values = values.reshape(-1)
    for color in range(4):
        for task in prange(((tiles[0] + 1) // 2) * ((tiles[1] + 1) // 2)):
            tile = find_tile(color, task, tiles)
            if tile >= 0:
                work = np.empty(order)
                splines = np.empty((3, n_d, order))
                starts = np.empty((1, 3), dtype=np.intp)
                along_x = np.empty((n_d, width))
                along_xy = np.empty((n_d, n_d, width))
                flat_x = along_x.reshape(-1)
                flat_xy = along_xy.reshape(-1)
                # of the monomials with the same a and b, all c follow each other
                totals = np.empty((n_d, n_d, n_d, n_channels))
                flat_totals = totals.reshape(-1)
                for entry in range(first_atom[tile], first_atom[tile + 1]):
                    place = fractional[atoms[entry]]
                    first_points(place.reshape(1, 3), grids.shape, order, starts)
                    for axis in range(3):
                        fill_splines(
                            place[axis],
                            grids.shape[axis],
                            order,
                            n_d - 1,
                            work,
                            splines[axis],
                        )
                    totals[:] = 0.0
                    for m in range(monomials.shape[0]):
                        a, b, c = monomials[m]
                        low, high = ranges[m]
                        add_rows(
                            transposed[m, low:high],
                            flat_values,
                            (low * n_atoms + atoms[entry]) * n_channels,
                            n_atoms * n_channels,
                            totals[a, b, c],
                        )
                    along_xy[:] = 0.0
                    for a in range(n_d):
                        for b in range(n_d - a):
                            first = (a * n_d + b) * n_d * n_channels
                            for k in range(order):
                                add_rows(
                                    splines[2, : n_d - a - b, k],
                                    flat_totals,
                                    first,
                                    n_channels,
                                    along_xy[
                                        a, b, k * n_channels : (k + 1) * n_channels
                                    ],
                                )
                    for j in range(order):
                        y = (starts[0, 1] + j) % n_y
                        along_x[:] = 0.0
                        for a in range(n_d):
                            add_rows(
                                splines[1, : n_d - a, j],
                                flat_xy,
                                a * n_d * width,
                                width,
                                along_x[a],
                            )
                        for i in range(order):
                            x = (starts[0, 0] + i) % n_x
                            z = starts[0, 2]
                            k = 0
                            while k < order:
                                n_k = min(order - k, n_z - z)
                                first = ((x * n_y + y) * n_z + z) * n_channels
                                add_rows(
                                    splines[0, :, i],
                                    flat_x,
                                    k * n_channels,
                                    width,
                                    flat[first : first + n_k * n_channels],
                                )
                                k += n_k
                                z = 0


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def add_charge(charge, splines, starts, order, grid):
    """Add one charge to the points around it."""
    n_x, n_y, n_z = grid.shape
    x = starts[0]
    z = starts[2]
    for i in range(order):
        y = starts[1]
        for j in range(order):
            weight = charge * splines[0, 0, i] * splines[1, 0, j]
            line = grid[x, y]
            if z + order <= n_z:
                for k in range(order):
                    line[z + k] += weight * splines[2, 0, k]
            else:
                for k in range(order):
                    line[(z + k) % n_z] += weight * splines[2, 0, k]
            y += 1
            if y == n_y:
                y = 0
        x += 1
        if x == n_x:
            x = 0


@njit(cache=True, error_model="numpy", parallel=True)
def spread_charges(charges, fractional, atoms, first_atom, tiles, order, grid):
    """Do what `spread` does for charges (n_atoms,) and a grid (n_x, n_y, n_z)."""
    for color in range(4):
        for task in prange(((tiles[0] + 1) // 2) * ((tiles[1] + 1) // 2)):
            tile = find_tile(color, task, tiles)
            if tile >= 0:
                work = np.empty(order)
                splines = np.empty((3, 1, order))
                starts = np.empty((1, 3), dtype=np.intp)
                for entry in range(first_atom[tile], first_atom[tile + 1]):
                    atom = atoms[entry]
                    place = fractional[atom]
                    first_points(place.reshape(1, 3), grid.shape, order, starts)
                    for axis in range(3):
                        fill_splines(
                            place[axis], grid.shape[axis], order, 0, work, splines[axis]
                        )
                    add_charge(charges[atom], splines, starts[0], order, grid)


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc"})
def sum_values(splines, starts, order, grid, values):
    """Fill the value at one place and, for 4 values, its derivatives along the grid."""
    n_x, n_y, n_z = grid.shape
    x = starts[0]
    z = starts[2]
    along = values.size == 4
    last = 1 if along else 0
    value = 0.0
    slope_x = 0.0
    slope_y = 0.0
    slope_z = 0.0
    for i in range(order):
        y = starts[1]
        plane = 0.0
        plane_y = 0.0
        plane_z = 0.0
        for j in range(order):
            line = grid[x, y]
            line_value = 0.0
            slope = 0.0
            if z + order <= n_z:
                for k in range(order):
                    line_value += splines[2, 0, k] * line[z + k]
                    slope += splines[2, last, k] * line[z + k]
            else:
                for k in range(order):
                    line_value += splines[2, 0, k] * line[(z + k) % n_z]
                    slope += splines[2, last, k] * line[(z + k) % n_z]
            plane += splines[1, 0, j] * line_value
            plane_y += splines[1, last, j] * line_value
            plane_z += splines[1, 0, j] * slope
            y += 1
            if y == n_y:
                y = 0
        value += splines[0, 0, i] * plane
        slope_x += splines[0, last, i] * plane
        slope_y += splines[0, 0, i] * plane_y
        slope_z += splines[0, 0, i] * plane_z
        x += 1
        if x == n_x:
            x = 0
    values[0] = value
    if along:
        values[1] = slope_x
        values[2] = slope_y
        values[3] = slope_z


@njit(cache=True, error_model="numpy", parallel=True)
def interpolate_charges(grid, fractional, atoms, columns, order, values):
    """Fill values (n_atoms, 1 or 4): of a grid, and with its three derivatives.

    Along the axes of the grid, in units of its spacing.
    """
    degree = 1 if values.shape[1] == 4 else 0
    for chunk in prange((atoms.size + CHUNK - 1) // CHUNK):
        work = np.empty(order)
        splines = np.empty((3, degree + 1, order))
        starts = np.empty((1, 3), dtype=np.intp)
        for entry in range(chunk * CHUNK, min(atoms.size, (chunk + 1) * CHUNK)):
            place = fractional[atoms[entry]]
            first_points(place.reshape(1, 3), grid.shape, order, starts)
            for axis in range(3):
                fill_splines(
                    place[axis], grid.shape[axis], order, degree, work, splines[axis]
                )
            sum_values(splines, starts[0], order, grid, values[columns[entry]])
