import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster
from labelled_structures import (
    ATOM_ENERGIES,
    energies_of,
    labelled,
    lode,
    open_frames,
    periodic_frames,
    rattled_frames,
    soap,
)

from lodekit.fitting.noises import DEFAULT_NOISES
from lodekit.models import SparsePotential
from lodekit.observables.energy import build_rows, collect_targets
from lodekit.regression import (
    CurSelection,
    PivotedCholeskySelection,
    PolynomialCovariance,
)
from lodekit.structures.batch import StructureBatch

TEST_FRAMES = open_frames(4, seed=70)


def small(**arguments):
    arguments = {
        "descriptor": soap(),
        "n_sparse": 8,
        "energy_noise": 1e-3,
        "force_noise": 1e-2,
        "stress_noise": 1e-3,
        "validation_fraction": 0.0,
        "n_ensemble": 2,
        **arguments,
    }
    return SparsePotential(**arguments)


def force_rmse(model, frames):
    results = model.compute(frames, ["forces"])
    errors = [
        result["forces"] - atoms.get_forces()
        for result, atoms in zip(results, frames, strict=True)
    ]
    return np.sqrt(np.mean(np.concatenate(errors) ** 2))


def with_noise(frames, energy=0.0, force=0.0, seed=0):
    """Labels with Gaussian noise, eV/atom and eV/Å."""
    rng = np.random.default_rng(seed)
    for atoms in frames:
        results = dict(atoms.calc.results)
        results["energy"] += energy * len(atoms) * rng.normal()
        results["forces"] = results["forces"] + force * rng.normal(size=(len(atoms), 3))
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


def test_fit_returns_the_model_and_learns():
    model = small(n_sparse=20)
    assert model.fit(rattled_frames(30)) is model
    test = rattled_frames(10, seed=1)
    assert model.score(test) > 0.9
    typical = np.concatenate([atoms.get_forces() for atoms in test]).std()
    assert force_rmse(model, test) < 0.3 * typical


def test_cholesky_and_qr_find_the_same_model():
    frames = open_frames(6) + periodic_frames(4)
    first, second = small().fit(frames), small(solver="qr").fit(frames)
    np.testing.assert_allclose(second.weights_, first.weights_, rtol=1e-6, atol=1e-9)
    assert second.summary_["n_rows"] == first.summary_["n_rows"]
    assert second.noises_ == first.noises_


@pytest.mark.parametrize(
    ("n_sparse", "covariance", "selection"),
    [
        (100, PolynomialCovariance(2), None),  # all environments are sparse points
        (100, PolynomialCovariance(1, normalize="mean"), CurSelection()),
        (4, PolynomialCovariance(2), None),
        (2, PolynomialCovariance(1, normalize="mean"), PivotedCholeskySelection()),
    ],
)
def test_weight_two_is_a_frame_written_twice(n_sparse, covariance, selection):
    frames = open_frames(5)
    weights = np.array([1.0, 2.0, 1.0, 1.0, 2.0])

    def fitted(frames, weights=None):
        model = small(n_sparse=n_sparse, covariance=covariance, selection=selection)
        return model.fit(frames, sample_weight=weights)

    weighted = fitted(frames, weights)
    doubled = fitted([*frames, frames[1], frames[4]])
    np.testing.assert_allclose(
        weighted.predict(TEST_FRAMES), doubled.predict(TEST_FRAMES), rtol=0, atol=1e-7
    )
    np.testing.assert_allclose(weighted.baseline_, doubled.baseline_, rtol=1e-10)
    plain = fitted(frames)
    assert abs(weighted.predict(TEST_FRAMES) - plain.predict(TEST_FRAMES)).max() > 1e-5


def test_weights_divide_the_noise_variance():
    frames = open_frames(5)
    weighted = small().fit(frames, sample_weight=np.full(5, 4.0))
    precise = small(energy_noise=5e-4, force_noise=5e-3).fit(frames)
    np.testing.assert_allclose(weighted.weights_, precise.weights_, rtol=1e-9)
    weighted = small(solver="qr").fit(frames, sample_weight=np.full(5, 4.0))
    np.testing.assert_allclose(weighted.weights_, precise.weights_, rtol=1e-6)


def test_given_energies_replace_those_of_the_frames():
    frames = open_frames(5)
    shifted = energies_of(frames) + np.array([len(atoms) for atoms in frames])
    model = small(targets=["energy"]).fit(frames, shifted)
    other = small(targets=["energy"]).fit(frames)
    np.testing.assert_allclose(
        model.predict(TEST_FRAMES), other.predict(TEST_FRAMES) + 4, rtol=1e-9
    )


def test_forces_alone_make_a_model():
    model = small(targets=["forces"], n_sparse=20).fit(rattled_frames(30))
    assert set(model.noises_) == {"forces"}
    np.testing.assert_array_equal(model.baseline_, 0.0)
    test = rattled_frames(10, seed=1)
    typical = np.concatenate([atoms.get_forces() for atoms in test]).std()
    assert force_rmse(model, test) < 0.3 * typical


