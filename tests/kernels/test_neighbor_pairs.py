import numpy as np
import pytest

from lodekit.kernels.neighbor_pairs import mirror_pairs


@pytest.mark.parametrize(("n_pairs", "n_atoms"), [(0, 0), (0, 3), (1, 1), (40, 7)])
def test_mirrored_pairs_are_all_pairs_sorted_by_center(n_pairs, n_atoms):
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, max(n_atoms, 1), (2, n_pairs))
    vectors = rng.normal(size=(n_pairs, 3))
    centers, neighbors, both, first_pair = mirror_pairs(first, second, vectors, n_atoms)
    expected = [
        [*row, *vector]
        for i, j, v in zip(first, second, vectors, strict=True)
        for row, vector in (((i, j), v), ((j, i), -v))
    ]
    expected = np.array(sorted(map(list, expected))).reshape(-1, 5)
    found = np.column_stack([centers, neighbors, both])
    np.testing.assert_array_equal(found[np.lexsort(found.T[::-1])], expected)
    assert (np.diff(centers) >= 0).all()
    counts = np.bincount(centers, minlength=n_atoms)
    np.testing.assert_array_equal(np.diff(first_pair), counts)
