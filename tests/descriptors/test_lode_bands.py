"""LODE in bands of k."""

import numpy as np
import pytest
from crystals import cluster, triclinic
from finite_differences import central_differences
from lode_cases import (
    MAX_ANGULAR,
    MAX_RADIAL,
    RADIUS,
    SMEARING,
    assert_gradients_equal_finite_differences,
    coefficients,
    expand,
    kept_lode,
    relative_error,
)
from test_lode_slab import slab

from lodekit.descriptors import LodeBandExpansion
from lodekit.descriptors.lode.bands import KBands


def make_bands(exponent=1, n_bands=9, k_cutoff=12.0, smearing=SMEARING, **basis):
    radial = {"type": "Gto", "max_radial": MAX_RADIAL, "radius": RADIUS}
    product = {"type": "TensorProduct", "max_angular": MAX_ANGULAR, "radial": radial}
    return LodeBandExpansion(
        density={
            "type": "SmearedPowerLaw",
            "smearing": smearing,
            "exponent": exponent,
        },
        basis={**product, **basis},
        n_bands=n_bands,
        k_cutoff=k_cutoff,
    )


def test_bands_are_a_smooth_partition_of_unity():
    bands = KBands(n_bands=7, k_cutoff=4.0)
    k = np.linspace(0.0, 2.5, 101)
    np.testing.assert_allclose(bands.evaluate(k)[0].sum(axis=1), 1.0, atol=1e-14)
    assert bands.spacing == 0.5
    assert not bands.evaluate(np.array([4.0, 5.0])).any()
    k = np.linspace(0.01, 4.5, 60)
    for order in (0, 1):
        numerical = [
            central_differences(lambda x, o=order: bands.evaluate(x)[o, 0], [x], 1e-5)
            for x in k
        ]
        expected = np.array(numerical)[:, 0]
        np.testing.assert_allclose(bands.evaluate(k)[order + 1], expected, atol=1e-6)


@pytest.mark.compiled
@pytest.mark.parametrize("exponent", [0, 1, 2, 6])
def test_the_sum_over_bands_is_lode(exponent):
    atoms = triclinic(4)
    whole = kept_lode(exponent, 1e-10)
    values = coefficients(atoms, make_bands(exponent, n_bands=11))
    by_band = values.reshape(*values.shape[:3], 11, -1)
    expected = coefficients(atoms, whole)
    assert relative_error(by_band.sum(axis=3), expected, whole) < 1e-7
    assert np.abs(by_band[..., 2, :]).max() > 1e-3


def test_gradients_equal_finite_differences():
    descriptor = make_bands(n_bands=4, k_cutoff=3.0)
    assert_gradients_equal_finite_differences(triclinic(3), descriptor)


def yukawa_energy(positions, charges, length, smearing, kappa):
    """Screened energy of smeared charges, self-energy included, per plain k-sum."""
    n = int(7.0 / smearing * length / (2.0 * np.pi)) + 1
    axis = 2.0 * np.pi / length * np.arange(-n, n + 1)
    grid = np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(-1, 3)
    squares = (grid**2).sum(axis=1)
    grid, squares = grid[squares > 0.0], squares[squares > 0.0]
    factors = np.exp(1j * grid @ positions.T) @ charges
    filters = 4.0 * np.pi / (squares + kappa**2) * np.exp(-squares * smearing**2)
    return 0.5 / length**3 * (filters * np.abs(factors) ** 2).sum()


@pytest.mark.compiled
@pytest.mark.parametrize(("exponent", "kappa"), [(0, 0.7), (1, 0.0), (1, 0.7)])
def test_linear_regression_learns_a_screened_filter_from_energies(exponent, kappa):
    """Gases of ions at random; l = 0, one weight for each pair of species and band."""
    rng = np.random.default_rng(0)
    width = 1.2
    radial = {"type": "Monomials", "max_radial": 0, "radius": 0.05}
    descriptor = make_bands(
        exponent, n_bands=9, k_cutoff=4.0, smearing=width, max_angular=0, radial=radial
    )
    features, energies = [], []
    for _ in range(80):
        length = rng.uniform(7.0, 13.0)
        atoms = triclinic(8, (11, 17))
        atoms.set_cell(length * np.eye(3))
        atoms.set_positions(length * rng.random((8, 3)))
        charges = np.where(atoms.numbers == 11, 1.0, -1.0)
        values = coefficients(atoms, descriptor, (11, 17))[:, 0]
        features.append(
            [values[atoms.numbers == center].sum(axis=0) for center in (11, 17)]
        )
        # smeared as the features are: exp(-k^2 s^2 / 2) for each pair
        energy = yukawa_energy(
            atoms.positions, charges, length, width / np.sqrt(2.0), kappa
        )
        energies.append(energy)
    features = np.array(features).reshape(len(energies), -1)
    weights = np.linalg.lstsq(features, np.array(energies), rcond=1e-9)[0]
    weights = weights.reshape(2, 2, -1)
    # potential at a point is c_00 over sqrt(4 pi r^3 / 3)
    scale = 2.0 * np.sqrt(4.0 * np.pi * 0.05**3 / 3.0)
    k = np.linspace(0.5, 2.0, 50)
    exact = 4.0 * np.pi / (k**2 + kappa**2) * np.exp(-0.5 * (k * width) ** 2)
    learned = scale * np.einsum("abn,kn->kab", weights, descriptor.filters(k))
    np.testing.assert_allclose(learned[:, 0, 0] / exact, 1.0, atol=0.01)
    np.testing.assert_allclose(learned[:, 1, 1] / exact, 1.0, atol=0.01)
    # only the sum over both orders of a pair of unlike ions is determined
    unlike = 0.5 * (learned[:, 0, 1] + learned[:, 1, 0])
    np.testing.assert_allclose(unlike / exact, -1.0, atol=0.01)


@pytest.mark.parametrize("atoms", [cluster(2), slab()])
def test_other_boundaries_are_refused(atoms):
    with pytest.raises(ValueError, match="bands of k need structures that are per"):
        expand(atoms, make_bands())


@pytest.mark.parametrize("changes", [{"exponent": 3}, {"center_atom_weight": 0.5}])
def test_what_bands_cannot_do_is_refused(changes):
    descriptor = make_bands()
    descriptor.density = {**descriptor.density, **changes}
    with pytest.raises(ValueError, match="bands of k need"):
        _ = descriptor.hypers


def test_a_wrong_number_of_bands_is_refused():
    with pytest.raises(ValueError, match="`n_bands` must be a whole number >= 1"):
        _ = make_bands(n_bands=0).hypers
