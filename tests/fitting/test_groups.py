"""Which frames are alike, and which can be left out."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from crystals import cluster

from lodekit.fitting.groups import can_be_left_out, find_groups, split_frames

NAMES = ("H2O", "CH4", "NH3", "C2H6", "CH3OH", "C2H4", "HCN", "CO2")


def shaken(atoms, seed, size=0.02):
    """A copy with displaced atoms, in Å."""
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0.0, size, (len(atoms), 3))
    return moved


def pair(first, second, distance):
    """Two molecules at a distance in Å."""
    partner = molecule(second)
    partner.positions += [distance, 0.0, 0.0]
    return molecule(first) + partner


def together(groups):
    """The groups as a set of sets of frames."""
    return {tuple(np.flatnonzero(groups == group)) for group in np.unique(groups)}


def test_molecules_are_grouped_whatever_their_geometry():
    frames = [shaken(molecule(name), seed) for name in NAMES for seed in range(3)]
    expected = {tuple(range(3 * k, 3 * k + 3)) for k in range(len(NAMES))}
    assert together(find_groups(frames)) == expected


def test_isomers_are_different():
    frames = [molecule(n) for n in ("CH3OCH3", "CH3CH2OH", *NAMES)]
    assert frames[0].get_chemical_formula() == frames[1].get_chemical_formula()
    assert len(together(find_groups(frames))) == 10


def test_neither_the_order_of_atoms_nor_where_molecules_are_matters():
    frames = [molecule(name) for name in NAMES]
    for atoms in list(frames):
        copy = atoms[np.random.default_rng(0).permutation(len(atoms))]
        copy.rotate(40.0, "xyz")
        copy.positions += 3.0
        frames.append(copy)
    assert together(find_groups(frames)) == {(k, k + 8) for k in range(8)}


def test_a_pair_at_all_distances_is_one_group():
    names = [
        ("H2O", "CH4"),
        ("H2O", "NH3"),
        ("CH4", "HCN"),
        ("CO2", "NH3"),
        ("HF", "HF"),
    ]
    frames = [pair(*own, distance) for own in names for distance in (3.5, 5.0, 8.0)]
    expected = {tuple(range(3 * k, 3 * k + 3)) for k in range(5)}
    assert together(find_groups(frames)) == expected


def test_one_rigid_molecule_in_several_shapes_is_told_apart_by_the_lengths_of_bonds():
    frames = []
    for seed in range(5):
        first, second = (
            shaken(molecule("H2O"), seed),
            shaken(molecule("H2O"), 10 + seed),
        )
        for distance in (4.0, 6.0, 9.0):
            partner = second.copy()
            partner.positions += [0.0, distance, 0.0]
            frames.append(first + partner)
    expected = {tuple(range(3 * k, 3 * k + 3)) for k in range(5)}
    assert together(find_groups(frames)) == expected


def test_charge_states_of_one_geometry_are_one_group():
    frames = [atoms for name in NAMES for atoms in (molecule(name), molecule(name))]
    for number, atoms in enumerate(frames):
        atoms.info["total_charge"] = number % 2
    groups = find_groups(frames)
    assert together(groups) == {(2 * k, 2 * k + 1) for k in range(8)}
    # the other charge state of every molecule is left out with it
    assert can_be_left_out(frames, groups).size == 8


def trajectory(n_frames, step):
    """Crystals of which each is a little off the one before, in Å."""
    rng = np.random.default_rng(0)
    frames = [bulk("NaCl", "rocksalt", a=5.6, cubic=True)]
    for _ in range(n_frames - 1):
        moved = frames[-1].copy()
        moved.positions += rng.normal(0.0, step, moved.positions.shape)
        frames.append(moved)
    return frames


def test_neighbours_in_a_trajectory_are_alike():
    groups = find_groups(trajectory(40, 0.03))
    assert 5 <= np.unique(groups).size <= 20
    # most frames are in the group of the one before
    assert np.count_nonzero(np.diff(groups)) < 15


def test_independent_frames_are_groups_of_their_own():
    crystal = bulk("NaCl", "rocksalt", a=5.6, cubic=True).repeat(2)
    frames = [shaken(crystal, seed, 0.15) for seed in range(12)]
    assert len(together(find_groups(frames))) == 12


def test_copies_are_one_group():
    frames = [shaken(molecule("CH3OH"), seed, 0.1) for seed in range(6)] * 2
    assert together(find_groups(frames)) == {(k, k + 6) for k in range(6)}


def test_given_names_are_the_groups():
    frames = [molecule("H2O")] * 4
    groups = find_groups(frames, ["a", "b", "a", 3])
    assert together(groups) == {(0, 2), (1,), (3,)}
    with pytest.raises(ValueError, match="one group for each of the 4 frames, got 2"):
        find_groups(frames, ["a", "b"])


def test_what_only_one_group_has_is_never_left_out():
    frames = [molecule(name) for name in ("H2O", "CH4", "NH3", "C2H6", "CH3OH", "HCN")]
    frames += [molecule("SH2"), Atoms("H"), bulk("C", cubic=True), molecule("C2H4")]
    frames[-1].info["total_charge"] = 1.0
    left_out = can_be_left_out(frames, np.arange(len(frames)))
    # sulphur, an atom alone, the only crystal, the only ion
    assert left_out.tolist() == [0, 1, 2, 3, 4, 5]


def test_one_frame_is_one_group_and_stays():
    groups = find_groups([molecule("H2O")])
    assert groups.tolist() == [0]
    assert can_be_left_out([molecule("H2O")], groups).size == 0


def test_groups_are_split_as_wholes():
    frames = [
        atoms
        for seed in range(20)
        for atoms in [cluster(5, seed=seed), cluster(5, seed=seed)]
    ]
    groups = np.repeat(np.arange(20), 2)
    parts = split_frames(frames, (0.7, 0.2, 0.1), groups)
    assert [len(part) for part in parts] == [28, 8, 4]
    assert sorted(np.concatenate(parts)) == list(range(40))
    owners = [set(groups[part]) for part in parts]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    others = split_frames(frames, (0.7, 0.2, 0.1), groups, seed=1)
    assert set(others[1]) != set(parts[1])


def test_what_cannot_be_left_out_is_fitted():
    frames = [cluster(5, seed=seed) for seed in range(10)]
    frames[4].numbers[0] = 9
    train, test = split_frames(frames, (0.5, 0.5), np.arange(10))
    assert 4 in train
    with pytest.raises(ValueError, match="add up to 1"):
        split_frames(frames, (0.5, 0.6))
    with pytest.raises(ValueError, match="part 2 of the split has no frames"):
        split_frames(frames, (0.5, 0.5), np.zeros(10))
