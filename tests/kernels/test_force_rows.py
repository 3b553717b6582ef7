import numpy as np
import pytest

from lodekit.kernels.force_rows import (
    add_force_rows,
    add_strain_rows,
)

SIZES = [(1, 1), (1, 70), (3, 64), (5, 2)]
sizes = pytest.mark.parametrize(("n_components", "n_points"), SIZES)


def random_arguments(n_entries, n_axes, n_components, n_points, n_atoms, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n_entries, n_axes, n_points)),
        rng.normal(size=(n_entries, n_axes)),
        rng.normal(size=(n_atoms, n_components, n_points)),
        rng.normal(size=(n_atoms, n_components, n_points)),
    )


def gradients_of(entry, center, projections, own, slopes, shifts):
    return (
        projections[entry][:, None] * slopes[center]
        + own[entry][:, None, None] * shifts[center]
    )


@sizes
def test_force_rows_equal_the_sum_over_entries(n_components, n_points):
    n_atoms = 4
    centers, movers = np.array([0, 0, 1, 3, 2, 2]), np.array([1, 2, 0, 3, 1, 1])
    arguments = random_arguments(6, 3, n_components, n_points, n_atoms)
    projections, own, slopes, shifts = arguments
    start = np.random.default_rng(1).normal(size=(n_atoms, 3, n_components, n_points))
    expected = start.copy()
    for e, (i, j) in enumerate(zip(centers, movers, strict=True)):
        gradient = gradients_of(e, i, *arguments)
        expected[j] -= gradient
        expected[i] += gradient
    rows = start.copy()
    for i in range(n_atoms):
        some = centers == i
        add_force_rows(
            projections[some], own[some], slopes, shifts, i, movers[some], rows
        )
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-13)


def test_force_rows_of_no_entries_add_nothing():
    empty = np.zeros(0, dtype=np.intp)
    rows = np.ones((2, 3, 1, 5))
    add_force_rows(*random_arguments(0, 3, 1, 5, 2), 0, empty, rows)
    np.testing.assert_array_equal(rows, 1.0)


@sizes
def test_strain_rows_equal_the_sum_over_atoms(n_components, n_points):
    structures = np.array([0, 0, 1, 1, 1])
    arguments = random_arguments(5, 6, n_components, n_points, 5)
    start = np.random.default_rng(1).normal(size=(2, 6, n_components, n_points))
    expected = start.copy()
    for i, structure in enumerate(structures):
        expected[structure] += gradients_of(i, i, *arguments)
    rows = start.copy()
    add_strain_rows(*arguments, structures, rows)
    np.testing.assert_allclose(rows, expected, rtol=1e-12, atol=1e-13)
