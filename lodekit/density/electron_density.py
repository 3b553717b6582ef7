"""A density of electrons: coefficients in a basis around atoms, and what they give."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from lodekit.electrostatics.boundary import Boundary

from . import electrostatics
from .basis import DensityBasis
from .cube import Cube
from .grid import Grid
from .moments import charges_of, dipoles_of, second_moments_of, without_trace
from .sites import Sites, check_coefficients
from .values import FunctionValues


class ElectronDensity:
    """The density rho(r) = sum c phi(r) of electrons, and point nuclei.

    Everything is in eV, Å and e; rho is in electrons per Å^3, and electrons have the
    charge -1: nuclei count positive in charges, moments and potentials.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    basis : DensityBasis
        The functions.
    coefficients : array_like of shape (n_functions,)
        In the order of the basis, in Å^(-3/2).
    nuclear_charges : array_like of shape (n_atoms,), optional
        In e; atomic numbers when left out. They are smaller where a pseudopotential
        stands for inner electrons, and zero for a change of the density.

    Raises
    ------
    BasisError
        If coefficients do not fit the basis and the structure.
    """

    def __init__(
        self,
        atoms: Atoms,
        basis: DensityBasis,
        coefficients: ArrayLike,
        nuclear_charges: ArrayLike | None = None,
    ):
        self.atoms = atoms
        self.basis = basis
        self.coefficients = check_coefficients(atoms, basis, coefficients)
        charges = atoms.numbers if nuclear_charges is None else nuclear_charges
        self.nuclear_charges = np.asarray(charges, dtype=float)
        if self.nuclear_charges.shape != (len(atoms),):
            raise ValueError(
                f"nuclear_charges must have shape ({len(atoms)},), one for every atom, "
                f"got {self.nuclear_charges.shape}"
            )

    @cached_property
    def sites(self) -> Sites:
        """The functions around the atoms."""
        return Sites.of_atoms(self.atoms, self.basis)

    @cached_property
    def boundary(self) -> Boundary:
        """Periodic directions and cell."""
        return Boundary.of(self.atoms.cell, self.atoms.pbc)

    @cached_property
    def n_electrons(self) -> float:
        """Number of electrons."""
        return float(charges_of(self.sites) @ self.coefficients)

    @property
    def charge(self) -> float:
        """Total charge in e: nuclei minus electrons."""
        return float(self.nuclear_charges.sum() - self.n_electrons)

    def dipole(self) -> np.ndarray:
        """Return the dipole about the origin of coordinates, (3,), in e·Å.

        Raises
        ------
        ValueError
            If a direction is periodic.
        """
        self._check_open("dipole")
        electrons = self.coefficients @ dipoles_of(self.sites)
        return self.nuclear_charges @ self.atoms.positions - electrons

    def quadrupole(self) -> np.ndarray:
        """Return the quadrupole about the origin, (3, 3), without trace, in e·Å^2.

        It is the sum of q (r r - r^2 / 3), two thirds of Buckingham's.

        Raises
        ------
        ValueError
            If a direction is periodic.
        """
        self._check_open("quadrupole")
        positions = self.atoms.positions
        nuclei = np.einsum("i,ia,ib->ab", self.nuclear_charges, positions, positions)
        electrons = np.einsum(
            "f,fab->ab", self.coefficients, second_moments_of(self.sites)
        )
        return without_trace(nuclei - electrons)

    def hartree_energy(self) -> float:
        """Return the repulsion of the electrons in eV."""
        return electrostatics.hartree_energy(
            self.sites, self.boundary, self.coefficients
        )

    def nuclear_attraction(self) -> float:
        """Return the energy of electrons with nuclei in eV."""
        energies = electrostatics.nuclear_attraction(
            self.sites, self.boundary, self.nuclear_charges
        )
        return float(energies @ self.coefficients)

    def electrostatic_energy(self) -> float:
        """Return Hartree energy, attraction and repulsion of nuclei together, in eV.

        Raises
        ------
        ValueError
            If a slab has a net charge.
        """
        electrostatics.check_slab(self.boundary, self.charge, self.n_electrons)
        repulsion = electrostatics.nuclear_repulsion(
            self.atoms, self.boundary, self.nuclear_charges
        )
        return self.hartree_energy() + self.nuclear_attraction() + repulsion

    def potential(self, points: ArrayLike, nuclei: bool = True) -> np.ndarray:
        """Return the electrostatic potential at points, (n_points,), in V.

        Parameters
        ----------
        points : array_like of shape (n_points, 3)
            In Å.
        nuclei : bool
            Whether nuclei contribute; no point may be on one then.
        """
        state = self.sites, self.boundary, self.coefficients
        values = electrostatics.electron_potential(*state, points)
        if nuclei:
            state = self.atoms, self.boundary, self.nuclear_charges
            values += electrostatics.nuclear_potential(*state, points)
        return values

    def field(self, points: ArrayLike, nuclei: bool = True) -> np.ndarray:
        """Return the electric field at points, (n_points, 3), in V/Å.

        Parameters
        ----------
        points, nuclei
            As in `potential`.
        """
        state = self.sites, self.boundary, self.coefficients
        values = electrostatics.electron_field(*state, points)
        if nuclei:
            state = self.atoms, self.boundary, self.nuclear_charges
            values += electrostatics.nuclear_field(*state, points)
        return values

    def forces_on(
        self, charges: ArrayLike, points: ArrayLike, nuclei: bool = True
    ) -> np.ndarray:
        """Return the forces on point charges, (n_points, 3), in eV/Å.

        Parameters
        ----------
        charges : array_like of shape (n_points,)
            In e. They do not feel each other.
        points, nuclei
            As in `potential`.
        """
        return np.asarray(charges, dtype=float)[:, None] * self.field(points, nuclei)

    def values(self, points: ArrayLike) -> np.ndarray:
        """Return the density at points (n_points, 3), in electrons per Å^3."""
        functions = FunctionValues(self.sites, self.boundary)
        return functions.at(points, self.coefficients)

    def on_grid(self, grid: Grid) -> np.ndarray:
        """Return the density on a grid, its shape, in electrons per Å^3."""
        functions = FunctionValues(self.sites, self.boundary)
        return functions.on_grid(grid, self.coefficients)

    def cube(self, spacing: float = 0.1, grid: Grid | None = None) -> Cube:
        """Return the density on the grid of the cell, or of a box around open atoms.

        Parameters
        ----------
        spacing : float
            Largest distance of grid points in Å.
        grid : Grid, optional
            Another grid.
        """
        grid = Grid.of(self.atoms, spacing) if grid is None else grid
        return Cube(self.atoms, grid, self.on_grid(grid), self.nuclear_charges)

    def _check_open(self, name):
        if self.boundary.n_periodic:
            raise ValueError(
                f"the {name} of a periodic density depends on where the cell begins; "
                "take it of an open structure, or use lodekit.density.moments"
            )
