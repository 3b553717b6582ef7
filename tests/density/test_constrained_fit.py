import numpy as np
import pytest
from small_bases import (
    bent_molecule,
    drawn_coefficients,
    rotated_coefficients,
    rotation_of,
    small_basis,
)

from lodekit.density import (
    DensityBasis,
    DensityMetric,
    ElectronDensity,
    Shell,
    electron_counts,
    solve_constrained,
)
from lodekit.density.coulomb_sum import CoulombSum
from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.density.two_center import pair_integrals
from lodekit.electrostatics.boundary import Boundary
from lodekit.errors import BasisError

COULOMB = DensityMetric(overlap=0.0, coulomb=1.0)


def larger_basis():
    """The small basis and functions that it does not have."""
    more = {
        "O": [Shell(1, (0.5,), (1.0,)), Shell(4, (1.7,), (1.0,))],
        "H": [Shell(0, (0.6,), (1.0,)), Shell(3, (1.0,), (1.0,))],
    }
    shells = small_basis().shells
    return DensityBasis({"O": [*shells[8], *more["O"]], "H": [*shells[1], *more["H"]]})


def projections(atoms, basis, target, coefficients, metric):
    """Metric of functions of a basis and a density in another one."""
    one, other = Sites.of_atoms(atoms, basis), Sites.of_atoms(atoms, target)
    boundary = Boundary.of(None, False)
    if metric is COULOMB:
        return CoulombSum(one, other, boundary).matvec(coefficients)
    columns = coefficients.reshape(len(coefficients), -1)
    result = pair_integrals(one, other, boundary, coulomb=False) @ columns
    return result.reshape(-1, *coefficients.shape[1:])


def fit(atoms, target, coefficients, metric=COULOMB, **constraints):
    basis = small_basis()
    right = projections(atoms, basis, target, coefficients, metric)
    return solve_constrained(metric.matrix(atoms, basis), right, **constraints)


def test_electrons_and_dipole_are_kept_exactly():
    atoms, target, basis = bent_molecule(), larger_basis(), small_basis()
    truth = drawn_coefficients(atoms, target)
    sites = Sites.of_atoms(atoms, basis)
    constraints = np.vstack([electron_counts(atoms, basis), dipoles_of(sites).T])
    exact = ElectronDensity(atoms, target, truth)
    electrons = dipoles_of(Sites.of_atoms(atoms, target)).T @ truth
    totals = np.array([exact.n_electrons, *electrons])
    free = ElectronDensity(atoms, basis, fit(atoms, target, truth))
    kept = ElectronDensity(
        atoms, basis, fit(atoms, target, truth, constraints=constraints, totals=totals)
    )
    assert abs(free.n_electrons - exact.n_electrons) > 1e-3
    assert kept.n_electrons == pytest.approx(exact.n_electrons, abs=1e-12)
    np.testing.assert_allclose(kept.dipole(), exact.dipole(), atol=1e-12)


def test_a_constrained_fit_is_the_nearest_density_with_these_integrals():
    # any other one with the same integrals has a larger loss
    atoms, target, basis = bent_molecule(), larger_basis(), small_basis()
    truth = drawn_coefficients(atoms, target)
    matrix = COULOMB.matrix(atoms, basis)
    right = projections(atoms, basis, target, truth, COULOMB)
    counts = electron_counts(atoms, basis)[None]
    best = solve_constrained(matrix, right, counts, np.array([3.0]))
    slope = matrix @ best - right
    # the gradient is along the constraint
    multiplier = slope @ counts[0] / (counts[0] @ counts[0])
    np.testing.assert_allclose(slope, multiplier * counts[0], atol=1e-9)


def test_several_densities_are_fitted_at_once():
    atoms, target = bent_molecule(), larger_basis()
    truths = np.stack([drawn_coefficients(atoms, target, s) for s in (0, 1)], axis=1)
    counts = electron_counts(atoms, small_basis())[None]
    totals = np.array([[1.0, 2.0]])
    both = fit(atoms, target, truths, constraints=counts, totals=totals)
    for column in (0, 1):
        alone = fit(
            atoms,
            target,
            truths[:, column],
            constraints=counts,
            totals=totals[:, column],
        )
        np.testing.assert_allclose(both[:, column], alone, atol=1e-10)


@pytest.mark.parametrize(
    ("metric", "slope"), [(COULOMB, 2.0), (DensityMetric(), 1.0)], ids=["J", "S"]
)
def test_only_a_coulomb_fit_has_a_hartree_error_of_second_order(metric, slope):
    # rho = (functions of the basis) + step * (others): the error of the density is
    # proportional to the step
    atoms, target, basis = bent_molecule(), larger_basis(), small_basis()
    generator = np.random.default_rng(0)
    in_basis = np.zeros(target.size(atoms.numbers))
    outside = np.zeros_like(in_basis)
    start = 0
    for number in atoms.numbers:
        own = small_basis().shells_of(int(number))
        for shell in target.shells_of(int(number)):
            place = slice(start, start + shell.size)
            part = in_basis if shell in own else outside
            part[place] = generator.normal(size=shell.size)
            start += shell.size
    errors = []
    for step in (1e-2, 1e-3):
        truth = in_basis + step * outside
        fitted = ElectronDensity(atoms, basis, fit(atoms, target, truth, metric))
        exact = ElectronDensity(atoms, target, truth)
        errors.append(abs(fitted.hartree_energy() - exact.hartree_energy()))
    assert np.log10(errors[0] / errors[1]) == pytest.approx(slope, abs=0.02)


@pytest.mark.parametrize("improper", [False, True])
def test_the_fit_of_a_rotated_density_has_rotated_coefficients(improper):
    atoms, target, basis = bent_molecule(), larger_basis(), small_basis()
    truth, rotation = drawn_coefficients(atoms, target), rotation_of(3, improper)
    turned = atoms.copy()
    turned.positions = atoms.positions @ rotation.T
    rotated_truth = rotated_coefficients(turned, target, truth, rotation)
    expected = rotated_coefficients(turned, basis, fit(atoms, target, truth), rotation)
    np.testing.assert_allclose(fit(turned, target, rotated_truth), expected, atol=1e-10)


def test_a_singular_metric_names_the_functions():
    matrix = np.eye(4)
    matrix[1, 3] = matrix[3, 1] = 1.0
    with pytest.raises(BasisError, match="metric is singular.* most of all 2 and 4"):
        solve_constrained(matrix, np.ones(4))
