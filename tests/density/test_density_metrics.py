import numpy as np
import pytest
from ase import Atoms
from small_bases import (
    bent_molecule,
    crystal,
    drawn_coefficients,
    grid_of_k,
    lattice_of_k,
    small_basis,
    transforms_of_functions,
)

from lodekit.density import DensityBasis, DensityMetric, electron_counts, load_basis
from lodekit.density.basis import single_shell
from lodekit.density.coulomb_sum import CoulombSum
from lodekit.density.ordering import PYSCF, places_in
from lodekit.density.sites import Sites
from lodekit.electrostatics import CoulombInteraction
from lodekit.electrostatics.boundary import Boundary
from lodekit.units import BOHR, COULOMB_CONSTANT

OVERLAP, COULOMB = DensityMetric(), DensityMetric(overlap=0.0, coulomb=1.0)


def coulomb_sum(atoms, basis, **settings):
    sites = Sites.of_atoms(atoms, basis)
    boundary = Boundary.of(atoms.cell.array, atoms.pbc)
    return CoulombSum(sites, sites, boundary, **settings)


@pytest.fixture(scope="module")
def pyscf_molecule():
    gto = pytest.importorskip("pyscf.gto")
    atoms = bent_molecule()
    basis = load_basis("cc-pvqz-jkfit", atoms.numbers)
    mol = gto.M(
        atom=list(zip(atoms.symbols, atoms.positions / BOHR, strict=True)),
        unit="Bohr",
        basis="cc-pvqz-jkfit",
        verbose=0,
    )
    places = places_in(PYSCF, basis, atoms.numbers)
    return atoms, basis, mol, np.ix_(places, places)


@pytest.mark.parametrize(
    ("metric", "integral", "unit"),
    [
        (OVERLAP, "int1e_ovlp", 1.0),
        (COULOMB, "int2c2e", COULOMB_CONSTANT * BOHR**2),
    ],
    ids=["overlap", "coulomb"],
)
def test_metrics_are_the_integrals_of_pyscf(pyscf_molecule, metric, integral, unit):
    atoms, basis, mol, order = pyscf_molecule
    expected = unit * mol.intor(integral)[order]
    error = abs(metric.matrix(atoms, basis) - expected).max()
    assert error < 1e-10 * abs(expected).max()


@pytest.mark.parametrize(
    ("metric", "interaction"),
    [(OVERLAP, lambda k: 1.0), (COULOMB, lambda k: 4.0 * np.pi / k**2)],
    ids=["overlap", "coulomb"],
)
def test_metrics_are_integrals_over_transforms(metric, interaction):
    atoms, basis = bent_molecule(), small_basis()
    k_vectors, weights = grid_of_k(18.0, 50, 36)
    weights = (
        weights * interaction(np.linalg.norm(k_vectors, axis=1)) / (2 * np.pi) ** 3
    )
    transforms = transforms_of_functions(atoms, basis, k_vectors)
    expected = (transforms.conj().T @ (weights[:, None] * transforms)).real
    expected *= COULOMB_CONSTANT if metric is COULOMB else 1.0
    np.testing.assert_allclose(metric.matrix(atoms, basis), expected, atol=2e-7)


def test_a_periodic_overlap_is_a_sum_over_k_vectors():
    atoms, basis = crystal(), small_basis()
    k_vectors = np.vstack([lattice_of_k(atoms.cell.array, 18.0), 1e-9 * np.ones(3)])
    transforms = transforms_of_functions(atoms, basis, k_vectors)
    expected = (transforms.conj().T @ transforms).real / atoms.cell.volume
    np.testing.assert_allclose(OVERLAP.matrix(atoms, basis), expected, atol=1e-6)


