"""Exact identities of conductors: what a model of responses has to be able to learn.

Sheets and spheres of Gaussian charges that minimise their Coulomb energy are perfect
conductors, up to the width of the Gaussians, which closed forms take into account.
"""

import numpy as np
import pytest
from ase import Atoms
from reference import real_harmonics
from scipy import special

from lodekit.density import (
    DensityBasis,
    DensityMetric,
    ElectronDensity,
    electron_counts,
    solve_constrained,
)
from lodekit.density.basis import single_shell
from lodekit.density.coulomb_sum import CoulombSum
from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.descriptors import LodeSphericalExpansion, SphericalExpansion
from lodekit.electrostatics.boundary import Boundary
from lodekit.units import COULOMB_CONSTANT

COULOMB = DensityMetric(overlap=0.0, coulomb=1.0)
RADIAL = {"type": "Gto", "max_radial": 2, "radius": 2.0}
BASIS = {"type": "TensorProduct", "max_angular": 3, "radial": RADIAL}


class Conductor:
    """Atoms that each carry one Gaussian of electrons of some width."""

    def __init__(self, atoms, width):
        self.atoms = atoms
        self.basis = DensityBasis({"Na": [single_shell(width)]})
        self.sites = Sites.of_atoms(atoms, self.basis)
        self.boundary = Boundary.of(atoms.cell.array, atoms.pbc)
        self.counts = electron_counts(atoms, self.basis)
        self.metric = COULOMB.matrix(atoms, self.basis)

    def respond(self, energies, electrons=0.0):
        """Coefficients of least energy for an energy of every function in eV.

        As many electrons as come from the ground where ``electrons`` is None.
        """
        if electrons is None:
            return solve_constrained(self.metric, -energies)
        n_columns = energies.reshape(len(energies), -1).shape[1]
        totals = np.full((1, n_columns), electrons)
        return solve_constrained(self.metric, -energies, self.counts[None], totals)

    def respond_to_charges(self, charges, points, electrons=0.0):
        """Coefficients induced by point charges."""
        interaction = CoulombSum(self.sites, Sites.of_points(points), self.boundary)
        return self.respond(-interaction.matvec(charges), electrons)

    def charges_of(self, coefficients):
        """Charges of the Gaussians in e."""
        return -self.counts * coefficients

    def density(self, coefficients):
        return ElectronDensity(
            self.atoms, self.basis, coefficients, np.zeros(len(self.atoms))
        )


def sheet(n, spacing):
    """A square lattice in a plane, n times n atoms in the periodic cell."""
    x, y = spacing * np.indices((n, n)).reshape(2, -1)
    positions = np.stack([x, y, np.zeros(n * n)], axis=1)
    cell = [n * spacing, n * spacing, 0.0]
    return Atoms(f"Na{n * n}", positions, cell=cell, pbc=(True, True, False))


def sphere(n, radius):
    """Points that cover a sphere evenly, on a spiral."""
    place = np.arange(n) + 0.5
    azimuth, z = np.pi * (1.0 + np.sqrt(5.0)) * place, 1.0 - 2.0 * place / n
    sine = np.sqrt(1.0 - z**2)
    directions = np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), z], axis=1)
    return Atoms(f"Na{n}", radius * directions)


@pytest.fixture(scope="module")
def plane():
    return Conductor(sheet(10, 1.5), width=1.0)


@pytest.mark.parametrize("order", [1, 2])
def test_a_wave_of_the_potential_induces_its_image_on_a_plane(plane, order):
    # sigma = -k phi / 2 pi for a sharp plane; Gaussians in one plane interact by 2 pi /
    # k erfc(k s), and feel a harmonic potential at their centres
    x, length = plane.atoms.positions[:, 0], plane.atoms.cell.array[0, 0]
    k = 2.0 * np.pi * order / length
    wave = np.cos(k * x)
    charges = plane.charges_of(plane.respond(-plane.counts * wave))
    expected = -(1.5**2) * k / (2.0 * np.pi * COULOMB_CONSTANT * special.erfc(k))
    np.testing.assert_allclose(charges, expected * wave, atol=1e-5 * abs(expected))


