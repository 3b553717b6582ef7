"""Descriptors of whole structures and the linear model of them."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule as ase_molecule
from ase.calculators.singlepoint import SinglePointCalculator
from finite_differences import central_differences, displaced
from scipy import integrate
from scipy.spatial.transform import Rotation

from lodekit.analysis.audit import audit_model
from lodekit.descriptors import CoulombMatrixMoments, CoulombPairs, ManyBodyTensor
from lodekit.model_file import load_model
from lodekit.models import GlobalPotential
from lodekit.structures.batch import StructureBatch
from lodekit.units import COULOMB_CONSTANT

SPECIES = np.array([1, 6, 8])
DESCRIPTORS = [CoulombMatrixMoments(4), ManyBodyTensor(), CoulombPairs()]
each_descriptor = pytest.mark.parametrize(
    "descriptor", DESCRIPTORS, ids=lambda own: type(own).__name__
)


def molecule(seed=0, formula="COHCH"):
    """Atoms at random, at least 0.9 Å apart."""
    rng = np.random.default_rng(seed)
    while True:
        atoms = Atoms(formula, rng.uniform(-1.6, 1.6, size=(5, 3)))
        distances = atoms.get_all_distances() + 9.0 * np.eye(5)
        if distances.min() > 0.9:
            return atoms


def evaluate(descriptor, atoms):
    return descriptor.evaluate(StructureBatch.from_frames([atoms]), SPECIES)[0]


@each_descriptor
def test_jacobian_and_reverse_are_finite_differences(descriptor):
    atoms = molecule()
    state = evaluate(descriptor, atoms)
    numerical = central_differences(
        lambda r: evaluate(descriptor, displaced(atoms, r)).features,
        atoms.positions,
        1e-3,
    )
    jacobian = state.jacobian()
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(
        np.moveaxis(jacobian, 0, -1), numerical, atol=1e-7 * scale
    )
    adjoint = np.random.default_rng(1).normal(size=state.features.size)
    expected = np.tensordot(adjoint, jacobian, 1)
    np.testing.assert_allclose(state.reverse(adjoint), expected, atol=1e-12 * scale)


@each_descriptor
def test_order_and_rotation_change_nothing(descriptor):
    atoms = molecule()
    expected = evaluate(descriptor, atoms).features
    turned = atoms[[3, 0, 4, 2, 1]]
    turned.positions = Rotation.random(random_state=3).apply(turned.positions) - 2.0
    features = evaluate(descriptor, turned).features
    np.testing.assert_allclose(features, expected, rtol=1e-10, atol=1e-10)


@each_descriptor
def test_structures_far_apart_add_up(descriptor):
    first, second = molecule(1), molecule(2)
    second.positions += [0.0, 0.0, 1e13]
    parts = [evaluate(descriptor, part).features for part in (first, second)]
    whole = evaluate(descriptor, first + second).features
    np.testing.assert_allclose(whole, sum(parts), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("descriptor", "power"),
    [(CoulombMatrixMoments(4), 2), (ManyBodyTensor(), 1), (CoulombPairs(), 1)],
)
def test_the_remainder_falls_as_the_docstring_says(descriptor, power):
    first = molecule(1)
    remainders = []
    for distance in (1e3, 2e3):
        second = molecule(2)
        second.positions += [0.0, 0.0, distance]
        parts = [evaluate(descriptor, part).features for part in (first, second)]
        whole = evaluate(descriptor, first + second).features
        remainders.append(np.abs(whole - sum(parts)).max())
    assert np.log2(remainders[0] / remainders[1]) == pytest.approx(power, abs=0.01)


def test_moments_are_sums_of_powers_of_eigenvalues():
    atoms = molecule()
    charges = atoms.numbers.astype(float)
    matrix = np.diag(0.5 * charges**2.4)
    for i in range(5):
        for j in range(i):
            distance = atoms.get_distance(i, j)
            matrix[i, j] = matrix[j, i] = charges[i] * charges[j] / distance
    eigenvalues = np.linalg.eigvalsh(matrix) / (0.5 * 8**2.4)
    features = evaluate(CoulombMatrixMoments(4), atoms).features
    moments = features.reshape(3, 4).sum(axis=0)
    expected = [np.sum(eigenvalues**k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, expected, rtol=1e-12)


def test_tensor_integrates_to_the_sums_of_inverse_powers():
    atoms = molecule()
    descriptor = ManyBodyTensor(2001, 3.0, 0.03, 2.0)
    features = evaluate(descriptor, atoms).features.reshape(6, -1)
    sums = integrate.simpson(features, x=np.linspace(0.0, 3.0, 2001))
    expected = {pair: 0.0 for pair in [(1, 1), (1, 6), (1, 8), (6, 6), (6, 8), (8, 8)]}
    for i in range(5):
        for j in range(i):
            pair = tuple(sorted((atoms.numbers[i], atoms.numbers[j])))
            expected[pair] += atoms.get_distance(i, j) ** -2.0
    np.testing.assert_allclose(sums, list(expected.values()), rtol=1e-4)


def test_methanol_is_as_dscribe_describes_it():
    # DScribe 2.1.2, un-normalised MBTR of k = 2: inverse_distance, inverse_square,
    # sigma 0.1 and 14001 points, averages over a bin; every 2000th point.
    published = {
        (1, 1): [1.107082e-3, 0.2709191, 2.860461, 3.871915, 0.2276522, 2.659211e-4],
        (1, 6): [1.96685e-6, 7.698596e-3, 0.5519359, 0.7975971, 5.247053, 6.893333],
        (1, 8): [2.629509e-5, 0.052578, 1.976284, 1.403403, 0.3135768, 4.042004],
        (6, 6): [0.0] * 6,
        (6, 8): [0.0, 6.390471e-6, 0.02013498, 1.161961, 1.228158, 0.02377603],
        (8, 8): [0.0] * 6,
    }
    atoms = ase_molecule("CH3OH")
    tensor = evaluate(ManyBodyTensor(6, 1.0, 0.1, 2.0), atoms).features
    expected = np.concatenate(list(published.values()))
    np.testing.assert_allclose(tensor, expected, rtol=1e-6, atol=1e-10)
    # its eigenspectrum of the Coulomb matrix
    eigenvalues = np.array(
        [95.5802662961568, 18.198442192684052, -0.8845542117990957]
        + [-0.4084340208737182, -0.06068142978250043, -0.05023890714937605]
    )
    moments = evaluate(CoulombMatrixMoments(4), atoms).features.reshape(3, 4).sum(0)
    powers = [np.sum((eigenvalues / (0.5 * 8**2.4)) ** k) for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, powers, rtol=1e-12)


def test_products_of_charges_give_the_coulomb_energy():
    atoms = molecule()
    distances = atoms.get_all_distances() + np.diag(np.full(5, np.inf))
    own = np.random.default_rng(4).normal(size=(3, 4))  # constant, slopes in v_H, ...
    charges = np.zeros(5)
    for i, z in enumerate(atoms.numbers):
        weights = own[list(SPECIES).index(z)]
        charges[i] = weights[0]
        for j in range(5):
            if j != i:
                link = np.exp(-distances[i, j] / 0.6) / distances[i, j]
                charges[i] += weights[1 + list(SPECIES).index(atoms.numbers[j])] * link
    expected = 0.5 * np.sum(np.outer(charges, charges) / distances)
    products = np.outer(own.ravel(), own.ravel())[np.triu_indices(12)]
    features = evaluate(CoulombPairs(0.6), atoms).features
    assert features @ products == pytest.approx(expected, rel=1e-12)


def test_transformers_take_frames_and_refuse_what_they_cannot_describe():
    descriptor = ManyBodyTensor()
    frames = [molecule(1), molecule(2)]
    features = descriptor.fit_transform(frames)
    assert features.shape == (2, 6 * 24)
    assert descriptor.transform([]).shape == (0, 6 * 24)
    with pytest.raises(ValueError, match="atomic number 7 is not among those of the"):
        descriptor.transform(Atoms("N"))
    for wrong, message in (
        (CoulombMatrixMoments(2.5), "max_power must be a whole number of at least 1"),
        (
            ManyBodyTensor(n_grid=1),
            "n_grid must be a whole number of at least 2",
        ),
        (ManyBodyTensor(width=0.0), "width must be a positive number, got 0.0"),
        (CoulombPairs(np.nan), "screening_length must be a positive number, got nan"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong.fit_transform(frames)
    with pytest.raises(ValueError, match="at least one structure, got none"):
        ManyBodyTensor().fit([])
    with pytest.raises(
        ValueError, match=r"frame 1 .index 0. has pbc \[True, False, False"
    ):
        descriptor.transform(Atoms("H", cell=[9, 9, 9], pbc=[True, False, False]))
    with pytest.raises(ValueError, match="atoms 1 and 2 are on one point"):
        descriptor.transform(Atoms("HH", np.zeros((2, 3))))


def ions(seed):
    """Two to five ions whose energy is that of charges by element."""
    rng = np.random.default_rng(seed)
    atoms = molecule(seed)[: rng.integers(2, 6)]
    charges = np.array([{1: 0.4, 6: 0.3, 8: -0.7}[z] for z in atoms.numbers])
    vectors = atoms.positions[:, None] - atoms.positions
    distances = np.linalg.norm(vectors, axis=2) + np.diag(np.full(len(atoms), np.inf))
    pairs = COULOMB_CONSTANT * np.outer(charges, charges) / distances
    forces = np.einsum("ij,ijx->ix", pairs / distances**2, vectors)
    atoms.calc = SinglePointCalculator(atoms, energy=pairs.sum() / 2, forces=forces)
    return atoms


@pytest.fixture(scope="module")
def fitted():
    frames = [ions(seed) for seed in range(30)]
    descriptors = [CoulombPairs(), CoulombMatrixMoments(2)]
    return GlobalPotential(descriptors, energy_noise=1e-6, force_noise=1e-6).fit(frames)


def test_the_model_of_ions_is_exact_at_any_distance(fitted):
    frames = [ions(seed) for seed in range(100, 110)]
    results = fitted.compute(frames)
    for atoms, result in zip(frames, results, strict=True):
        np.testing.assert_allclose(result["forces"], atoms.get_forces(), atol=1e-4)
    far = Atoms("HO", [[0.0, 0.0, 0.0], [0.0, 0.0, 50.0]])
    energy = fitted.predict([far, far[:1], far[1:]]) @ [1.0, -1.0, -1.0]
    assert energy == pytest.approx(-0.28 * COULOMB_CONSTANT / 50.0, rel=1e-3)
    assert fitted.score(frames) == pytest.approx(1.0, abs=1e-6)


def test_the_model_obeys_physical_laws(fitted):
    checks = ["forces", "rotation", "inversion", "permutation", "copies", "fragments"]
    results = audit_model(fitted, [ions(3), molecule(5)], checks)
    assert {result.status for result in results} == {"pass"}


def test_the_model_goes_through_a_file(fitted, tmp_path):
    fitted.save(tmp_path / "model.lodekit")
    loaded = load_model(tmp_path / "model.lodekit")
    (ours,), (theirs,) = (own.compute(ions(7)) for own in (fitted, loaded))
    assert ours["energy"] == theirs["energy"]
    np.testing.assert_array_equal(ours["forces"], theirs["forces"])


def test_the_model_says_what_is_wrong(fitted):
    frames = [ions(0), ions(1)]
    with pytest.raises(ValueError, match="noise of forces must be a positive number"):
        GlobalPotential(ManyBodyTensor(), force_noise=0.0).fit(frames)
    with pytest.raises(ValueError, match="has not seen"):
        fitted.compute(Atoms("N"))
    with pytest.raises(ValueError, match=r"among \['energy', .*\], got 'stress'"):
        fitted.compute(frames, ["stress"])
    with pytest.raises(ValueError, match="none of the 1 frames has an energy"):
        GlobalPotential(ManyBodyTensor()).fit([molecule()])
