"""Keys that look like targets: by their names and the shapes of their values."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.structures import find_lookalikes
from lodekit.structures.lookalikes import hidden_total_charge, spin_keys

ALL = ("energy", "forces", "stress", "charges", "dipole", "quadrupole")


def water(arrays=(), **info):
    structure = Atoms("OH2", positions=np.eye(3))
    structure.info = info
    for key, array in dict(arrays).items():
        structure.set_array(key, np.asarray(array))
    return structure


def found(structure, targets=ALL):
    return {(one.key, one.target) for one in find_lookalikes([structure], targets)}


@pytest.mark.parametrize(
    "key",
    [
        *(
            "my_energy",
            "dft_energy",
            "Energy",
            "E",
            "total_energy",
            "TotEnergy",
            "Etot",
        ),
        *(
            "energy_pbe",
            "E_tot",
            "potential_energy",
            "toten",
            "interaction_energy",
            "U0",
        ),
    ],
)
def test_numbers_with_the_names_of_energies_look_like_them(key):
    assert found(water(**{key: -1.5})) == {(key, "energy")}
    assert found(water(**{key: 3})) == {(key, "energy")}


@pytest.mark.parametrize(
    "key",
    [
        *(
            "energy_std",
            "energy_weight",
            "kinetic_energy",
            "fermi_energy",
            "energy_unit",
        ),
        *("temperature", "step", "e_field", "nuclear_repulsion_energy", "zero_point_e"),
    ],
)
def test_other_numbers_are_no_energies(key):
    assert not found(water(**{key: 1.5}))


@pytest.mark.parametrize("value", ["text", True, None, [1.0, 2.0], {"a": 1}, "1 2"])
def test_an_energy_is_one_number(value):
    assert not found(water(my_energy=value))


def test_the_free_energy_looks_like_an_energy():
    structure = water()
    structure.calc = SinglePointCalculator(structure, free_energy=-1.0)
    assert found(structure) == {("free_energy", "energy")}
    structure.calc = SinglePointCalculator(structure, energy=-1.0)
    assert not found(structure)


@pytest.mark.parametrize("key", ["Forces", "F", "gradient", "dft_forces", "f_xyz"])
def test_vectors_with_the_names_of_forces_look_like_them(key):
    (one,) = find_lookalikes([water({key: np.ones((3, 3))})], ["forces"])
    assert (one.key, one.target, one.n_frames, one.by_name) == (key, "forces", 1, True)
    assert not found(water({key: np.ones(3)}))
    assert found(water(**{key: np.ones(9)}), ["forces"]) == {(key, "forces")}


def test_a_vector_of_every_atom_looks_like_forces_whatever_it_is_called():
    (one,) = find_lookalikes([water({"my_column": np.ones((3, 3))})], ["forces"])
    assert (one.key, one.by_name) == ("my_column", False)
    for key in ("velocities", "momenta", "magmoms", "atomic_dipoles", "wannier"):
        assert not found(water({key: np.ones((3, 3))}))
    assert not found(water({"labels": np.array(["a", "b", "c"])}))


def test_stress_charges_and_moments_are_told_by_name_and_shape():
    assert found(water(dft_stress=np.ones(6))) == {("dft_stress", "stress")}
    assert found(water(Virial=np.eye(3))) == {("Virial", "stress")}
    assert not found(water(stress_tensor_unit="GPa"))
    columns = {"mulliken": np.ones(3), "hirshfeld_charges": np.ones(3), "q": np.ones(3)}
    assert found(water(columns)) == {(key, "charges") for key in columns}
    assert not found(water({"initial_charges": np.ones(3)}))
    assert found(water(dipole_moment=np.ones(3))) == {("dipole_moment", "dipole")}
    assert not found(water(dipole_moment=1.85))
    assert found(water(Quadrupole=np.ones(6))) == {("Quadrupole", "quadrupole")}


def test_frames_are_counted_and_names_of_the_file_are_given():
    frames = [water(my_energy=1.0), water(), water(my_energy=2.0, other_energy=3.0)]
    counts = {
        one.key: one.n_frames for one in find_lookalikes(frames, ["energy", "mep"])
    }
    assert counts == {"my_energy": 2, "energy": 1}


@pytest.mark.parametrize("key", ["Qtot", "net_charge", "Charge", "q", "charge_state"])
def test_a_total_charge_under_another_name_is_seen(key):
    hint = hidden_total_charge(water(**{key: 2}))
    assert hint.startswith(
        f"{key!r} = 2 looks like it: use it with --key total_charge="
    )
    assert hidden_total_charge(water(**{key: 0})) is None
    assert hidden_total_charge(water(**{key: 2}, total_charge=1)) is None
    assert hidden_total_charge(water(**{key: "cation"})) is None
    assert hidden_total_charge(water(max_charge=1.0, charge_weight=2.0)) is None


def test_initial_charges_of_ions_are_a_total_charge():
    hint = hidden_total_charge(water({"initial_charges": [1.0, 0.0, 0.0]}))
    assert hint.startswith("the initial charges of its atoms sum to 1 e: write total_c")
    assert hidden_total_charge(water({"initial_charges": [-0.8, 0.4, 0.4]})) is None


def test_spins_are_numbers_of_the_frame():
    structure = water(multiplicity=3, Spin=1.0, spin_state="triplet", n=2)
    assert spin_keys(structure) == {"multiplicity": 3, "Spin": 1.0}
