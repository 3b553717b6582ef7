import numpy as np
import pytest
from two_threads import assert_same_bits

from lodekit.descriptors.channels import (
    Channels,
    ProductPlan,
    all_channels,
    groups_of,
)
from lodekit.descriptors.clebsch_gordan import clebsch_gordan
from lodekit.kernels.equivariants import couple_expansions, reverse_couple


def coefficients(n_q, max_angular, n_atoms=3, seed=0):
    shape = (n_atoms, (max_angular + 1) ** 2, n_q)
    return np.random.default_rng(seed).normal(size=shape)


def slow_products(left, right, centers, channels):
    """The equation, one channel after the other, (n_centers, 2 lambda + 1, n)."""
    products = np.empty((len(centers), 2 * channels.order + 1, len(channels)))
    for place, (l1, l2, q1, q2) in enumerate(channels.numbers):
        x = left[centers, l1**2 : (l1 + 1) ** 2, q1]
        y = right[centers, l2**2 : (l2 + 1) ** 2, q2]
        table = clebsch_gordan(l1, l2, channels.order)
        products[:, :, place] = np.einsum("ia,ib,abm->im", x, y, table)
    return products * channels.scales


def couple(left, right, centers, plan):
    flat = np.full(len(centers) * plan.size, np.nan)
    couple_expansions(left, right, np.asarray(centers), *plan.arguments, flat)
    return plan.split(flat, len(centers))


# The loops take 256 channels and 8 atoms at a time, on lanes of 16: fewer, and more.
@pytest.mark.parametrize("n_centers", [0, 1, 9])
@pytest.mark.parametrize(("n_left", "n_right"), [(1, 1), (4, 4), (3, 100)])
def test_products_equal_the_equation(n_centers, n_left, n_right):
    left, right = coefficients(n_left, 2, 10), coefficients(n_right, 1, 10, seed=1)
    centers = np.random.default_rng(2).permutation(10)[:n_centers]
    blocks = [
        all_channels(order, sigma, (2, n_left), (1, n_right))
        for order, sigma in ((0, 1), (1, 1), (1, -1), (2, -1), (3, 1))
    ]
    found = couple(left, right, centers, ProductPlan(blocks))
    for block, values in zip(blocks, found, strict=True):
        expected = slow_products(left, right, centers, block)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)


def test_squares_and_some_of_their_channels_equal_the_equation():
    values, centers = coefficients(5, 3), np.arange(3)
    for order, sigma in ((0, 1), (1, -1), (2, 1), (3, -1), (6, 1)):
        channels = all_channels(order, sigma, (3, 5), None)
        some = Channels(order, channels.numbers[::3], channels.scales[::3])
        for block in (channels, some):
            (found,) = couple(values, values, centers, block.plan)
            expected = slow_products(values, values, centers, block)
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_orders_with_the_same_columns_share_a_group():
    blocks = [all_channels(order, 1, (2, 3), (2, 3)) for order in (0, 2)]
    n_groups = [len(groups_of(block)) for block in blocks]
    assert n_groups == [3, 4]
    plan = ProductPlan(blocks)
    assert (len(plan.groups), len(plan.products)) == (5, 7)


@pytest.mark.parametrize("is_square", [True, False])
def test_reverse_pass_is_the_transposed_derivative(is_square):
    rng = np.random.default_rng(3)
    left = coefficients(3, 2)
    right = left if is_square else coefficients(4, 3, seed=4)
    sides = (2, 3), None if is_square else (3, 4)
    blocks = [all_channels(order, sigma, *sides) for order, sigma in ((1, -1), (2, 1))]
    plan, centers = ProductPlan(blocks), np.array([2, 0])
    adjoint = rng.normal(size=2 * plan.size)
    changes = rng.normal(size=left.shape), rng.normal(size=right.shape)
    if is_square:
        changes = changes[0], changes[0]
    first = couple(changes[0], right, centers, plan)
    second = couple(left, changes[1], centers, plan)
    expected = sum(
        np.sum((a + b) * y)
        for a, b, y in zip(first, second, plan.split(adjoint, 2), strict=True)
    )
    gradients = [np.zeros_like(left)]
    if not is_square:
        gradients.append(np.zeros_like(right))
    reverse_couple(
        left, right, centers, *plan.arguments, adjoint, gradients[0], gradients[-1]
    )
    found = sum(np.sum(g * d) for g, d in zip(gradients, changes, strict=False))
    assert found == pytest.approx(expected, rel=1e-12)
    assert not gradients[0][1].any()


def run_kernels():
    values, centers = coefficients(4, 2, n_atoms=40), np.arange(40)
    plan = all_channels(2, 1, (2, 4), None).plan
    adjoint = np.random.default_rng(5).normal(size=40 * plan.size)
    (features,) = couple(values, values, centers, plan)
    gradients = np.zeros_like(values)
    reverse_couple(
        values, values, centers, *plan.arguments, adjoint, gradients, gradients
    )
    return [features, gradients]


def test_threads_do_not_change_a_bit():
    assert_same_bits(__file__)