def test_refitting_forgets_the_first_fit():
    model = small().fit(open_frames(6, 4, (1, 8, 11)))
    model.fit(open_frames(5))
    fresh = small().fit(open_frames(5))
    assert model.species_.tolist() == [1, 8]
    np.testing.assert_array_equal(model.weights_, fresh.weights_)
    seconds = model.summary_.pop("seconds"), fresh.summary_.pop("seconds")
    assert seconds[0].keys() == seconds[1].keys()
    assert model.summary_ == fresh.summary_


def test_the_same_seed_gives_the_same_model_to_the_bit():
    arguments = {"validation_fraction": 0.3, "energy_noise": "auto", "n_sparse": 2}
    frames = open_frames(20)
    first, second, other = (
        small(**arguments, random_state=seed).fit(frames) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first.weights_, second.weights_)
    np.testing.assert_array_equal(first.ensemble_, second.ensemble_)
    assert (first.ensemble_ != other.ensemble_).any()


# --- baseline


def test_composition_baseline_finds_additive_energies():
    frames = [cluster(n, numbers, seed=n) for n in (3, 4) for numbers in [(1,), (1, 8)]]
    for atoms in frames:
        energy = sum(ATOM_ENERGIES[z] for z in atoms.numbers)
        atoms.calc = SinglePointCalculator(atoms, energy=energy)
    model = small().fit(frames)
    expected = [ATOM_ENERGIES[1], ATOM_ENERGIES[8]]
    np.testing.assert_allclose(model.baseline_, expected, rtol=1e-10)
    np.testing.assert_allclose(model.weights_, 0.0, atol=1e-8)
    np.testing.assert_allclose(model.predict(frames), energies_of(frames), rtol=1e-12)


@pytest.mark.parametrize(
    "keys", [{1: -13.5, 8: -430.0}, {"H": -13.5, "O": -430.0}, {"1": -13.5, "8": -430}]
)
def test_given_baselines_go_by_number_or_symbol(keys):
    model = small(baseline=keys).fit(open_frames(3))
    np.testing.assert_array_equal(model.baseline_, [-13.5, -430.0])


def test_isolated_atoms_make_the_baseline_and_are_reproduced():
    single = labelled([Atoms("H"), Atoms("O")])
    frames = open_frames(6) + single
    model = small(baseline="isolated-atoms", n_sparse=100).fit(frames)
    np.testing.assert_array_equal(model.baseline_, [ATOM_ENERGIES[1], ATOM_ENERGIES[8]])
    # within some noise: no cohesion remains for atoms alone
    np.testing.assert_allclose(model.predict(single), energies_of(single), atol=5e-3)


def test_a_baseline_moves_energies_and_no_forces():
    frames = open_frames(5)
    first = small(baseline=ATOM_ENERGIES).fit(frames)
    shifted = [
        e + 7.0 * np.sum(a.numbers == 8)
        for e, a in zip(energies_of(frames), frames, strict=True)
    ]
    second = small(baseline={**ATOM_ENERGIES, 8: ATOM_ENERGIES[8] + 7}).fit(
        frames, shifted
    )
    results = [model.compute(TEST_FRAMES) for model in (first, second)]
    for one, other, atoms in zip(*results, TEST_FRAMES, strict=True):
        n_oxygen = np.sum(atoms.numbers == 8)
        assert other["energy"] == pytest.approx(one["energy"] + 7 * n_oxygen, rel=1e-10)
        np.testing.assert_allclose(other["forces"], one["forces"], atol=1e-8)


# --- noise


def test_chosen_noises_beat_bad_ones():
    frames = with_noise(rattled_frames(40), energy=2e-3, force=0.05)
    chosen = small(
        energy_noise="auto", force_noise="auto", validation_fraction=1.0, n_sparse=60
    ).fit(frames)
    overfit = small(energy_noise=1e-7, force_noise=1e-6, n_sparse=60).fit(frames)
    blunt = small(energy_noise=10.0, force_noise=100.0, n_sparse=60).fit(frames)
    held_back = rattled_frames(20, seed=500)
    best = force_rmse(chosen, held_back)
    assert best < 0.8 * force_rmse(overfit, held_back)
    assert best < 0.8 * force_rmse(blunt, held_back)


def test_given_noises_are_kept_while_others_are_chosen():
    model = small(force_noise="auto").fit(open_frames(10))
    assert model.noises_["energy"] == 1e-3
    assert model.noises_["forces"] != DEFAULT_NOISES["forces"]
    assert model.kernels_[0].amplitude != 1.0


def test_the_prior_is_1_ev_where_all_noises_are_given():
    assert small().fit(open_frames(10)).kernels_[0].amplitude == 1.0


# --- groups left out and summary


