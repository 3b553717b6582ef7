"""Polarization models in ASE: fields, displacements and properties by ASE's names."""

import threading
import uuid

import numpy as np
import polar_crystals as crystals
import pytest
from ase import units
from ase.io import read
from ase.md.verlet import VelocityVerlet
from ase.units import Bohr
from test_ipi import SOCKET, extras_file, run_ipi, serve_when_there

from lodekit.calculators import LodekitCalculator
from lodekit.calculators.ipi import IpiDriver, extra_values
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.models import PolarizationModel, SparsePotential, TensorModel

FIELD = np.array([0.05, -0.03, 0.08])


@pytest.fixture(scope="module")
def model():
    own = SphericalExpansion(
        cutoff={"radius": 3.6, "smoothing": {"type": "ShiftedCosine", "width": 0.8}},
        density={"type": "Gaussian", "width": 0.4},
        basis={
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 3},
        },
    )
    generator = np.random.default_rng(8)
    frames = [crystals.label(crystals.draw(generator)) for _ in range(12)]
    vectors = EquivariantPowerSpectrum(own)
    return PolarizationModel(
        vectors,
        n_sparse=12,
        n_channels=30,
        oxidation_states={"Li": 1, "F": -1},
        potential=SparsePotential(PowerSpectrum(own), n_sparse=12),
        polarizability=TensorModel(vectors, n_sparse=8, n_channels=30),
    ).fit(frames)


@pytest.fixture
def atoms():
    return crystals.draw(np.random.default_rng(3))


def test_properties_have_the_names_of_ase(model, atoms):
    calculator = LodekitCalculator(model, on_extrapolation="ignore")
    atoms.calc = calculator
    (expected,) = model.compute(atoms)
    names = ("polarization", "born_effective_charges", "dielectric_tensor")
    assert {*names, "energy", "forces", "stress"} <= {
        *calculator.implemented_properties
    }
    for name in (*names, "polarizability"):
        found = calculator.get_property(name, atoms)
        np.testing.assert_allclose(found, expected[name], atol=1e-12)


@pytest.mark.parametrize("name", ["field", "displacement"])
def test_energies_forces_and_stress_are_those_in_the_field(model, atoms, name):
    atoms.calc = LodekitCalculator(model, on_extrapolation="ignore", **{name: FIELD})
    (expected,) = model.compute(atoms, **{name: FIELD})
    assert atoms.get_potential_energy() == pytest.approx(expected["energy"])
    np.testing.assert_allclose(atoms.get_forces(), expected["forces"], atol=1e-12)
    np.testing.assert_allclose(atoms.get_stress(), expected["stress"], atol=1e-12)
    setattr(atoms.calc, name, None)
    (free,) = model.compute(atoms)
    assert atoms.get_potential_energy() == pytest.approx(free["energy"])


def test_a_field_may_change_while_the_atoms_stay(model, atoms):
    strength = [0.0]
    atoms.calc = LodekitCalculator(
        model, field=lambda: strength[0] * FIELD, on_extrapolation="ignore"
    )
    before = atoms.get_potential_energy()
    strength[0] = 1.0
    (expected,) = model.compute(atoms, field=FIELD)
    assert atoms.get_potential_energy() == pytest.approx(expected["energy"])
    assert atoms.get_potential_energy() != pytest.approx(before)


def test_dynamics_in_a_field_keeps_the_total_energy(model, atoms):
    atoms.calc = LodekitCalculator(model, field=FIELD, on_extrapolation="ignore")
    dynamics = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    before, kinetic = atoms.get_total_energy(), []
    for _ in range(10):
        dynamics.run(2)
        kinetic.append(atoms.get_kinetic_energy())
    assert atoms.get_total_energy() == pytest.approx(before, abs=0.01 * max(kinetic))
    assert max(kinetic) > 1e-3


def test_mistakes_are_one_line(model, atoms):
    with pytest.raises(ValueError, match="one of them follows from the other"):
        LodekitCalculator(model, field=FIELD, displacement=FIELD)
    with pytest.raises(ValueError, match="no response to a displacement; fit a Polar"):
        LodekitCalculator(model.potential_, displacement=FIELD)
    with pytest.raises(ValueError, match="kqeq. or a PolarizationModel"):
        LodekitCalculator(model.potential_, field=FIELD)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_ipi_gets_dipoles_and_born_charges(model, tmp_path):
    pytest.importorskip("ipi")
    start = crystals.draw(np.random.default_rng(3))
    # i-PI's cells are triangular
    start.set_cell(start.cell.standard_form()[0], scale_atoms=True)
    start.write(tmp_path / "init.xyz")
    names = ["polarization", "born_effective_charges"]
    address = f"lodekit_{uuid.uuid4().hex[:8]}"
    driver = IpiDriver(model, start, names, on_extrapolation="ignore")
    thread = threading.Thread(target=serve_when_there, args=(driver, address))
    thread.start()
    positions = '<trajectory filename="pos" format="ase"> positions </trajectory>'
    files = [extras_file(name) for name in ("dipole", "BEC")]
    run_ipi(tmp_path, SOCKET.format(name=address), "".join([positions, *files]))
    thread.join(20)
    assert not thread.is_alive()
    (path,) = tmp_path.glob("run.pos*")
    frames = read(path, ":", format="extxyz")
    assert len(frames) == 7
    last = start.copy()
    last.positions = frames[-1].positions
    (expected,) = model.compute(last, names)
    dipole, charges = (
        np.loadtxt(next(tmp_path.glob(f"run.{name}*"))) for name in ("dipole", "BEC")
    )
    moment = expected["polarization"] / Bohr
    np.testing.assert_allclose(
        dipole[-3:] if dipole.ndim == 1 else dipole[-1], moment, atol=1e-5
    )
    rows = extra_values(names[1], expected[names[1]])["BEC"]
    np.testing.assert_allclose(charges[-len(rows) :], rows, atol=1e-5)
    assert np.abs(charges[: len(rows)] - charges[-len(rows) :]).max() > 1e-4
