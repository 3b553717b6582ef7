"""Densities and responses of known form are learned, and turn with the molecule."""

import copy

import numpy as np
import pytest
from ase import Atoms
from crystals import random_rotation
from labelled_structures import density
from made_densities import BASIS, bent, made_set
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from wigner import wigner_matrix

from lodekit import load_model
from lodekit.density import (
    DensityBasis,
    DensityMetric,
    DensitySet,
    Shell,
    channel_places,
    electron_counts,
)
from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.descriptors import EquivariantPowerSpectrum, PowerSpectrum
from lodekit.errors import BasisError
from lodekit.models import ElectronDensityModel
from lodekit.models.density_prediction import polarizability
from lodekit.regression import PolynomialCovariance
from lodekit.regression.environments import select_sparse_points
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import as_matrix


def small(**arguments):
    arguments = {
        "descriptor": EquivariantPowerSpectrum(density(max_angular=3)),
        "n_sparse": 12,
        "n_channels": 40,
        **arguments,
    }
    return ElectronDensityModel(**arguments)


@pytest.fixture(scope="module")
def densities():
    return made_set(60)


@pytest.fixture(scope="module")
def model(densities):
    return small().fit(densities.select(range(45)))


@pytest.fixture(scope="module")
def response_model(densities):
    return small(target="response").fit(densities.select(range(45)))


def test_densities_of_known_form_are_learned(densities, model):
    assert model.density_error(densities.select(range(45, 60))) < 2.0
    assert model.summary_["held_out_percent"] < 2.0


def test_responses_of_known_form_are_learned(densities, response_model):
    new = densities.select(range(45, 60))
    assert response_model.density_error(new) < 3.0
    assert response_model.score(new) > 0.999


def test_responses_along_one_axis_are_learned_alone(densities):
    """What is not known has no say, and follows by symmetry from what is."""
    some, new = densities.select(range(45)), densities.select(range(45, 60))
    along_z = [np.where([1, 1, 0], np.nan, own) for own in some.responses]
    known = DensitySet(some.frames, BASIS, some.coefficients, along_z)
    assert known.axes == [2]
    model = small(target="response").fit(known)
    assert model.density_error(new) < 5.0
    assert model.density_error(known) < 5.0
    mixed = DensitySet(
        some.frames, BASIS, some.coefficients, [*along_z[:-1], some.responses[-1]]
    )
    with pytest.raises(BasisError, match="known along the same axes of all frames"):
        model.fit(mixed)


def test_coefficients_of_a_list_of_frames(densities, model):
    some = densities.select(range(45))
    again = small(basis=BASIS).fit(some.frames, some.coefficients)
    for own, other in zip(
        again.predict(some.frames[:3]), model.predict(some.frames[:3]), strict=True
    ):
        np.testing.assert_array_equal(own, other)


@pytest.mark.parametrize("improper", [False, True])
def test_coefficients_turn_by_wigner_matrices(model, response_model, improper):
    atoms, rotation = bent(99), random_rotation(5) * (-1.0 if improper else 1.0)
    turned = Atoms(atoms.numbers, atoms.positions @ rotation.T)
    before, after = model.predict([atoms, turned])
    changes, turned_changes = response_model.predict([atoms, turned])
    changes = changes @ rotation.T
    for (_, l), places in channel_places(BASIS, atoms.numbers).items():
        matrix = wigner_matrix(l, rotation)
        np.testing.assert_allclose(after[places], before[places] @ matrix.T, atol=1e-10)
        expected = np.einsum("kl,inla->inka", matrix, changes[places])
        np.testing.assert_allclose(turned_changes[places], expected, atol=1e-10)


def test_the_number_of_electrons_is_exact(model, response_model):
    atoms, charged = bent(98), bent(97)
    charged.info["total_charge"] = 1.0
    for atoms, expected in ((bent(98), 10.0), (charged, 9.0)):
        (result,) = model.compute(atoms, ["n_electrons"])
        assert result["n_electrons"] == pytest.approx(expected, abs=1e-12)
        (changes,) = response_model.predict(atoms)
        np.testing.assert_allclose(
            electron_counts(atoms, BASIS) @ changes, 0.0, atol=1e-13
        )


def test_properties_are_those_of_the_density(model):
    atoms = bent(96)
    with pytest.raises(ValueError, match=r"frame 1 .* has no mep_points, at which"):
        model.compute(atoms, "mep")
    atoms.info["mep_points"] = np.array([[9.0, 9.0, 9.0], [0.0, 0.0, 7.0]])
    (result,) = model.compute(atoms, model.properties)
    own = model.density(atoms)
    np.testing.assert_array_equal(result["density_coefficients"], own.coefficients)
    np.testing.assert_array_equal(result["dipole"], own.dipole())
    np.testing.assert_array_equal(as_matrix(result["quadrupole"]), own.quadrupole())
    assert result["hartree_energy"] == own.hartree_energy()
    np.testing.assert_array_equal(
        result["mep"], own.potential(atoms.info["mep_points"])
    )
    assert result["electrostatic_energy"] == own.electrostatic_energy()
    np.testing.assert_array_equal(
        model.density(atoms).potential([[9, 9, 9]]), own.potential([[9, 9, 9]])
    )


