import numpy as np
import pytest
from ase import units as ase_units

from lodekit.errors import SettingsError
from lodekit.structures import TARGETS, get_target, read_structures
from lodekit.structures.conversion import unit_factors, units_of_target

FRAME = """\
1
Lattice="10 0 0 0 10 0 0 0 10" energy=-0.5 dipole="1 0 0" stress="1 0 0 0 1 0 0 0 1" \
polarizability="1 0 0 0 1 0 0 0 1" quadrupole="1 0 0 0 1 0 0 0 1" total_charge=2 \
Properties=species:S:1:pos:R:3:forces:R:3:charges:R:1:bec:R:9
H 1 2 3 0 0 1 0.5 1 0 0 0 1 0 0 0 1
"""


def read_frame(folder, **options):
    path = folder / "frames.xyz"
    path.write_text(FRAME)
    return read_structures(path, **options)[0]


def test_atomic_units_convert_every_target_by_its_dimension(tmp_path):
    structure = read_frame(tmp_path, units={"energy": "Hartree", "length": "Bohr"})
    hartree, bohr = ase_units.Hartree, ase_units.Bohr
    expected = {
        "energy": -0.5 * hartree,
        "forces": [[0.0, 0.0, hartree / bohr]],
        "stress": np.array([1, 1, 1, 0, 0, 0]) * hartree / bohr**3,
        "dipole": [bohr, 0.0, 0.0],
        "quadrupole": bohr**2 * np.eye(3),
        "polarizability": bohr**3 * np.eye(3),
        "charges": [0.5],
        "total_charge": 2.0,
        "born_effective_charges": [np.eye(3)],
    }
    for name, value in expected.items():
        np.testing.assert_allclose(get_target(structure, name), value, rtol=1e-12)
    np.testing.assert_allclose(structure.positions, bohr * np.array([[1, 2, 3]]))
    np.testing.assert_allclose(structure.cell[:], 10 * bohr * np.eye(3))
    assert structure.get_potential_energy() == expected["energy"]


def test_a_virial_is_converted_before_it_becomes_a_stress(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text(
        '1\nLattice="2 0 0 0 2 0 0 0 2" virial="-8 0 0 0 -8 0 0 0 -8"\nH 0 0 0'
    )
    stress = get_target(
        read_structures(path, units={"energy": "Hartree", "length": "Bohr"})[0],
        "stress",
    )
    expected = ase_units.Hartree / ase_units.Bohr**3
    np.testing.assert_allclose(stress[:3], expected, rtol=1e-12)


def test_single_targets_may_have_another_unit(tmp_path):
    structure = read_frame(
        tmp_path,
        units={
            "energy": "Hartree",
            "forces": "Hartree/Bohr",
            "dipole": "Debye",
            "stress": "GPa",
            "polarizability": "Bohr^3",
            "quadrupole": "e*Bohr^2",
            "charges": "e",
        },
    )
    np.testing.assert_array_equal(structure.positions, [[1, 2, 3]])
    hartree, bohr = ase_units.Hartree, ase_units.Bohr
    for name, value in {
        "energy": -0.5 * hartree,
        "forces": [[0, 0, hartree / bohr]],
        "dipole": [ase_units.Debye, 0, 0],
        "stress": np.array([1, 1, 1, 0, 0, 0]) * ase_units.GPa,
        "polarizability": bohr**3 * np.eye(3),
        "quadrupole": bohr**2 * np.eye(3),
    }.items():
        np.testing.assert_allclose(get_target(structure, name), value, rtol=1e-12)


def test_nothing_declared_means_ev_and_angstrom():
    length, factors = unit_factors()
    assert length == 1.0
    assert set(factors.values()) == {1.0}


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_can_be_declared_in_the_units_of_lodekit(name):
    unit = TARGETS[name].unit
    unit = unit.replace("Å", "Angstrom").replace("·", "*")
    unit = unit.replace("²", "^2").replace("³", "^3")
    assert units_of_target(TARGETS[name])[unit] == 1.0


@pytest.mark.parametrize(
    ("units", "message"),
    [
        (
            {"energy": "ev"},
            "unknown unit 'ev' of energy .did you mean 'eV'..; lodekit knows eV, meV",
        ),
        ({"length": "A"}, "unknown unit 'A' of length; lodekit knows Angstrom, Bohr"),
        ({"forces": "Ha/Bohr"}, "unknown unit 'Ha/Bohr' of forces; .*Hartree/Bohr"),
        ({"time": "fs"}, "units are declared for energy, length and targets, not for"),
    ],
)
def test_an_unknown_unit_is_refused(units, message):
    with pytest.raises(SettingsError, match=message):
        unit_factors(units)
