"""LODE of other powers than 1 / r."""

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, rock_salt, triclinic
from lode_cases import (
    MAX_ANGULAR,
    MAX_RADIAL,
    RADIUS,
    SMEARING,
    assert_gradients_equal_finite_differences,
    coefficients,
    kept_lode,
    make_lode,
    relative_error,
)
from reference import gaussian_density, project_on_basis
from scipy import integrate, special
from scipy.interpolate import CubicHermiteSpline

from lodekit.descriptors import SphericalExpansion
from lodekit.descriptors.lode.power_law import scaled_transform, transform_at_zero
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs

EXPONENTS = range(10)


def power_law(r, exponent):
    """featomic's smeared power law."""
    half = 0.5 * exponent
    return special.gammainc(half, 0.5 * (r / SMEARING) ** 2) / r**exponent


@pytest.mark.parametrize("exponent", EXPONENTS)
@pytest.mark.parametrize("pair_cutoff", [0.0, 5.0])
def test_periodic_coefficients_and_gradients_equal_featomic(exponent, pair_cutoff):
    featomic = pytest.importorskip("featomic")
    atoms = triclinic(4, (1, 8))
    descriptor = kept_lode(exponent, 1e-8, 0.4, pair_cutoff)
    reference = featomic.LodeSphericalExpansion(
        density={**descriptor.density, "scaling": None},
        basis={**descriptor.basis, "spline_accuracy": None},
        k_cutoff=11.0,
    ).compute(atoms, gradients=["positions"])
    ours = descriptor.compute(atoms, gradients=["positions"])
    for key, block in reference.items():
        own, scale = ours.block(key), descriptor.projections.scale[int(key[0])]
        np.testing.assert_array_less(np.abs(own.values - block.values) / scale, 1e-8)
        gradient, expected = own.gradient("positions"), block.gradient("positions")
        error = np.abs(gradient.values - expected.values) / scale
        np.testing.assert_array_less(error, 1e-7)


@pytest.mark.parametrize("exponent", EXPONENTS[2:])
def test_transforms_are_those_of_the_smeared_power_law(exponent):
    """By quadrature over r; from 30 Å on, the potential is r^-p."""
    for k in (0.7, 2.0):
        wave = {"weight": "sin", "wvar": k, "limit": 200}
        near = integrate.quad(lambda r: r * power_law(r, exponent), 1e-9, 30.0, **wave)
        far = integrate.quad(lambda r: r ** (1.0 - exponent), 30.0, np.inf, **wave)
        expected = 4.0 * np.pi * k * (near[0] + far[0])
        value = scaled_transform(np.array([k]), exponent, SMEARING)[0]
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("exponent", EXPONENTS[4:])
def test_transforms_at_zero_are_integrals_of_the_potential(exponent):
    near = integrate.quad(lambda r: r**2 * power_law(r, exponent), 1e-9, 30.0)[0]
    expected = 4.0 * np.pi * (near + 30.0 ** (3.0 - exponent) / (exponent - 3.0))
    value = transform_at_zero(exponent, SMEARING)
    np.testing.assert_allclose(value, expected, rtol=1e-8)


@pytest.mark.parametrize("exponent", EXPONENTS[1:])
def test_open_coefficients_equal_a_quadrature_of_the_potential(exponent):
    atoms = cluster(2, (1, 8))
    atoms.append("H")
    atoms.positions[2] = atoms.positions[0] + [0.0, 11.0, 4.0]
    descriptor = kept_lode(exponent, 1e-9)
    values = coefficients(atoms, descriptor, (1, 8))
    sources = atoms.positions[atoms.numbers == 1]

    def potential(points):
        distances = np.linalg.norm(points[:, None] - sources, axis=2)
        return power_law(distances, exponent).sum(axis=1)

    expected = project_on_basis(
        lambda points: potential(points + atoms.positions[1]),
        MAX_ANGULAR,
        MAX_RADIAL,
        RADIUS,
        extent=15.0,
    )
    assert relative_error(values[1:2, :, 0], expected, descriptor) < 1e-8