def test_polarizabilities_are_changes_of_the_dipole(densities, response_model):
    """14.4 V·Å/e times the change of the dipole (e·Å) for 1 V/Å."""
    atoms = bent(95)
    (result,) = response_model.compute(atoms, ["density_response", "polarizability"])
    changes = result["density_response"]
    dipoles = []
    for axis in range(3):
        changed = DensitySet([atoms], BASIS, [changes[:, axis]]).density(0)
        changed.nuclear_charges[:] = 0.0
        dipoles.append(changed.dipole())
    expected = 14.399645 * np.array(dipoles)
    expected = 0.5 * (expected + expected.T)
    np.testing.assert_allclose(result["polarizability"], expected, rtol=1e-6)


def test_conjugate_gradients_find_the_dense_solution(densities):
    some, strength = densities.select(range(20)), 1e-6
    dense = small(strength=strength).fit(some)
    iterated = small(strength=strength, max_memory=1.9e-4).fit(some)
    assert iterated.summary_["solver"] == "cg"
    new = densities.frames[45:48]
    for own, other in zip(iterated.predict(new), dense.predict(new), strict=True):
        np.testing.assert_allclose(own, other, atol=1e-3)


def test_memory_for_rows_is_limited(densities):
    with pytest.raises(ValueError, match="features and metrics take more than"):
        small(max_memory=1e-6).fit(densities.select(range(20)))


def test_metric_matrices_may_be_given(densities):
    some = densities.select(range(20))
    matrices = [DensityMetric().matrix(atoms, BASIS) for atoms in some.frames]
    own = small(strength=1e-4).fit(some, metrics=matrices)
    other = small(strength=1e-4).fit(some)
    np.testing.assert_array_equal(
        own.predict(some.frames[0]), other.predict(some.frames[0])
    )


def test_weights_of_frames_multiply_their_squared_errors(densities):
    some, metric = densities.select(range(12)), DensityMetric()
    weights = np.linspace(0.5, 3.0, 12)
    matrices = [
        weight * metric.matrix(atoms, BASIS)
        for atoms, weight in zip(some.frames, weights, strict=True)
    ]
    weighted = small(n_sparse=4).fit(some, sample_weight=weights)
    expected = small(n_sparse=4).fit(some, metrics=matrices)
    for first, second in zip(
        weighted.predict(some.frames), expected.predict(some.frames), strict=True
    ):
        np.testing.assert_allclose(first, second, atol=1e-10)
    with pytest.raises(ValueError, match="must hold 12 positive numbers"):
        small().fit(some, sample_weight=weights[:-1])


def test_one_s_function_for_an_atom_is_a_model_of_charges():
    """Narrow functions do not overlap: ridge regression of charges, term by term."""
    basis = DensityBasis({z: [Shell(0, (60.0,), (1.0,))] for z in ("O", "H")})
    frames = [bent(seed) for seed in range(20)]
    values = [
        np.array([8.0 + q.sum(), *(1.0 - q)]) / electron_counts(a, basis)
        for a in frames
        for q in [0.3 * np.linalg.norm(a.positions[1:] - a.positions[0], axis=1)]
    ]
    strength, expansion = 1e-3, density(max_angular=2)
    model = ElectronDensityModel(
        EquivariantPowerSpectrum(expansion),
        n_sparse=10,
        n_channels=10000,
        basis=basis,
        strength=strength,
    ).fit(frames, values)
    kernel = SparseKernel(
        PowerSpectrum(expansion), PolynomialCovariance(zeta=2), np.array([1, 8])
    )
    select_sparse_points(frames, kernel, 10, rcond=1e-10, compact=True)
    batch = StructureBatch.from_frames(frames)
    features = kernel.descriptor.evaluate(batch, kernel.species).features
    rows = np.zeros((batch.n_atoms, kernel.rank))
    kernel.write_rows(batch, features, rows)
    charges = np.concatenate(values)
    predicted = np.zeros_like(charges)
    means = {z: charges[batch.species == z].mean() for z in (1, 8)}
    deviations = charges - np.array([means[z] for z in batch.species])
    scale = np.mean(deviations**2)
    for z, columns in kernel.columns.items():
        own = rows[batch.species == z][:, columns]
        prior = strength * scale / np.mean(deviations[batch.species == z] ** 2)
        matrix = own.T @ own + prior * np.eye(own.shape[1])
        weights = np.linalg.solve(matrix, own.T @ deviations[batch.species == z])
        predicted[batch.species == z] = means[z] + own @ weights
    found = np.concatenate(model.predict(frames))
    # the same but for the electrons that are kept, spread evenly here
    missing = (predicted - found).reshape(-1, 3)
    np.testing.assert_allclose(missing, missing[:, :1] * np.ones(3), atol=1e-5)


