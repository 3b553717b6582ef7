"""Members of an ensemble against rows of the feature map times their weights."""

import numpy as np
import pytest
from labelled_structures import lode, open_frames, soap

from lodekit.regression import PolynomialCovariance, ensembles
from lodekit.regression.ensembles import Ensemble
from lodekit.regression.latent import Latent
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])


@pytest.fixture(scope="module")
def parts():
    """A latent of three terms, two of which share their features, and a batch."""
    frames = open_frames(4)
    density, potential = soap(), lode()
    terms = [
        (density, PolynomialCovariance(3), 6),
        (potential, PolynomialCovariance(1, "mean"), 5),
        (potential, PolynomialCovariance(2, "mean", 0.3), 6),
    ]
    latent = Latent.select(frames, terms, SPECIES, random_state=0)
    batch = StructureBatch.from_frames(frames[1:])
    members = np.random.default_rng(0).normal(size=(latent.rank, 5))
    return latent, members, batch, latent.evaluate(batch)


def test_values_of_members_equal_rows_times_weights(parts):
    latent, members, batch, states = parts
    expected = latent.rows(batch, states) @ members
    found = Ensemble(*parts).values()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("adjoint_bytes", [1.0, 2e4, 1e9])
@pytest.mark.parametrize("atom_block", [1, 500])
def test_gradients_of_members_equal_rows_times_weights(
    parts, adjoint_bytes, atom_block, monkeypatch
):
    monkeypatch.setattr(ensembles, "ADJOINT_BYTES", adjoint_bytes)
    monkeypatch.setattr(ensembles, "ATOM_BLOCK", atom_block)
    latent, members, batch, states = parts
    expected = -latent.force_rows(batch, states) @ members
    found = np.stack(list(Ensemble(*parts).gradients()), axis=-1)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("n_atoms", [3, 40])
def test_members_of_many_points_need_no_points(n_atoms):
    # 8 points, 5 features: a square of features is worth its making for 40 atoms
    rng = np.random.default_rng(1)
    covariance = PolynomialCovariance(2, "each", 0.2)
    kernel = SparseKernel(soap(), covariance, SPECIES)
    kernel.set_points(1, rng.normal(size=(8, 5)), 1e-12)
    features, alpha = rng.normal(size=(n_atoms, 5)), rng.normal(size=(3, 8))
    totals = np.zeros((3, n_atoms, 5))
    atoms = np.arange(n_atoms)
    ensembles.fill_derivatives(kernel, features, atoms, 1, alpha, totals)
    own = kernel.covariance.evaluate(features, kernel.points[1].features)
    for total, weights in zip(totals, alpha, strict=True):
        expected = (own.slopes * weights) @ kernel.points[1].features
        expected += (own.shifts @ weights)[:, None] * features
        np.testing.assert_allclose(total, expected, rtol=0, atol=1e-12)
