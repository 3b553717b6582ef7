import numpy as np
import pytest
from ase import Atoms
from reference import real_harmonics
from scipy import special

from lodekit.density import DensityBasis, DensityMetric, ElectronDensity, Shell
from lodekit.density.coupling import coupling_tables
from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.kernels.gaussian_pairs import add_radial, boys_function, fill_harmonics
from lodekit.kernels.gaussian_values import fill_solid_harmonics


def test_solid_harmonics_are_powers_of_r_times_harmonics():
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    values = np.empty((5, 49))
    fill_harmonics(vectors, harmonic_prefactors(6), values)
    l = np.floor(np.sqrt(np.arange(49)))
    expected = real_harmonics(6, vectors)
    expected *= np.linalg.norm(vectors, axis=1)[:, None] ** l
    np.testing.assert_allclose(values, expected, atol=1e-12 * abs(expected).max())
    row = np.empty(49)
    fill_solid_harmonics(*vectors[2], 7, harmonic_prefactors(6), row)
    np.testing.assert_array_equal(row, values[2])


@pytest.mark.parametrize("order", [0, 1, 5, 12])
def test_boys_functions_are_incomplete_gamma_functions(order):
    for x in (1e-6, 0.3, 3.0, 11.9, 12.1, 24.5, 59.0):
        power = order + 0.5
        expected = 0.5 * special.gammainc(power, x) * special.gamma(power) / x**power
        assert boys_function(order, x) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("is_coulomb", [False, True])
@pytest.mark.parametrize(("l_left", "l_right"), [(0, 0), (1, 3), (4, 2), (6, 6)])
def test_radial_integrals_are_integrals_over_k(l_left, l_right, is_coulomb):
    spread, distance = 0.7, 1.9
    x, weights = np.polynomial.legendre.leggauss(200)
    k, weights = 7.0 * (x + 1.0), 7.0 * weights
    radial = np.zeros(min(l_left, l_right) + 1)
    add_radial(l_left, l_right, spread, distance**2, is_coulomb, 2.0, radial)
    factor = 2.0 * weights * k ** (2 + l_left + l_right) * np.exp(-spread * k**2)
    if is_coulomb:
        factor *= 4.0 * np.pi / k**2
    for q, value in enumerate(radial):
        degree = abs(l_left - l_right) + 2 * q
        bessel = special.spherical_jn(degree, k * distance)
        expected = factor @ bessel / distance**degree
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_distant_functions_are_point_multipoles():
    # the limit t = 0: 2 pi^2 (2L - 1)!! / R^(2L + 1), L = l + l'
    near, far = np.zeros(3), np.zeros(3)
    add_radial(2, 3, 0.1, 64.0, True, 1.0, far)
    add_radial(2, 3, 0.0, 64.0, True, 1.0, near)
    np.testing.assert_array_equal(near, far)
    expected = 2.0 * np.pi**2 * (1 * 3 * 5 * 7 * 9) / 8.0**11
    np.testing.assert_allclose(far, [0.0, 0.0, expected], rtol=1e-13)
    add_radial(2, 3, 0.1, 64.0, False, 1.0, near := np.zeros(3))
    np.testing.assert_array_equal(near, 0.0)


def test_products_of_harmonics_are_sums_of_harmonics():
    # Y_lm Y_l'm' = sum of Gaunt coefficients times Y_LM, at one direction
    _, first_entry, entries, couplings = coupling_tables(3, 2)
    harmonics = real_harmonics(5, np.array([[0.3, -0.4, 0.9]]))[0]
    for l in range(4):
        for k in range(3):
            product = np.zeros((2 * l + 1, 2 * k + 1))
            for entry in range(*first_entry[l, k]):
                row, column, lm, _ = entries[entry]
                sign = (-1.0) ** ((l - k - int(np.sqrt(lm))) // 2) * 2.0 * np.pi**2
                product[row, column] += sign * couplings[entry] * harmonics[lm]
            left, right = (
                harmonics[l * l : (l + 1) ** 2],
                harmonics[k * k : (k + 1) ** 2],
            )
            np.testing.assert_allclose(product, np.outer(left, right), atol=1e-12)


def test_two_functions_of_l_zero_and_one_overlap_by_closed_forms():
    a, b, z = 0.8, 1.3, 0.7
    basis = DensityBasis(
        {"H": [Shell(0, (a,), (1.0,))], "He": [Shell(1, (b,), (1.0,))]}
    )
    atoms = Atoms("HHe", [[0.0, 0.0, 0.0], [0.0, 0.0, z]])
    matrix = DensityMetric().matrix(atoms, basis)
    # normalised s and p_z; p is the derivative of s by its place over 2b, times
    # sqrt(4b); the overlap of s functions is (4ab / (a+b)^2)^(3/4) exp(-ab z^2 / (a+b))
    p = a * b / (a + b)
    s_overlap = (4.0 * a * b / (a + b) ** 2) ** 0.75 * np.exp(-p * z**2)
    expected = -2.0 * p * z * s_overlap / np.sqrt(b)
    np.testing.assert_allclose(matrix[0], [1.0, 0.0, expected, 0.0], atol=1e-13)
    np.testing.assert_allclose(matrix[1:, 1:], np.eye(3), atol=1e-13)


def test_values_of_two_functions_are_closed_forms():
    a, b = 0.8, 1.3
    basis = DensityBasis({"H": [Shell(0, (a,), (1.0,)), Shell(1, (b,), (1.0,))]})
    density = ElectronDensity(Atoms("H"), basis, [2.0, 0.0, 3.0, 0.0])
    point = np.array([0.1, -0.3, 0.5])
    square = point @ point
    s = (2.0 * a / np.pi) ** 0.75 * np.exp(-a * square)
    p = (128.0 * b**5 / np.pi**3) ** 0.25 * point[2] * np.exp(-b * square)
    assert density.values([point])[0] == pytest.approx(2.0 * s + 3.0 * p, rel=1e-13)
