"""Every way to use a potential wrongly ends in one line that says what to do."""

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import lode, open_frames, periodic_frames, soap

from lodekit.models import SparsePotential, prediction
from lodekit.regression import PolynomialCovariance


def small(**arguments):
    arguments = {
        "descriptor": soap(),
        "n_sparse": 4,
        "energy_noise": 1e-3,
        "force_noise": 1e-2,
        "validation_fraction": 0.0,
        "n_ensemble": 2,
        **arguments,
    }
    return SparsePotential(**arguments)


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) > 20


def bad_frames(change):
    """Good frames of which the third is spoiled."""
    frames = open_frames(4)
    change(frames[2])
    return frames


def set_nan(atoms):
    atoms.positions[1, 2] = np.nan
    atoms.calc = SinglePointCalculator(atoms, **atoms.calc.results)


def put_on_top(atoms):
    atoms.positions[1] = atoms.positions[0]
    atoms.calc = SinglePointCalculator(atoms, **atoms.calc.results)


def make_periodic_without_cell(atoms):
    atoms.pbc = True


def shorten_forces(atoms):
    results = {"energy": 0.0, "forces": atoms.get_forces()}
    atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=np.zeros((4, 3)))
    atoms.calc.results["forces"] = results["forces"][:3]


def spoil_energy(atoms):
    atoms.calc.results["energy"] = np.nan


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_nan, r"frame 3 \(index 2\): atom 2 has the position .*nan.* not finite"),
        (put_on_top, r"frame 3 \(index 2\): atoms 1 and 2 are 0 Å apart, on top"),
        (make_periodic_without_cell, r"frame 3 \(index 2\): periodic along T T T, but"),
        (shorten_forces, r"forces must have shape \(4, 3\), got \(3, 3\)"),
        (spoil_energy, "energy is not finite"),
    ],
)
def test_a_bad_frame_is_named(change, message):
    with pytest.raises(ValueError, match=message) as caught:
        small().fit(bad_frames(change))
    one_line(caught)


def test_frames_without_targets_ask_for_keys():
    frames = [Atoms("HO", [[0, 0, 0], [0, 0, 1.0]])] * 3
    with pytest.raises(
        ValueError, match="none of the 3 frames has an energy"
    ) as caught:
        small().fit(frames)
    one_line(caught)


def test_frames_without_atoms_are_named():
    frames = [*open_frames(2), Atoms()]
    with pytest.raises(ValueError, match=r"frame 3 \(index 2\): .* has no atoms"):
        small().fit(frames)


def test_no_frames_are_too_few():
    with pytest.raises(ValueError, match="there are no structures"):
        small().fit([])


def test_things_that_are_not_structures_are_named():
    with pytest.raises(
        TypeError, match="list of ase.Atoms, frame 2 .index 1. is a str"
    ):
        small().fit([open_frames(1)[0], "water.xyz"])
    with pytest.raises(
        TypeError, match="list of ase.Atoms, frame 1 .index 0. is a float"
    ):
        small().fit(np.zeros(3))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_sparse": 0}, "n_sparse must be a whole number of at least 1, got 0"),
        ({"n_sparse": 2.5}, "n_sparse must be a whole number of at least 1, got 2.5"),
        ({"n_sparse": "ten"}, "n_sparse must be a whole number .* got 'ten'"),
        ({"n_sparse": True}, "n_sparse must be a whole number .* got True"),
        ({"n_sparse": [4, 5]}, "one value or one for each of the 1 descriptors, got 2"),
        ({"n_ensemble": 0}, "n_ensemble must be a whole number of at least 1, got 0"),
        (
            {"energy_noise": -1e-3},
            "noise of energy must be a positive number .* -0.001",
        ),
        ({"force_noise": 0.0}, "noise of forces must be a positive number"),
        ({"stress_noise": np.nan}, "noise of stress must be a positive number"),
        ({"energy_noise": np.inf}, "noise of energy must be a positive number"),
        ({"energy_noise": "atuo"}, "positive number or 'auto', got 'atuo'"),
        ({"force_noise": None}, "positive number or 'auto', got None"),
        ({"force_noise": True}, "positive number or 'auto', got True"),
        ({"solver": "choleski"}, "solver must be 'cholesky' or 'qr', got 'choleski'"),
        (
            {"solver": "qr", "force_noise": "auto"},
            "solver='qr' needs a given noise for the target 'forces'",
        ),
        ({"validation_fraction": 1.1}, r"must lie in \[0, 1\], got 1.1"),
        ({"validation_fraction": -0.1}, r"must lie in \[0, 1\], got -0.1"),
        ({"targets": ["energy", "charges"]}, "targets must be among .* got 'charges'"),
        ({"targets": ["stress"]}, "target 'stress' is in none of the 3 frames"),
        ({"baseline": "mean"}, "baseline must be 'composition', 'isolated-atoms' or"),
        ({"baseline": {"H": -13.0}}, r"no energy for O, it names \['H'\]"),
        ({"baseline": "isolated-atoms"}, "images, and there is none of H, O; add"),
        ({"covariance": PolynomialCovariance(0)}, "zeta must be a whole number"),
        (
            {"descriptor": None, "covariance": PolynomialCovariance()},
            "`covariance` needs a `descriptor`",
        ),
        (
            {"covariance": [PolynomialCovariance()] * 2},
            "`covariance` must be one value or one for each of the 1 descriptors",
        ),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        small(**arguments).fit(open_frames(3))
    one_line(caught)


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ([1.0, 1.0], r"got shape \(2,\)"),
        ([[1.0, 1.0, 1.0]], r"got shape \(1, 3\)"),
        (np.ones((3, 1)), r"got shape \(3, 1\)"),
        (2.0, r"got shape \(\)"),
        ([1.0, 0.0, 1.0], r"frame 2 \(index 1\) has 0"),
        ([1.0, -1.0, 1.0], r"frame 2 \(index 1\) has -1"),
        ([1, 1, np.nan], r"frame 3 \(index 2\) has nan"),
        (["a", 1, 2], r"got \['a', 1, 2\]"),
        ([[1], [2, 3]], r"got \[\[1\], \[2, 3\]\]"),
        (np.ones(3, dtype=complex), "got array"),
    ],
)
def test_bad_weights_are_named(weights, named):
    message = f"must hold 3 positive numbers, one per frame, {named}"
    with pytest.raises(ValueError, match=message):
        small().fit(open_frames(3), sample_weight=weights)


