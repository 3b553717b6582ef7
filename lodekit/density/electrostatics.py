"""Energies, potentials and forces of densities of electrons with nuclei.

Nuclei are point charges. Electrons repel each other with the Hartree energy 1/2 c.J c,
J the Coulomb matrix of the functions. In crystals the sums have no k = 0 term, part by
part: only the total of a neutral cell is free of that convention.
"""

from __future__ import annotations

import math

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from lodekit.electrostatics.boundary import Boundary
from lodekit.units import COULOMB_CONSTANT

from .basis import DensityBasis, single_shell
from .coulomb_sum import CoulombSum
from .moments import charges_of
from .sites import Sites, positions_of

#: Width in Å of the Gaussians that nuclei are for their repulsion, which is then
#: without the energy of each with itself; far below any distance of atoms.
NUCLEAR_WIDTH = 1e-3
#: Points nearer to a nucleus than this, in Å, have no potential of nuclei.
NEAREST_POINT = 1e-4


def hartree_energy(sites: Sites, boundary: Boundary, coefficients: np.ndarray) -> float:
    """Return 1/2 c.J c in eV."""
    potential = CoulombSum(sites, sites, boundary).matvec(coefficients)
    return float(0.5 * coefficients @ potential)


def nuclear_attraction(
    sites: Sites, boundary: Boundary, nuclear_charges: np.ndarray
) -> np.ndarray:
    """Return the energy of every function with the nuclei, (n_functions,), in eV.

    Parameters
    ----------
    sites : Sites
        Atoms.
    nuclear_charges : ndarray of shape (n_atoms,)
        In e.
    """
    nuclei = Sites.of_points(sites.positions)
    return -CoulombSum(sites, nuclei, boundary).matvec(nuclear_charges)


def nuclear_repulsion(
    atoms: Atoms, boundary: Boundary, nuclear_charges: np.ndarray
) -> float:
    """Return the energy of nuclei with each other, and their images, in eV."""
    basis = DensityBasis(
        {int(z): [single_shell(NUCLEAR_WIDTH)] for z in set(atoms.numbers)}
    )
    sites = Sites.of_atoms(atoms, basis)
    coefficients = nuclear_charges / charges_of(sites)
    energy = hartree_energy(sites, boundary, coefficients)
    itself = 0.5 / (math.sqrt(math.pi) * NUCLEAR_WIDTH)
    return energy - COULOMB_CONSTANT * itself * float(nuclear_charges @ nuclear_charges)


def check_slab(boundary: Boundary, charge: float, electrons: float) -> None:
    """Refuse the energy or potential of a slab with a net charge."""
    if boundary.n_periodic == 2 and abs(charge) > 1e-6 * max(electrons, 1.0):
        raise ValueError(
            f"a slab with the net charge {charge:.4g} e has no finite energy; conserve "
            "its electrons in the fit of the density, or make it periodic"
        )


def electron_potential(
    sites: Sites, boundary: Boundary, coefficients: np.ndarray, points: ArrayLike
) -> np.ndarray:
    """Return the potential of electrons at points, (n_points,), in V."""
    points = Sites.of_points(points)
    return -CoulombSum(points, sites, boundary).matvec(coefficients)


def electron_field(
    sites: Sites, boundary: Boundary, coefficients: np.ndarray, points: ArrayLike
) -> np.ndarray:
    """Return the electric field of electrons at points, (n_points, 3), in V/Å."""
    dipoles = Sites.of_points(points, order=1)
    gradients = -CoulombSum(dipoles, sites, boundary).matvec(coefficients)
    # m = -1, 0, 1 is along y, z and x
    return -gradients.reshape(-1, 3)[:, [2, 0, 1]]


def nuclear_potential(
    atoms: Atoms, boundary: Boundary, nuclear_charges: np.ndarray, points: ArrayLike
) -> np.ndarray:
    """Return the potential of nuclei at points, (n_points,), in V."""
    nuclei = Sites.of_points(atoms.positions)
    check_points(atoms, points)
    return -electron_potential(nuclei, boundary, nuclear_charges, points)


def nuclear_field(
    atoms: Atoms, boundary: Boundary, nuclear_charges: np.ndarray, points: ArrayLike
) -> np.ndarray:
    """Return the electric field of nuclei at points, (n_points, 3), in V/Å."""
    nuclei = Sites.of_points(atoms.positions)
    check_points(atoms, points)
    return -electron_field(nuclei, boundary, nuclear_charges, points)


def check_points(atoms: Atoms, points: ArrayLike) -> None:
    """Refuse points on nuclei."""
    for atom, position in enumerate(atoms.positions):
        distances = np.linalg.norm(positions_of(points) - position, axis=1)
        if len(distances) and distances.min() < NEAREST_POINT:
            raise ValueError(
                f"point {int(distances.argmin()) + 1} is on atom {atom + 1}, where the "
                "potential of its nucleus is infinite; move the point, or ask for the "
                "electrons alone"
            )
