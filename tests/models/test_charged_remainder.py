"""Remainders of energies that see equilibrated charges."""

import copy

import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from crystals import cluster, triclinic
from finite_differences import central_differences, displaced, strained
from labelled_structures import soap
from test_charge_equilibration import electronegativities, labelled, model_of, molecules

from lodekit.model_file import load_model
from lodekit.models import SparsePotential
from lodekit.observables.energy import EnergyTargets
from lodekit.physics.energies import add_energies
from lodekit.physics.equilibration import Equilibration
from lodekit.structures.stress import symmetric_part

FIELD = (0.2, -0.3, 0.1)
STEP = 1e-3
VOIGT = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])


def with_energies(atoms):
    """Give labelled structures their energy and 5 eV/e^2 q^2 of their oxygens."""
    elements = np.array([[13.9, 13.4], [0.4, 0.6]])
    known = Equilibration(None, np.array([1, 8]), 1.0, *elements, accuracy=1e-10)
    charges = atoms.arrays["REF_charges"]
    system = known.system(atoms, known.element_hardness(atoms.numbers))
    energy = system.energy(charges, electronegativities(atoms))
    own = charges[atoms.numbers == 8]
    atoms.calc = SinglePointCalculator(atoms, energy=energy + 5.0 * float(own @ own))
    return atoms


def case(kind):
    """A cluster or crystal in a field or with bonds, as (atoms, field)."""
    atoms = triclinic(6, (1, 8), volume_per_atom=8.0, seed=5)
    atoms.pbc = kind == "periodic"
    atoms.info["total_charge"] = 0.0 if kind == "periodic" else 1.0
    return atoms, FIELD if kind == "field" else None


def fit(frames, powers, **arguments):
    targets = ["charges", "energy"]
    rest = SparsePotential(soap(), n_sparse=40, validation_fraction=0.0)
    rest.set_params(energy_noise=1e-3)
    model = model_of(
        targets=targets,
        noises={"charges": 1e-3},
        n_sparse=100,
        potential=rest,
        charge_powers=powers,
        learn_from_energies=False,
        accuracy=1e-10,
        **arguments,
    )
    return model.fit(frames)


@pytest.fixture(scope="module")
def frames():
    return [with_energies(atoms) for atoms in molecules(60)]


@pytest.fixture(scope="module", params=[None, 5.0], ids=["free", "bonds"])
def fitted(frames, request):
    return fit(frames[:30], 2, bond_hardness=request.param)


@pytest.mark.parametrize("kind", ["open", "periodic"])
def test_changes_of_charges_are_derivatives(fitted, kind):
    atoms, _ = case(kind)
    slopes = np.random.default_rng(0).normal(size=len(atoms))

    def weighted(moved):
        return slopes @ fitted.solve([moved]).charges

    together = fitted.solve([atoms])
    positions, strain = together.charge_gradients(slopes)
    expected = central_differences(
        lambda r: weighted(displaced(atoms, r)), atoms.positions, STEP
    )
    np.testing.assert_allclose(positions, expected, atol=1e-6)
    rows = [slopes @ together.charge_changes(0, strain=own) for own in (False, True)]
    np.testing.assert_allclose(rows[0], positions.ravel(), atol=1e-12)
    np.testing.assert_allclose(rows[1], symmetric_part(strain[0]), atol=1e-12)
    if kind == "periodic":
        expected = central_differences(
            lambda e: weighted(strained(atoms, e)), np.zeros((3, 3)), STEP
        )
        np.testing.assert_allclose(
            strain[0] + strain[0].T, expected + expected.T, atol=1e-6
        )


@pytest.mark.parametrize("kind", ["open", "field", "periodic"])
def test_forces_and_stress_are_derivatives(fitted, kind):
    atoms, field = case(kind)

    def energy(moved):
        return fitted.compute(moved, ["energy"], field)[0]["energy"]

    names = ["energy", "forces"] + ["stress"] * (kind == "periodic")
    (result,) = fitted.compute(atoms, names, field)
    expected = -central_differences(
        lambda r: energy(displaced(atoms, r)), atoms.positions, STEP
    )
    tolerance = 1e-6 * np.abs(expected).max()
    np.testing.assert_allclose(result["forces"], expected, atol=tolerance)
    (alone,) = fitted.compute(atoms, ["electrostatic_forces"], field)
    assert np.abs(result["forces"] - alone["electrostatic_forces"]).max() > 0.01
    if kind == "periodic":
        slopes = central_differences(
            lambda e: energy(strained(atoms, e)), np.zeros((3, 3)), STEP
        )
        expected = ((slopes + slopes.T) / 2.0 / atoms.get_volume())[VOIGT]
        tolerance = 1e-6 * np.abs(expected).max()
        np.testing.assert_allclose(result["stress"], expected, atol=tolerance)


