"""Charges, atomic moments and a remainder in one fit to energies and forces."""

import copy
from functools import partial

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from charge_energies import FRAMES, charges_of, energies, make
from finite_differences import central_differences

from lodekit.fitting.joint_fit import ELEMENT_ENERGY
from lodekit.fitting.left_out import scale_of
from lodekit.physics.rows import EnergyRows
from lodekit.regression.latent import Latent


@pytest.mark.parametrize("max_multipole", [0, 1, 2])
@pytest.mark.parametrize("name", FRAMES)
def test_rows_are_derivatives_by_the_weights(name, max_multipole):
    # the total charge is conditioned on with the covariance of charges alone
    frames = FRAMES[name][:2]
    model = make(targets=["charges"], max_multipole=max_multipole)
    model.set_params(potential=None).fit(FRAMES[name])
    rng = np.random.default_rng(0)
    start = model.weights_ + 0.3 * rng.normal(size=model.weights_.size)
    direction = rng.normal(size=start.size)
    targets = ["energy", "forces", *(["stress"] if name == "periodic" else [])]

    def rows_at(target, step):
        solved = model.response.solve(frames, start + step * direction)
        return getattr(EnergyRows(solved), target)()

    def values_at(target, step):
        return rows_at(target, step)[1]

    for target in targets:
        rows, _ = rows_at(target, 0.0)
        expected = central_differences(partial(values_at, target), 0.0)
        scale = np.abs(expected).max()
        assert rows @ direction == pytest.approx(expected, abs=1e-9 * scale)


def test_energies_shape_the_charges():
    # charges of frames are noisy, energies are those of the charges without noise
    frames = FRAMES["open"]
    true = make(targets=["charges"], noises={"charges": 1e-3})
    true.set_params(potential=None).fit(frames)
    noisy, rng = [], np.random.default_rng(1)
    for atoms, part in zip(frames, true._energy_parts(frames), strict=True):
        noise = 0.2 * rng.normal(size=len(atoms))
        charges = charges_of(true, [atoms])
        noisy.append(atoms.copy())
        noisy[-1].info["total_charge"] = atoms.info["total_charge"]
        noisy[-1].calc = SinglePointCalculator(
            noisy[-1],
            charges=charges + noise - noise.mean(),
            energy=part.energy,
            forces=part.forces,
        )
    noises = {"charges": 0.2, "energy": 1e-3, "forces": 1e-2}
    wanted = charges_of(true, frames)
    errors = {}
    for learn in (False, True):
        given = noises if learn else {"charges": 0.2}
        model = make(learn, targets=["charges", "energy", "forces"], noises=given)
        found = charges_of(model.fit(noisy), frames)
        errors[learn] = np.sqrt(np.mean((found - wanted) ** 2))
    assert errors[True] < 0.5 * errors[False]


@pytest.mark.parametrize(
    ("learn", "targets", "order"),
    [
        (True, ["energy", "charges"], 1),
        (True, ["charges"], 0),
        (False, ["charges", "energy"], 0),
    ],
)
def test_atomic_dipoles_help_where_charges_must_explain_more(learn, targets, order):
    model = make(learn, targets=targets, max_multipole=None)
    if "energy" not in targets:
        model.set_params(potential=None)
    assert len(model.fit(FRAMES["open"]).moments_.kernels) == order


@pytest.mark.parametrize("max_multipole", [1, 2])
def test_energies_shape_the_moments(max_multipole):
    # charges of frames say nothing of moments, energies are those of both
    frames = FRAMES["open"]
    names = ["atomic_dipoles", "atomic_quadrupoles"][:max_multipole]
    true = make(targets=["charges"], max_multipole=max_multipole)
    true.set_params(potential=None, noises={"charges": 1e-3}).fit(frames)
    n_weights = true.moments_.rank
    true.weights_[-n_weights:] = 2.0 * np.random.default_rng(3).normal(size=n_weights)
    known = []
    for atoms, part in zip(frames, true._energy_parts(frames), strict=True):
        known.append(atoms.copy())
        known[-1].info["total_charge"] = atoms.info["total_charge"]
        known[-1].calc = SinglePointCalculator(
            known[-1],
            charges=charges_of(true, [atoms]),
            energy=part.energy,
            forces=part.forces,
        )
    model = make(
        True,
        targets=["charges", "energy", "forces"],
        noises={"charges": 1e-3, "energy": 1e-4, "forces": 1e-3},
        max_multipole=max_multipole,
    ).fit(known)
    for name in names:
        wanted, found = (
            np.concatenate([r[name] for r in own.compute(frames, [name])])
            for own in (true, model)
        )
        assert np.abs(found - wanted).max() < 0.3 * np.abs(wanted).max()
        assert np.abs(wanted).max() > 0.1


def moved_weights(model, member, step):
    """The model with all its weights moved along a member of its ensemble."""
    moved, rest = copy.copy(model), copy.copy(model.potential_)
    n_species = model.species_.size
    moved.weights_ = model.weights_ + step * model.ensemble_[n_species:, member]
    elements = ELEMENT_ENERGY * model.ensemble_[:n_species, member]
    rest.baseline_ = rest.baseline_ + step * elements
    rest.weights_ = rest.weights_ + step * rest.ensemble_[:, member]
    rest.coefficients_ = Latent(rest.kernels_).coefficients(rest.weights_)
    moved.potential_ = rest
    return moved


@pytest.mark.parametrize("max_multipole", [0, 1, 2])
def test_standard_deviations_of_energies_are_those_of_the_ensemble(max_multipole):
    frames = FRAMES["open"]
    targets = ["charges", "energy"]
    model = make(True, targets=targets, max_multipole=max_multipole).fit(frames)
    # moments of some size, so that the energy is sensitive to their weights
    n_weights = model.moments_.rank
    rng = np.random.default_rng(0)
    model.weights_[model.rank - n_weights :] += rng.normal(size=n_weights)
    changes = [
        central_differences(
            lambda step, member=member: energies(
                moved_weights(model, member, step), frames[:3]
            ),
            0.0,
        )
        for member in range(model.ensemble_.shape[1])
    ]
    expected = scale_of(model.std_scales_, "energy") * np.sqrt(
        np.mean(np.square(changes), axis=0)
    )
    results = model.compute(frames[:3], ["energy_std"])
    found = [result["energy_std"] for result in results]
    assert found == pytest.approx(expected, rel=1e-6)


def test_settings_of_the_potential_alone_are_refused():
    model = make(learn=True, targets=["charges", "energy"])
    model.potential.set_params(energy_noise=1e-3)
    with pytest.raises(ValueError, match="energy_noise of the potential has no use"):
        model.fit(FRAMES["open"])
