"""Sums of kernel derivatives over environments into rows of forces and virials."""

from numba import njit


@njit(cache=True, error_model="numpy", nogil=True)
def add_force_rows(projections, own, slopes, shifts, center, movers, rows):
    """Add minus the gradient of k(center, m) to the rows of forces.

    The derivative of k(i, m) along an entry is slopes[i, b, m] * projections[e, x, m] +
    shifts[i, b, m] * own[e, x]: the feature derivative projected on the sparse point,
    and on the environment itself where features are normalised. Components b differ in
    slopes and shifts alone; scalars have one.

    Shapes: projections (n_entries, 3, n_points), own (n_entries, 3), slopes and shifts
    (n_atoms, n_components, n_points), rows (n_atoms, 3, n_components, n_points).
    """
    n_components, n_points = slopes.shape[1:]
    for entry in range(movers.size):
        mover = movers[entry]
        for axis in range(3):
            along = own[entry, axis]
            for b in range(n_components):
                for m in range(n_points):
                    gradient = (
                        slopes[center, b, m] * projections[entry, axis, m]
                        + shifts[center, b, m] * along
                    )
                    rows[mover, axis, b, m] -= gradient
                    rows[center, axis, b, m] += gradient


@njit(cache=True, error_model="numpy", nogil=True)
def add_strain_rows(projections, own, slopes, shifts, structures, rows):
    """Add the strain gradient of sum_i k(i, m) to the rows of strain derivatives.

    Shapes: projections (n_atoms, n_axes, n_points), own (n_atoms, n_axes), slopes and
    shifts (n_atoms, n_components, n_points), structures (n_atoms,) and rows
    (n_structures, n_axes, n_components, n_points).
    """
    n_atoms, n_axes, n_points = projections.shape
    for atom in range(n_atoms):
        for axis in range(n_axes):
            along = own[atom, axis]
            for b in range(slopes.shape[1]):
                for m in range(n_points):
                    rows[structures[atom], axis, b, m] += (
                        slopes[atom, b, m] * projections[atom, axis, m]
                        + shifts[atom, b, m] * along
                    )