@pytest.mark.parametrize("name", ["forces", "stress"])
def test_rows_are_derivatives_of_the_energies_of_weights(fitted, name):
    atoms, _ = case("periodic" if name == "stress" else "open")
    rest = copy.copy(fitted.potential_)
    rng = np.random.default_rng(1)
    rest.weights_ = rng.normal(size=rest.weights_.size)
    rest.baseline_ = np.zeros(2)
    rest._equilibrate = fitted.solve
    solved, result = rest.solve(fitted.solve([atoms])), {}
    add_energies([result], [solved], {"energy", name})
    shape = {"forces": (6, 3), "stress": (6,)}[name]
    targets = EnergyTargets({"energy": [0.0], name: [np.zeros(shape)]})
    rows = rest._rows([atoms], targets)
    energies = rows["energy"].matrix @ rest.weights_ * len(atoms)
    assert energies[0] == pytest.approx(result["energy"], rel=1e-12)
    expected = rows[name].matrix @ rest.weights_
    np.testing.assert_allclose(expected, result[name].ravel(), rtol=1e-9, atol=1e-9)
    assert solved.energy_of(0, solved.charged.charges) == pytest.approx(
        result["energy"], rel=1e-12
    )


def test_energies_of_charge_states_are_told_apart(frames):
    kept = [with_energies(atoms) for atoms in molecules(30, seed=200)]
    expected = np.array([atoms.get_potential_energy() for atoms in kept])
    errors = []
    for powers in (0, 1, 2):
        model = fit(frames, powers)
        found = [result["energy"] for result in model.compute(kept, ["energy"])]
        errors.append(np.sqrt(np.mean((np.array(found) - expected) ** 2)))
    # charges leave open what electronegativities all have in common
    assert errors[0] > 1.0
    assert errors[2] < errors[1] < 0.1


def test_the_order_of_atoms_does_not_matter(fitted):
    atoms = labelled(cluster(5, seed=7), 1.0)
    order = [3, 1, 0, 4, 2]
    first, second = fitted.compute([atoms, atoms[order]], ["energy", "forces"])
    assert first["energy"] == pytest.approx(second["energy"], rel=1e-10)
    np.testing.assert_allclose(first["forces"][order], second["forces"], atol=1e-10)


def test_energies_of_other_charges(fitted):
    atoms = labelled(cluster(5, seed=7), 1.0)
    (result,) = fitted.compute(atoms, ["charges", "energy"])
    (own,) = fitted.energies_of_charges(atoms, [result["charges"]])
    assert own == pytest.approx(result["energy"], abs=1e-9)


def test_a_model_file_keeps_the_remainder(fitted, tmp_path):
    fitted.save(tmp_path / "model.lodekit")
    back = load_model(tmp_path / "model.lodekit")
    atoms, field = case("field")
    for name in ("energy", "forces"):
        (mine,), (yours,) = (
            one.compute(atoms, [name], field) for one in (fitted, back)
        )
        np.testing.assert_array_equal(mine[name], yours[name])
    assert back.charge_powers == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"charge_powers": -1}, "charge_powers must be a whole number of at least 0"),
        ({"charge_powers": 1.5}, "charge_powers must be a whole number of at least 0"),
        ({"charge_powers": 1, "targets": ["charges"]}, "name energy or forces among"),
        (
            {"charge_powers": 1, "learn_from_energies": True},
            "learn_from_energies=False",
        ),
    ],
)
def test_bad_powers(frames, arguments, message):
    given = {"targets": ["charges", "energy"], "learn_from_energies": False}
    with pytest.raises(ValueError, match=message):
        model_of(**{**given, **arguments}).fit(frames)
