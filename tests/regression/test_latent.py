"""Sums of scaled latents and their derivatives."""

import numpy as np
import pytest
from labelled_structures import (
    differences,
    lode,
    moved_frames,
    periodic_frames,
    soap,
    strained_frames,
)

from lodekit.regression import PolynomialCovariance
from lodekit.regression.latent import Latent
from lodekit.regression.stored_points import PointStore
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

STEP = 1e-3  # Å, and as strain
SPECIES = np.array([1, 8])
SCALES = np.random.default_rng(3).normal(size=6)
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


@pytest.fixture(scope="module")
def latent():
    terms = [
        (soap(), PolynomialCovariance(2), 4),
        (lode(), PolynomialCovariance(1, "mean"), 4),
    ]
    frames = periodic_frames(4, 6, (1, 8), seed=50)
    return Latent.select(frames, terms, SPECIES, random_state=0)


@pytest.fixture(scope="module")
def atoms():
    return periodic_frames(1, 6, (1, 8), seed=7)[0]


def evaluate(latent, frames):
    batch = StructureBatch.from_frames(frames)
    return batch, latent.evaluate(batch)


def scaled_sums(latent, frames):
    """sum_i scales_i Phi_i of every frame."""
    batch, states = evaluate(latent, frames)
    rows = latent.rows(batch, states).reshape(len(frames), -1, latent.rank)
    return np.einsum("i,fiw->fw", SCALES, rows)


def test_sums_of_rows_are_energy_rows(latent, atoms):
    batch, states = evaluate(latent, [atoms])
    pairs = zip(latent.kernels, states, strict=True)
    energy = np.hstack([k.energy_rows(batch, s.features) for k, s in pairs])
    np.testing.assert_allclose(
        latent.rows(batch, states).sum(axis=0), energy[0], rtol=1e-10
    )


def test_force_rows_of_scaled_sums_equal_finite_differences(latent, atoms):
    rows = latent.force_rows(*evaluate(latent, [atoms]), SCALES)
    numerical = differences(scaled_sums(latent, moved_frames(atoms, STEP)), STEP)
    np.testing.assert_allclose(
        rows, -numerical.reshape(rows.shape), rtol=0, atol=1e-6 * abs(rows).max()
    )


def test_strain_rows_of_scaled_sums_equal_finite_differences(latent, atoms):
    rows = latent.strain_rows(*evaluate(latent, [atoms]), SCALES)[0]
    sums = scaled_sums(latent, strained_frames(atoms, STEP))
    numerical = differences(sums, STEP).reshape(3, 3, -1)
    expected = [0.5 * (numerical[a, b] + numerical[b, a]) for a, b in VOIGT]
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-6 * abs(rows).max())


def test_values_and_gradients_are_rows_times_weights(latent, atoms):
    weights = np.random.default_rng(4).normal(size=latent.rank)
    batch, states = evaluate(latent, [atoms])
    coefficients = latent.coefficients(weights)
    values, adjoints = latent.values(batch, states, coefficients)
    np.testing.assert_allclose(values, latent.rows(batch, states) @ weights, rtol=1e-8)
    positions, strain = latent.gradients(batch, states, adjoints, SCALES)
    rows = latent.force_rows(batch, states, SCALES) @ weights
    np.testing.assert_allclose(positions, -rows, atol=1e-9 * abs(rows).max())
    rows = latent.strain_rows(batch, states, SCALES) @ weights
    symmetric = 0.5 * (strain + strain.swapaxes(1, 2))
    own = np.stack([symmetric[:, a, b] for a, b in VOIGT], axis=1)
    np.testing.assert_allclose(own, rows, atol=1e-9 * abs(rows).max())


def test_a_saved_latent_comes_back(latent, atoms):
    store = PointStore()
    settings, arrays = latent.get_state("charge", store)
    state = {"settings": {"charge": settings}, "arrays": arrays | store.arrays()}
    again = Latent.from_state(StoredModel(state), "charge", SPECIES)
    np.testing.assert_array_equal(
        again.rows(*evaluate(again, [atoms])), latent.rows(*evaluate(latent, [atoms]))
    )


def test_gradients_of_every_atom_add_up(latent, atoms):
    # two structures in one batch: no atom feels those of the other
    batch, states = evaluate(latent, [atoms, atoms])
    coefficients = latent.coefficients(np.ones(latent.rank))
    _, adjoints = latent.values(batch, states, coefficients)
    scales = np.concatenate([SCALES, 2.0 * SCALES])
    positions, strain = latent.gradients(batch, states, adjoints, scales)
    single = latent.atom_gradients(states, adjoints)
    np.testing.assert_allclose(
        np.einsum("i,ija->ja", scales, single), positions, atol=1e-10
    )
    assert not single[:6, 6:].any()
    single = scales[:, None, None] * latent.atom_strain_gradients(states, adjoints)
    np.testing.assert_allclose(single[:6].sum(axis=0), strain[0], atol=1e-10)
