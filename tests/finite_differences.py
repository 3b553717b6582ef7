"""Derivatives by central differences, for comparison with analytic ones."""

import numpy as np


def central_differences(function, array, step=1e-4):
    """Derivatives of ``function(array)``, shape array.shape + value.shape.

    Fourth order: the error is step^4 times the fifth derivative.
    """
    array = np.asarray(array, dtype=float)
    derivatives = []
    for index in np.ndindex(array.shape):
        values = []
        for shift in (-2.0, -1.0, 1.0, 2.0):
            moved = array.copy()
            moved[index] += shift * step
            values.append(np.asarray(function(moved)))
        far = values[0] - values[3]
        near = values[2] - values[1]
        derivatives.append((far + 8.0 * near) / (12.0 * step))
    return np.array(derivatives).reshape(*array.shape, *np.shape(derivatives[0]))


def strained(atoms, strain):
    """``atoms`` with r_b -> r_b + sum_a r_a strain_ab for positions and cell."""
    deformation = np.eye(3) + strain
    atoms = atoms.copy()
    cell = atoms.cell.array @ deformation
    atoms.set_positions(atoms.positions @ deformation)
    atoms.set_cell(cell)
    return atoms


def displaced(atoms, positions):
    """``atoms`` with new positions."""
    atoms = atoms.copy()
    atoms.set_positions(positions)
    return atoms