@pytest.mark.parametrize("atoms", [triclinic(4, (1, 8)), cluster(4, (1, 8))])
def test_exponent_zero_is_the_density_of_soap(atoms):
    lode = kept_lode(0, 1e-8)
    radius = 14.0
    soap = SphericalExpansion(
        cutoff={"radius": radius, "smoothing": {"type": "Step"}},
        density={"type": "Gaussian", "width": SMEARING},
        basis={
            "type": "TensorProduct",
            "max_angular": MAX_ANGULAR,
            "radial": {"type": "Gto", "max_radial": MAX_RADIAL, "radius": RADIUS},
        },
    )
    error = relative_error(coefficients(atoms, lode), coefficients(atoms, soap), lode)
    assert error < 1e-8


def test_exponent_zero_of_an_atom_alone_is_its_gaussian():
    expected = project_on_basis(
        lambda points: gaussian_density(points, np.zeros((1, 3)), SMEARING),
        MAX_ANGULAR,
        MAX_RADIAL,
        RADIUS,
        extent=15.0,
    )
    values = coefficients(Atoms("O"), kept_lode(0, 1e-9), (8,))
    np.testing.assert_allclose(values[0, :, 0], expected, atol=1e-9)


@pytest.mark.parametrize(("exponent", "tolerance"), [(4, 2e-4), (6, 1e-5)])
def test_convergent_sums_run_over_all_images_without_a_background(exponent, tolerance):
    """Images within 40 Å one by one, a uniform density beyond."""
    crystal, radius = rock_salt(1), 40.0
    descriptor = kept_lode(exponent, 1e-8)
    table = descriptor.open_table.reaching(radius)
    pairs = find_pairs(StructureBatch.from_frames(crystal), radius)
    chlorine = (pairs.centers == 0) & (crystal.numbers[pairs.neighbors] == 17)
    r = np.linalg.norm(pairs.vectors[chlorine], axis=1)
    near = CubicHermiteSpline(table.knots, table.values[:, 0, 0], table.values[:, 1, 0])
    tail = radius ** (3.0 - exponent) / (exponent - 3.0) * 4.0 / crystal.get_volume()
    tail *= 4.0 * np.pi * descriptor.projections.far_terms[0, 0, 0]
    expected = (near(r).sum() + tail) / np.sqrt(4.0 * np.pi)
    value = coefficients(crystal, descriptor, (11, 17))[0, 0, 1, 0]
    np.testing.assert_allclose(value, expected, rtol=tolerance)


@pytest.mark.parametrize("exponent", [1, 2, 3, 6])
def test_the_potential_of_a_far_atom_decays_with_its_exponent(exponent):
    pairs = [Atoms("HO", positions=[[0, 0, 0], [0, 0, d]]) for d in (2e3, 4e3)]
    near, far = (coefficients(pair, kept_lode(exponent))[0, 0, 1] for pair in pairs)
    np.testing.assert_allclose(near / far, 2.0**exponent, rtol=1e-3)


@pytest.mark.compiled
@pytest.mark.parametrize("exponent", [0, 2, 3, 5, 6])
@pytest.mark.parametrize("pair_cutoff", [0.0, 5.0])
def test_periodic_gradients_equal_finite_differences(exponent, pair_cutoff):
    descriptor = kept_lode(exponent, pair_cutoff=pair_cutoff)
    assert_gradients_equal_finite_differences(triclinic(3), descriptor)


@pytest.mark.parametrize("exponent", [0, 3, 6])
def test_open_gradients_equal_finite_differences(exponent):
    assert_gradients_equal_finite_differences(cluster(3), kept_lode(exponent))


@pytest.mark.parametrize("exponent", [3, 6])
@pytest.mark.parametrize("accuracy", [1e-4, 1e-9])
def test_accuracy_holds_for_every_exponent(exponent, accuracy):
    atoms = triclinic(5)
    exact = coefficients(atoms, kept_lode(exponent, 1e-11, pair_cutoff=0.0))
    for pair_cutoff in (4.0, 9.0):
        descriptor = kept_lode(exponent, accuracy, pair_cutoff=pair_cutoff)
        error = relative_error(coefficients(atoms, descriptor), exact, descriptor)
        assert error < accuracy


@pytest.mark.parametrize("exponent", [-1, 10, 1.5])
def test_other_exponents_are_refused(exponent):
    message = f"`density.exponent` must be a whole number from 0 to 9, got {exponent}"
    with pytest.raises(ValueError, match=message):
        _ = make_lode(exponent).hypers
