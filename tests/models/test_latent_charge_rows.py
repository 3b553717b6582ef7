"""Derivatives of energies of latent charges, by positions, strain and weights."""

import numpy as np
import pytest
from crystals import cluster, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import lode, soap
from test_latent_charges import NOISES, label, small, truth

from lodekit.fitting.charge_start import (
    LiftedExpansion,
    StartedFit,
    find_directions,
    lift,
)
from lodekit.observables.energy import collect_targets
from lodekit.physics.rows import EnergyRows
from lodekit.regression import PolynomialCovariance
from lodekit.regression.latent import Latent

BOUNDARIES = {
    "open": [False] * 3,
    "slab": [True, True, False],
    "periodic": [True] * 3,
}


def structure(boundary, seed=0, n_atoms=5):
    """A skewed structure, charged unless it is a slab."""
    atoms = triclinic(n_atoms, (1, 8), volume_per_atom=9.0, seed=seed)
    atoms.set_pbc(BOUNDARIES[boundary])
    if boundary == "slab":
        atoms.cell[2] = [0.0, 0.0, 20.0]
    atoms.info["total_charge"] = 0.0 if boundary == "slab" else 1.0
    return atoms


@pytest.fixture(scope="module")
def model():
    """Charges of near and far surroundings, with weights at random."""
    frames = [cluster(5, seed=i) for i in range(5)]
    covariances = [PolynomialCovariance(2), PolynomialCovariance(1, "mean")]
    return truth(frames, descriptor=[soap(), lode()], covariance=covariances)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_forces_and_stress_are_derivatives_of_the_energy(model, boundary):
    atoms = structure(boundary)

    def energy(atoms):
        return model.compute(atoms, ["energy"])[0]["energy"]

    names = ["forces", *(["stress"] if boundary == "periodic" else [])]
    (result,) = model.compute(atoms, names)
    expected = -central_differences(
        lambda r: energy(displaced(atoms, r)), atoms.positions, 1e-3
    )
    size = np.abs(expected).max()
    np.testing.assert_allclose(result["forces"], expected, atol=1e-6 * size)
    if boundary == "periodic":
        slopes = central_differences(
            lambda e: energy(strained(atoms, e)), np.zeros((3, 3)), 1e-3
        )
        stress = (slopes + slopes.T) / 2.0 / atoms.get_volume()
        expected = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        size = np.abs(expected).max()
        np.testing.assert_allclose(result["stress"], expected, atol=1e-6 * size)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_rows_are_derivatives_by_the_weights(model, boundary):
    frames = [structure(boundary, seed) for seed in (0, 1)]
    weights = model.weights_
    direction = np.random.default_rng(1).normal(size=weights.size)

    names = ["energy", "forces", *(["stress"] if boundary == "periodic" else [])]

    def values(steps):
        solved = model.response.solve(frames, weights + steps[0] * direction)
        expansion = EnergyRows(solved)
        return np.concatenate([getattr(expansion, name)()[1].ravel() for name in names])

    expansion = EnergyRows(model.solve(frames))
    rows = np.concatenate([getattr(expansion, name)()[0] for name in names])
    expected = central_differences(values, [0.0], 1e-3)[0]
    np.testing.assert_allclose(rows @ direction, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_lifted_rows_are_those_of_the_charges_along_the_directions(model, boundary):
    frames = [structure(boundary, seed) for seed in (0, 1)]
    response = model.response
    directions = find_directions(response.latent, frames)
    z = np.random.default_rng(1).normal(size=directions.shape[1])
    solved = response.solve(frames, directions @ z)
    expected = EnergyRows(solved)
    lifted = LiftedExpansion(response, frames, directions)
    for name in ["energy", "forces", *(["stress"] if boundary == "periodic" else [])]:
        rows, values = getattr(lifted, name)()
        np.testing.assert_allclose(
            rows @ lift(z)[0] + values, getattr(expected, name)()[1], atol=1e-10
        )
    charges = lifted.linear(0, "charges")
    np.testing.assert_allclose(
        charges.values(lift(z)[0]), solved.charges[0], atol=1e-12
    )


def test_total_charges_are_those_before_they_are_moved(model):
    frames = [structure("open")]
    directions = find_directions(model.response.latent, frames)
    z = np.ones(directions.shape[1])
    rows = model.solve(frames).linear(0, "total_charge")
    lifted = LiftedExpansion(model.response, frames, directions)
    lifted = lifted.linear(0, "total_charge")
    np.testing.assert_allclose(
        lifted.values(lift(z)[0]), rows.values(directions @ z), atol=1e-12
    )


def test_the_start_alone_is_close():
    frames = [cluster(5, seed=i) for i in range(40)]
    real = truth(frames)
    # charges of the elements alone, which the directions of the start hold
    real.weights_[:] = 0.0
    real.weights_[:2] = np.array([0.4, -0.5]) / real.element_prior
    label(real, frames, ["energy", "forces"])
    noises = {name: NOISES[name] for name in ("energy", "forces", "total_charge")}
    model = small(noises=noises).fit(frames)
    fit = StartedFit(
        model.response,
        np.zeros(model.rank),
        frames,
        collect_targets(frames),
        ["total_charge"],
        Latent(model.potential_.kernels_),
        model.species_,
    )
    weights = fit.find_start(noises, np.arange(len(frames)))[fit.n_rest :]
    charges = np.concatenate(model.response.solve(frames, weights).charges)
    expected = np.concatenate(real.solve(frames).charges)
    expected *= np.sign(charges @ expected)
    # 0.44 e in the mean; the start holds no charges of more than two directions
    assert np.sqrt(np.mean((charges - expected) ** 2)) < 0.05
