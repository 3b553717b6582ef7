"""Hyperpolarizabilities of crystals in closed form: learned, and in fields."""

import numpy as np
import polar_crystals as crystals
import pytest
from finite_differences import central_differences, displaced
from test_polarization_model import expansion

from lodekit import load_model
from lodekit.descriptors import EquivariantPowerSpectrum, PowerSpectrum
from lodekit.models import PolarizationModel, SparsePotential, TensorModel
from lodekit.physics.field_energy import FieldEnergy

FIELD = np.array([0.5, -0.3, 0.8])
DISPLACEMENT = np.array([1.0, -2.0, 3.0])


def labelled(generator):
    atoms = crystals.draw(generator)
    full = crystals.label(atoms)
    full.info["hyperpolarizability"] = crystals.hyperpolarizability(atoms).ravel()
    return full


@pytest.fixture(scope="module")
def new():
    generator = np.random.default_rng(5)
    return [labelled(generator) for _ in range(4)]


@pytest.fixture(scope="module")
def model():
    generator = np.random.default_rng(1)
    frames = [labelled(generator) for _ in range(20)]
    for atoms in frames[6:]:
        del atoms.arrays["becs"]
    own = expansion()
    vectors = EquivariantPowerSpectrum(own)
    return PolarizationModel(
        vectors,
        n_sparse=20,
        n_channels=40,
        potential=SparsePotential(PowerSpectrum(own), n_sparse=20),
        polarizability=TensorModel(vectors, n_sparse=12, n_channels=40),
        hyperpolarizability=TensorModel(
            EquivariantPowerSpectrum(own), n_sparse=20, n_channels=40
        ),
    ).fit(frames)


def test_it_is_learned_and_is_symmetric(model, new):
    assert "hyperpolarizability" in model.properties
    results = model.compute(new, ["hyperpolarizability"])
    found = np.array([result["hyperpolarizability"] for result in results])
    np.testing.assert_allclose(found, found.transpose(0, 2, 1, 3), atol=1e-12)
    np.testing.assert_allclose(found, found.transpose(0, 3, 2, 1), atol=1e-12)
    expected = np.array([crystals.hyperpolarizability(atoms) for atoms in new])
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.1 * np.std(expected)


@pytest.mark.parametrize(
    "control", [{"field": FIELD}, {"displacement": DISPLACEMENT}], ids=lambda c: [*c][0]
)
def test_forces_and_stress_in_a_field_are_derivatives(model, new, control):
    atoms = new[1]
    (result,) = model.compute(atoms, **control)

    def energy(positions):
        moved = displaced(atoms, np.concatenate([positions, atoms.positions[1:]]))
        return model.compute(moved, ["energy"], **control)[0]["energy"]

    forces = -central_differences(energy, atoms.positions[:1], step=1e-3)
    np.testing.assert_allclose(result["forces"][:1], forces, rtol=1e-6, atol=1e-7)

    def strained_energy(stretch):
        deformation = np.eye(3) + np.diag([*stretch, 0.0])
        moved = atoms.copy()
        moved.set_cell(atoms.cell[:] @ deformation, scale_atoms=True)
        own = {
            "field": lambda vector: np.linalg.solve(deformation, vector),
            "displacement": lambda vector: (
                deformation @ vector / np.linalg.det(deformation)
            ),
        }
        moved_control = {name: own[name](vector) for name, vector in control.items()}
        return model.compute(moved, ["energy"], **moved_control)[0]["energy"]

    stress = central_differences(strained_energy, np.zeros(2), step=1e-3)
    np.testing.assert_allclose(
        result["stress"][:2], stress / atoms.get_volume(), rtol=1e-6, atol=1e-8
    )


def test_derivatives_by_the_field_follow_each_other(model, new):
    names = ["polarization", "polarizability", "hyperpolarizability"]
    (result,) = model.compute(new[2], names, field=FIELD)
    units = {"energy": 1.0, "polarization": 1.0, "polarizability": 14.399645}
    for name, derivative in zip(["energy", *names[:2]], names, strict=True):

        def value(field, name=name):
            return model.compute(new[2], [name], field=field)[0][name]

        numerical = central_differences(value, FIELD, step=1e-2)
        sign = -1.0 if name == "energy" else 1.0
        scale = sign * units[name] if derivative != "polarizability" else 1.0
        unit = 14.399645 if derivative == "polarizability" else 1.0
        numerical = unit * (numerical / scale)
        np.testing.assert_allclose(result[derivative], numerical, rtol=1e-6, atol=1e-7)


def test_born_charges_in_a_field_are_derivatives_of_the_polarization(model, new):
    (result,) = model.compute(new[3], ["born_effective_charges"], field=FIELD)

    def polarization(positions):
        moved = displaced(new[3], np.concatenate([positions, new[3].positions[1:]]))
        (own,) = model.compute(moved, ["polarization"], field=FIELD)
        return own["polarization"]

    numerical = central_differences(polarization, new[3].positions[:1])
    charges = result["born_effective_charges"][:1]
    np.testing.assert_allclose(charges.swapaxes(1, 2), numerical, atol=1e-7)


def test_everything_turns_with_the_structure(model, new):
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = new[0].copy()
    turned.set_cell(new[0].cell[:] @ turn, scale_atoms=True)
    names = ["energy", "polarization", "hyperpolarizability"]
    (before,) = model.compute(new[0], names, field=FIELD)
    (after,) = model.compute(turned, names, field=FIELD @ turn)
    assert after["energy"] == pytest.approx(before["energy"], abs=1e-10)
    cubic = np.einsum(
        "abc,ax,by,cz->xyz", before["hyperpolarizability"], turn, turn, turn
    )
    np.testing.assert_allclose(after["hyperpolarizability"], cubic, atol=1e-10)
    moment = before["polarization"] @ turn
    np.testing.assert_allclose(after["polarization"], moment, atol=1e-10)


def test_a_model_file_keeps_it(model, new, tmp_path):
    model.save(tmp_path / "model.lodekit")
    loaded = load_model(tmp_path / "model.lodekit")
    (before,), (after,) = (one.compute(new[:1], field=FIELD) for one in (model, loaded))
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value)


def test_a_displacement_without_a_field_is_refused():
    cubic = np.zeros((1, 3, 3, 3))
    cubic[0, 0, 0, 0] = -1.0  # M(E) has a largest value: no D beyond it
    energy = FieldEnergy(
        np.zeros((1, 3)),
        np.zeros((1, 3, 3)),
        cubic,
        np.array([14.399645 * 4.0 * np.pi]),
        displacement=np.array([10.0, 0.0, 0.0]),
    )
    with pytest.raises(ValueError, match="no field belongs to this displacement"):
        energy.fields  # noqa: B018
    energy = FieldEnergy(
        np.zeros((1, 3)),
        np.zeros((1, 3, 3)),
        cubic,
        np.array([14.399645 * 4.0 * np.pi]),
        displacement=np.array([0.25, 0.0, 0.0]),
    )
    # D = E - E^2 / 2
    expected = 1.0 - np.sqrt(0.5)
    np.testing.assert_allclose(energy.fields, [[expected, 0.0, 0.0]], atol=1e-12)
