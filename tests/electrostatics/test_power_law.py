import numpy as np
import pytest
from ase.build import bulk
from crystals import cluster, rock_salt, triclinic
from finite_differences import central_differences
from scipy import special

from lodekit.electrostatics import CoulombInteraction, PowerLawInteraction
from lodekit.units import COULOMB_CONSTANT

FINE = 1e-12


def interaction_of(atoms, exponent, **options):
    options = {"accuracy": FINE, **options}
    return PowerLawInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, exponent, **options
    )


@pytest.mark.parametrize(
    ("name", "exponent", "expected"),
    [
        # C. Kittel, Introduction to Solid State Physics, chapter 3; digits of N. W.
        # Ashcroft and N. D. Mermin, Solid State Physics, table 20.2
        ("fcc", 6, 14.45392),
        ("fcc", 12, 12.13188),
        ("fcc", 8, 12.80194),
        ("bcc", 6, 12.25367),
        ("bcc", 12, 9.11418),
        ("sc", 6, 8.40192),
        ("sc", 4, 16.53232),
    ],
)
def test_lattice_sums_of_cubic_crystals(name, exponent, expected):
    edge = {"fcc": np.sqrt(2.0), "bcc": 2.0 / np.sqrt(3.0), "sc": 1.0}[name]
    atoms = bulk("Po", name, a=edge)
    found = interaction_of(atoms, exponent).dense()[0, 0]
    assert found == pytest.approx(expected, abs=6e-6)


def theta(t, x, edge):
    """sum_n exp(-t (x + n edge)^2), by whichever of both series converges fast."""
    n = np.arange(-40, 41)
    direct = np.exp(-t[:, None] * (x + n * edge) ** 2).sum(axis=1)
    k = 2.0 * np.pi * n / edge
    waves = np.exp(-(k**2) / 4.0 / t[:, None]) * np.cos(k * x)
    waves = waves.sum(axis=1) * np.sqrt(np.pi / t) / edge
    return np.where(t * edge**2 > 3.0, direct, waves)


@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 5, 6])
def test_a_dimer_in_a_box_is_an_integral_over_theta_functions(exponent):
    # 1/r^p = int t^(p/2 - 1) exp(-t r^2) dt / Gamma(p/2); charges 1 and -1: the
    # integrand vanishes at both ends
    edges, vector = np.array([3.0, 4.0, 5.0]), np.array([0.7, 1.1, 1.6])
    x, weights = np.polynomial.legendre.leggauss(300)
    log_t = 16.0 * x
    t = np.exp(log_t)
    own = np.prod([theta(t, 0.0, edge) for edge in edges], axis=0) - 1.0
    pair = np.prod(
        [theta(t, *both) for both in zip(vector, edges, strict=True)], axis=0
    )
    scale = 16.0 * weights * t ** (0.5 * exponent) / special.gamma(0.5 * exponent)
    # below the smallest t, both lattice sums are equal and the -1 remains
    expected = (scale * (own - pair)).sum()
    expected -= np.exp(-8.0 * exponent) / special.gamma(0.5 * exponent + 1.0)
    interaction = PowerLawInteraction(
        np.stack([np.ones(3), 1.0 + vector]),
        np.diag(edges),
        True,
        exponent,
        accuracy=FINE,
    )
    charges = np.array([1.0, -1.0])
    assert interaction.energy(charges) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["periodic", "open"])
def test_exponent_one_is_coulomb(name):
    atoms = {"periodic": triclinic(5), "open": cluster(5)}[name]
    coulomb = CoulombInteraction(
        atoms.positions, atoms.cell[:], atoms.pbc, accuracy=FINE
    )
    found = interaction_of(atoms, 1).dense()
    np.testing.assert_allclose(found, coulomb.dense() / COULOMB_CONSTANT, atol=1e-11)


@pytest.mark.parametrize("exponent", [2, 3, 4, 6, 12])
@pytest.mark.parametrize("name", ["periodic", "open"])
def test_gradients_are_derivatives(name, exponent):
    atoms = {"periodic": triclinic(4), "open": cluster(4)}[name]
    left, right = np.random.default_rng(2).normal(size=(2, 4))

    def product(positions, cell):
        interaction = PowerLawInteraction(
            positions, cell, atoms.pbc, exponent, accuracy=FINE, cutoff=5.0
        )
        return left @ (interaction @ right)

    def strained(strain):
        deformation = np.eye(3) + strain
        return product(atoms.positions @ deformation, atoms.cell.array @ deformation)

    positions, strain = interaction_of(atoms, exponent).gradients(left, right)
    expected = central_differences(
        lambda r: product(r, atoms.cell.array), atoms.positions, 1e-3
    )
    np.testing.assert_allclose(positions, expected, atol=1e-7 * abs(expected).max())
    expected = central_differences(strained, np.zeros((3, 3)), 1e-3)
    np.testing.assert_allclose(strain, expected, atol=1e-7 * abs(expected).max())


@pytest.mark.compiled
@pytest.mark.parametrize("exponent", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("accuracy", [1e-2, 1e-4, 1e-6, 1e-8, 1e-10])
def test_error_of_forces_is_the_accuracy(exponent, accuracy):
    atoms = rock_salt(2, rattle=0.2)
    charges = np.where(atoms.numbers == 11, 1.0, -1.0)
    expected = interaction_of(atoms, exponent, cutoff=6.0).compute(charges).forces
    scale = np.sqrt(np.mean(expected**2))
    for cutoff in (4.0, 7.0, None):
        interaction = interaction_of(atoms, exponent, accuracy=accuracy, cutoff=cutoff)
        found = interaction.compute(charges).forces
        assert np.sqrt(np.mean((found - expected) ** 2)) < accuracy * scale


def test_what_is_undefined_is_refused():
    atoms = triclinic(2)
    with pytest.raises(ValueError, match="whole number from 1 to 12, got 2.5"):
        interaction_of(atoms, 2.5)
    with pytest.raises(ValueError, match="strengths that add up to zero, got 2"):
        interaction_of(atoms, 3).energy([1.0, 1.0])
    assert np.isfinite(interaction_of(atoms, 2).energy([1.0, 1.0]))
    atoms.set_pbc([True, True, False])
    with pytest.raises(ValueError, match="0 or 3 periodic directions, got 2"):
        interaction_of(atoms, 6)
