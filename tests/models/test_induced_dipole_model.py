"""Models of atoms that polarize each other, on clusters that do so."""

from dataclasses import replace

import numpy as np
import polar_crystals as crystals
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from finite_differences import central_differences, displaced

from lodekit import load_model
from lodekit.analysis.audit import audit_model
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.electrostatics import InducedDipoles
from lodekit.electrostatics.induced_dipoles import default_widths
from lodekit.models import InducedDipoleModel, SparsePotential
from lodekit.models.induced_dipole_fit import InducedProblem
from lodekit.observables.polarization import PolarizationTargets
from lodekit.physics.induced_dipole_born import InducedResponse, born_charges
from lodekit.physics.induced_dipole_latents import InducedBatch

CHARGES, ALPHAS = {3: 0.5, 9: -0.5}, {3: 0.7, 9: 1.1}
STATES = {3: 1.0, 9: -1.0}
FIELD = np.array([0.2, -0.1, 0.3])
BORN = "born_effective_charges"


def reference(atoms):
    """Induced dipoles of constant charges and polarizabilities."""
    own = STATES if atoms.pbc.any() else CHARGES
    charges = np.array([own[z] for z in atoms.numbers])
    alphas = np.array([ALPHAS[z] for z in atoms.numbers])
    widths = default_widths(np.e * np.full(len(atoms), 0.9))
    system = InducedDipoles(atoms.positions, atoms.cell[:], atoms.pbc, alphas, widths)
    return system, system.solve(charges)


def label(atoms, generator=None, has_born_charges=True):
    """A structure whose responses are those of induced dipoles."""
    labelled = atoms.copy()
    system, found = reference(atoms)
    energy, forces = crystals.energy_and_forces(atoms)
    results = {"energy": energy + found.energy, "forces": forces + found.forces}
    if atoms.pbc.any():
        quanta = generator.integers(-2, 3, 3) @ atoms.cell[:]
        labelled.info["polarization"] = found.moment + quanta

        def moment(positions):
            return reference(displaced(atoms, positions))[1].moment

        if has_born_charges:
            charges = central_differences(moment, atoms.positions)
            labelled.arrays["becs"] = charges.swapaxes(1, 2).reshape(-1, 9)
    else:
        results["dipole"] = found.moment
    labelled.info["polarizability"] = system.susceptibility().ravel()
    labelled.calc = SinglePointCalculator(labelled, **results)
    return labelled


def small(**arguments):
    own = SphericalExpansion(
        cutoff={"radius": 3.0, "smoothing": {"type": "ShiftedCosine", "width": 0.8}},
        density={"type": "Gaussian", "width": 0.4},
        basis={
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 2},
        },
    )
    arguments = {
        "n_sparse": 4,
        "n_channels": 20,
        "potential": SparsePotential(PowerSpectrum(own), n_sparse=15),
        **arguments,
    }
    return InducedDipoleModel(EquivariantPowerSpectrum(own), **arguments)


@pytest.fixture(scope="module")
def frames():
    generator = np.random.default_rng(1)
    return [label(crystals.draw(generator, pbc=False)) for _ in range(14)]


@pytest.fixture(scope="module")
def model(frames):
    return small().fit(frames[:10])


@pytest.fixture(scope="module")
def crystal():
    return crystals.draw(np.random.default_rng(4))


@pytest.fixture(scope="module")
def periodic():
    """Crystals with polarization on scrambled branches, and a model of them."""
    generator = np.random.default_rng(6)
    frames = [label(crystals.draw(generator), generator, n < 3) for n in range(6)]
    return frames, small().fit(frames[1:])


def test_dipoles_and_polarizabilities_are_learned(model, frames):
    names = ["dipole", "polarizability"]
    for atoms, own in zip(frames[10:], model.compute(frames[10:], names), strict=True):
        expected = atoms.info["polarizability"].reshape(3, 3)
        error = np.abs(own["polarizability"] - expected).max()
        assert error < 0.02 * np.abs(expected).max()
        expected = atoms.get_dipole_moment()
        np.testing.assert_allclose(own["dipole"], expected, atol=0.02)
    assert model.score(frames[10:]) > 0.999


