"""LO and TO phonons of a model of rocksalt LiF, against closed forms and phonopy."""

import numpy as np
import polar_crystals as crystals
import pytest
from ase import Atoms
from ase.build import bulk

from lodekit.analysis.phonons import (
    displacement_without_field,
    nac_params,
    static_dielectric_tensor,
    write_born,
    zone_center_frequencies,
)
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.models import PolarizationModel, SparsePotential, TensorModel
from lodekit.units import COULOMB_CONSTANT, FOUR_PI


@pytest.fixture(scope="module")
def crystal():
    return bulk("LiF", "rocksalt", a=4.0)


@pytest.fixture(scope="module")
def model(crystal):
    own = SphericalExpansion(
        cutoff={"radius": 3.0, "smoothing": {"type": "ShiftedCosine", "width": 0.8}},
        density={"type": "Gaussian", "width": 0.4},
        basis={
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 3},
        },
    )
    generator = np.random.default_rng(8)
    frames = []
    for _ in range(16):
        atoms = crystal * (2, 1, 1)
        atoms.positions += generator.normal(0.0, 0.1, atoms.positions.shape)
        frames.append(crystals.label(atoms))
    vectors = EquivariantPowerSpectrum(own)
    return PolarizationModel(
        vectors,
        n_sparse=12,
        n_channels=30,
        potential=SparsePotential(PowerSpectrum(own), n_sparse=12),
        polarizability=TensorModel(vectors, n_sparse=8, n_channels=30),
    ).fit(frames)


def test_longitudinal_and_transverse_phonons_obey_the_closed_form(model, crystal):
    (result,) = model.compute(crystal, ["born_effective_charges", "dielectric_tensor"])
    charge = result["born_effective_charges"][0, 0, 0]
    epsilon = result["dielectric_tensor"][0, 0]
    transverse = zone_center_frequencies(model, crystal)
    control = displacement_without_field(model, crystal)
    longitudinal = zone_center_frequencies(model, crystal, displacement=control)
    np.testing.assert_allclose(longitudinal[3:], longitudinal[3], rtol=1e-6)
    masses = crystal.get_masses()
    reduced = masses.prod() / masses.sum()
    expected = FOUR_PI * COULOMB_CONSTANT * charge**2
    expected /= crystal.get_volume() * reduced * epsilon  # of angular frequencies
    factor = 15.633302  # THz of 1 (eV / Å^2 u)^(1/2) / 2 pi
    found = (longitudinal[3] ** 2 - transverse[3] ** 2) / factor**2
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_static_dielectric_tensor_obeys_lyddane_sachs_teller(model, crystal):
    (result,) = model.compute(crystal, ["dielectric_tensor"])
    transverse = zone_center_frequencies(model, crystal)[3]
    control = displacement_without_field(model, crystal)
    longitudinal = zone_center_frequencies(model, crystal, displacement=control)[3]
    static = static_dielectric_tensor(model, crystal)
    ratio = static[0, 0] / result["dielectric_tensor"][0, 0]
    np.testing.assert_allclose(ratio, longitudinal**2 / transverse**2, rtol=1e-6)


def test_phonopy_finds_the_same_from_the_file_that_is_written(model, crystal, tmp_path):
    pytest.importorskip("phonopy")
    from phonopy import Phonopy
    from phonopy.file_IO import parse_BORN
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        symbols=list(crystal.symbols),
        cell=crystal.cell[:],
        positions=crystal.positions,
    )
    phonon = Phonopy(cell, supercell_matrix=np.eye(3, dtype=int) * 2, log_level=0)
    phonon.generate_displacements(distance=0.001)
    frames = [
        Atoms(s.symbols, s.positions, cell=s.cell, pbc=True)
        for s in phonon.supercells_with_displacements
    ]
    phonon.forces = [r["forces"] for r in model.compute(frames, ["forces"])]
    phonon.produce_force_constants()
    params = nac_params(model, crystal)
    path = tmp_path / "BORN"
    write_born(path, crystal, params["born"], params["dielectric"])
    phonon.nac_params = parse_BORN(phonon.primitive, filename=path)
    phonon.run_qpoints([[0.0, 0.0, 0.0]], nac_q_direction=[1.0, 0.0, 0.0])
    found = np.sort(phonon.qpoints.frequencies[0])
    control = displacement_without_field(model, crystal)
    longitudinal = zone_center_frequencies(model, crystal, displacement=control)
    transverse = zone_center_frequencies(model, crystal)
    np.testing.assert_allclose(found[5], longitudinal[5], rtol=1e-4)
    np.testing.assert_allclose(found[3:5], transverse[3:5], rtol=1e-4)
    with pytest.raises(OSError, match="exists already"):
        write_born(path, crystal, params["born"], params["dielectric"])
