import numpy as np
import pytest
from ase import Atoms

from lodekit.density import ElectronDensity, electron_counts, load_basis
from lodekit.density.moments import dipoles_of
from lodekit.density.pyscf_density import Calculation, calculate_density
from lodekit.density.pyscf_response import (
    calculate_charge_response,
    calculate_response,
)
from lodekit.density.sites import Sites
from lodekit.errors import StructureError
from lodekit.units import COULOMB_CONSTANT


def test_a_response_has_no_electrons_and_the_polarizability_of_the_calculation():
    pytest.importorskip("pyscf")
    atoms = Atoms("H2", [[0.1, 0.0, 0.0], [0.0, 0.2, 0.75]])
    basis = load_basis("def2-universal-jkfit", [1])
    calculation = Calculation("hf", "def2-svp", conserve_dipole=True)
    responses, polarizability = calculate_response(atoms, calculation, basis)
    counts = electron_counts(atoms, basis)
    np.testing.assert_allclose(counts @ responses, 0.0, atol=1e-10)
    np.testing.assert_allclose(polarizability, polarizability.T, atol=1e-4)  # Å^3
    assert np.linalg.eigvalsh(polarizability).min() > 0.0
    # alpha = -integral of r rho', and the fit keeps dipoles
    first = dipoles_of(Sites.of_atoms(atoms, basis))
    made = -COULOMB_CONSTANT * first.T @ responses
    np.testing.assert_allclose(made, polarizability, atol=1e-8)
    # a charge far away is a field: -q k / d^2 along z is 1 V/Å at the molecule
    distance = 1e3
    charge = -(distance**2) / COULOMB_CONSTANT
    atoms.info["point_charges"] = np.array([charge, 0.0, 0.0, distance])
    step = -0.05 * charge
    (change,) = calculate_charge_response(atoms, calculation, basis, step).T
    np.testing.assert_allclose(counts @ change, 0.0, atol=1e-10)
    np.testing.assert_allclose(change, responses[:, 2], atol=2e-5)


def test_energies_beside_charges_are_those_of_their_potentials():
    """The charges +q and -q: first order is q V, second what they induce."""
    pytest.importorskip("pyscf")
    atoms, points = Atoms("He"), [[0.0, 0.0, 3.0], [0.0, 0.0, 0.5]]
    calculation = Calculation("hf", "def2-svp", conserve_dipole=True)
    basis = load_basis("def2-universal-jkfit", [2])
    atoms.info["point_charges"] = np.array([0.2, *points[0]])
    result = calculate_density(atoms, calculation, basis)
    assert result.dipole[2] < 0.0  # electrons go to the positive charge
    atoms.info["point_charges"] = np.array([-0.2, *points[0]])
    other = calculate_density(atoms, calculation, basis)
    assert other.dipole[2] == pytest.approx(-result.dipole[2], rel=1e-3)
    del atoms.info["point_charges"]
    alone = calculate_density(atoms, calculation, basis)
    density = ElectronDensity(atoms, basis, alone.coefficients)
    (potential,) = density.potential([points[0]])
    assert result.energy - other.energy == pytest.approx(0.4 * potential, abs=1e-4)
    # second order: half of the charge times the potential that it induces
    mean = 0.5 * (result.energy + other.energy) - alone.energy
    change = ElectronDensity(
        atoms, basis, 0.5 * (result.coefficients - other.coefficients), [0.0]
    )
    (induced,) = change.potential([points[0]])
    assert mean == pytest.approx(0.5 * 0.2 * induced, rel=1e-2)
    atoms.info["point_charges"] = np.array([0.2, *points[1]])
    with pytest.raises(StructureError, match=r"charge 1 is 0\.50 Å from atom 1"):
        calculate_density(atoms, calculation, basis)
