"""i-PI gets the numbers of the calculator, in atomic units."""

import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import pytest
from ase.calculators.socketio import SocketIOCalculator
from ase.units import Bohr, Hartree
from stub_model import StubModel, make_frames

from lodekit import model_file
from lodekit.calculators import LodekitCalculator
from lodekit.calculators.ipi import IpiDriver, extra_values, serve

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def model():
    return StubModel().fit(make_frames())


def template():
    atoms = make_frames(2, periodic=True, seed=4)[1]
    atoms.calc = None
    atoms.cell[:] = [[6.0, 0.3, 0.0], [0.1, 6.5, -0.2], [0.0, 0.4, 7.0]]
    return atoms


def test_answers_are_in_atomic_units(model):
    atoms = template()
    assert IpiDriver(model, atoms, extras="[charges, dipole]").extras == [
        "charges",
        "dipole",
    ]
    driver = IpiDriver(model, atoms, extras=["energy_std"])
    cell, positions = atoms.cell.array.T / Bohr, atoms.positions / Bohr
    energy, forces, virial, extras = driver(cell, positions)
    atoms.calc = LodekitCalculator(model)
    assert energy * Hartree == pytest.approx(atoms.get_potential_energy())
    np.testing.assert_allclose(forces * Hartree / Bohr, atoms.get_forces(), atol=1e-12)
    stress = atoms.get_stress(voigt=False)
    expected = -stress * atoms.get_volume()
    np.testing.assert_allclose(virial * Hartree, expected, atol=1e-10)
    assert json.loads(extras)["energy_std"] == pytest.approx(1e-3 * len(atoms))
    charges = np.arange(18.0).reshape(2, 3, 3)
    rows = extra_values("born_effective_charges", charges)["BEC"]
    field = np.array([0.1, -0.2, 0.3])  # i-PI's forces in it are BEC @ field
    expected = np.einsum("iab,a->ib", charges, field).ravel()
    np.testing.assert_allclose(np.array(rows) @ field, expected)
    moment = extra_values("polarization", [Bohr, 0.0, 0.0])
    assert moment["dipole"] == extra_values("dipole", [Bohr, 0.0, 0.0])["dipole"]
    assert moment["dipole"] == [1.0, 0.0, 0.0]
    (again,) = driver([cell], [positions])
    assert again[0] == energy


def test_a_server_of_ase_gets_energy_forces_and_stress(model):
    # ASE's server speaks the protocol of i-PI, and is code of others
    atoms, name = template(), f"lodekit_{uuid.uuid4().hex[:8]}"
    driver = IpiDriver(model, atoms)
    with SocketIOCalculator(unixsocket=name, timeout=20) as server:
        counts = []
        thread = threading.Thread(
            target=lambda: counts.append(serve(driver, name, unix=True))
        )
        thread.start()
        atoms.calc = server
        found = []
        for shift in (0.0, 0.1):
            atoms.positions[0, 0] += shift
            found.append((atoms.get_potential_energy(), atoms.get_forces()))
            found[-1] += (atoms.get_stress(),)
    thread.join(20)
    assert counts == [2]
    atoms.calc = LodekitCalculator(model)
    energy, forces, stress = found[-1]
    assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(forces, atoms.get_forces(), atol=1e-9)
    np.testing.assert_allclose(stress, atoms.get_stress(), atol=1e-9)
    assert found[0][0] != energy


INPUT = """
<simulation verbosity="quiet" threading="false">
  <output prefix="run">
    <properties stride="1" filename="out" flush="1">
      [step, potential{{electronvolt}}, conserved{{electronvolt}}, kinetic_md]
    </properties>
    {trajectories}
  </output>
  <total_steps> 6 </total_steps>
  {forcefield}
  <system>
    <initialize nbeads="1">
      <file mode="ase"> init.xyz </file>
      <velocities mode="thermal" units="kelvin"> 300 </velocities>
    </initialize>
    <forces> <force forcefield="lodekit"/> </forces>
    <motion mode="dynamics">
      <dynamics mode="nve"> <timestep units="femtosecond"> 0.2 </timestep> </dynamics>
    </motion>
  </system>
</simulation>
"""
SOCKET = """
  <ffsocket mode="unix" name="lodekit" pbc="false"> <address> {name} </address>
    <latency> 1e-4 </latency> </ffsocket>
"""
DIRECT = """
  <ffdirect name="lodekit" pbc="false"> <pes> custom </pes>
    <pes_path> {path} </pes_path>
    <parameters> {{model: m.lodekit, template: init.xyz, extras: [energy_std]}}
    </parameters> </ffdirect>
"""


