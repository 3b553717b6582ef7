import ase.units
import pytest

from lodekit import units


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (units.HARTREE, ase.units.Hartree),
        (units.BOHR, ase.units.Bohr),
        (units.GPA, ase.units.GPa),
        (units.DEBYE, ase.units.Debye),
        (units.KCAL_PER_MOL, ase.units.kcal / ase.units.mol),
        (units.KJ_PER_MOL, ase.units.kJ / ase.units.mol),
    ],
    ids=["Hartree", "Bohr", "GPa", "Debye", "kcal/mol", "kJ/mol"],
)
def test_constants_are_those_of_ase(value, expected):
    assert value == pytest.approx(expected, rel=1e-9)


def test_two_unit_charges_at_one_angstrom_have_14_4_electronvolts():
    # CODATA 2014: e / (4 pi eps0 * 1 Å) = 14.3996 V
    assert pytest.approx(14.3996, abs=1e-4) == units.COULOMB_CONSTANT


def test_a_rydberg_is_half_a_hartree():
    assert units.ENERGY_UNITS["Rydberg"] * 2 == units.ENERGY_UNITS["Hartree"]
