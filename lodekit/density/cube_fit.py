"""From densities on grids to coefficients, whichever code made them.

The sum over the grid of the squared difference is least, with the number of electrons
kept exactly. No integrals over three centres are needed.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import find_mic

from lodekit.electrostatics.boundary import Boundary
from lodekit.errors import DensityFileError
from lodekit.units import BOHR

from .basis import DensityBasis
from .constrained_fit import solve_constrained
from .cube import ROUNDING, Cube
from .electron_density import ElectronDensity
from .grid import Grid
from .metrics import DensityMetric
from .moments import charges_of
from .sites import Sites
from .values import FunctionValues

#: Atoms of a frame and of its cube are the same within this many Å.
SAME_PLACE = 1e-3
#: Sums over a grid that is fine enough are this near to a whole number of electrons.
WHOLE = 1e-2


def fit_cube(
    cube: Cube,
    atoms: Atoms,
    basis: DensityBasis,
    *,
    n_electrons: float | None = None,
    analytic: bool = False,
) -> np.ndarray:
    """Return the coefficients of a density on a grid.

    Parameters
    ----------
    cube : Cube
        The density.
    atoms : ase.Atoms
        The frame it belongs to, with its cell; where that is periodic, the grid must
        fill the cell.
    basis : DensityBasis
        Functions to expand in. What the grid cannot resolve, such as inner electrons of
        a pseudopotential, they should not have either.
    n_electrons : float, optional
        Number of electrons to keep; when left out, the whole number that the sum over
        the grid is near.
    analytic : bool
        Whether overlaps of functions are integrals instead of sums over the grid, which
        is better where the grid is fine enough for all functions.

    Returns
    -------
    coefficients : ndarray of shape (n_functions,)
        In the order of the basis, in Å^(-3/2).

    Raises
    ------
    DensityFileError
        If atoms or cell of the cube are not those of the frame, or its sum is no whole
        number.
    BasisError
        If functions are not independent on the grid.
    """
    grid = check_cube(cube, atoms)
    sites, boundary = Sites.of_atoms(atoms, basis), Boundary.of(atoms.cell, atoms.pbc)
    matrix, projections = grid_equations(
        FunctionValues(sites, boundary), grid, cube.values, not analytic
    )
    if analytic:
        matrix = DensityMetric(overlap=1.0).matrix(atoms, basis)
    total = whole_electrons(cube) if n_electrons is None else n_electrons
    counts = charges_of(sites)[None]
    return solve_constrained(matrix, projections, counts, np.array([total]))


def whole_electrons(cube: Cube) -> float:
    """Return the number of electrons of a cube.

    Raises
    ------
    DensityFileError
        If the sum over the grid is no whole number.
    """
    total = cube.n_electrons
    if abs(total - round(total)) > WHOLE:
        raise DensityFileError(
            f"the cube holds {total:.6g} electrons, which is no whole number: its grid "
            "is too coarse for this density (near nuclei, as a rule), or it is not in "
            "electrons per Bohr^3; give n_electrons, or a finer grid"
        )
    return float(round(total))


def grid_equations(
    functions: FunctionValues, grid: Grid, values: np.ndarray, with_matrix: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return overlaps of functions with each other and with values, over a grid."""
    n_functions = functions.sites.size
    matrix = np.zeros((n_functions, n_functions) if with_matrix else (0, 0))
    projections = np.zeros(n_functions)
    images = functions.images(grid.corners())
    for tile in grid.tiles():
        # only functions that reach the tile
        columns, part = functions.matrix(grid.points(tile), images)
        projections[columns] += part.T @ values[tile].ravel()
        if with_matrix:
            matrix[np.ix_(columns, columns)] += part.T @ part
    return grid.volume * matrix, grid.volume * projections


def check_cube(cube: Cube, atoms: Atoms) -> Grid:
    """Return the grid of a cube with the cell of its frame, unrounded.

    Raises
    ------
    DensityFileError
        If atoms or cell differ.
    """
    if list(cube.atoms.numbers) != list(atoms.numbers):
        raise DensityFileError(
            f"the cube holds {cube.atoms.get_chemical_formula()} and the frame "
            f"{atoms.get_chemical_formula()}, or their atoms are in another order"
        )
    vectors = cube.atoms.positions - atoms.positions
    if atoms.pbc.any():
        vectors = find_mic(vectors, atoms.cell, atoms.pbc)[0]
    distances = np.linalg.norm(vectors, axis=1)
    if distances.max(initial=0.0) > SAME_PLACE:
        atom = int(distances.argmax())
        raise DensityFileError(
            f"atom {atom + 1} of the cube is {distances[atom]:.3g} Å from where the "
            "frame has it; the cube belongs to another frame"
        )
    steps = cube.grid.steps.copy()
    for axis in np.flatnonzero(atoms.pbc):
        vector, size = cube.grid.cell[axis], cube.grid.shape[axis]
        wanted = atoms.cell.array[axis]
        if np.linalg.norm(vector - wanted) > SAME_PLACE + ROUNDING * BOHR * size:
            described = " ".join(f"{x:.4f}" for x in vector)
            expected = " ".join(f"{x:.4f}" for x in wanted)
            raise DensityFileError(
                f"cell vector {axis + 1} of the cube is {described} Å and that of the "
                f"frame {expected} Å; give the cube of this frame, or the right cell"
            )
        steps[axis] = wanted / size
    return Grid(cube.grid.origin, steps, cube.grid.shape)


def density_error(cube: Cube, density: ElectronDensity) -> float:
    """Return the integral of abs(rho - rho') over that of rho on a grid, in percent."""
    grid = check_cube(cube, density.atoms)
    difference = abs(cube.values - density.on_grid(grid)).sum()
    return float(100.0 * difference / abs(cube.values).sum())