@pytest.mark.parametrize(
    ("n_frames", "fraction", "n_left_out"),
    [(10, 0.0, 0), (10, 0.2, 2), (10, 1.0, 10), (1, 1.0, 0)],
)
def test_groups_left_out_are_a_share_of_the_frames(n_frames, fraction, n_left_out):
    frames = open_frames(n_frames)
    model = small(validation_fraction=fraction).fit(frames, groups=range(n_frames))
    assert model.summary_["n_left_out"] == n_left_out
    assert model.summary_["n_rows"] == {"energy": n_frames, "forces": 12 * n_frames}
    assert bool(model.held_out_errors_) == bool(n_left_out)


def test_errors_are_those_of_fits_to_all_other_groups():
    frames, groups = open_frames(10), np.arange(10) // 2
    model = small(validation_fraction=1.0).fit(frames, groups=groups)
    targets = collect_targets(frames)
    targets.values["energy"] = list(
        energies_of(frames)
        - [sum(model.baseline_[[1, 8].index(z)] for z in a.numbers) for a in frames]
    )
    rows = build_rows(model.kernels_, StructureBatch.from_frames(frames), targets)
    errors = {"energy": [], "forces": []}
    for group in range(5):
        matrix, moment = np.eye(model.weights_.size), 0.0
        for name, noise in (("energy", 1e-3), ("forces", 1e-2)):
            train = groups[rows[name].frames] != group
            part = rows[name].matrix[train] / noise
            matrix += part.T @ part
            moment = moment + part.T @ rows[name].values[train] / noise
        weights = np.linalg.solve(matrix, moment)
        for name, parts in errors.items():
            kept = groups[rows[name].frames] == group
            misses = rows[name].values[kept] - rows[name].matrix[kept] @ weights
            parts.append(misses)
    for name, parts in errors.items():
        rmse = np.sqrt(np.mean(np.concatenate(parts) ** 2))
        assert model.held_out_errors_[name] == pytest.approx(rmse, rel=1e-6)


def test_stress_in_one_frame_only_is_never_left_out():
    frames = [*open_frames(6), periodic_frames(1)[0]]
    model = small(validation_fraction=1.0, stress_noise="auto").fit(frames)
    assert model.summary_["n_rows"]["stress"] == 6
    assert "stress" not in model.held_out_errors_
    assert model.noises_["stress"] > 0


def test_summary_tells_what_was_fitted():
    model = small(n_sparse=5).fit(open_frames(5))
    summary = model.summary_
    assert summary["n_structures"] == 5
    assert summary["species"] == [1, 8]
    assert summary["n_sparse"] == [{"1": 5, "8": 5}]
    assert summary["rank"] == 10
    assert 0 < summary["effective_rank"] <= 10
    assert summary["condition_number"] > 1
    assert summary["units"]["stress"] == "eV/Å^3"


def test_condition_number_and_effective_rank_are_those_of_the_normal_equations():
    frames = open_frames(5)
    model = small(baseline=ATOM_ENERGIES).fit(frames)
    rows = build_rows(
        model.kernels_, StructureBatch.from_frames(frames), collect_targets(frames)
    )
    energy, forces = rows["energy"].matrix / 1e-3, rows["forces"].matrix / 1e-2
    matrix = np.eye(model.weights_.size) + energy.T @ energy + forces.T @ forces
    rank = np.trace(np.eye(len(matrix)) - np.linalg.inv(matrix))
    assert model.summary_["effective_rank"] == pytest.approx(rank, rel=1e-6)
    condition = model.summary_["condition_number"]
    assert condition == pytest.approx(np.linalg.cond(matrix), rel=0.1)


# --- terms


def test_selection_and_sizes_can_be_chosen():
    model = small(
        descriptor=[soap(), lode()],
        covariance=[PolynomialCovariance(2), PolynomialCovariance(1, "mean")],
        n_sparse=[6, 3],
        selection=CurSelection(),
    ).fit(open_frames(6))
    assert model.summary_["n_sparse"] == [{"1": 6, "8": 6}, {"1": 3, "8": 3}]


def test_terms_with_equal_descriptors_share_one():
    model = small(
        descriptor=[soap(), soap(), lode()],
        covariance=[PolynomialCovariance(zeta) for zeta in (1, 2, 1)],
    ).fit(open_frames(4))
    first, second, third = (kernel.descriptor for kernel in model.kernels_)
    assert first is second
    assert first.left is third.left


def test_terms_are_chosen_from_the_data_where_no_descriptor_is_given():
    model = SparsePotential(n_sparse=4, validation_fraction=0.0).fit(open_frames(3))
    assert len(model.kernels_) >= 2
    assert all(s == {"1": 4, "8": 4} for s in model.summary_["n_sparse"])


def test_progress_goes_to_standard_error_only(capsys):
    small(progress=True, validation_fraction=0.4).fit(open_frames(5))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "sparse points: 0/1" in captured.err
    small().fit(open_frames(3))
    assert capsys.readouterr().err == ""
