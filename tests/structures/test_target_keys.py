import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from lodekit.errors import SettingsError, StructureError
from lodekit.structures import TARGETS, find_target, get_target, parse_key_options


def water(**results):
    structure = Atoms("OH2", positions=[[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]])
    if results:
        structure.calc = SinglePointCalculator(structure, **results)
    return structure


def test_reference_keys_come_before_plain_ones():
    structure = water(energy=-1.0)
    assert find_target(structure, "energy").source == "results:energy"
    structure.info["REF_energy"] = -2.0
    found = find_target(structure, "energy")
    assert (found.name, found.key, found.place) == ("energy", "REF_energy", "info")
    assert found.value == -2.0
    assert get_target(structure, "energy") == -2.0


def test_the_free_energy_is_never_taken_for_the_energy():
    structure = water(free_energy=-1.0)
    assert find_target(structure, "energy") is None
    assert get_target(structure, "free_energy") == -1.0


def test_targets_of_atoms_are_found_in_results_arrays_and_info():
    forces = np.arange(9.0).reshape(3, 3)
    assert find_target(water(forces=forces), "forces").place == "results"
    structure = water()
    structure.arrays["force"] = forces
    assert find_target(structure, "forces").source == "arrays:force"
    structure = water()
    structure.info["REF_charges"] = [0.2, -0.1, -0.1]
    assert find_target(structure, "charges").source == "info:REF_charges"
    np.testing.assert_array_equal(get_target(structure, "charges"), [0.2, -0.1, -0.1])


def test_the_charge_of_an_ion_is_no_charge_of_its_atom():
    ion = Atoms("Na")
    ion.info["charge"] = 1
    assert get_target(ion, "charges") is None
    assert get_target(ion, "total_charge") == 1.0


def test_chosen_keys_replace_the_default_ones():
    structure = water(energy=-1.0)
    assert get_target(structure, "energy", keys={"energy": "inter_energy"}) is None
    structure.info["inter_energy"] = -0.1
    assert get_target(structure, "energy", keys={"energy": "inter_energy"}) == -0.1
    keys = {"energy": ["absent", "energy"]}
    assert get_target(structure, "energy", keys=keys) == -1.0


def test_nothing_is_computed_to_find_a_target():
    structure = Atoms("Cu", positions=[[0, 0, 0]])
    structure.calc = EMT()
    assert get_target(structure, "energy") is None
    structure.get_potential_energy()
    assert get_target(structure, "energy") is not None


def test_results_of_other_positions_are_refused():
    structure = water(energy=-1.0)
    structure.rattle(0.1, seed=1)
    with pytest.raises(StructureError, match="holds results of other positions; compu"):
        get_target(structure, "energy")


def test_key_options_of_the_command_line_become_a_map():
    options = ["energy=my_energy", "forces=f"]
    assert parse_key_options(options) == {"energy": "my_energy", "forces": "f"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["energy"], "a key option is written target=key, .* got 'energy'"),
        (["energy="], "a key option is written target=key"),
        (["energy=a", "energy=b"], "the key of target 'energy' is given twice"),
        (["enery=a"], "unknown target 'enery' .did you mean 'energy'..; lodekit knows"),
    ],
)
def test_key_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        parse_key_options(options)


def test_a_key_must_be_a_word():
    with pytest.raises(
        SettingsError, match="the key of target 'energy' must be a word"
    ):
        get_target(water(), "energy", keys={"energy": [1]})


def test_an_unknown_target_is_refused():
    with pytest.raises(SettingsError, match="unknown target 'colour'"):
        get_target(water(), "colour")


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_has_one_shape(name):
    target = TARGETS[name]
    structure = water()
    structure.set_cell(np.diag([2.0, 3.0, 4.0]))
    shape = tuple(4 if n is None else n for n in target.shape)
    shape = (3, *shape) if target.per_atom else shape
    value = np.arange(1.0, 1.0 + np.prod(shape, dtype=int)).reshape(shape)
    if target.per_atom:
        structure.arrays[target.keys[0]] = value.reshape(3, -1)
    else:
        structure.info[target.keys[0]] = value.ravel()
    found = get_target(structure, name)
    assert np.shape(found) == shape
    np.testing.assert_array_equal(found, value)


def test_a_target_that_does_not_fit_says_what_was_expected():
    structure = water()
    structure.info["dipole"] = 1.85
    with pytest.raises(
        StructureError, match=r"dipole must have shape \(3,\), got \(\)"
    ):
        get_target(structure, "dipole")
    structure.info["dipole"] = "unknown"
    with pytest.raises(StructureError, match="dipole must be numbers, got 'unknown'"):
        get_target(structure, "dipole")
    structure.arrays["REF_forces"] = np.array([[0, 0, 1], [0, np.nan, 0], [0, 0, 0]])
    with pytest.raises(
        StructureError, match=r"forces \(key 'REF_forces'\) is not finite at atom 2; "
    ):
        get_target(structure, "forces")
