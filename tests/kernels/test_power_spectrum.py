import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import DESCRIPTORS, lode, soap
from two_threads import assert_same_bits

from lodekit.descriptors.power_spectrum import Factor
from lodekit.kernels.power_spectrum import (
    multiply_derivatives,
    multiply_expansions,
    reverse_multiply,
    reverse_square,
    square_expansion,
)
from lodekit.structures.batch import StructureBatch

N_L = 3


def coefficients(n_q, n_atoms=2, n_l=N_L, seed=0):
    return np.random.default_rng(seed).normal(size=(n_atoms, n_l * n_l, n_q))


def slow_products(left, right):
    """p[i, l, q1, q2] from the equation, (n_atoms, n_l, n_left, n_right)."""
    n_l = int(np.sqrt(left.shape[1]))
    products = np.zeros((len(left), n_l, left.shape[2], right.shape[2]))
    for l in range(n_l):
        for lm in range(l * l, (l + 1) * (l + 1)):
            products[:, l] += np.einsum("iq,ip->iqp", left[:, lm], right[:, lm])
        products[:, l] /= np.sqrt(2 * l + 1)
    return products


def slow_square(values):
    """Products q1 <= q2, times sqrt(2) off the diagonal."""
    products = slow_products(values, values)
    first, second = np.triu_indices(values.shape[2])
    kept = products[:, :, first, second] * np.where(first == second, 1, np.sqrt(2))
    return kept.reshape(len(values), -1)


