"""Products of potentials and densities, for all boundaries."""

import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained
from lode_cases import MAX_ANGULAR, MAX_RADIAL, RADIUS, make_lode
from test_lode_slab import slab

from lodekit.descriptors import PowerSpectrum, SphericalExpansion
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])
STRUCTURES = {
    "open": cluster(4),
    "slab": slab(numbers=(1, 8), n_atoms=3),
    "periodic": triclinic(3, (1, 8)),
}
CUTOFF = {"radius": 4.0, "smoothing": {"type": "ShiftedCosine", "width": 1.5}}


def density():
    radial = {"type": "Gto", "max_radial": MAX_RADIAL, "radius": RADIUS}
    return SphericalExpansion(
        cutoff=CUTOFF,
        density={"type": "Gaussian", "width": 0.5},
        basis={"type": "TensorProduct", "max_angular": MAX_ANGULAR, "radial": radial},
    )


PRODUCTS = {
    "potential x itself": PowerSpectrum(make_lode()),
    "density x potential": PowerSpectrum(density(), make_lode()),
    "1 / r x 1 / r^6": PowerSpectrum(make_lode(1), make_lode(6)),
    "density x far potential": PowerSpectrum(
        density(), make_lode(exclude_within=CUTOFF)
    ),
}


def features(product, atoms):
    return product.evaluate(StructureBatch.from_frames(atoms), SPECIES)


@pytest.mark.parametrize("boundary", STRUCTURES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_rotations_change_nothing(name, boundary):
    product, atoms = PRODUCTS[name], STRUCTURES[boundary]
    rotation = random_rotation(2)
    turned = displaced(atoms, atoms.positions @ rotation.T)
    turned.set_cell(atoms.cell.array @ rotation.T)
    before = features(product, atoms).features
    after = features(product, turned).features
    scale = np.abs(before).max()
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-10 * scale)


@pytest.mark.compiled
@pytest.mark.parametrize("boundary", STRUCTURES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_gradients_equal_finite_differences(name, boundary):
    product, atoms = PRODUCTS[name], STRUCTURES[boundary]
    state = features(product, atoms)
    adjoint = np.random.default_rng(0).normal(size=state.features.shape)
    positions, strain = state.reverse(adjoint)

    def scalar(frame):
        return (features(product, frame).features * adjoint).sum()

    def by_position(r):
        return scalar(displaced(atoms, r))

    def by_strain(e):
        return scalar(strained(atoms, e))

    numerical = central_differences(by_position, atoms.positions, 3e-4)
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(positions, numerical, rtol=0, atol=1e-6 * scale)
    numerical = central_differences(by_strain, np.zeros((3, 3)), 3e-4)
    scale = np.abs(numerical).max()
    np.testing.assert_allclose(strain[0], numerical, rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("boundary", STRUCTURES)
@pytest.mark.parametrize("name", list(PRODUCTS)[1:])
def test_stored_gradients_equal_the_reverse_pass(name, boundary):
    """Summed over the features of a product; squares are stored in another layout."""
    product, atoms = PRODUCTS[name], STRUCTURES[boundary]
    computed = product.compute(atoms, gradients=["positions", "strain"])
    total = np.zeros((len(atoms), 3))
    strain = np.zeros((3, 3))
    for block in computed:
        gradient = block.gradient("positions")
        moving = gradient.samples.column("atom")
        np.add.at(total, moving, gradient.values.sum(axis=2))
        strain += block.gradient("strain").values.sum(axis=(0, 3))
    state = features(product, atoms)
    # featomic's factor of every l
    signs = (-1.0) ** np.arange(MAX_ANGULAR + 1)
    adjoint = np.repeat(signs, state.features.shape[1] // signs.size)
    adjoint = np.tile(adjoint, (len(atoms), 1))
    positions, expected = state.reverse(adjoint)
    scale = np.abs(positions).max()
    np.testing.assert_allclose(total, positions, rtol=0, atol=1e-9 * scale)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(strain, expected[0], rtol=0, atol=1e-9 * scale)
