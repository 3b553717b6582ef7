"""Standard deviations of targets drawn from the Gaussian process itself."""

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import open_frames, soap

from lodekit.models import SparsePotential
from lodekit.observables.energy import build_rows, collect_targets
from lodekit.regression import PolynomialCovariance
from lodekit.regression.normal_equations import Gram, solve_normal_equations
from lodekit.structures.batch import StructureBatch

NOISES = {"energy_noise": 2e-4, "force_noise": 2e-3}


def make_model(**arguments):
    arguments = {
        "n_sparse": 60,
        "baseline": {1: 0.0, 8: 0.0},
        "validation_fraction": 0.0,
        "targets": ["energy"],
        **NOISES,
        **arguments,
    }
    return SparsePotential(
        soap(max_radial=3, max_angular=3, width=0.3),
        PolynomialCovariance(4),
        **arguments,
    )


def rows_of(model, frames):
    targets = collect_targets(frames, ["energy", "forces"])
    return build_rows(model.kernels_, StructureBatch.from_frames(frames), targets)


def draw_labels(model, frames, seed=0, scale=1.0):
    """Replace the labels by a draw from the prior of ``model``, with its noise."""
    rng = np.random.default_rng(seed)
    rows = rows_of(model, frames)
    weights = scale * rng.normal(size=model.weights_.size)
    energies = rows["energy"].matrix @ weights
    forces = (rows["forces"].matrix @ weights).reshape(len(frames), -1, 3)
    true = energies * [len(atoms) for atoms in frames], forces
    for number, atoms in enumerate(frames):
        error = scale * NOISES["energy_noise"] * len(atoms) * rng.normal()
        errors = scale * NOISES["force_noise"] * rng.normal(size=(len(atoms), 3))
        atoms.calc = SinglePointCalculator(
            atoms, energy=true[0][number] + error, forces=true[1][number] + errors
        )
    return true


def coverage(model, frames, energies, n_sigma=1.0):
    """Share of true energies within ``n_sigma`` standard deviations."""
    results = model.compute(frames, ["energy", "energy_std"])
    errors = np.array([r["energy"] for r in results]) - energies
    deviations = np.array([r["energy_std"] for r in results])
    return np.mean(abs(errors) < n_sigma * deviations)


@pytest.fixture(scope="module")
def frames():
    return open_frames(160)


def prior(train):
    """A model with the sparse points that every fit to these frames will have."""
    return make_model().fit(train)


def test_ensembles_spread_like_the_posterior(frames):
    n_ensemble = 4000
    train = frames[:30]
    draw_labels(prior(train), frames)
    model = make_model(n_ensemble=n_ensemble, targets=["energy", "forces"]).fit(train)
    grams = {name: Gram(model.weights_.size) for name in ("energy", "forces")}
    for name, rows in rows_of(model, train).items():
        grams[name].add(rows.matrix, rows.values)
    solution = solve_normal_equations(grams, model.noises_)
    rows = rows_of(model, frames[30:36])
    exact = solution.standard_deviations(rows["energy"].matrix) * 4
    results = model.compute(frames[30:36], ["energy_std", "forces_std"])
    spread = [result["energy_std"] for result in results]
    # sampling error 1 / sqrt(2 n_ensemble) = 1.1 %
    np.testing.assert_allclose(spread, exact, rtol=5 / np.sqrt(2 * n_ensemble))
    exact = solution.standard_deviations(rows["forces"].matrix)
    spread = np.concatenate([result["forces_std"].ravel() for result in results])
    np.testing.assert_allclose(spread, exact, rtol=5 / np.sqrt(2 * n_ensemble))


@pytest.mark.slow
def test_standard_deviations_cover_what_they_should(frames):
    shares, wide = [], []
    train = frames[:40]
    drawn_from = prior(train)
    for seed in range(10):
        energies, _ = draw_labels(drawn_from, frames, seed)
        model = make_model(n_ensemble=64).fit(train)
        shares.append(coverage(model, frames[40:], energies[40:]))
        wide.append(coverage(model, frames[40:], energies[40:], 2.0))
    assert 0.60 < np.mean(shares) < 0.75  # 0.683 for a normal distribution
    assert 0.90 < np.mean(wide) < 0.98  # 0.954


@pytest.mark.slow
def test_calibration_recovers_the_scale_of_the_targets(frames):
    # The prior knows nothing of a factor in the labels; held-out frames tell.
    train = frames[:60]
    drawn_from = prior(train)
    scales, shares = [], []
    for seed in range(20):
        energies, _ = draw_labels(drawn_from, frames, seed, scale=5.0)
        model = make_model(n_ensemble=64, validation_fraction=1.0).fit(train)
        scales.append(model.std_scales_["energy"])
        shares.append(coverage(model, frames[60:], energies[60:]))
    assert np.sqrt(np.mean(np.square(scales))) == pytest.approx(5.0, rel=0.1)
    assert 0.60 < np.mean(shares) < 0.75
    draw_labels(drawn_from, frames, seed, scale=1.0)
    model = make_model(validation_fraction=1.0).fit(train)
    assert model.std_scales_["energy"] == pytest.approx(scales[-1] / 5.0, rel=1e-6)


def test_deviations_grow_away_from_the_data(frames):
    model = make_model().fit(frames[:20])
    known = model.compute(frames[:20], ["energy_std"])
    foreign = model.compute(frames[20:60], ["energy_std"])
    means = [np.mean([r["energy_std"] for r in part]) for part in (known, foreign)]
    assert means[1] > 3 * means[0]


def test_deviations_of_atoms_add_up_with_their_correlations(frames):
    model = make_model(n_ensemble=8).fit(frames[:10])
    result = model.compute(frames[20], ["energy_std", "energies_std"])[0]
    # never more than the sum, whatever the correlations
    assert 0 < result["energy_std"] <= result["energies_std"].sum() * (1 + 1e-12)


@pytest.mark.parametrize("name", ["energy_std", "energies_std", "forces_std"])
def test_each_deviation_can_be_asked_for_alone(name, frames):
    (result,) = make_model().fit(frames[:5]).compute(frames[0], [name])
    assert set(result) == {name}
