"""LODE on r^(l + 2n) inside a sphere."""

import json

import numpy as np
import pytest
from crystals import cluster, triclinic
from lode_cases import (
    SMEARING,
    assert_gradients_equal_finite_differences,
    coefficients,
    kept_lode,
    make_lode,
    relative_error,
)
from reference import real_harmonics, smeared_potential
from test_lode_slab import slab

from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.parameters import decode, encode

RADIUS = 2.0


def basis(max_radial=0, max_angular=3):
    radial = {"type": "Monomials", "max_radial": max_radial, "radius": RADIUS}
    return {"type": "TensorProduct", "max_angular": max_angular, "radial": radial}


def monomial_lode(max_radial=0, **arguments):
    return make_lode(basis=basis(max_radial), **arguments)


@pytest.mark.parametrize("max_radial", [0, 2])
@pytest.mark.parametrize("exponent", [1, 3])
def test_periodic_coefficients_equal_featomic(max_radial, exponent):
    featomic = pytest.importorskip("featomic")
    radial = {
        l: featomic.basis.Monomials(
            angular_channel=l, max_radial=max_radial, radius=RADIUS
        )
        for l in range(3)
    }
    explicit = featomic.basis.Explicit(by_angular=radial, spline_accuracy=1e-8)
    density = featomic.density.SmearedPowerLaw(smearing=SMEARING, exponent=exponent)
    spliner = featomic.splines.LodeSpliner(density, explicit, k_cutoff=9.0)
    atoms = triclinic(3, (1, 8))
    reference = featomic.LodeSphericalExpansion(**spliner.get_hypers())
    reference = reference.compute(atoms)
    descriptor = LodeSphericalExpansion(density=density, basis=explicit, accuracy=1e-7)
    ours = descriptor.compute(atoms)
    assert ours.keys == reference.keys
    for key, block in reference.items():
        scale = descriptor.projections.scale[int(key[0])]
        error = np.abs(ours.block(key).values - block.values) / scale
        np.testing.assert_array_less(error, 1e-6)


def test_open_coefficients_equal_a_quadrature_over_the_sphere():
    atoms = cluster(2)
    values = coefficients(atoms, monomial_lode(accuracy=1e-9), (1, 8))
    x, weights = np.polynomial.legendre.leggauss(24)
    r, r_weights = 0.5 * RADIUS * (x + 1.0), 0.5 * RADIUS * weights
    azimuth = 2.0 * np.pi * np.arange(48) / 48
    grid = np.stack(np.meshgrid(r, x, azimuth, indexing="ij"), axis=-1).reshape(-1, 3)
    sine = np.sqrt(1.0 - grid[:, 1] ** 2)
    unit = np.stack(
        [sine * np.cos(grid[:, 2]), sine * np.sin(grid[:, 2]), grid[:, 1]], axis=1
    )
    measure = np.einsum("a,b->ab", r_weights * r**2, weights)
    measure = np.repeat(measure.ravel(), 48) * 2.0 * np.pi / 48
    points = unit * grid[:, :1] + atoms.positions[0]
    field = smeared_potential(points, atoms.positions[1:], SMEARING)
    for l in range(4):
        radial = np.sqrt((2 * l + 3) / RADIUS ** (2 * l + 3)) * grid[:, 0] ** l
        angular = real_harmonics(l, unit)[:, l * l :]
        expected = (measure * radial * field) @ angular
        computed = values[0, l * l : (l + 1) ** 2, 1, 0]
        np.testing.assert_allclose(computed, expected, atol=1e-7)


@pytest.mark.compiled
@pytest.mark.parametrize("atoms", [triclinic(3), slab(n_atoms=3), cluster(3)])
def test_gradients_equal_finite_differences(atoms):
    descriptor = monomial_lode(1, pair_cutoff=5.0)
    assert_gradients_equal_finite_differences(atoms, descriptor)


def test_the_ranges_of_the_near_part_agree():
    atoms = triclinic(4)
    exact = coefficients(atoms, monomial_lode(1, accuracy=1e-10, pair_cutoff=0.0))
    for pair_cutoff in (4.0, 8.0):
        descriptor = monomial_lode(1, accuracy=1e-7, pair_cutoff=pair_cutoff)
        assert relative_error(coefficients(atoms, descriptor), exact, descriptor) < 1e-7


@pytest.mark.compiled
@pytest.mark.parametrize(("kind", "radius"), [("Gto", 2.0), ("Monomials", 0.8)])
def test_accuracy_holds_where_only_a_narrow_smearing_ends_the_k_range(kind, radius):
    """Edges and kinks of the basis decay as powers of 1 / k."""
    atoms = triclinic(4, (1, 8))
    density = {"type": "SmearedPowerLaw", "smearing": 0.2, "exponent": 1}
    radial = {"type": kind, "max_radial": 1, "radius": radius}
    narrow = {"type": "TensorProduct", "max_angular": 2, "radial": radial}

    def values(accuracy, pair_cutoff):
        descriptor = make_lode(
            density=density, basis=narrow, accuracy=accuracy, pair_cutoff=pair_cutoff
        )
        return coefficients(atoms, descriptor), descriptor

    exact = values(1e-10, 0.0)[0]
    for pair_cutoff in (5.0, 8.0):
        value, descriptor = values(1e-7, pair_cutoff)
        assert relative_error(value, exact, descriptor) < 1e-7


@pytest.mark.parametrize("weight", [0.0, 0.3])
def test_the_weight_of_the_centre_counts_with_every_boundary(weight):
    """What is missing is the atom alone, in every boundary."""
    alone = coefficients(cluster(1, (8,)), kept_lode(1, 1e-8), (8,))
    for atoms in (triclinic(3, (8,)), slab(numbers=(8,)), cluster(3, (8,))):
        whole = coefficients(atoms, kept_lode(1, 1e-8), (8,))
        values = coefficients(atoms, kept_lode(1, 1e-8, weight), (8,))
        expected = np.broadcast_to((1.0 - weight) * alone, whole.shape)
        np.testing.assert_allclose(whole - values, expected, atol=1e-7)


def test_settings_survive_a_model_file():
    featomic = pytest.importorskip("featomic")
    radial = {
        l: featomic.basis.Monomials(angular_channel=l, max_radial=0, radius=RADIUS)
        for l in range(3)
    }
    descriptor = PowerSpectrum(
        make_lode(basis=featomic.basis.Explicit(by_angular=radial))
    )
    text = json.dumps(encode(descriptor, "descriptor"))
    again = decode(json.loads(text))
    atoms = cluster(3)
    np.testing.assert_array_equal(
        coefficients(atoms, again.left), coefficients(atoms, descriptor.left)
    )


def test_densities_take_no_monomials():
    descriptor = SphericalExpansion(
        cutoff={"radius": 4.0, "smoothing": {"type": "Step"}},
        density={"type": "Gaussian", "width": 0.5},
        basis=basis(),
    )
    with pytest.raises(ValueError, match="`basis.radial.type` must be 'Gto', got"):
        _ = descriptor.hypers


def test_explicit_bases_of_unlike_functions_are_refused():
    radial = {"type": "Monomials", "angular_channel": 1, "max_radial": 0, "radius": 2.0}
    wrong = {"type": "Explicit", "by_angular": {"1": radial}}
    with pytest.raises(ValueError, match="`basis.by_angular` must hold featomic's"):
        _ = make_lode(basis=wrong).hypers


def test_dependent_functions_are_refused():
    with pytest.raises(ValueError, match="max_radial = 12 is linearly dependent"):
        _ = monomial_lode(12).projections
