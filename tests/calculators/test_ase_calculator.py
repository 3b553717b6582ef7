import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import (
    calculate_numerical_forces,
    calculate_numerical_stress,
)
from ase.md.verlet import VelocityVerlet
from stub_model import StubModel, make_frames, make_waters

from lodekit import model_file
from lodekit.calculators import LodekitCalculator
from lodekit.errors import ExtrapolationError
from lodekit.models import SparsePotential


@pytest.fixture
def model():
    return StubModel().fit(make_frames())


@pytest.fixture
def water():
    atoms = make_frames(2, periodic=True, seed=4)[1]
    atoms.calc = None
    return atoms


def test_calculator_returns_what_the_model_computes(model, water):
    water.calc = LodekitCalculator(model)
    (expected,) = model.compute([water])
    assert water.get_potential_energy() == expected["energy"]
    assert water.get_potential_energy(force_consistent=True) == expected["energy"]
    np.testing.assert_array_equal(water.get_potential_energies(), expected["energies"])
    np.testing.assert_array_equal(water.get_forces(), expected["forces"])
    np.testing.assert_array_equal(water.get_stress(), expected["stress"])


def test_calculator_reads_a_model_file(model, water, tmp_path, monkeypatch):
    monkeypatch.setitem(model_file.MODEL_CLASSES, "StubModel", "stub_model")
    path = tmp_path / "m.lodekit"
    model_file.save_model(model, path)
    for given in (path, str(path)):
        water.calc = LodekitCalculator(given)
        assert water.get_potential_energy() == model.predict([water])[0]


def test_forces_are_minus_the_energy_gradient(model, water):
    water.calc = LodekitCalculator(model)
    numerical = calculate_numerical_forces(water, eps=1e-4)
    np.testing.assert_allclose(water.get_forces(), numerical, atol=1e-6)  # eV/Å


def test_stress_is_the_strain_gradient_over_the_volume(model, water):
    water.calc = LodekitCalculator(model)
    numerical = calculate_numerical_stress(water, eps=1e-5)
    np.testing.assert_allclose(water.get_stress(), numerical, atol=1e-8)  # eV/Å^3


class CountingModel(StubModel):
    """Remembers which properties were asked for."""

    def compute(self, frames, properties=None):
        self.asked = [*getattr(self, "asked", []), set(properties)]
        return super().compute(frames, properties)


def test_the_smallest_change_is_a_change(model, water):
    # ASE compares positions to 1e-15, what is asked of the calculator's results exactly
    water.calc = LodekitCalculator(model)
    water.positions[0] = [1e-17, 0.0, 0.0]
    water.get_potential_energy()
    water.positions[0, 0] = 2e-17
    assert water.get_forces().shape == (len(water), 3)


def test_nothing_is_computed_twice(water):
    model = CountingModel().fit(make_frames())
    water.calc = LodekitCalculator(model)
    water.get_forces()
    water.get_potential_energy()
    water.get_forces()
    assert len(model.asked) == 1
    water.positions[0, 0] += 0.01
    water.get_potential_energy()
    assert len(model.asked) == 2


def test_only_what_is_wanted_is_computed(water):
    model = CountingModel().fit(make_frames())
    water.calc = LodekitCalculator(model)
    water.get_potential_energy()
    water.get_stress()
    assert model.asked == [
        {"energy", "energies"},
        {"energy", "energies", "forces", "stress"},
    ]


def test_standard_deviations_come_when_asked_for(model, water):
    water.calc = LodekitCalculator(model, std=True)
    water.get_forces()
    assert water.calc.results["energy_std"] > 0
    assert water.calc.results["forces_std"].shape == (len(water), 3)
    water.calc = LodekitCalculator(model)
    water.get_forces()
    assert "energy_std" not in water.calc.results


def test_standard_deviations_can_be_named(water):
    model = CountingModel().fit(make_frames())
    for std in ("energy", ["energy"]):
        water.calc = LodekitCalculator(model, std=std)
        water.get_forces()
        assert water.calc.results["energy_std"] > 0
        assert model.asked[-1] == {"energies", "energy", "energy_std", "forces"}
    message = (
        r"this CountingModel has no standard deviation of 'stress'; it has those o"
    )
    with pytest.raises(ValueError, match=message):
        LodekitCalculator(model, std=["energy", "stress"])