def extras_file(name):
    """What makes i-PI write a file of extras."""
    return f'<trajectory filename="{name}" extra_type="{name}"> extras </trajectory>'


DEVIATIONS = extras_file("energy_std")


def run_ipi(folder, forcefield, trajectories=""):
    """Run a simulation of i-PI, and return its table of properties."""
    text = INPUT.format(forcefield=forcefield, trajectories=trajectories)
    (folder / "input.xml").write_text(text)
    here = pathlib.Path(__file__).parents[1]
    code = (
        "import sys; from lodekit import model_file\n"
        f"sys.path.insert(0, {str(here)!r})\n"
        "model_file.MODEL_CLASSES['StubModel'] = 'stub_model'\n"
        "try: from ipi.scripting import InteractiveSimulation as Simulation\n"
        "except ImportError:\n"
        "    from ipi.utils.scripting import InteractiveSimulation as Simulation\n"
        "simulation = Simulation(open('input.xml').read())\n"
        "simulation.run(6)\n"
    )
    command = [sys.executable, "-c", code]
    finished = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return np.loadtxt(folder / "run.out")


@pytest.mark.slow
@pytest.mark.parametrize("door", ["socket", "direct"])
def test_a_simulation_of_ipi_conserves_energy(door, model, tmp_path, monkeypatch):
    pytest.importorskip("ipi")
    from lodekit.calculators import ipi

    monkeypatch.setitem(model_file.MODEL_CLASSES, "StubModel", "stub_model")
    model_file.save_model(model, tmp_path / "m.lodekit")
    template().write(tmp_path / "init.xyz")
    if door == "direct":
        table = run_ipi(tmp_path, DIRECT.format(path=ipi.__file__), DEVIATIONS)
    else:
        name = f"lodekit_{uuid.uuid4().hex[:8]}"
        driver = IpiDriver(model, template(), extras=["energy_std"])
        thread = threading.Thread(target=serve_when_there, args=(driver, name))
        thread.start()
        table = run_ipi(tmp_path, SOCKET.format(name=name), DEVIATIONS)
        thread.join(20)
        assert not thread.is_alive()
    potential, conserved, kinetic = table[:, 1], table[:, 2], table[:, 3]
    assert potential[0] == pytest.approx(model.predict([template()])[0], abs=3e-6)
    assert np.ptp(potential) > 1e-4
    assert np.ptp(conserved) < 0.02 * np.ptp(potential)
    assert kinetic.min() > 0.0


def serve_when_there(driver, name):
    """Answer a simulation as soon as its socket is there."""
    for _ in range(600):
        try:
            return serve(driver, name, unix=True)
        except OSError:
            time.sleep(0.1)
    return None


def test_ipi_itself_loads_the_driver(model, tmp_path, monkeypatch):
    pes = pytest.importorskip("ipi.pes")
    from lodekit.calculators import ipi

    monkeypatch.setitem(model_file.MODEL_CLASSES, "StubModel", "stub_model")
    path = tmp_path / "m.lodekit"
    model_file.save_model(model, path)
    template().write(tmp_path / "init.xyz")
    driver = pes.load_pes("custom", ipi.__file__)
    own = driver(model=str(path), template=str(tmp_path / "init.xyz"), verbosity=1)
    atoms = template()
    energy, *_ = own(atoms.cell.array.T / Bohr, atoms.positions / Bohr)
    assert energy * Hartree == pytest.approx(model.predict([atoms])[0])
    assert os.path.exists(path)
