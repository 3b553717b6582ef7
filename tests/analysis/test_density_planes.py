"""Densities on planes: where the points are, and what is drawn."""

import numpy as np
import pytest
from ase import Atoms
from made_densities import BASIS, bent, coefficients

from lodekit.analysis.density_planes import Plane, density_difference_figure
from lodekit.density import DensityBasis, ElectronDensity
from lodekit.density.basis import single_shell
from lodekit.errors import BasisError


def test_a_plane_goes_through_three_atoms():
    atoms = bent(3)
    plane = Plane.through(atoms, spacing=0.5, margin=1.5)
    places = plane.places(atoms.positions)
    np.testing.assert_allclose(plane.origin + places @ plane.axes, atoms.positions)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    for side, own in zip((plane.u, plane.v), places.T, strict=True):
        assert own.min() - side[0] == pytest.approx(1.5)
        assert side[-1] - own.max() == pytest.approx(1.5)
        assert np.diff(side).max() <= 0.5


def test_a_gaussian_on_a_plane():
    """Exp(-r^2 / 2 s^2) / (2 pi s^2)^(3/2), whatever the plane of one atom is."""
    width, atoms = 0.6, Atoms("H", [[1.0, 2.0, 3.0]])
    basis = DensityBasis({"H": [single_shell(width)]}, "one")
    shell = ElectronDensity(atoms, basis, [1.0])
    density = ElectronDensity(atoms, basis, [1.0 / shell.n_electrons])
    plane = Plane.through(atoms, spacing=0.3)
    squares = plane.u**2 + plane.v[:, None] ** 2
    expected = np.exp(-0.5 * squares / width**2) / (2.0 * np.pi * width**2) ** 1.5
    np.testing.assert_allclose(plane.values(density), expected, rtol=1e-10)


def test_a_figure_shows_the_difference():
    atoms = bent(3)
    reference = ElectronDensity(atoms, BASIS, coefficients(atoms))
    other = ElectronDensity(atoms, BASIS, 1.01 * coefficients(atoms))
    plane = Plane.through(atoms, spacing=0.4)
    figure = density_difference_figure(reference, other, plane)
    left, right = (axes.collections[0].get_array() for axes in figure.axes[:2])
    np.testing.assert_allclose(right, 0.01 * left, rtol=1e-9)
    moved = atoms.copy()
    moved.positions += 1.0
    with pytest.raises(BasisError, match="must be of one structure"):
        density_difference_figure(
            reference, ElectronDensity(moved, BASIS, coefficients(atoms))
        )
