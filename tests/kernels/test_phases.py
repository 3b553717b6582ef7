import numpy as np
import pytest
from two_threads import assert_same_bits

from lodekit.kernels.lode_far import add_phase_gradients, fill_phases


def k_rows(limit, seed=0):
    """Rows of constant h and k: their first l, and the first column of each."""
    rng = np.random.default_rng(seed)
    h, k = np.meshgrid(np.arange(limit + 1), np.arange(-limit, limit + 1))
    last = rng.integers(0, limit + 1, h.size)
    first = -rng.integers(0, limit + 1, h.size)
    rows = np.stack([h.ravel(), k.ravel(), first], axis=1).astype(np.intp)
    first_column = np.concatenate([[0], np.cumsum(last - first + 1)])
    return rows, first_column.astype(np.intp)


def all_indices(rows, first_column):
    """The k-vectors of the rows one by one, (n_k, 3)."""
    indices = [
        (h, k, l + step)
        for (h, k, l), size in zip(rows, np.diff(first_column), strict=True)
        for step in range(size)
    ]
    return np.array(indices)


@pytest.mark.parametrize("limit", [0, 1, 4])
@pytest.mark.parametrize("n_atoms", [0, 1, 7])
def test_phases_equal_the_equation(limit, n_atoms):
    rows, first_column = k_rows(limit)
    fractional = np.random.default_rng(1).uniform(-1.5, 1.5, (n_atoms, 3))
    indices = all_indices(rows, first_column)
    phases = np.full((n_atoms, 2 * len(indices)), np.nan)
    fill_phases(fractional, rows, first_column, phases)
    angles = 2.0 * np.pi * fractional @ indices.T
    expected = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    np.testing.assert_allclose(phases, expected, rtol=0, atol=1e-13)


def gradient_arguments(n_atoms=5, n_k=13, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n_atoms, 2 * n_k)),
        rng.normal(size=(n_atoms, 2 * n_k)),
        rng.normal(size=(3, n_k)),
    )


@pytest.mark.parametrize("n_k", [1, 8, 13])
def test_phase_gradients_equal_the_equation(n_k):
    # d/dR of a cos(k.R) + b sin(k.R) is k (b cos(k.R) - a sin(k.R))
    phases, adjoint, k_vectors = gradient_arguments(n_k=n_k)
    cosines, sines = phases[:, :n_k], phases[:, n_k:]
    slopes = cosines * adjoint[:, n_k:] - sines * adjoint[:, :n_k]
    start = np.random.default_rng(1).normal(size=(len(phases), 3))
    gradients = start.copy()
    add_phase_gradients(phases, adjoint, k_vectors, gradients)
    expected = start + slopes @ k_vectors.T
    np.testing.assert_allclose(gradients, expected, rtol=0, atol=1e-12)


def run_kernels():
    """All kernels, for the comparison of threads."""
    rows, first_column = k_rows(3)
    fractional = np.random.default_rng(1).uniform(-1.5, 1.5, (40, 3))
    phases = np.empty((40, 2 * first_column[-1]))
    fill_phases(fractional, rows, first_column, phases)
    arguments = gradient_arguments(40, first_column[-1])
    gradients = np.zeros((40, 3))
    add_phase_gradients(phases, *arguments[1:], gradients)
    return [phases, gradients]


def test_threads_do_not_change_a_bit():
    assert_same_bits(__file__)
