"""Sums of kernel derivatives over environments into rows of forces and virials."""

from numba import njit, prange


@njit(cache=True, error_model="numpy", parallel=True)
def add_force_rows(projections, own, slopes, shifts, centers, movers, rows):
    """Add minus the gradient of sum_i k(i, m) to the rows of forces.

    The derivative of k(i, m) along an entry is slopes[i, m] * projections[e, x, m] +
    shifts[i, m] * own[e, x]: the feature derivative projected on the sparse point, and
    on the environment itself where features are normalised.

    Shapes: projections (n_entries, 3, n_points), own (n_entries, 3), slopes and shifts
    (n_atoms, n_points), rows (n_atoms, 3, n_points). Every thread owns a range of
    columns.
    """
    n_points = projections.shape[2]
    width = 64
    for block in prange((n_points + width - 1) // width):
        start = block * width
        stop = min(start + width, n_points)
        for entry in range(centers.size):
            center = centers[entry]
            mover = movers[entry]
            for axis in range(3):
                along = own[entry, axis]
                for m in range(start, stop):
                    gradient = (
                        slopes[center, m] * projections[entry, axis, m]
                        + shifts[center, m] * along
                    )
                    rows[mover, axis, m] -= gradient
                    rows[center, axis, m] += gradient


@njit(cache=True, error_model="numpy", parallel=True)
def add_strain_rows(projections, own, slopes, shifts, structures, rows):
    """Add the strain gradient of sum_i k(i, m) to the rows of strain derivatives.

    Shapes as in `add_force_rows` with one entry for each atom, structures (n_atoms,)
    and rows (n_structures, n_axes, n_points).
    """
    n_atoms, n_axes, n_points = projections.shape
    width = 64
    for block in prange((n_points + width - 1) // width):
        start = block * width
        stop = min(start + width, n_points)
        for atom in range(n_atoms):
            for axis in range(n_axes):
                along = own[atom, axis]
                for m in range(start, stop):
                    rows[structures[atom], axis, m] += (
                        slopes[atom, m] * projections[atom, axis, m]
                        + shifts[atom, m] * along
                    )
