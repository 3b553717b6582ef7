"""Energies of Gaussian charges that move with their surroundings."""

import copy
from functools import partial

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from drawn_charges import N_POINTS
from finite_differences import central_differences
from labelled_structures import (
    differences,
    moved_frames,
    open_frames,
    periodic_frames,
    soap,
    strained_frames,
)
from sklearn.base import clone

from lodekit import load_model
from lodekit.electrostatics import CoulombInteraction
from lodekit.models import ChargeModel, SparsePotential
from lodekit.models.charge_rows import ChargeExpansion
from lodekit.models.joint_fit import ELEMENT_ENERGY
from lodekit.regression import PolynomialCovariance
from lodekit.regression.latent import Latent
from lodekit.units import COULOMB_CONSTANT

STEP = 2e-4  # Å, and as strain
WIDTH = 0.8
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


def with_charges(frames, total):
    """Give frames charges by their distances, and a total charge."""
    for atoms in frames:
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        charges = np.exp(-distances).sum(axis=1) * np.where(atoms.numbers == 1, 1, -1)
        charges += (total - charges.sum()) / len(atoms)
        atoms.info["total_charge"] = total
        results = {**atoms.calc.results, "charges": charges}
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


FRAMES = {
    "open": with_charges(open_frames(12), -1.0),
    "periodic": with_charges(periodic_frames(12), 1.0),
}


def make(learn=False, **arguments):
    rest = SparsePotential(soap(), PolynomialCovariance(2), N_POINTS)
    if not learn:
        rest.set_params(validation_fraction=0.0)
    return ChargeModel(
        soap(),
        PolynomialCovariance(2),
        N_POINTS,
        potential=rest,
        charge_width=WIDTH,
        validation_fraction=0.0,
        learn_from_energies=learn,
        **{"max_multipole": 0, **arguments},
    )


@pytest.fixture(
    scope="module",
    params=[(name, learn) for name in FRAMES for learn in (False, True)],
    ids=lambda param: f"{param[0]}-{'joint' if param[1] else 'two-step'}",
)
def case(request):
    name, learn = request.param
    frames = FRAMES[name]
    model = make(learn, targets=["charges", "energy", "forces"])
    return model.fit(frames), frames[3]


def charges_of(model, frames):
    results = model.compute(frames, ["charges"])
    return np.concatenate([result["charges"] for result in results])


@pytest.fixture(scope="module", params=[1, 2])
def multipoles(request):
    """A model of charges with moments that its targets know nothing of."""
    frames = FRAMES["periodic"]
    targets = ["charges", "energy", "forces", "stress"]
    model = make(targets=targets, max_multipole=request.param).fit(frames)
    n_weights = model.moments_.rank
    model.weights_[-n_weights:] = np.random.default_rng(0).normal(size=n_weights)
    return model


def cartesian(moments):
    """Point charges of 1e-3 Å around the origin with dipole d and quadrupole T."""
    dipole, tensor = moments
    step = 1e-3
    ends, charges = [step * dipole, -step * dipole], [0.5 / step, -0.5 / step]
    values, axes = np.linalg.eigh(tensor)
    for value, axis in zip(values, axes.T, strict=True):
        ends += [step * axis, -step * axis]
        charges += [0.5 * value / step**2] * 2
    return np.array(ends), np.array(charges)


@pytest.mark.parametrize("kind", FRAMES)
def test_forces_and_stress_with_moments_are_derivatives(multipoles, kind):
    atoms = FRAMES[kind][5]
    values = energies(multipoles, moved_frames(atoms, STEP))
    expected = -differences(values, STEP).reshape(-1, 3)
    result = multipoles.compute(atoms)[0]
    scale = np.abs(expected).max()
    assert result["forces"] == pytest.approx(expected, abs=1e-6 * scale)
    names = ["atomic_dipoles", "atomic_quadrupoles"][: multipoles.max_multipole]
    assert all(np.abs(multipoles.compute(atoms, n)[0][n]).max() > 0.01 for n in names)
    if kind == "periodic":
        gradients = differences(
            energies(multipoles, strained_frames(atoms, STEP)), STEP
        )
        gradients = gradients.reshape(3, 3) / atoms.get_volume()
        expected = np.array([gradients[a, b] for a, b in VOIGT])
        scale = np.abs(expected).max()
        assert result["stress"] == pytest.approx(expected, abs=1e-6 * scale)


