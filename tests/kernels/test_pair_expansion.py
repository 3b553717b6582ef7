import numpy as np
import pytest
from finite_differences import central_differences
from reference import real_harmonics
from two_threads import assert_same_bits

from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.kernels.pair_expansion import (
    BLOCK,
    differentiate_pairs,
    expand_pairs,
    reverse_pairs,
)

END = 3.0  # Å, the last knot
N_KNOTS = 7
SPACING = END / (N_KNOTS - 1)


class Radial:
    """Polynomials of degree 5, which quintic Hermite splines reproduce."""

    def __init__(self, n_l, n_radial, seed=0):
        rng = np.random.default_rng(seed)
        shape = (6, n_l, n_radial)
        scales = END ** -np.arange(6.0)[:, None, None]
        self.series = rng.normal(size=shape) * scales

    def __call__(self, r, order=0):
        """Return derivatives at r, (n_r, n_l, n_radial)."""
        series = np.polynomial.polynomial.polyder(self.series, order)
        return np.moveaxis(np.polynomial.polynomial.polyval(r, series), -1, 0)

    @property
    def table(self):
        """The table of the kernels: the radial index is even, the rest is zero."""
        knots = SPACING * np.arange(N_KNOTS)
        values = np.stack([self(knots, order) for order in range(3)], axis=1)
        odd = values.shape[3] % 2
        padded = np.pad(values, [(0, 0)] * 3 + [(0, odd)])
        return np.ascontiguousarray(padded.reshape(N_KNOTS, 3, -1))


def factor(r):
    """Something smooth that multiplies the radial functions, and its derivative."""
    return np.stack([np.exp(-0.3 * r), -0.3 * np.exp(-0.3 * r)], axis=-1)


