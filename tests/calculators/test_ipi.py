"""i-PI gets the numbers of the calculator, in atomic units."""

import json
import os
import threading
import uuid

import numpy as np
import pytest
from ase.calculators.socketio import SocketIOCalculator
from ase.units import Bohr, Hartree
from stub_model import StubModel, make_frames

from lodekit import model_file
from lodekit.calculators import LodekitCalculator
from lodekit.calculators.ipi import IpiDriver, serve

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
