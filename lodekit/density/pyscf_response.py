"""Changes of densities in a field, or by charges, by PySCF: central differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms

from lodekit.observables.fields import POINT_CHARGES
from lodekit.units import COULOMB_CONSTANT

from .basis import DensityBasis
from .perturbations import point_charges
from .pyscf_density import Calculation, calculate_density

#: Fields in V/Å of the differences: where the self-consistent field is as accurate as
#: third order in the field is small.
FIELD_STEP = 0.05
#: The same for the largest point charge, in e.
CHARGE_STEP = 0.1


def calculate_response(
    atoms: Atoms,
    calculation: Calculation,
    basis: DensityBasis,
    step: float = FIELD_STEP,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the change of a density per field, and the polarizability.

    The number of electrons does not change: every column has the integral zero.

    Parameters
    ----------
    atoms, calculation, basis
        As in `calculate_density`; the differences are around the field of the
        calculation.
    step : float
        Field of both sides in V/Å.

    Returns
    -------
    responses : ndarray of shape (n_functions, 3)
        Derivatives of the coefficients by a field along x, y and z, per V/Å.
    polarizability : ndarray of shape (3, 3)
        Of the orbitals, d(dipole)/d(field), in Å^3: [component, field].
    """
    responses, polarizability = [], np.empty((3, 3))
    for axis in range(3):
        sides = []
        for sign in (1.0, -1.0):
            field = np.array(calculation.field) + sign * step * np.eye(3)[axis]
            shifted = replace(calculation, field=tuple(field.tolist()))
            sides.append(calculate_density(atoms, shifted, basis))
        up, down = sides
        responses.append((up.coefficients - down.coefficients) / (2.0 * step))
        polarizability[:, axis] = (up.dipole - down.dipole) / (2.0 * step)
    return np.stack(responses, axis=1), COULOMB_CONSTANT * polarizability


def calculate_charge_response(
    atoms: Atoms,
    calculation: Calculation,
    basis: DensityBasis,
    step: float = CHARGE_STEP,
) -> np.ndarray:
    """Return the linear change of a density by its ``point_charges``.

    Parameters
    ----------
    atoms : ase.Atoms
        With ``point_charges``.
    calculation, basis
        As in `calculate_density`.
    step : float
        Largest charge of both sides in e; all are scaled by the same number.

    Returns
    -------
    response : ndarray of shape (n_functions, 1)
        Change of the coefficients by the charges as they are, without terms of higher
        order.

    Raises
    ------
    StructureError
        If there are no charges, or one is next to an atom.
    """
    charges, points = point_charges(atoms, atoms.get_chemical_formula())
    scale = step / max(abs(charges).max(), 1e-10)
    sides = []
    for sign in (1.0, -1.0):
        shifted = atoms.copy()
        shifted.info[POINT_CHARGES] = np.column_stack([sign * scale * charges, points])
        sides.append(calculate_density(shifted, calculation, basis).coefficients)
    return ((sides[0] - sides[1]) / (2.0 * scale))[:, None]


def without_charges(atoms: Atoms) -> Atoms:
    """Return a structure without its point charges."""
    copy = atoms.copy()
    copy.info.pop(POINT_CHARGES, None)
    return copy