def test_a_periodic_coulomb_metric_is_a_sum_over_k_vectors_without_k_zero():
    atoms, basis = crystal(), small_basis()
    k_vectors = lattice_of_k(atoms.cell.array, 18.0)
    weights = 4.0 * np.pi / (k_vectors**2).sum(axis=1) / atoms.cell.volume
    transforms = transforms_of_functions(atoms, basis, k_vectors)
    expected = (transforms.conj().T @ (weights[:, None] * transforms)).real
    np.testing.assert_allclose(
        COULOMB.matrix(atoms, basis), COULOMB_CONSTANT * expected, atol=1e-7
    )


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), False])
def test_functions_of_l_zero_are_gaussian_charges(pbc):
    generator = np.random.default_rng(3)
    atoms = crystal()
    atoms.pbc = pbc
    widths, charges = generator.uniform(0.4, 0.8, 3), generator.normal(size=3)
    if np.count_nonzero(atoms.pbc) == 2:
        charges -= charges.mean()
    atoms.numbers = [1, 2, 3]
    basis = DensityBasis({z: [single_shell(widths[z - 1])] for z in (1, 2, 3)})
    coefficients = charges / electron_counts(atoms, basis)
    energy = 0.5 * coefficients @ COULOMB.matrix(atoms, basis) @ coefficients
    expected = CoulombInteraction(
        atoms.positions, atoms.cell.array, atoms.pbc, widths, accuracy=1e-11
    ).energy(charges)
    assert energy == pytest.approx(expected, abs=1e-9)  # eV


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False)])
def test_periodic_interactions_do_not_depend_on_how_they_are_split(pbc):
    atoms, basis = crystal(), small_basis()
    atoms.pbc = pbc
    short, long = (
        coulomb_sum(atoms, basis, spread=spread).dense() for spread in (0.3, 1.5)
    )
    np.testing.assert_allclose(short, long, atol=1e-8 * abs(short).max())


@pytest.mark.parametrize("pbc", [(True, True, True), (True, True, False), False])
def test_products_with_vectors_are_those_of_the_matrix(pbc):
    atoms, basis = crystal(), small_basis()
    atoms.pbc = pbc
    interaction = coulomb_sum(atoms, basis)
    vectors = np.stack([drawn_coefficients(atoms, basis, seed) for seed in (0, 1)], 1)
    np.testing.assert_allclose(
        interaction.matvec(vectors), interaction.dense() @ vectors, rtol=1e-9, atol=1e-8
    )


def test_interactions_with_other_functions_are_the_same_integrals():
    atoms, basis = crystal(), small_basis()
    one, other = (Sites.of_atoms(atoms, basis) for _ in range(2))
    boundary = Boundary.of(atoms.cell.array, atoms.pbc)
    np.testing.assert_allclose(
        CoulombSum(one, other, boundary).dense(),
        CoulombSum(one, one, boundary).dense(),
        rtol=1e-9,
        atol=1e-7,
    )


@pytest.mark.parametrize("metric", [OVERLAP, COULOMB], ids=["overlap", "coulomb"])
@pytest.mark.parametrize("make", [bent_molecule, crystal])
def test_metrics_are_positive(metric, make):
    values = np.linalg.eigvalsh(metric.matrix(make(), small_basis()))
    assert values.min() > 0.0


def test_a_mixture_is_the_sum_of_its_parts():
    atoms, basis = bent_molecule(), small_basis()
    mixed = DensityMetric(overlap=0.3, coulomb=0.02).matrix(atoms, basis)
    parts = 0.3 * OVERLAP.matrix(atoms, basis) + 0.02 * COULOMB.matrix(atoms, basis)
    np.testing.assert_allclose(mixed, parts, atol=1e-12)


def test_the_sparse_overlap_has_no_distant_pairs_and_all_near_ones():
    basis = small_basis()
    atoms = bent_molecule()
    far = bent_molecule()
    far.positions += 40.0
    atoms += far
    matrix = OVERLAP.sparse_matrix(atoms, basis)
    np.testing.assert_allclose(matrix.toarray(), OVERLAP.matrix(atoms, basis))
    assert matrix.nnz == 2 * basis.size(far.numbers) ** 2


def test_functions_far_apart_interact_as_multipoles():
    # charges of s functions: k q q' / R; and nothing where they do not overlap
    basis = DensityBasis({"H": [single_shell(0.3)]})
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 25.0]])
    charge = electron_counts(atoms, basis)[0]
    matrix = COULOMB.matrix(atoms, basis)
    assert matrix[0, 1] == pytest.approx(COULOMB_CONSTANT * charge**2 / 25.0, rel=1e-14)
    assert OVERLAP.matrix(atoms, basis)[0, 1] == 0.0


def test_weights_of_a_metric_must_make_a_norm():
    with pytest.raises(ValueError, match="not negative and not both zero"):
        DensityMetric(overlap=0.0)
    with pytest.raises(ValueError, match="not negative and not both zero"):
        DensityMetric(overlap=1.0, coulomb=-1.0)
    with pytest.raises(ValueError, match="accuracy must be between 1e-15 and 1e-2"):
        DensityMetric(accuracy=1.0).matrix(bent_molecule(), small_basis())


def test_a_sparse_coulomb_metric_is_refused():
    with pytest.raises(ValueError, match="sparse matrix is there for the overlap"):
        COULOMB.sparse_matrix(bent_molecule(), small_basis())
