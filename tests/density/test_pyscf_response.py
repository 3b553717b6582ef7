import numpy as np
import pytest
from ase import Atoms

from lodekit.density import electron_counts, load_basis
from lodekit.density.moments import dipoles_of
from lodekit.density.pyscf_density import Calculation
from lodekit.density.pyscf_response import calculate_response
from lodekit.density.sites import Sites
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
