"""Models of charges as ASE calculators."""

from functools import partial

import numpy as np
import pytest
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import open_frames, periodic_frames, soap
from stub_model import StubModel, make_frames

from lodekit.calculators import LodekitCalculator
from lodekit.models import ChargeEquilibrationModel, ChargeModel, SparsePotential
from lodekit.regression import PolynomialCovariance

MODELS = {
    "charges": ChargeModel,
    "multipoles": partial(ChargeModel, max_multipole=2, learn_from_energies=False),
    "kqeq": ChargeEquilibrationModel,
}
FIELD = (0.05, -0.1, 0.2)  # V/Å
BORN = "born_effective_charges"


def labelled(frames):
    """Give frames a total charge, charges by their distances, and moments if open."""
    for index, atoms in enumerate(frames):
        total = float(index % 2)
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        charges = np.exp(-distances).sum(axis=1) * np.where(atoms.numbers == 1, 1, -1)
        charges += (total - charges.sum()) / len(atoms)
        atoms.info["total_charge"] = total
        results = {**atoms.calc.results, "charges": charges}
        if not atoms.pbc.any():
            results["dipole"] = charges @ atoms.positions
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


def fitted(name, targets):
    rest = SparsePotential(soap(), PolynomialCovariance(2), 5)
    has_energies = "energy" in targets
    frames = open_frames(8) + ([] if "dipole" in targets else periodic_frames(4))
    frames = labelled(frames)
    return MODELS[name](
        soap(),
        PolynomialCovariance(2),
        5,
        targets=targets,
        noises={targets[0]: 1e-2},
        potential=rest if has_energies else None,
        validation_fraction=0.0,
    ).fit(frames)


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    """A model with energies, forces and stress."""
    return fitted(request.param, ["charges", "energy", "forces"])


@pytest.fixture(scope="module", params=["charges", "kqeq"])
def without_energies(request):
    return fitted(request.param, ["charges"])


@pytest.fixture
def molecule():
    (atoms,) = open_frames(1, seed=50)
    atoms.calc = None
    atoms.info["total_charge"] = 1.0
    return atoms


@pytest.fixture
def crystal():
    (atoms,) = periodic_frames(1, seed=50)
    atoms.calc = None
    atoms.info["total_charge"] = 0.0
    return atoms


def test_calculator_returns_what_the_model_computes(model, molecule):
    molecule.calc = LodekitCalculator(model, std=True)
    (expected,) = model.compute(molecule.copy())
    assert molecule.get_potential_energy() == expected["energy"]
    assert molecule.get_potential_energy(force_consistent=True) == expected["energy"]
    np.testing.assert_array_equal(molecule.get_forces(), expected["forces"])
    np.testing.assert_array_equal(molecule.get_charges(), expected["charges"])
    np.testing.assert_array_equal(molecule.get_dipole_moment(), expected["dipole"])
    assert molecule.get_charges().sum() == pytest.approx(1.0, abs=1e-12)
    assert molecule.calc.results["charges_std"].shape == (len(molecule),)
    assert molecule.calc.results["dipole_std"].shape == (3,)


def test_periodic_structures_have_stress_and_no_dipole(model, crystal):
    crystal.calc = LodekitCalculator(model)
    (expected,) = model.compute(crystal.copy())
    np.testing.assert_array_equal(crystal.get_stress(), expected["stress"])
    np.testing.assert_array_equal(crystal.get_charges(), expected["charges"])
    with pytest.raises(PropertyNotImplementedError, match="without periodic directi"):
        crystal.get_dipole_moment()


def test_forces_and_stress_are_gradients(model, crystal):
    crystal.calc = LodekitCalculator(model)
    forces = calculate_numerical_forces(crystal, eps=1e-4, iatoms=[1])
    np.testing.assert_allclose(crystal.get_forces()[[1]], forces, atol=1e-5)  # eV/Å
    stress = calculate_numerical_stress(crystal, eps=1e-4)
    np.testing.assert_allclose(crystal.get_stress(), stress, atol=1e-5)  # eV/Å^3