def test_a_saved_model_predicts_the_same_bits(model, response_model, tmp_path):
    atoms = bent(94)
    for one, name in ((model, "dipole_std"), (response_model, "polarizability_std")):
        path = tmp_path / f"{one.target}.lodekit"
        one.save(path)
        loaded = load_model(path)
        np.testing.assert_array_equal(one.predict(atoms)[0], loaded.predict(atoms)[0])
        (before,), (after,) = (m.compute(atoms, [name]) for m in (one, loaded))
        np.testing.assert_array_equal(before[name], after[name])
        assert loaded.get_params().keys() == one.get_params().keys()
        assert loaded.summary_["strength"] == one.summary_["strength"]


def test_scikit_learn_conventions(densities):
    model = small(metric=DensityMetric(coulomb=0.1), basis=BASIS, strength=1e-5)
    copy, own = clone(model).get_params(False), model.get_params(False)
    assert repr(copy) == repr(own)
    assert copy["basis"] == BASIS
    some = densities.select(range(24))
    scores = cross_val_score(model, some.frames, some.coefficients, cv=2)
    assert scores.shape == (2,)
    assert scores.min() > 0.5


def test_bad_input(densities, model):
    some = densities.select(range(4))
    with pytest.raises(ValueError, match="needs a DensitySet, or frames and"):
        small().fit(some.frames)
    with pytest.raises(ValueError, match="need the basis they are in"):
        small().fit(some.frames, some.coefficients)
    with pytest.raises(ValueError, match="target must be one of density, response"):
        small(target="energy").fit(some)
    without = DensitySet(some.frames, BASIS, some.coefficients)
    with pytest.raises(ValueError, match="have no responses and target='response'"):
        small(target="response").fit(without)
    with pytest.raises(ValueError, match="strength must be a positive number"):
        small(strength=-1.0).fit(some)
    with pytest.raises(ValueError, match="3 metric matrices and 4 frames"):
        small().fit(some, metrics=[np.eye(18)] * 3)
    with pytest.raises(ValueError, match="has shape"):
        small().fit(some, metrics=[np.eye(3)] * 4)
    with pytest.raises(ValueError, match="properties must be among"):
        model.compute(some.frames, ["forces"])
    with pytest.raises(ValueError, match="Na"):
        model.predict(Atoms("Na"))


def test_strengths_are_found_wherever_the_search_begins(densities, monkeypatch):
    some = densities.select(range(45))
    expected = small().fit(some).summary_
    monkeypatch.setattr("lodekit.fitting.density_fit.STRENGTH", 1e-2)
    found = small().fit(some).summary_
    assert found["strength"] == pytest.approx(expected["strength"], rel=1.0)
    assert found["held_out_percent"] == pytest.approx(
        expected["held_out_percent"], rel=0.02
    )


def test_standard_deviations_cover_errors_of_dipoles(densities, model, response_model):
    new = densities.select(range(45, 60))
    ratios = []
    for index, result in enumerate(model.compute(new.frames, ["dipole", "dipole_std"])):
        error = result["dipole"] - new.density(index).dipole()
        ratios.append(error / result["dipole_std"])
    assert 0.3 < np.sqrt(np.mean(np.square(ratios))) < 3.0
    names = ["polarizability", "polarizability_std"]
    ratios = []
    for index, result in enumerate(response_model.compute(new.frames, names)):
        expected = polarizability(new.frames[index], BASIS, new.responses[index])
        error = result["polarizability"] - expected
        np.testing.assert_allclose(*[result[names[1]], result[names[1]].T], rtol=1e-9)
        ratios.append(error / result["polarizability_std"])
    assert 0.2 < np.sqrt(np.mean(np.square(ratios))) < 5.0


def test_standard_deviations_of_integrals(model, response_model):
    """Those of dipoles are known otherwise; electrons are exact."""
    atoms = bent(93)
    integrals = dipoles_of(Sites.of_atoms(atoms, BASIS))
    (expected,) = model.compute(atoms, ["dipole_std"])
    own = model.integral_std(atoms, integrals)
    np.testing.assert_allclose(own, expected["dipole_std"], rtol=1e-12)
    counts = electron_counts(atoms, BASIS)[:, None]
    np.testing.assert_allclose(model.integral_std(atoms, counts), 0.0, atol=1e-12)
    assert response_model.integral_std(atoms, integrals).shape == (3, 3)
    with pytest.raises(ValueError, match="one row for every function"):
        model.integral_std(atoms, integrals[:-1])


def test_standard_deviations_are_those_of_the_posterior(densities, model):
    """Samples of the weights have dipoles that spread as their deviations say."""
    atoms, covariance = bent(93), model.covariance_
    (expected,) = model.compute(atoms, ["dipole_std"])
    rng, dipoles = np.random.default_rng(1), []
    drawn = copy.copy(model)
    for _ in range(200):
        drawn.weights_ = {}
        for key, own in covariance.factors.items():
            noise = rng.normal(size=model.weights_[key].shape)
            noise /= np.sqrt(own.diagonal(covariance.strength))
            change = covariance.scale * own.channels @ noise @ own.turns.T
            drawn.weights_[key] = model.weights_[key] + change
        dipoles.append(drawn.compute(atoms, ["dipole"])[0]["dipole"])
    np.testing.assert_allclose(
        np.std(dipoles, axis=0), expected["dipole_std"], rtol=0.2
    )