def test_every_property_of_the_model_can_be_asked_for(water):
    model = CountingModel().fit(make_frames())
    calculator = water.calc = LodekitCalculator(model)
    expected = model.compute([water], ["energy_std", "forces_std"])[0]
    assert calculator.get_property("energy_std", water) == expected["energy_std"]
    found = calculator.get_property("forces_std", water)
    np.testing.assert_array_equal(found, expected["forces_std"])
    found[0] = 7.0  # a copy
    np.testing.assert_array_equal(
        calculator.get_property("forces_std"), expected["forces_std"]
    )
    assert "forces" not in calculator.results
    n_calls = len(model.asked)
    assert calculator.get_property("energy_std", water, allow_calculation=False) > 0
    assert len(model.asked) == n_calls
    water.positions[0, 0] += 0.1
    assert calculator.get_property("forces_std", water, False) is None
    with pytest.raises(PropertyNotImplementedError, match="has no charges_std; it has"):
        calculator.get_property("charges_std", water)


def test_foreign_species_is_named(model):
    xenon = Atoms("OHXe", [[0, 0, 0], [1, 0, 0], [0, 2, 0]])
    xenon.calc = LodekitCalculator(model)
    with pytest.raises(ValueError, match="has Xe, which the model has not seen; it kn"):
        xenon.get_potential_energy()


def test_a_structure_without_atoms_is_named(model):
    nothing = Atoms(calculator=LodekitCalculator(model))
    with pytest.raises(ValueError, match="the structure has no atoms"):
        nothing.get_potential_energy()


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_stress_without_a_cell_is_refused(model, water, pbc):
    water.pbc = pbc
    water.calc = LodekitCalculator(model)
    water.get_forces()
    with pytest.raises(PropertyNotImplementedError, match="periodic in three directi"):
        water.get_stress()


def test_properties_that_no_potential_has_are_refused(model, water):
    water.calc = LodekitCalculator(model)
    with pytest.raises(PropertyNotImplementedError, match="dipole"):
        water.get_dipole_moment()


def test_dynamics_conserve_the_energy(model, water):
    water.set_masses([10.0] * len(water))
    water.calc = LodekitCalculator(model)
    water.set_velocities(np.random.default_rng(0).normal(scale=0.005, size=(4, 3)))
    before = water.get_total_energy()
    VelocityVerlet(water, 0.5 * units.fs).run(100)
    assert water.get_total_energy() == pytest.approx(before, abs=1e-3)  # eV


@pytest.fixture(scope="module")
def fitted():
    frames = make_waters()
    return SparsePotential(n_sparse=5, targets=["energy"]).fit(frames)


def test_structures_far_from_the_training_data_are_told_of(fitted):
    (atoms,), calculator = make_waters(1, [1.5]), LodekitCalculator(fitted)
    atoms.calc = calculator
    with pytest.warns(UserWarning, match="far from the training data: atom"):
        atoms.get_potential_energy()
    assert calculator.results["extrapolation"].max() > 1.0
    # no more of it while it does not grow: filterwarnings makes warnings errors
    atoms.rattle(1e-3, seed=1)
    atoms.get_potential_energy()


def test_molecular_dynamics_ends_where_the_training_data_do(fitted):
    (atoms,) = make_waters(1, [1.5])
    atoms.calc = LodekitCalculator(fitted, on_extrapolation="raise")
    with pytest.raises(ExtrapolationError, match="atom"):
        VelocityVerlet(atoms, 1.0).run(1)
    atoms.calc = LodekitCalculator(fitted, on_extrapolation="ignore")
    atoms.get_potential_energy()
    assert "extrapolation" not in atoms.calc.results
    assert atoms.calc.get_property("extrapolation", atoms).max() > 1.0


def test_reactions_to_extrapolation_are_checked(fitted):
    with pytest.raises(ValueError, match="warn, raise, ignore, got 'stop'"):
        LodekitCalculator(fitted, on_extrapolation="stop")