def test_a_charge_is_attracted_by_its_image_behind_a_plane(plane):
    # image force of the periodic lattice of charges: sum of exp(-2 k z) / erfc(k s)
    # over k-vectors of the plane, which is q^2 / 4 z^2 for a lone charge and s = 0
    length, height = plane.atoms.cell.array[0, 0], 4.0
    point = [[0.3 * length, 0.1 * length, height]]
    coefficients = plane.respond_to_charges(np.ones(1), point, electrons=1.0)
    force = plane.density(coefficients).forces_on([1.0], point)[0]
    index = np.arange(-12, 13)
    k = 2.0 * np.pi / length * np.hypot(*np.meshgrid(index, index)).ravel()
    k = k[k < 4.0]
    series = (np.exp(-2.0 * k * height) / special.erfc(k)).sum()
    expected = -2.0 * np.pi * COULOMB_CONSTANT / length**2 * series
    np.testing.assert_allclose(force, [0.0, 0.0, expected], atol=1e-3 * abs(expected))


def integral_of_bessel(l, radius, width):
    """The integral of j_l(k R)^2 exp(-k^2 s^2), by quadrature."""
    x, weights = np.polynomial.legendre.leggauss(400)
    k, weights = 4.0 / width * (x + 1.0), 4.0 / width * weights
    values = special.spherical_jn(l, k * radius) ** 2 * np.exp(-((k * width) ** 2))
    return weights @ values


@pytest.fixture(scope="module")
def ball():
    return Conductor(sphere(200, 5.0), width=0.7)


def test_the_polarizability_of_a_conducting_sphere_is_its_radius_cubed(ball):
    dipoles = dipoles_of(ball.sites)
    # an electron at r has the energy E.r in the field E
    alpha = -COULOMB_CONSTANT * dipoles.T @ ball.respond(dipoles)
    # charges Y_1m of Gaussians on a sphere interact by 8 times the integral of j_1^2
    expected = 25.0 * 4.0 * np.pi / 3.0 / (8.0 * integral_of_bessel(1, 5.0, 0.7))
    np.testing.assert_allclose(alpha, expected * np.eye(3), atol=1e-4 * expected)
    # the surface is s / sqrt(pi) outside of the centres, to first order
    radius = np.cbrt(expected) - 0.7 / np.sqrt(np.pi)
    assert radius == pytest.approx(5.0, rel=0.02)


def test_a_charge_is_attracted_by_a_neutral_conducting_sphere(ball):
    # the series of Kelvin's image, sum of (l + 1) R^(2l + 1) / d^(2l + 3), with the
    # interaction of Gaussians in place of 4 pi / (2l + 1) R
    distance, expected = 11.0, 0.0
    for l in range(1, 25):
        ratio = 4.0 * np.pi / (2 * l + 1) / (8.0 * integral_of_bessel(l, 5.0, 0.7))
        expected -= (l + 1) * 5.0 ** (2 * l) / distance ** (2 * l + 3) * ratio
    point = np.array([[0.0, 0.0, distance]])
    coefficients = ball.respond_to_charges(np.ones(1), point)
    force = ball.density(coefficients).forces_on([1.0], point)[0, 2]
    assert force == pytest.approx(COULOMB_CONSTANT * expected, rel=5e-4)


# What a local linear model makes of it: induced charges are fitted to invariants (m = 0
# along the normal) of the potential of outer charges around atoms of the conductor.


def drawn_charges(generator, surface, n_charges=4):
    """Charges with the sum zero, at 6 to 9 Å from a surface."""
    charges = np.resize([1.0, -1.0], n_charges)
    heights = generator.uniform(6.0, 9.0, n_charges)
    return charges, surface(generator, heights)


def above_plane(generator, heights):
    lateral = generator.uniform(0.0, 15.0, (len(heights), 2))
    return np.column_stack([lateral, heights])


def around_sphere(generator, heights):
    vectors = generator.normal(size=(len(heights), 3))
    vectors /= np.linalg.norm(vectors, axis=1)[:, None]
    return (5.0 + heights)[:, None] * vectors