def random_vectors(n_pairs, seed=0):
    """Vectors of 0.5 to 3 Å, the first ones along the axes."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n_pairs, 3))
    axes = np.concatenate([np.eye(3), -np.eye(3)])[[2, 5, 0, 1, 3, 4]]
    vectors[: min(n_pairs, 6)] = axes[: min(n_pairs, 6)]
    lengths = rng.uniform(0.5, END, n_pairs)
    return vectors / np.linalg.norm(vectors, axis=1)[:, None] * lengths[:, None]


def slow_terms(vectors, radial):
    """f g_nl Y_lm of every pair, (n_pairs, n_lm, n_radial)."""
    r = np.linalg.norm(vectors, axis=1)
    n_l = radial.series.shape[1]
    degree = np.repeat(np.arange(n_l), 2 * np.arange(n_l) + 1)
    values = factor(r)[:, 0, None, None] * radial(r)
    return real_harmonics(n_l - 1, vectors)[:, :, None] * values[:, degree]


class Pairs:
    """Arguments of the kernels: counts[atom, channel] neighbours in shuffled order."""

    def __init__(self, counts, n_l=3, n_radial=2, seed=0):
        self.radial = Radial(n_l, n_radial, seed)
        counts = np.asarray(counts)
        rng = np.random.default_rng(seed)
        channels = [np.repeat(np.arange(len(row)), row) for row in counts]
        self.channels = np.concatenate([rng.permutation(own) for own in channels])
        self.centers = np.repeat(np.arange(len(counts)), counts.sum(axis=1))
        self.first_pair = np.concatenate([[0], np.cumsum(counts.sum(axis=1))])
        self.vectors = random_vectors(len(self.centers), seed)
        self.shape = (len(counts), n_l * n_l, counts.shape[1], n_radial)

    @property
    def factors(self):
        return factor(np.linalg.norm(self.vectors, axis=1))

    @property
    def radial_arguments(self):
        n_l = self.radial.series.shape[1]
        return self.radial.table, SPACING, harmonic_prefactors(n_l - 1)

    def expand(self):
        coefficients = np.zeros(self.shape)
        pairs = (self.vectors, self.channels, self.factors, self.first_pair)
        expand_pairs(*pairs, *self.radial_arguments, coefficients)
        return coefficients

    def slow_expand(self):
        coefficients = np.zeros(self.shape)
        terms = slow_terms(self.vectors, self.radial)
        np.add.at(
            coefficients.transpose(0, 2, 1, 3), (self.centers, self.channels), terms
        )
        return coefficients

    def reverse(self, adjoint):
        gradients = np.full_like(self.vectors, np.nan)
        pairs = (self.vectors, self.channels, self.factors, self.first_pair)
        reverse_pairs(adjoint, *pairs, *self.radial_arguments, gradients)
        return gradients

    def differentiate(self):
        _, n_lm, _, n_radial = self.shape
        derivatives = np.full((len(self.vectors), 3, n_lm, n_radial), np.nan)
        differentiate_pairs(
            self.vectors, self.factors, *self.radial_arguments, derivatives
        )
        return derivatives


COUNTS = {
    "no pairs": [[0, 0], [0, 0]],
    "one pair": [[0, 1]],
    "some atoms without": [[0, 0], [3, 0], [0, 0], [2, 9]],
    "one block": [[BLOCK, 1]],
    "more than one block": [[BLOCK + 1, 2 * BLOCK + 3]],
    "more atoms than a chunk": [[1, 2]] * 18,
}


@pytest.mark.parametrize("counts", COUNTS)
def test_expansion_equals_the_equation(counts):
    pairs = Pairs(COUNTS[counts])
    np.testing.assert_allclose(
        pairs.expand(), pairs.slow_expand(), rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize(("n_l", "n_radial"), [(1, 1), (2, 3), (7, 4)])
def test_expansion_of_any_basis_equals_the_equation(n_l, n_radial):
    pairs = Pairs([[4, 3], [0, 9]], n_l, n_radial)
    np.testing.assert_allclose(
        pairs.expand(), pairs.slow_expand(), rtol=1e-11, atol=1e-11
    )


def test_expansion_adds_to_what_is_there():
    pairs = Pairs([[4, 3]])
    start = np.random.default_rng(1).normal(size=pairs.shape)
    both = start.copy()
    arguments = (pairs.vectors, pairs.channels, pairs.factors, pairs.first_pair)
    expand_pairs(*arguments, *pairs.radial_arguments, both)
    np.testing.assert_allclose(both - start, pairs.expand(), rtol=0, atol=1e-13)


def test_pairs_on_the_knots_are_as_exact_as_between_them():
    pairs = Pairs([[6, 0]])
    lengths = SPACING * np.array([1, 2, 3, 4, 5, 6])
    pairs.vectors *= (lengths / np.linalg.norm(pairs.vectors, axis=1))[:, None]
    np.testing.assert_allclose(
        pairs.expand(), pairs.slow_expand(), rtol=1e-11, atol=1e-11
    )


@pytest.mark.parametrize(("n_l", "n_radial"), [(1, 1), (4, 3)])
def test_derivatives_equal_finite_differences(n_l, n_radial):
    pairs = Pairs([[4, 5]], n_l, n_radial)
    derivatives = pairs.differentiate()
    for vector, own in zip(pairs.vectors, derivatives, strict=True):
        numerical = central_differences(
            lambda v: slow_terms(v[None], pairs.radial)[0], vector
        )
        np.testing.assert_allclose(own, numerical, rtol=0, atol=1e-9)


@pytest.mark.parametrize("counts", COUNTS)
def test_reverse_pass_contracts_the_derivatives(counts):
    pairs = Pairs(COUNTS[counts])
    adjoint = np.random.default_rng(1).normal(size=pairs.shape)
    own = adjoint[pairs.centers, :, pairs.channels]
    expected = np.einsum("pmn,pxmn->px", own, pairs.differentiate())
    np.testing.assert_allclose(pairs.reverse(adjoint), expected, rtol=0, atol=1e-11)


def run_kernels():
    """All kernels, for the comparison of threads."""
    pairs = Pairs([[BLOCK + 1, 2]] + [[1, 2]] * 40)
    adjoint = np.random.default_rng(1).normal(size=pairs.shape)
    return [pairs.expand(), pairs.reverse(adjoint), pairs.differentiate()]


def test_threads_do_not_change_a_bit():
    assert_same_bits(__file__)
