"""Energies of Gaussian charges that move with their surroundings."""

import copy

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from charge_energies import FRAMES, WIDTH, energies, make
from labelled_structures import differences, moved_frames, strained_frames
from sklearn.base import clone

from lodekit import load_model
from lodekit.electrostatics import CoulombInteraction
from lodekit.units import COULOMB_CONSTANT

STEP = 2e-4  # Å, and as strain
VOIGT = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]


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
