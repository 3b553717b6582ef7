import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation
from labelled_structures import soap

from lodekit.regression import PolynomialCovariance
from lodekit.regression.vector_kernel import VectorKernel
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])


@pytest.fixture(scope="module")
def frames():
    return [cluster(5, seed=i) for i in range(6)]


@pytest.fixture(scope="module")
def kernel(frames):
    return VectorKernel.select(
        frames, soap(), PolynomialCovariance(2), SPECIES, 5, random_state=0
    )


def rows(kernel, frames):
    return kernel.rows(StructureBatch.from_frames(frames), {})


def test_covariances_are_the_formula_in_plain_loops(frames):
    # all environments are points: Phi Phi^T is the covariance itself
    atoms = frames[0]
    kernel = VectorKernel.select(
        [atoms], soap(), PolynomialCovariance(2), SPECIES, 9, random_state=0
    )
    found = rows(kernel, [atoms])
    batch = StructureBatch.from_frames([atoms])
    state = soap().evaluate(batch, SPECIES)
    for z in SPECIES:
        own = np.flatnonzero(atoms.numbers == z)
        # harmonics of l = 1 are y, z, x
        vectors = {i: state.left.coefficients[i, [3, 1, 2]] for i in own}
        scale = np.mean([(v**2).sum() for v in vectors.values()]) / 3
        for i in own:
            for j in own:
                p, q = state.features[i], state.features[j]
                cosine = p @ q / np.sqrt(p @ p * (q @ q))
                expected = cosine**2 * vectors[i] @ vectors[j].T / scale
                assert found[i] @ found[j].T == pytest.approx(expected, abs=1e-8)


def test_vectors_turn_with_the_structure(kernel):
    weights = np.random.default_rng(0).normal(size=kernel.rank)
    atoms = cluster(6, seed=50)
    rotation = -random_rotation(2)
    turned = atoms.copy()
    turned.positions = turned.positions @ rotation.T
    straight = rows(kernel, [atoms]) @ weights
    assert np.abs(straight).max() > 0.1
    assert rows(kernel, [turned]) @ weights == pytest.approx(
        straight @ rotation.T, abs=1e-10
    )


def test_a_centre_of_inversion_has_no_vector(kernel):
    atoms = Atoms("HOH", positions=[[1.1, 0.2, 0], [0, 0, 0], [-1.1, -0.2, 0]])
    assert rows(kernel, [atoms])[1] == pytest.approx(0.0, abs=1e-12)


def test_arrays_make_the_same_kernel(kernel, frames):
    arrays = kernel.get_arrays("v")
    again = VectorKernel.from_arrays(
        kernel.descriptor, kernel.covariance, SPECIES, arrays, "v"
    )
    assert np.array_equal(rows(again, frames), rows(kernel, frames))
