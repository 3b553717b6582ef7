import numpy as np
import pytest
from ase.io import read
from small_bases import bent_molecule, crystal, drawn_coefficients

from lodekit.density import (
    Cube,
    DensityBasis,
    ElectronDensity,
    Grid,
    Shell,
    density_error,
    fit_cube,
)
from lodekit.errors import DensityFileError
from lodekit.units import BOHR


def smooth_basis():
    """Functions that a grid of 0.25 Å resolves."""
    shells = [
        Shell(0, (1.4,), (1.0,)),
        Shell(0, (0.6,), (1.0,)),
        Shell(1, (1.0,), (1.0,)),
    ]
    return DensityBasis({"O": [*shells, Shell(2, (1.1,), (1.0,))], "H": shells[1:]})


def density_of(atoms, seed=0):
    basis = smooth_basis()
    return ElectronDensity(atoms, basis, drawn_coefficients(atoms, basis, seed))


@pytest.fixture
def density():
    return density_of(crystal())


@pytest.fixture
def cube(density):
    return density.cube(0.3)


@pytest.mark.parametrize("make", [crystal, bent_molecule])
def test_a_cube_file_comes_back_as_it_was(tmp_path, make):
    cube = density_of(make()).cube(0.5)
    cube.write(tmp_path / "a.cube")
    copy = Cube.read(tmp_path / "a.cube")
    np.testing.assert_allclose(copy.values, cube.values, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(copy.grid.points(), cube.grid.points(), atol=1e-8)
    np.testing.assert_allclose(copy.atoms.positions, cube.atoms.positions, atol=1e-9)
    np.testing.assert_array_equal(copy.nuclear_charges, [8.0, 1.0, 1.0])
    assert copy.n_electrons == pytest.approx(cube.n_electrons, rel=1e-9)


def test_ase_reads_the_same_numbers_from_a_cube_file(tmp_path, cube):
    cube.write(tmp_path / "a.cube")
    theirs = read(tmp_path / "a.cube", format="cube", full_output=True)
    np.testing.assert_allclose(theirs["data"] / BOHR**3, cube.values, atol=1e-9)
    np.testing.assert_allclose(
        theirs["atoms"].positions, cube.atoms.positions, atol=1e-8
    )
    np.testing.assert_allclose(theirs["spacing"], cube.grid.steps, atol=1e-8)


def test_cube_files_in_angstrom_and_with_numbers_of_orbitals_are_read(tmp_path):
    path = tmp_path / "a.cube"
    path.write_text(
        "x\ny\n -1 0 0 0\n -2 1 0 0\n -1 0 1 0\n -1 0 0 1\n 1 1 0 0 0.5\n 1 7\n 0.5 2\n"
    )
    cube = Cube.read(path)
    np.testing.assert_allclose(cube.grid.steps, np.eye(3))
    np.testing.assert_allclose(cube.atoms.positions, [[0.0, 0.0, 0.5]])
    np.testing.assert_allclose(cube.values.ravel(), np.array([0.5, 2.0]) / BOHR**3)


@pytest.mark.parametrize("analytic", [False, True])
@pytest.mark.parametrize("make", [crystal, bent_molecule])
def test_a_density_made_of_known_gaussians_is_reproduced(make, analytic):
    density = density_of(make())
    cube = density.cube(0.25)
    fitted = fit_cube(
        cube,
        density.atoms,
        density.basis,
        n_electrons=density.n_electrons,
        analytic=analytic,
    )
    np.testing.assert_allclose(fitted, density.coefficients, atol=1e-5)
    copy = ElectronDensity(density.atoms, density.basis, fitted)
    assert density_error(cube, copy) < 1e-3  # %


def test_slabs_have_a_box_along_the_open_direction():
    atoms = crystal()
    atoms.pbc = (True, True, False)
    density = density_of(atoms)
    cube = density.cube(0.25)
    np.testing.assert_allclose(cube.grid.cell[:2], atoms.cell.array[:2])
    normal = cube.grid.steps[2] / np.linalg.norm(cube.grid.steps[2])
    np.testing.assert_allclose(atoms.cell.array[:2] @ normal, 0.0, atol=1e-12)
    fitted = fit_cube(cube, atoms, density.basis, n_electrons=density.n_electrons)
    np.testing.assert_allclose(fitted, density.coefficients, atol=1e-5)


def test_the_number_of_electrons_of_a_cube_is_kept():
    # a density outside the basis, with a whole number of electrons
    atoms = crystal()
    wide = DensityBasis(
        {"O": [Shell(0, (0.9,), (1.0,))], "H": [Shell(0, (0.9,), (1.0,))]}
    )
    unit = ElectronDensity(atoms, wide, np.ones(3))
    density = ElectronDensity(atoms, wide, 8.0 / unit.n_electrons * np.ones(3))
    fitted = fit_cube(density.cube(0.3), atoms, smooth_basis())
    copy = ElectronDensity(atoms, smooth_basis(), fitted)
    assert copy.n_electrons == pytest.approx(8.0, abs=1e-10)


def test_a_cube_with_a_broken_number_of_electrons_is_refused(cube, density):
    values = cube.values * 7.3 / cube.n_electrons
    broken = Cube(cube.atoms, cube.grid, values)
    with pytest.raises(
        DensityFileError, match="holds 7.3 electrons, which.*give n_electrons"
    ):
        fit_cube(broken, density.atoms, density.basis)


def test_a_cube_of_another_cell_is_refused(cube, density):
    atoms = density.atoms.copy()
    atoms.cell[1] *= 1.01
    with pytest.raises(DensityFileError, match="cell vector 2 of the cube is"):
        fit_cube(cube, atoms, density.basis)


def test_a_cube_of_other_atoms_is_refused(cube, density):
    atoms = density.atoms.copy()
    atoms.positions[2] += 0.1
    with pytest.raises(DensityFileError, match="atom 3 of the cube is 0.173 Å from"):
        fit_cube(cube, atoms, density.basis)
    atoms.numbers = [1, 8, 1]
    with pytest.raises(DensityFileError, match="atoms are in another order"):
        fit_cube(cube, atoms, density.basis)


def test_atoms_of_a_cube_may_be_images(cube, density):
    images = cube.atoms.copy()
    images.positions += density.atoms.cell.array[0]
    moved = Cube(images, cube.grid, cube.values)
    n_electrons = density.n_electrons
    fitted = fit_cube(moved, density.atoms, density.basis, n_electrons=n_electrons)
    np.testing.assert_allclose(fitted, density.coefficients, atol=1e-4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\nb\n", "this is not a cube file"),
        (
            "a\nb\n1 0 0 0\n2 1 0 0\n1 0 1 0\n1 0 0 1\n1 1 0 0 0\n5\n",
            "has 1 values for a",
        ),
        ("a\nb\n1 0 0 0\n1 1 0 0\n1 0 1 0\n1 0 0 1\n1 1 0 0 0\nnan\n", "not finite"),
        ("a\nb\n-1 0 0 0\n1 1 0 0\n1 0 1 0\n1 0 0 1\n1 1 0 0 0\n2 1 2\n5 6", "2 sets"),
    ],
)
def test_broken_cube_files_are_refused(tmp_path, text, message):
    path = tmp_path / "a.cube"
    path.write_text(text)
    with pytest.raises(DensityFileError, match=message):
        Cube.read(path)


def test_missing_and_existing_cube_files_are_named(tmp_path, cube):
    with pytest.raises(DensityFileError, match="absent.cube: cannot be read"):
        Cube.read(tmp_path / "absent.cube")
    cube.write(tmp_path / "a.cube")
    with pytest.raises(DensityFileError, match="a.cube: exists already"):
        cube.write(tmp_path / "a.cube")


def test_grids_need_a_positive_spacing():
    with pytest.raises(ValueError, match="spacing of a grid must be positive, got 0.0"):
        Grid.of(crystal(), 0.0)