def test_the_total_charge_of_a_structure_counts(model, molecule):
    molecule.calc = LodekitCalculator(model)
    cation = molecule.get_potential_energy(), molecule.get_charges()
    molecule.info["total_charge"] = 0.0
    assert molecule.get_charges().sum() == pytest.approx(0.0, abs=1e-12)
    assert molecule.get_potential_energy() != cation[0]
    molecule.info["total_charge"] = 1.0
    assert molecule.get_potential_energy() == cation[0]
    del molecule.info["total_charge"]
    with pytest.raises(ValueError, match="has no total_charge"):
        molecule.get_potential_energy()


def test_atomic_moments_can_be_asked_for(molecule):
    model = fitted("multipoles", ["dipole"])
    molecule.calc = LodekitCalculator(model)
    names = ["atomic_dipoles", "atomic_quadrupoles"]
    (expected,) = model.compute(molecule.copy(), names)
    assert expected["atomic_quadrupoles"].shape == (len(molecule), 6)
    for name in names:
        found = molecule.calc.get_property(name, molecule)
        np.testing.assert_array_equal(found, expected[name])


@pytest.fixture(scope="module")
def responsive():
    return fitted("kqeq", ["charges", "energy", "forces"])


def test_forces_in_a_field_are_gradients(responsive, molecule):
    molecule.calc = LodekitCalculator(responsive, field=FIELD)
    forces = calculate_numerical_forces(molecule, eps=1e-4)
    np.testing.assert_allclose(molecule.get_forces(), forces, atol=1e-5)  # eV/Å
    # an ion is pulled by its charge times the field
    np.testing.assert_allclose(molecule.get_forces().sum(axis=0), FIELD, atol=1e-8)


def test_the_dipole_is_minus_the_slope_of_the_energy_in_the_field(responsive, molecule):
    calculator = molecule.calc = LodekitCalculator(responsive)
    energies = []
    for strength in (-1e-3, 1e-3):  # V/Å
        calculator.field = (0.0, strength, 0.0)
        energies.append(molecule.get_potential_energy())
    calculator.field = None
    slope = (energies[1] - energies[0]) / 2e-3
    assert molecule.get_dipole_moment()[1] == pytest.approx(-slope, rel=1e-6)


def test_fields_that_a_model_cannot_answer_are_refused(responsive, molecule, crystal):
    charges = fitted("charges", ["charges"])
    for model in (charges, StubModel().fit(make_frames())):
        with pytest.raises(ValueError, match="no response to a field; fit a ChargeEqu"):
            LodekitCalculator(model, field=FIELD)
        calculator = LodekitCalculator(model)
        with pytest.raises(ValueError, match="no response to a field; fit a ChargeEqu"):
            calculator.field = FIELD
    crystal.calc = LodekitCalculator(responsive, field=FIELD)
    with pytest.raises(ValueError, match="component along a periodic direction"):
        crystal.get_potential_energy()
    molecule.calc = LodekitCalculator(responsive, field=(0.0, 1.0))
    with pytest.raises(ValueError, match="field must be three finite numbers"):
        molecule.get_potential_energy()


def test_models_of_charges_alone_have_no_energy(without_energies, molecule):
    calculator = molecule.calc = LodekitCalculator(without_energies)
    assert calculator.implemented_properties == ["dipole", "charges", BORN]
    assert molecule.get_charges().sum() == pytest.approx(1.0, abs=1e-12)
    charges = molecule.get_charges()
    np.testing.assert_allclose(
        molecule.get_dipole_moment(), charges @ molecule.positions, atol=1e-10
    )
    with pytest.raises(PropertyNotImplementedError, match="has no energy; it has dipo"):
        molecule.get_potential_energy()
    with pytest.raises(PropertyNotImplementedError, match="has no forces; it has dipo"):
        molecule.get_forces()


def test_an_ion_with_initial_charges_does_not_become_neutral():
    frames = labelled(open_frames(4))
    for atoms in frames:
        del atoms.info["total_charge"]
        atoms.calc.results["charges"] -= atoms.calc.results["charges"].mean()
    model = ChargeModel(soap(), PolynomialCovariance(2), 5, targets=["charges"])
    ion = frames[0].copy()
    ion.set_initial_charges([1.0, 0.0, 0.0, 0.0])
    calculator = LodekitCalculator(model.fit(frames), on_extrapolation="ignore")
    ion.calc = calculator
    with pytest.raises(ValueError, match="the initial charges of its atoms sum to 1 e"):
        ion.get_charges()
    ion.info["total_charge"] = 1.0
    assert ion.get_charges().sum() == pytest.approx(1.0, abs=1e-12)