def test_bad_energies_are_named():
    with pytest.raises(ValueError, match=r"y must have shape \(3,\)"):
        small().fit(open_frames(3), [1.0, 2.0])


def test_wires_are_refused_by_lode_in_one_line():
    frames = periodic_frames(3)
    frames[1].pbc = [True, False, False]
    with pytest.raises(ValueError, match="periodic in no, two or three"):
        small(descriptor=lode(), targets=["energy"]).fit(frames)


def test_systems_that_cannot_be_factorised_are_named():
    with pytest.raises(np.linalg.LinAlgError, match="raise the noise"):
        small(energy_noise=1e-150).fit(open_frames(3))


# --- few and lonely atoms


def test_one_frame_with_one_atom_makes_a_model():
    atoms = Atoms("O")
    atoms.calc = SinglePointCalculator(atoms, energy=-430.0, forces=np.zeros((1, 3)))
    model = small().fit([atoms])
    assert model.predict([atoms])[0] == pytest.approx(-430.0)
    np.testing.assert_array_equal(model.compute(atoms)[0]["forces"], np.zeros((1, 3)))


def lonely_frames(n_frames=6):
    frames = []
    for i in range(n_frames):
        atoms = Atoms("HO", [[0, 0, 0], [0, 0, 20.0 + i]])
        atoms.calc = SinglePointCalculator(
            atoms, energy=-443.5, forces=np.zeros((2, 3))
        )
        frames.append(atoms)
    return frames


def test_frames_without_neighbours_make_a_model_of_their_composition():
    model = small(validation_fraction=0.4).fit(lonely_frames())
    np.testing.assert_allclose(model.predict(lonely_frames()), -443.5)
    result = model.compute(lonely_frames()[0], ["forces", "energy_std", "forces_std"])[
        0
    ]
    np.testing.assert_array_equal(result["forces"], np.zeros((2, 3)))
    np.testing.assert_array_equal(result["forces_std"], np.zeros((2, 3)))


def test_environments_without_any_features_ask_for_a_larger_cutoff():
    with pytest.raises(ValueError, match="raise the cutoff") as caught:
        small(descriptor=soap(center_weight=0.0)).fit(lonely_frames())
    one_line(caught)


def test_more_sparse_points_than_environments_take_all():
    model = small(n_sparse=10_000).fit(open_frames(3))
    assert model.summary_["n_sparse"] == [{"1": 6, "8": 6}]


# --- prediction


@pytest.fixture(scope="module")
def model():
    return small().fit(open_frames(4) + periodic_frames(2))


def test_species_that_the_model_has_not_seen_are_named(model):
    frames = [*open_frames(2), Atoms("OHNa", [[0, 0, 0], [0, 0, 1], [2, 0, 0]])]
    message = r"frame 3 \(index 2\): atom 3 is Na, which .* not seen; it knows H, O"
    with pytest.raises(ValueError, match=message):
        model.predict(frames)


def test_frames_are_counted_over_all_batches(model, monkeypatch):
    monkeypatch.setattr(prediction, "BATCH_ATOMS", 1)
    frames = [*open_frames(3), Atoms("Na")]
    with pytest.raises(ValueError, match=r"frame 4 \(index 3\): atom 1 is Na"):
        model.predict(frames)
    frames[3] = Atoms("HO", [[0, 0, 0], [0, 0, np.inf]])
    with pytest.raises(ValueError, match=r"finite.*counted from frame 4 \(index 3\)"):
        model.predict(frames)
    frames = [*periodic_frames(2), *open_frames(1)]
    with pytest.raises(ValueError, match=r"periodic frames only, frame 3 \(index 2\)"):
        model.compute(frames, ["stress"])


@pytest.mark.parametrize(
    ("atoms", "message"),
    [
        (Atoms("HO", [[0, 0, 0], [0, 0, np.nan]]), "positions must be finite numbers"),
        (Atoms("HO", [[0, 0, 1], [0, 0, 1]]), "are on top of each other"),
        (Atoms("HO", [[0, 0, 0], [0, 0, 1]], pbc=True), "give the cell or set pbc"),
        (Atoms("HNa", [[0, 0, 0], [0, 0, 1]]), "has not seen"),
        (Atoms(), r"frame 1 \(index 0\) has no atoms; leave it out"),
    ],
)
def test_bad_structures_are_named_when_predicting(model, atoms, message):
    with pytest.raises(ValueError, match=message) as caught:
        model.compute(atoms)
    one_line(caught)


@pytest.mark.parametrize("properties", [["force"], ["energy", "dipole"], "charges"])
def test_unknown_properties_are_named(model, properties):
    with pytest.raises(ValueError, match=r"properties must be among \['energy'"):
        model.compute(open_frames(1), properties)


def test_good_input_gives_no_warning(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        small().fit(open_frames(3)).compute(open_frames(3))
