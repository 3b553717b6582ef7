"""Responses by themselves: moments by monomial, shares of a total, sums of energies."""

from dataclasses import replace

import numpy as np
import pytest
from drawn_charges import clusters, prior
from labelled_structures import soap

from lodekit.observables.energy import KernelRows
from lodekit.physics.energies import AtomicEnergies, add_energies
from lodekit.physics.multipoles import pack, unpack
from lodekit.physics.response import Solved
from lodekit.physics.rows import EnergyRows, SumRows
from lodekit.regression import PolynomialCovariance
from lodekit.regression.latent import Latent

SPECIES = np.array([1, 8])


@pytest.fixture(scope="module")
def frames():
    return clusters(3)


@pytest.fixture(scope="module")
def latent(frames):
    terms = [(soap(), PolynomialCovariance(2), 5)]
    return Latent.select(frames, terms, SPECIES, random_state=0)


def solve(frames, latent, weights):
    beside = Solved(frames)
    return AtomicEnergies(latent, SPECIES, np.array([-1.0, 2.0]), weights, beside)


def test_slopes_by_monomials_are_adjoint_to_packed_moments():
    rng = np.random.default_rng(0)
    shapes = [(4, 1, 2), (4, 3, 2), (4, 6, 2)]
    moments, slopes = [rng.normal(size=s) for s in shapes], rng.normal(size=(4, 10, 2))
    packed = np.vdot(slopes, pack(*moments))
    apart = zip(unpack(slopes), moments, strict=True)
    assert packed == pytest.approx(sum(np.vdot(*pair) for pair in apart), rel=1e-13)


def test_rows_of_atomic_energies_are_those_of_kernels(frames, latent):
    weights = np.random.default_rng(0).normal(size=latent.rank)
    solved = solve(frames, latent, weights)
    rows, expected = SumRows(solved), KernelRows(latent.kernels, solved.batch)
    for name in ("energy", "forces", "strain"):
        found = getattr(rows, name)()[..., SPECIES.size :]
        assert found == pytest.approx(getattr(expected, name)(), abs=1e-12)
    matrix, values = EnergyRows(solved).forces()
    own = np.concatenate([[-1.0, 2.0], weights])
    assert matrix @ own == pytest.approx(values, abs=1e-12)


def test_energies_of_responses_add_up(frames, latent):
    rng = np.random.default_rng(0)
    parts = [solve(frames, latent, rng.normal(size=latent.rank)) for _ in range(2)]
    parts[1].batch, parts[1].cache = parts[0].batch, parts[0].cache
    results = [{} for _ in frames]
    add_energies(results, parts, {"energy", "forces"})
    for index, result in enumerate(results):
        energies = [part.energies[index] for part in parts]
        assert result["energy"] == pytest.approx(sum(energies), rel=1e-13)
        own = parts[0].atoms_of(index)
        forces = [-part.gradients[0][own] for part in parts]
        assert result["forces"] == pytest.approx(sum(forces), abs=1e-12)


def test_shares_make_charges_sum_to_the_total(frames):
    process = prior(frames)
    weights = np.random.default_rng(0).normal(size=process.rank)
    for conserving in (False, True):
        response = replace(process.response, conserving=conserving)
        solved = response.solve(frames, weights)
        for index, charges in enumerate(solved.charges):
            affine = solved.affine(index)
            assert affine.values(weights) == pytest.approx(charges, abs=1e-12)
            assert (abs(charges.sum()) < 1e-12) == conserving