@pytest.mark.parametrize(
    ("name", "thole"),
    [
        ("dipole", None),
        ("polarization", None),
        ("polarizability", None),
        (BORN, None),
        (BORN, 0.5),
    ],
)
def test_rows_are_derivatives_by_all_weights(model, frames, periodic, name, thole):
    if name == "polarization":
        frames, model = periodic
    latents, atoms = replace(model.latents_, thole=thole), frames[0].copy()
    atoms.info[name] = np.zeros({"polarizability": 9}.get(name, 3))
    if name == BORN:
        atoms.arrays[name] = np.zeros((len(atoms), 9))
    targets = PolarizationTargets.collect([atoms], [name])
    problem = InducedProblem([atoms], [name], targets, latents, False)
    generator = np.random.default_rng(3)
    weights = model.solution_.weights + 0.1 * generator.normal(size=latents.rank)

    def value(weights):
        batch = InducedBatch(latents, weights, [atoms])
        if name == BORN:
            return born_charges(batch, [InducedResponse(batch, 0)]).ravel()
        if name != "polarizability":
            return batch.solve(0).moment
        total = batch.system(0).susceptibility()
        return total[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    ((_, rows, _),) = problem.rows(weights, np.arange(1))
    numerical = central_differences(value, weights, step=1e-3).T
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(rows.matrix, numerical, atol=1e-7 * scale)
    residual = problem.targets[0][name] - value(weights)
    np.testing.assert_allclose(rows.values - rows.matrix @ weights, residual, atol=1e-9)


def test_forces_in_a_field_are_derivatives(model, frames, periodic, crystal):
    for own, atoms in ((model, frames[11]), (periodic[1], crystal)):

        def energy(positions, own=own, atoms=atoms):
            moved = displaced(atoms, np.concatenate([positions, atoms.positions[2:]]))
            return own.compute(moved, ["energy"], field=FIELD)[0]["energy"]

        (found,) = own.compute(atoms, ["forces"], field=FIELD)
        numerical = -central_differences(energy, atoms.positions[:2], step=1e-3)
        np.testing.assert_allclose(found["forces"][:2], numerical, rtol=1e-6, atol=1e-6)


def test_stress_is_a_derivative(periodic, crystal):
    def energy(voigt):
        xx, yy, zz, yz, xz, xy = voigt
        strain = [[xx, xy / 2, xz / 2], [xy / 2, yy, yz / 2], [xz / 2, yz / 2, zz]]
        deformation = np.eye(3) + strain
        moved = crystal.copy()
        moved.set_cell(crystal.cell[:] @ deformation, scale_atoms=True)
        field = np.linalg.solve(deformation, FIELD)  # voltages stay
        return periodic[1].compute(moved, ["energy"], field=field)[0]["energy"]

    (found,) = periodic[1].compute(crystal, ["stress"], field=FIELD)
    numerical = central_differences(energy, np.zeros(6), step=3e-4)
    numerical /= crystal.get_volume()
    np.testing.assert_allclose(found["stress"], numerical, rtol=1e-6, atol=1e-6)


def test_born_charges_are_derivatives_of_the_moment(model, frames, periodic, crystal):
    cases = (model, frames[12], "dipole"), (periodic[1], crystal, "polarization")
    for own, atoms, name in cases:
        (found,) = own.compute(atoms, [BORN], field=FIELD)
        np.testing.assert_allclose(found[BORN].sum(axis=0), 0.0, atol=1e-7)

        def moment(positions, own=own, atoms=atoms, name=name):
            moved = displaced(atoms, np.concatenate([positions, atoms.positions[1:]]))
            return own.compute(moved, [name], field=FIELD)[0][name]

        numerical = central_differences(moment, atoms.positions[:1])[0]
        np.testing.assert_allclose(found[BORN][0].T, numerical, atol=1e-6)


def test_polarizations_of_crystals_are_learned_on_any_branch(periodic):
    frames, model = periodic
    np.testing.assert_array_equal(model.latents_.whole_charges, [1.0, -1.0])
    for atoms, found in zip(frames[1:], model.compute(frames[1:]), strict=True):
        moment = reference(atoms)[1].moment
        np.testing.assert_allclose(found["polarization"], moment, atol=1e-2)
    charges = model.compute(frames[0], [BORN])[0][BORN]
    expected = frames[0].arrays["becs"].reshape(-1, 3, 3)
    np.testing.assert_allclose(charges, expected, atol=0.05)


@pytest.mark.parametrize("pbc", [False, True])
def test_an_audit_finds_all_laws(model, frames, periodic, crystal, pbc):
    checks = ["field", "polarizability", "field-forces", "hysteresis"]
    checks += ["born-sum", "born-derivative", "born-loop"]
    if pbc:
        results = audit_model(periodic[1], crystal, [*checks, "transported-charge"])
        assert results[-1].note == "Li 1 e, F -1 e"
    else:
        results = audit_model(model, frames[11], checks)
    assert [result.name for result in results if result.status != "pass"] == []


def test_the_dipole_is_minus_the_derivative_by_the_field(model, frames):
    (found,) = model.compute(frames[13], ["dipole"], field=FIELD)

    def energy(field):
        return model.compute(frames[13], ["energy"], field=field)[0]["energy"]

    numerical = -central_differences(energy, FIELD, step=1e-2)
    np.testing.assert_allclose(found["dipole"], numerical, rtol=1e-8, atol=1e-8)


def test_saved_models_are_the_same(model, frames, periodic, tmp_path):
    for saved, atoms in ((model, frames[10:]), (periodic[1], periodic[0][:1])):
        path = tmp_path / f"{len(atoms)}.lodekit"
        saved.save(path)
        before, after = saved.compute(atoms), load_model(path).compute(atoms)
        for old, own in zip(before, after, strict=True):
            assert {*old} == {*own}
            for name, value in old.items():
                np.testing.assert_array_equal(own[name], value)


def test_wrong_input_is_refused(model, frames, crystal):
    with pytest.raises(ValueError, match="targets must be among"):
        small(targets=["charges"]).fit(frames)
    with pytest.raises(ValueError, match="sum to"):
        small(oxidation_states={"Li": 1, "F": -2}).fit(frames)
    with pytest.raises(ValueError, match="quantum must be"):
        small(quantum=0.0).fit(frames)
    with pytest.raises(ValueError, match="thole must be"):
        small(thole=-0.4).fit(frames)
    for asked in ({"properties": [BORN]}, {"field": FIELD}):
        with pytest.raises(ValueError, match="fit with oxidation_states"):
            model.compute(crystal, **asked)
    with pytest.raises(ValueError, match="three finite numbers"):
        model.compute(frames[:1], field=[1.0])
    with pytest.raises(ValueError, match="dipole is not defined for frame 1"):
        model.compute(crystal, ["dipole"])
    with pytest.raises(ValueError, match="properties must be among"):
        model.compute(crystal, ["hardnesses"])