def features_along(expansion, conductor, charges, points, normals):
    """Coefficients c_l.n of charges around atoms of the conductor, by l."""
    outside = Atoms([{1.0: "F", -1.0: "Cl"}[q] for q in charges], points)
    atoms = conductor.atoms + outside
    atoms.cell, atoms.pbc = conductor.atoms.cell, conductor.atoms.pbc
    tensors = expansion.compute(atoms)
    features = []
    for l in range(4):
        key = {"o3_lambda": l, "center_type": 11}
        plus, minus = (
            tensors.block({**key, "neighbor_type": z}).values for z in (9, 17)
        )
        features.append(np.einsum("im,imn->in", along(l, normals), plus - minus))
    return features


def along(l, normals):
    """Weights of m that turn coefficients to the component along a normal, l <= 3."""
    part = real_harmonics(3, normals)[:, l * l : (l + 1) ** 2]
    return np.sqrt(4.0 * np.pi / (2 * l + 1)) * part


def residuals(
    expansion, conductor, normals, place, n_cases, combinations, electrons=0.0
):
    """1 - R^2 of linear fits of induced charges to some l, over drawn charges."""
    generator = np.random.default_rng(0)
    features, targets = [], []
    for _ in range(n_cases):
        charges, points = drawn_charges(generator, place)
        coefficients = conductor.respond_to_charges(charges, points, electrons)
        targets.append(conductor.charges_of(coefficients))
        features.append(features_along(expansion, conductor, charges, points, normals))
    target = np.concatenate(targets)
    result = []
    for degrees in combinations:
        columns = [np.concatenate([case[l] for l in degrees], 1) for case in features]
        design = np.concatenate(columns)
        design = np.column_stack([design, np.ones(len(design))])
        weights = np.linalg.lstsq(design, target, rcond=1e-10)[0]
        result.append(np.var(target - design @ weights) / np.var(target))
    return result


@pytest.fixture(scope="module")
def lode():
    density = {"type": "SmearedPowerLaw", "smearing": 0.5, "exponent": 1}
    return LodeSphericalExpansion(density=density, basis=BASIS)


DEGREES = [(0,), (1,), (1, 2), (1, 2, 3)]


def test_charges_on_a_flat_conductor_are_local_and_linear_in_lode(lode):
    conductor = Conductor(sheet(5, 3.0), width=1.0)
    normals = np.tile([0.0, 0.0, 1.0], (25, 1))
    case = (conductor, normals, above_plane, 6, DEGREES)
    potential, field, gradient, third = residuals(lode, *case)
    assert potential > 0.1  # the potential alone does not say how fast it changes
    assert field < 5e-2
    assert gradient < 4e-3
    assert third < 5e-4
    assert third < gradient < field < potential


def test_local_densities_say_nothing_about_charges_of_a_conductor():
    # all that induces charges is beyond the cutoff: no feature depends on it
    conductor, generator = sheet(5, 3.0), np.random.default_rng(0)
    soap = SphericalExpansion(
        cutoff={"radius": 5.0, "smoothing": {"type": "ShiftedCosine", "width": 0.5}},
        density={"type": "Gaussian", "width": 0.5},
        basis={**BASIS, "radial": {**RADIAL, "radius": 5.0}},
    )
    atoms = conductor + Atoms("FCl", above_plane(generator, np.array([6.0, 7.0])))
    keys = soap.compute(atoms).keys
    seen = keys.column("neighbor_type")[keys.column("center_type") == 11]
    assert set(seen) == {11}


def test_charges_on_a_grounded_sphere_are_local_in_potential_and_field(lode):
    # sigma = (2 E_n - V / R) / 4 pi of a sharp sphere: neither alone, and nothing else
    conductor = Conductor(sphere(500, 5.0), width=0.3)
    normals = conductor.atoms.positions / 5.0
    case = (conductor, normals, around_sphere, 3, [(0,), (1,), (0, 1)], None)
    potential, field, both = residuals(lode, *case)
    assert potential > 5e-2
    assert both < 0.4 * field
    assert both < 2e-3  # Gaussians of finite width make the rest
