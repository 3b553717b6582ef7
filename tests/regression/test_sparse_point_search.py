import numpy as np
import pytest
from labelled_structures import open_frames, periodic_frames, soap

from lodekit.regression import (
    CurSelection,
    FarthestPointSelection,
    PivotedCholeskySelection,
    PolynomialCovariance,
)
from lodekit.regression.environments import (
    CANDIDATES_PER_POINT,
    batches,
    choose_candidates,
    collect_features,
    distinct_rows,
    principal_components,
    select_sparse_points,
)
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])


def soap_kernel(**arguments):
    return SparseKernel(soap(**arguments), PolynomialCovariance(2), SPECIES)


def all_features(kernel, frames):
    batch = StructureBatch.from_frames(frames)
    return kernel.descriptor.evaluate(batch, SPECIES).features, batch.species


def test_batches_hold_all_frames_and_no_more_atoms_than_allowed():
    frames = open_frames(3, 4) + open_frames(1, 9) + open_frames(2, 3)
    groups = list(batches(frames, 8))
    assert groups == [[0, 1], [2], [3], [4, 5]]
    assert list(batches([], 8)) == []


def test_features_collected_in_batches_are_those_of_all_frames_at_once():
    frames, kernel = open_frames(6), soap_kernel()
    wanted = {1: np.array([0, 5, 6, 13, 22, 23]), 8: np.array([1, 12])}
    expected = all_features(kernel, frames)[0]
    for max_atoms in (1, 7, 100):
        collected = collect_features(frames, kernel, wanted, max_atoms)
        for z, atoms in wanted.items():
            np.testing.assert_allclose(
                collected[z], expected[atoms], rtol=1e-13, atol=1e-15
            )


def test_candidates_are_drawn_from_the_species_they_stand_for():
    frames = open_frames(40)
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    drawn = choose_candidates(frames, SPECIES, 3, np.random.RandomState(0))
    for z, atoms in drawn.items():
        assert atoms.size == 3 * CANDIDATES_PER_POINT
        assert (np.diff(atoms) > 0).all()
        assert (numbers[atoms] == z).all()
    again = choose_candidates(frames, SPECIES, 3, np.random.RandomState(0))
    np.testing.assert_array_equal(drawn[1], again[1])


def test_principal_components_keep_distances_where_they_span_all():
    points = np.random.default_rng(0).normal(size=(30, 8))
    projected = principal_components(points, 100)
    np.testing.assert_allclose(projected @ projected.T, points @ points.T, atol=1e-12)
    assert principal_components(points, 5).shape == (30, 5)
    projected = principal_components(points, 100, scaled=True)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    np.testing.assert_allclose(projected @ projected.T, points @ points.T, atol=1e-12)


def test_sparse_points_are_farthest_among_normalised_features():
    frames, kernel = open_frames(6), soap_kernel()
    select_sparse_points(frames, kernel, 5, random_state=0)
    features, species = all_features(kernel, frames)
    for z in SPECIES:
        own = features[species == z]
        unit = own / np.linalg.norm(own, axis=1, keepdims=True)
        chosen = np.sort(FarthestPointSelection().select(unit, 5))
        np.testing.assert_allclose(kernel.points[z].features, own[chosen], rtol=1e-12)


def test_fewer_environments_than_points_are_all_taken():
    frames, kernel = open_frames(3), soap_kernel()
    select_sparse_points(frames, kernel, 50)
    features, species = all_features(kernel, frames)
    for z in SPECIES:
        np.testing.assert_allclose(
            kernel.points[z].features, features[species == z], rtol=1e-12
        )


def turned(atoms):
    """The same structure elsewhere: environments with the same features."""
    copy = atoms.copy()
    copy.rotate(77.0, (1.0, 2.0, -1.0))
    copy.positions += 3.0
    return copy


@pytest.mark.parametrize("n_sparse", [5, 50])
@pytest.mark.parametrize("duplicate", [lambda atoms: atoms.copy(), turned])
def test_copies_of_frames_give_no_more_sparse_points(n_sparse, duplicate):
    frames, kernel = open_frames(2), soap_kernel()
    copies = [duplicate(atoms) for atoms in frames]
    select_sparse_points(frames + copies, kernel, n_sparse, random_state=0)
    # 2 frames of 2 hydrogens and 2 oxygens
    assert [len(p.features) for p in kernel.points.values()] == [4, 4]


def test_copies_of_frames_change_no_draw_of_candidates():
    frames = open_frames(20)
    once, twice = soap_kernel(), soap_kernel()
    select_sparse_points(frames, once, 2, random_state=0)
    select_sparse_points([*frames, *frames[:7]], twice, 2, random_state=0)
    for z in SPECIES:
        np.testing.assert_array_equal(once.points[z].features, twice.points[z].features)


def test_distinct_rows_are_the_first_of_each_kind():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(6, 9))
    close = points[1] * (1.0 + 1e-9)
    rows = np.array(
        [*points, points[4], 2.0 * points[2], close, np.zeros(9), points[0]]
    )
    assert distinct_rows(rows).tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert distinct_rows(rows, scaled=True).tolist() == [0, 1, 2, 3, 4, 5, 9]
    assert distinct_rows(np.zeros((3, 2))).tolist() == [0]
    assert distinct_rows(np.zeros((0, 2))).size == 0


@pytest.mark.parametrize("selection", [CurSelection(), PivotedCholeskySelection()])
def test_more_than_a_hundred_points_can_be_selected_by_rank(selection):
    frames = periodic_frames(60, 4, (1,))
    kernel = SparseKernel(
        soap(max_radial=8, max_angular=4), PolynomialCovariance(2), np.array([1])
    )
    select_sparse_points(frames, kernel, 110, selection=selection, random_state=0)
    assert len(kernel.points[1].features) == 110


def test_a_seed_serves_as_random_state():
    frames = open_frames(20)
    first, second, other = soap_kernel(), soap_kernel(), soap_kernel()
    select_sparse_points(frames, first, 2, random_state=3)
    select_sparse_points(frames, second, 2, random_state=np.random.RandomState(3))
    select_sparse_points(frames, other, 2, random_state=None)
    np.testing.assert_array_equal(first.points[1].features, second.points[1].features)
    assert other.points[1].features.shape == first.points[1].features.shape