def square(values):
    n_atoms, n_lm, n_q = values.shape
    features = np.empty((n_atoms, int(np.sqrt(n_lm)) * n_q * (n_q + 1) // 2))
    square_expansion(values, features)
    return features


def multiply(left, right):
    n_l = int(np.sqrt(left.shape[1]))
    features = np.empty((len(left), n_l * left.shape[2] * right.shape[2]))
    multiply_expansions(left, right, features)
    return features


# The loops take 16 columns, 4 rows and 16 atoms at a time: fewer, as many, and more.
@pytest.mark.parametrize("n_atoms", [1, 17])
@pytest.mark.parametrize(("n_q", "n_l"), [(1, 1), (1, 3), (4, 1), (5, 3), (16, 2)])
def test_square_equals_the_equation(n_q, n_l, n_atoms):
    values = coefficients(n_q, n_atoms, n_l)
    expected = slow_square(values)
    np.testing.assert_allclose(square(values), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("n_q", [17, 32, 35])
def test_square_of_many_channels_equals_the_equation(n_q):
    values = coefficients(n_q)
    expected = slow_square(values)
    np.testing.assert_allclose(square(values), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("n_left", "n_right"), [(1, 1), (4, 2), (2, 5), (16, 17), (19, 3), (2, 33)]
)
def test_product_equals_the_equation(n_left, n_right):
    left, right = coefficients(n_left), coefficients(n_right, seed=1)
    expected = slow_products(left, right).reshape(2, -1)
    np.testing.assert_allclose(multiply(left, right), expected, rtol=1e-12, atol=1e-14)


def test_dot_products_of_packed_squares_are_those_of_the_full_arrays():
    values = coefficients(4, n_atoms=3)
    full = slow_products(values, values).reshape(3, -1)
    packed = square(values)
    np.testing.assert_allclose(packed @ packed.T, full @ full.T, rtol=1e-13)


@pytest.mark.parametrize("n_q", [1, 3, 8, 17])
def test_reverse_of_square_is_its_derivative(n_q):
    values = coefficients(n_q, n_atoms=1, n_l=2)
    adjoint = np.random.default_rng(2).normal(size=square(values).shape)
    gradients = np.empty_like(values)
    reverse_square(adjoint, values, gradients)
    numerical = central_differences(lambda c: (square(c) * adjoint).sum(), values)
    np.testing.assert_allclose(gradients, numerical, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(("n_left", "n_right"), [(3, 2), (4, 8), (5, 1), (17, 18)])
def test_reverse_of_product_is_its_derivative(n_left, n_right):
    left, right = coefficients(n_left, 1, 2), coefficients(n_right, 1, 2, seed=1)
    adjoint = np.random.default_rng(2).normal(size=multiply(left, right).shape)
    gradients = np.empty_like(left), np.empty_like(right)
    reverse_multiply(adjoint, left, right, *gradients)
    for gradient, side in zip(gradients, range(2), strict=True):
        numerical = central_differences(
            lambda c, side=side: (
                multiply(*[c if k == side else v for k, v in enumerate((left, right))])
                * adjoint
            ).sum(),
            (left, right)[side],
        )
        np.testing.assert_allclose(gradient, numerical, rtol=1e-8, atol=1e-9)


def test_derivative_products_equal_the_equation():
    rng = np.random.default_rng(3)
    partner = coefficients(4, n_atoms=3)
    centers = np.array([2, 0, 2, 1, 1])
    derivatives = rng.normal(size=(5, 3, N_L * N_L, 2))
    products = np.empty((5, 3, N_L * 2 * 4))
    multiply_derivatives(derivatives, centers, partner, products)
    for entry, center in enumerate(centers):
        others = np.repeat(partner[center : center + 1], 3, axis=0)
        expected = slow_products(derivatives[entry], others).reshape(3, -1)
        np.testing.assert_allclose(products[entry], expected, rtol=1e-12, atol=1e-14)


def run_kernels():
    """All kernels, for the comparison of threads."""
    left, right = coefficients(18, 40), coefficients(5, 40, seed=1)
    derivatives = np.random.default_rng(3).normal(size=(40, 3, N_L * N_L, 2))
    results = [square(left), multiply(left, right)]
    gradients = [np.empty_like(values) for values in (left, left, right)]
    reverse_square(results[0], left, gradients[0])
    reverse_multiply(results[1], left, right, *gradients[1:])
    products = np.empty((40, 3, N_L * 2 * 5))
    multiply_derivatives(derivatives, np.arange(40), right, products)
    return [*results, *gradients, products]


def test_threads_do_not_change_a_bit():
    assert_same_bits(__file__)


class FixedExpansion:
    """Coefficients without a descriptor."""

    def __init__(self, coefficients):
        self.coefficients = coefficients


@pytest.mark.parametrize("side", ["square", "left", "right"])
def test_weights_give_the_derivative_of_a_dot_product(side):
    rng = np.random.default_rng(4)
    own = coefficients(4)
    partner = own if side == "square" else coefficients(3, seed=1)
    factor = Factor(FixedExpansion(own), partner, side)
    change = rng.normal(size=own.shape)

    def features(step):
        moved = own + step * change
        if side == "square":
            return square(moved)
        pair = (moved, partner) if side == "left" else (partner, moved)
        return multiply(*pair)

    points = rng.normal(size=(5, features(0.0).shape[1]))
    numerical = central_differences(lambda s: features(s[0]) @ points.T, [0.0])[0]
    weights = np.repeat(factor.weights(points, N_L), 2 * np.arange(N_L) + 1, axis=1)
    expected = np.einsum("pmab,ima,imb->ip", weights, change, partner)
    np.testing.assert_allclose(expected, numerical, rtol=1e-8)


STRUCTURES = {"open": cluster(5), "periodic": triclinic(4, (1, 8), 8.0)}
SPECIES = np.array([1, 8])


def features_of(descriptor, *frames):
    return descriptor.evaluate(StructureBatch.from_frames(frames), SPECIES)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", DESCRIPTORS)
def test_features_do_not_change_under_rotation_and_translation(name, structure):
    descriptor, atoms = DESCRIPTORS[name](), STRUCTURES[structure]
    rotation = random_rotation(1)
    moved = atoms.copy()
    moved.set_cell(atoms.cell.array @ rotation)
    moved.set_positions(atoms.positions @ rotation + np.array([0.3, -5.0, 1.7]))
    before = features_of(descriptor, atoms).features
    after = features_of(descriptor, moved).features
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-10 * abs(before).max())


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", DESCRIPTORS)
def test_features_follow_a_permutation_of_atoms(name, structure):
    descriptor, atoms = DESCRIPTORS[name](), STRUCTURES[structure]
    order = np.random.default_rng(5).permutation(len(atoms))
    before = features_of(descriptor, atoms).features
    after = features_of(descriptor, atoms[order]).features
    np.testing.assert_allclose(
        after, before[order], rtol=0, atol=1e-13 * abs(before).max()
    )


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", DESCRIPTORS)
def test_reverse_pass_equals_finite_differences(name, structure):
    descriptor, atoms = DESCRIPTORS[name](), STRUCTURES[structure]
    state = features_of(descriptor, atoms)
    adjoint = np.random.default_rng(6).normal(size=state.features.shape)
    positions, strain = state.reverse(adjoint)

    def scalar(frame):
        return (features_of(descriptor, frame).features * adjoint).sum()

    numerical = central_differences(
        lambda r: scalar(displaced(atoms, r)), atoms.positions
    )
    scale = abs(numerical).max()
    np.testing.assert_allclose(positions, numerical, rtol=0, atol=1e-7 * scale)
    numerical = central_differences(
        lambda e: scalar(strained(atoms, e)), np.zeros((3, 3))
    )
    scale = abs(numerical).max()
    np.testing.assert_allclose(strain[0], numerical, rtol=0, atol=1e-7 * scale)


def test_terms_of_one_model_expand_a_shared_density_once():
    first, second = soap(), lode()
    second.left = first.left
    batch = StructureBatch.from_frames([STRUCTURES["open"]])
    cache = {}
    states = [d.evaluate(batch, SPECIES, cache) for d in (first, second)]
    assert states[0].left is states[1].left
    assert first.evaluate(batch, SPECIES, cache) is states[0]


def test_expansions_with_different_angular_channels_are_refused():
    descriptor = lode()
    descriptor.left = soap(max_angular=3).left
    with pytest.raises(ValueError, match="need the same max_angular, got 3 and 2"):
        features_of(descriptor, STRUCTURES["open"])


def test_number_of_features_counts_what_is_computed():
    for make in DESCRIPTORS.values():
        descriptor = make()
        features = features_of(descriptor, STRUCTURES["open"]).features
        assert features.shape == (5, descriptor.n_features(SPECIES))