@pytest.mark.parametrize("multipoles", [2], indirect=True)
def test_moments_have_the_energy_of_clusters_of_point_charges(multipoles):
    atoms = FRAMES["open"][2]
    names = ["charges", "atomic_dipoles", "atomic_quadrupoles"]
    result = multipoles.compute(atoms, names)[0]
    charges, dipoles, tensors = (result[name] for name in names)
    model = copy.copy(multipoles)
    model.charge_width_ = 0.0
    tensors = tensors[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
    clusters = []
    for place, charge, *moments in zip(
        atoms.positions, charges, dipoles, tensors, strict=True
    ):
        ends, values = cartesian(moments)
        positions = np.vstack([place, place + ends])
        clusters.append((positions, np.array([charge, *values])))
    expected = 0.0
    for i, (here, own) in enumerate(clusters):
        for there, others in clusters[:i]:
            distances = np.linalg.norm(here[:, None] - there, axis=2)
            expected += COULOMB_CONSTANT * own @ (1.0 / distances) @ others
    (part,) = model._energy_parts([atoms])
    assert part.energy == pytest.approx(expected, rel=1e-4)


def test_a_model_file_keeps_the_moments(multipoles, tmp_path):
    multipoles.save(tmp_path / "m.lodekit")
    again = load_model(tmp_path / "m.lodekit")
    frames = FRAMES["periodic"][:2]
    assert np.array_equal(energies(again, frames), energies(multipoles, frames))


def energies(model, frames):
    return np.array([r["energy"] for r in model.compute(frames, ["energy"])])


def test_forces_are_minus_the_derivatives_of_the_energy(case):
    model, atoms = case
    values = energies(model, moved_frames(atoms, STEP))
    expected = -differences(values, STEP).reshape(-1, 3)
    forces = model.compute(atoms, ["forces"])[0]["forces"]
    scale = np.abs(expected).max()
    assert forces == pytest.approx(expected, abs=1e-6 * scale)
    # at fixed charges they are visibly wrong
    result = model.compute(atoms, ["charges"])[0]
    fixed = CoulombInteraction(atoms.positions, atoms.cell[:], atoms.pbc, WIDTH)
    fixed = fixed.compute(result["charges"]).forces
    fixed += model.potential_.compute(atoms)[0]["forces"]
    assert np.abs(fixed - expected).max() > 0.01 * scale


@pytest.mark.parametrize("learn", [False, True], ids=["two-step", "joint"])
def test_stress_is_the_derivative_of_the_energy(learn):
    frames = FRAMES["periodic"]
    model = make(learn, targets=["charges", "energy", "forces", "stress"]).fit(frames)
    atoms = frames[5]
    gradients = differences(energies(model, strained_frames(atoms, STEP)), STEP)
    gradients = gradients.reshape(3, 3) / atoms.get_volume()
    expected = np.array([gradients[a, b] for a, b in VOIGT])
    stress = model.compute(atoms, ["stress"])[0]["stress"]
    assert stress == pytest.approx(expected, abs=1e-6 * np.abs(expected).max())


def test_the_energy_is_that_of_its_charges_and_the_remainder(case):
    model, atoms = case
    result = model.compute(atoms)[0]
    matrix = CoulombInteraction(atoms.positions, atoms.cell[:], atoms.pbc, WIDTH)
    expected = matrix.energy(result["charges"])
    expected += model.potential_.compute(atoms)[0]["energy"]
    assert result["energy"] == pytest.approx(expected, abs=1e-9)
    assert result["charges"].sum() == pytest.approx(atoms.info["total_charge"], 1e-12)
    assert ("stress" in result) == bool(atoms.pbc.all())
    assert ("dipole" in result) == (not atoms.pbc.any())


@pytest.mark.parametrize("name", FRAMES)
def test_the_potential_is_fitted_to_what_the_charges_leave(name):
    frames = FRAMES[name]
    model = make(targets=["charges", "energy", "forces"]).fit(frames)
    rest = clone(model.potential).set_params(targets=["energy", "forces"]).fit(frames)
    added = []
    for old, part in zip(frames, model._energy_parts(frames), strict=True):
        results = dict(old.calc.results)
        results["energy"] = results["energy"] + part.energy
        results["forces"] = results["forces"] + part.forces
        added.append(old.copy())
        added[-1].calc = SinglePointCalculator(added[-1], **results)
    other = make(targets=["charges", "energy", "forces"]).fit(added)
    (expected,), (result,) = (
        one.compute(frames[3]) for one in (rest, other.potential_)
    )
    assert result["energy"] == pytest.approx(expected["energy"], abs=1e-6)
    assert result["forces"] == pytest.approx(expected["forces"], abs=1e-6)


def test_the_remainder_is_what_is_left_of_targets_anywhere():
    frames = [atoms.copy() for atoms in FRAMES["open"]]
    for atoms, known in zip(frames, FRAMES["open"], strict=True):
        for name in ("charges", "forces"):
            atoms.arrays[f"REF_{name}"] = known.calc.results[name]
        atoms.info["REF_energy"] = known.calc.results["energy"]
    forces = [
        make(targets=["charges", "energy", "forces"])
        .fit(own)
        .compute(frames[3], ["forces"])[0]["forces"]
        for own in (FRAMES["open"], frames)
    ]
    assert forces[1] == pytest.approx(forces[0], abs=1e-9)


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
        model.weights_ = start + step * direction
        return getattr(ChargeExpansion(model, frames), target)()

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
    expected = model.std_scale_ * np.sqrt(np.mean(np.square(changes), axis=0))
    results = model.compute(frames[:3], ["energy_std"])
    found = [result["energy_std"] for result in results]
    assert found == pytest.approx(expected, rel=1e-6)


def test_settings_of_the_potential_alone_are_refused():
    model = make(learn=True, targets=["charges", "energy"])
    model.potential.set_params(energy_noise=1e-3)
    with pytest.raises(ValueError, match="energy_noise of the potential has no use"):
        model.fit(FRAMES["open"])


def test_a_potential_means_that_energies_are_fitted():
    model = make().fit(FRAMES["open"])
    assert model.potential_.summary_["n_rows"] == {"energy": 12, "forces": 144}


def test_stress_of_open_structures_is_refused():
    model = make().fit(FRAMES["open"])
    with pytest.raises(ValueError, match="stress is defined for fully periodic"):
        model.compute(FRAMES["open"][0], ["stress"])


def test_a_model_file_gives_the_same_energies(case, tmp_path):
    model, atoms = case
    model.save(tmp_path / "model.lodekit")
    again = load_model(tmp_path / "model.lodekit").compute(atoms)[0]
    for name, value in model.compute(atoms)[0].items():
        assert np.array_equal(again[name], value)
