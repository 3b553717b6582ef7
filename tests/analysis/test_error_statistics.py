import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.analysis.errors import (
    Comparison,
    compare,
    coverage,
    error_statistics,
    subtract_composition,
    summarize,
    summarize_by_element,
    summarize_by_group,
)
from lodekit.analysis.tables import error_rows, format_errors, format_table


def frame(symbols="OH", energy=None, forces=None, stress=None):
    atoms = Atoms(symbols, np.arange(3.0 * len(Atoms(symbols))).reshape(-1, 3))
    if stress is not None:
        atoms.set_cell([5, 5, 5])
        atoms.pbc = True
    given = {"energy": energy, "forces": forces, "stress": stress}
    results = {name: value for name, value in given.items() if value is not None}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def values(reference, predicted, target="energy", std=None):
    reference = np.array(reference, dtype=float)
    return Comparison(
        target,
        reference,
        np.array(predicted, dtype=float),
        np.arange(reference.size),
        None,
        None if std is None else np.array(std),
    )


def test_statistics_follow_their_definitions():
    numbers = error_statistics(values([0, 1, 2, 3], [0, 1, 2, 5]))
    assert numbers == {
        "rmse": 1.0,  # sqrt(2^2 / 4)
        "mae": 0.5,
        "unit": "eV/atom",
        "n": 4,
        "max": 2.0,
        "r2": pytest.approx(1 - 4 / 5),  # 1 - sum of squares / spread around 1.5
    }


@pytest.mark.parametrize("reference", [[1.0], [0.1, 0.1, 0.1], [-3.0, -3.0 - 4e-16]])
def test_r2_is_undefined_without_spread(reference):
    assert error_statistics(values(reference, [0.0] * len(reference)))["r2"] is None


def test_energies_are_compared_per_atom():
    frames = [frame("OH", energy=4.0), frame("OH2", energy=9.0)]
    results = [{"energy": 4.2, "energy_std": 0.4}, {"energy": 9.3, "energy_std": 0.3}]
    own = compare(frames, results)["energy"]
    np.testing.assert_allclose(own.reference, [2.0, 3.0])
    np.testing.assert_allclose(own.errors, [0.1, 0.1])
    np.testing.assert_allclose(own.std, [0.2, 0.1])


def test_forces_are_compared_by_component_and_know_their_element():
    frames = [frame("OH", forces=np.zeros((2, 3)))]
    predicted = np.arange(6.0).reshape(2, 3)
    own = compare(frames, [{"forces": predicted}])["forces"]
    np.testing.assert_array_equal(own.errors, np.arange(6.0))
    np.testing.assert_array_equal(own.species, [8, 8, 8, 1, 1, 1])
    assert own.std is None


def test_frames_without_a_target_do_not_count_for_it():
    frames = [frame(energy=1.0), frame(), frame(energy=2.0, stress=np.ones(6))]
    results = [{"energy": 1.0}, {"energy": 5.0}, {"energy": 2.0, "stress": np.ones(6)}]
    compared = compare(frames, results)
    np.testing.assert_array_equal(compared["energy"].frame, [0, 2])
    np.testing.assert_array_equal(compared["stress"].frame, [2] * 6)
    assert "forces" not in compared


def test_only_wanted_targets_are_compared():
    frames = [frame(energy=1.0, stress=np.ones(6))]
    results = [{"energy": 1.0, "stress": np.ones(6)}]
    assert list(compare(frames, results, ["stress"])) == ["stress"]


def test_groups_are_judged_apart():
    frames = [frame(energy=0.0) for _ in range(4)]
    results = [{"energy": 2.0 * shift} for shift in (1, 2, 1, 2)]
    groups = summarize_by_group(compare(frames, results), ["b", "a", "b", "a"])
    assert list(groups) == ["a", "b"]
    assert groups["a"]["energy"]["rmse"] == pytest.approx(2.0)
    assert groups["b"]["energy"]["n"] == 2


def test_elements_are_judged_apart():
    frames = [frame("OH", energy=0.0, forces=np.zeros((2, 3)))]
    results = [{"energy": 0.0, "forces": np.array([[1.0] * 3, [2.0] * 3])}]
    elements = summarize_by_element(compare(frames, results))
    assert list(elements) == ["H", "O"]
    assert elements["H"]["forces"]["mae"] == pytest.approx(2.0)
    assert list(elements["O"]) == ["forces"]


def test_composition_energies_leave_what_models_have_to_explain():
    # Energies that are exact sums over species have nothing left.
    shapes = ("OH", "OH2", "O2H")
    energies = (-14.0, -15.0, -27.0)  # O: -13, H: -1
    frames = [frame(s, energy=e) for s, e in zip(shapes, energies, strict=True)]
    own = compare(frames, [{"energy": e + 0.3} for e in energies])["energy"]
    relative = subtract_composition(frames, own)
    np.testing.assert_allclose(relative.reference, 0.0, atol=1e-12)
    np.testing.assert_allclose(relative.errors, own.errors, atol=1e-12)


def test_coverage_counts_errors_within_deviations():
    own = values([0, 0, 0, 0], [0.5, -0.9, 1.5, -3.0], std=[1.0] * 4)
    assert coverage(own) == {1.0: 0.5, 2.0: 0.75}


def test_table_is_read_in_milli_units():
    summary = {"test.xyz": summarize({"energy": values([0, 1], [0.001, 1.001])})}
    ((name, target, unit, n, rmse, mae, largest, r2),) = error_rows(summary)
    assert (name, target, unit, n) == ("test.xyz", "energy", "meV/atom", "2")
    assert (rmse, mae, largest) == ("1", "1", "1")
    assert r2 == "0.999996"


def test_table_leaves_unknown_numbers_empty():
    text = format_errors({"held out": {"forces": {"rmse": 0.05, "unit": "eV/Å"}}})
    assert text.splitlines()[1].split() == ["held", "out", "forces", "meV/Å", "50"]


def test_table_aligns_words_left_and_numbers_right():
    text = format_table(("a", "b"), [("xx", "10"), ("y", "5")], n_words=1)
    assert text == "a    b\nxx  10\ny    5"
