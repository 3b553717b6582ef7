import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import energies_of, open_frames, periodic_frames, soap

from lodekit.observables.energy import build_rows, collect_targets
from lodekit.regression import PolynomialCovariance
from lodekit.regression.environments import select_sparse_points
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])


def without(frames, name, *indices):
    """Frames of which some lost a target."""
    for index in indices:
        results = dict(frames[index].calc.results)
        del results[name]
        frames[index].calc = SinglePointCalculator(frames[index], **results)
    return frames


def test_all_targets_that_occur_are_taken():
    frames = periodic_frames(2)
    targets = collect_targets(frames)
    assert targets.names == ["energy", "forces", "stress"]
    assert targets.values["energy"] == list(energies_of(frames))
    np.testing.assert_array_equal(targets.values["forces"][1], frames[1].get_forces())
    np.testing.assert_array_equal(targets.values["stress"][0], frames[0].get_stress())


def test_only_named_targets_are_taken():
    assert collect_targets(periodic_frames(2), ["forces"]).names == ["forces"]


def test_open_frames_have_no_stress_and_are_not_asked_for_it():
    frames = open_frames(2) + periodic_frames(1)
    targets = collect_targets(frames)
    assert [value is None for value in targets.values["stress"]] == [True, True, False]
    assert collect_targets(open_frames(2)).names == ["energy", "forces"]


def test_open_and_periodic_frames_without_stress_are_fitted_without():
    frames = open_frames(1) + without(periodic_frames(2), "stress", 0, 1)
    assert collect_targets(frames).names == ["energy", "forces"]


def test_targets_that_some_frames_lack_are_taken_where_they_are():
    frames = without(periodic_frames(4), "forces", 1, 2)
    values = collect_targets(without(frames, "energy", 0)).values
    assert [value is None for value in values["energy"]] == [True, False, False, False]
    assert [value is None for value in values["forces"]] == [False, True, True, False]
    assert all(value is not None for value in values["stress"])
    named = collect_targets(without(frames, "stress", 0, 1, 2), ["stress"])
    assert named.count_rows(frames).tolist() == [0, 0, 0, 6]


def test_keys_that_look_like_targets_are_named_where_no_targets_are():
    frames = without(open_frames(2), "energy", 0, 1)
    for atoms in frames:
        atoms.info["Energy"] = -1.0
    message = r"looks like a target: Energy; read it with keys={'energy': 'Energy'}, or"
    with pytest.warns(UserWarning, match=message):
        assert collect_targets(frames).names == ["forces"]
    assert collect_targets(frames, ["forces"]).names == ["forces"]
    assert collect_targets(frames, None, [-1.0, -1.0]).names == ["energy", "forces"]


def test_the_baseline_is_that_of_frames_with_energies():
    frames = without(open_frames(6), "energy", 2)
    targets = collect_targets(frames)
    baseline = targets.subtract_baseline(frames, SPECIES, {"H": -13.5, "O": -430.0})
    assert baseline.tolist() == [-13.5, -430.0]
    assert targets.values["energy"][2] is None
    # H2O2 clusters
    expected = frames[3].get_potential_energy() - 2 * (-13.5 - 430.0)
    assert targets.values["energy"][3] == pytest.approx(expected, abs=1e-9)
    forces = collect_targets(frames, ["forces"])
    assert forces.subtract_baseline(frames, SPECIES).tolist() == [0.0, 0.0]
    assert forces.names == ["forces"]


def test_given_energies_replace_those_of_the_frames():
    targets = collect_targets(open_frames(2), None, np.array([1.0, 2.0]))
    assert targets.values["energy"] == [1.0, 2.0]
    assert targets.names == ["energy", "forces"]


def test_subsets_hold_the_chosen_frames():
    targets = collect_targets(periodic_frames(3)).subset([2, 0])
    whole = collect_targets(periodic_frames(3)).values
    assert targets.values["energy"] == [whole["energy"][2], whole["energy"][0]]


@pytest.mark.parametrize(
    ("frames", "names", "message"),
    [
        (
            without(open_frames(4), "forces", 1, 2, 3),
            None,
            r"'forces' is missing in 3 of 4 frames \(first: frame 2 \(index 1\)\);",
        ),
        (
            without(periodic_frames(4), "stress", 0, 2, 3) + open_frames(4),
            None,
            r"'stress' is missing in 3 of 4 frames \(first: frame 1 \(index 0\)\);",
        ),
        (
            without(open_frames(2), "energy", 0, 1),
            ["energy"],
            "target 'energy' is in none of the 2 frames",
        ),
        (open_frames(2), ["stress"], "target 'stress' is in none of the 2 frames"),
        (open_frames(1), ["charges"], "targets must be among .*, got 'charges'"),
    ],
)
def test_missing_and_unknown_targets_are_named(frames, names, message):
    with pytest.raises(ValueError, match=message):
        collect_targets(frames, names)


def test_frames_without_any_target_ask_for_keys():
    frames = open_frames(2)
    for atoms in frames:
        atoms.calc = None
    with pytest.raises(ValueError, match="none of the 2 frames has an energy, forces"):
        collect_targets(frames)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1.0], r"y must have shape \(2,\), one energy in eV per frame, got \(1,\)"),
        ([[1.0], [2.0]], r"got \(2, 1\)"),
        ([1.0, np.nan], r"y must be finite, frame 2 \(index 1\) has nan"),
    ],
)
def test_given_energies_of_another_shape_or_kind_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        collect_targets(open_frames(2), None, y)


def test_rows_hold_every_target_of_every_frame_in_its_unit():
    frames = periodic_frames(2) + open_frames(1, 3)
    kernel = SparseKernel(soap(), PolynomialCovariance(2), SPECIES)
    select_sparse_points(frames, kernel, 3, random_state=0)
    batch = StructureBatch.from_frames(frames)
    rows = build_rows([kernel, kernel], batch, collect_targets(frames))
    state = kernel.descriptor.evaluate(batch, SPECIES)

    energies = kernel.energy_rows(batch, state.features) / np.array([[4], [4], [3]])
    expected = np.hstack([energies, energies])  # two terms side by side
    np.testing.assert_allclose(rows["energy"].matrix, expected)
    expected = [atoms.get_potential_energy() / len(atoms) for atoms in frames]
    np.testing.assert_allclose(rows["energy"].values, expected)
    np.testing.assert_array_equal(rows["energy"].frames, [0, 1, 2])

    forces = kernel.force_rows(batch, state).reshape(33, -1)
    np.testing.assert_allclose(rows["forces"].matrix, np.hstack([forces, forces]))
    expected = np.concatenate([atoms.get_forces().ravel() for atoms in frames])
    np.testing.assert_array_equal(rows["forces"].values, expected)
    np.testing.assert_array_equal(
        rows["forces"].frames, np.repeat([0, 1, 2], [12, 12, 9])
    )

    volumes = np.array([atoms.get_volume() for atoms in frames[:2]])
    stress = kernel.strain_rows(batch, state)[:2] / volumes[:, None, None]
    stress = stress.reshape(12, -1)
    np.testing.assert_allclose(rows["stress"].matrix, np.hstack([stress, stress]))
    expected = np.concatenate([atoms.get_stress() for atoms in frames[:2]])
    np.testing.assert_array_equal(rows["stress"].values, expected)
    np.testing.assert_array_equal(rows["stress"].frames, np.repeat([0, 1], 6))
