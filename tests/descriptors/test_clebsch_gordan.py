import numpy as np
import pytest
from reference import real_harmonics

from lodekit.descriptors.clebsch_gordan import clebsch_gordan

ORDERS = [(1, 1), (2, 3), (4, 2), (6, 6)]


@pytest.mark.parametrize(("l1", "l2"), ORDERS)
def test_coefficients_are_an_orthogonal_matrix(l1, l2):
    n = (2 * l1 + 1) * (2 * l2 + 1)
    orders = range(abs(l1 - l2), l1 + l2 + 1)
    matrix = np.concatenate(
        [clebsch_gordan(l1, l2, order).reshape(n, -1) for order in orders], axis=1
    )
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(n), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("l1", "l2"), ORDERS)
def test_products_of_harmonics_are_harmonics(l1, l2):
    # J. J. Sakurai, Modern Quantum Mechanics, Eq. 3.8.72: the coupled product of two
    # harmonics of one direction is a multiple of Y_lambda, zero where l1 + l2 + lambda
    # is odd; the squares of the factors add up to (2 l1 + 1) (2 l2 + 1) / (4 pi)^2
    # times 4 pi / (2 lambda + 1), as Y_1 Y_2 has that norm.
    directions = np.random.default_rng(0).normal(size=(4, 3))
    harmonics = real_harmonics(l1 + l2, directions)
    first, second = (harmonics[:, l * l : (l + 1) ** 2] for l in (l1, l2))
    norms = 0.0
    for order in range(abs(l1 - l2), l1 + l2 + 1):
        table = clebsch_gordan(l1, l2, order)
        coupled = np.einsum("ia,ib,abm->im", first, second, table)
        expected = harmonics[:, order**2 : (order + 1) ** 2]
        factor = np.sum(coupled * expected) / np.sum(expected**2)
        assert (factor != pytest.approx(0.0, abs=1e-12)) == ((l1 + l2 + order) % 2 == 0)
        np.testing.assert_allclose(coupled, factor * expected, rtol=0, atol=1e-12)
        norms += factor**2 * (2 * order + 1) / (4 * np.pi)
    assert norms == pytest.approx((2 * l1 + 1) * (2 * l2 + 1) / (4 * np.pi) ** 2)


def test_two_vectors_couple_to_their_cross_product():
    # real harmonics of order 1 are y, z, x
    x, y = np.random.default_rng(1).normal(size=(2, 3))
    turn = [1, 2, 0]
    coupled = np.einsum("a,b,abm->m", x[turn], y[turn], clebsch_gordan(1, 1, 1))
    ratio = coupled / np.cross(x, y)[turn]
    np.testing.assert_allclose(abs(ratio), np.sqrt(0.5), rtol=1e-12)
    assert np.ptp(ratio) == pytest.approx(0.0, abs=1e-12)
