from itertools import product

import numpy as np
import pytest
from ase import Atoms

from lodekit.errors import StructureError
from lodekit.observables.branches import (
    fold,
    fold_path,
    nearest_branch,
    polarization_quanta,
    sum_path,
    unwrap,
)

#: A cell with angles far from 90 degrees, whose own vectors are not the shortest.
SKEW = np.array([[4.0, 0.0, 0.0], [3.2, 2.9, 0.0], [-2.7, 1.6, 3.1]])


@pytest.fixture
def generator():
    return np.random.default_rng(7)


def test_nearest_branch_is_that_of_a_search_over_many(generator):
    numbers = np.array(list(product(range(-6, 7), repeat=3)))
    for difference in generator.uniform(-4.0, 4.0, (40, 3)):
        branch, half = nearest_branch(difference, SKEW)
        distances = np.linalg.norm(difference + numbers @ SKEW, axis=1)
        found = np.linalg.norm(difference + branch @ SKEW)
        np.testing.assert_allclose(found, distances.min(), atol=1e-12)
        lengths = np.linalg.norm(numbers @ SKEW, axis=1)
        np.testing.assert_allclose(2.0 * half, lengths[lengths > 0.0].min())


def test_scrambled_branches_are_found(generator):
    true = generator.normal(0.0, 2.0, (240, 3))
    quanta = SKEW * generator.uniform(0.9, 1.1, (240, 1, 1))
    scrambled = generator.integers(-3, 4, (240, 3))
    values = true + np.einsum("ni,nia->na", scrambled, quanta)
    noise = generator.normal(0.0, 0.1, (240, 3))
    folding = fold(values, true + noise, quanta)
    np.testing.assert_array_equal(folding.branches, -scrambled)
    np.testing.assert_allclose(folding.values, true, atol=1e-12)
    np.testing.assert_allclose(folding.residuals, -noise, atol=1e-12)
    assert folding.is_certain
    folding.check()


def test_frames_without_a_certain_branch_are_named():
    quanta = np.array([np.eye(3)] * 2)
    folding = fold([[0.0, 0.0, 0.1], [0.0, 0.0, 0.45]], np.zeros((2, 3)), quanta)
    assert not folding.is_certain
    with pytest.raises(StructureError, match="for frame 2 .*: 0.90 of half"):
        folding.check()
    with pytest.raises(StructureError, match="for water at 300 K"):
        folding.check(["first", "water at 300 K"])


def test_a_trajectory_is_unwrapped_in_a_cell_that_changes(generator):
    steps = generator.normal(0.0, 0.15, (60, 3))
    numbers = np.cumsum(steps, axis=0)  # of quanta
    scales = np.linspace(1.0, 1.2, 60)
    quanta = SKEW * scales[:, None, None]
    smooth = np.einsum("ni,nia->na", numbers, quanta)
    wrapped = numbers - np.rint(numbers)
    wrapped[0] = numbers[0]
    values = np.einsum("ni,nia->na", wrapped, quanta)
    np.testing.assert_allclose(unwrap(values, quanta).values, smooth, atol=1e-10)


def charges_of(frames):
    """Z of M = sum_i R_i (R_i^2 / 3 + 1) for every component on its own."""
    return [np.array([np.diag(r**2 + 1.0) for r in a.positions]) for a in frames]


def test_paths_of_born_charges_give_the_change_of_polarization(generator):
    start = Atoms("NaCl", generator.normal(0.0, 1.0, (2, 3)), cell=SKEW, pbc=True)
    end = start.copy()
    end.positions += generator.normal(0.0, 1.0, (2, 3))

    def polarization(atoms):
        return (atoms.positions**3 / 3.0 + atoms.positions).sum(axis=0)

    expected = polarization(end) - polarization(start)
    found = fold_path(start, end, charges_of, 3)  # exact for quadratic charges
    np.testing.assert_allclose(found, expected, atol=1e-12)
    frames = []
    for share in np.linspace(0.0, 1.0, 201):
        frames.append(start.copy())
        frames[-1].positions += share * (end.positions - start.positions)
    path = sum_path(frames, charges_of(frames))
    np.testing.assert_allclose(path[0], 0.0)
    np.testing.assert_allclose(path[-1], expected, atol=1e-3)


def test_quanta_and_paths_say_what_they_need():
    open_one = Atoms("H", cell=SKEW)
    with pytest.raises(StructureError, match="periodic in three directions"):
        polarization_quanta(open_one)
    periodic = Atoms("H", cell=SKEW, pbc=True)
    np.testing.assert_allclose(polarization_quanta(periodic, 2.0), 2.0 * SKEW)
    with pytest.raises(StructureError, match="same atoms"):
        fold_path(periodic, Atoms("He", cell=SKEW, pbc=True), charges_of)
    with pytest.raises(StructureError, match="needs one cell"):
        fold_path(periodic, Atoms("H", cell=1.1 * SKEW, pbc=True), charges_of)
