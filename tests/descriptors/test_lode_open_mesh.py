"""Open structures on a padded mesh against the exact sum over all pairs."""

import functools

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster
from lode_cases import coefficients, expand, make_lode, relative_error

from lodekit.descriptors.lode.open_mesh import fold, kaiser_window
from lodekit.structures.batch import StructureBatch

SPECIES = (1, 8)


@functools.cache
def descriptors(exponent=1, accuracy=1e-6, pair_cutoff=4.0):
    """One that sums all pairs, and one with a mesh beyond the pairs of a range."""
    direct, on_mesh = (make_lode(exponent, accuracy) for _ in range(2))
    direct.open_meshes.choose = lambda *_: None
    on_mesh.open_meshes.choose = lambda *_: pair_cutoff
    return direct, on_mesh


def gas(n_atoms=40, lengths=(12.0, 9.0, 7.0), seed=0):
    """Atoms at random places, none of them close to each other."""
    rng = np.random.default_rng(seed)
    positions = np.zeros((0, 3))
    while len(positions) < n_atoms:
        place = rng.uniform(0.0, lengths)
        if (np.linalg.norm(positions - place, axis=1) > 1.0).all():
            positions = np.concatenate([positions, [place]])
    return Atoms(rng.choice(SPECIES, n_atoms), positions)


GAS = gas()


@pytest.mark.parametrize(
    ("exponent", "accuracy", "pair_cutoff"),
    [(1, 1e-3, 4.0), (1, 1e-8, 9.0), (0, 1e-6, 6.0), (3, 1e-6, 9.0), (6, 1e-6, 6.0)],
)
def test_coefficients_equal_the_sum_over_all_pairs(exponent, accuracy, pair_cutoff):
    direct, on_mesh = descriptors(exponent, accuracy, pair_cutoff)
    expected = coefficients(GAS, direct, SPECIES)
    found = coefficients(GAS, on_mesh, SPECIES)
    assert relative_error(found, expected, direct) < accuracy


@pytest.mark.parametrize(
    "lengths", [(40.0, 40.0, 0.0), (0.0, 0.0, 150.0), (90.0, 6.0, 5.0)]
)
def test_flat_and_long_structures_see_no_images(lengths):
    atoms = gas(20, lengths)
    direct, on_mesh = descriptors(pair_cutoff=9.0)
    expected = coefficients(atoms, direct, SPECIES)
    found = coefficients(atoms, on_mesh, SPECIES)
    assert relative_error(found, expected, direct) < 1e-6


def test_several_structures_do_not_see_each_other():
    frames = [GAS, gas(10, (5.0, 5.0, 5.0), seed=1)]
    _, on_mesh = descriptors()
    together = coefficients(frames, on_mesh, SPECIES)
    alone = np.concatenate([coefficients([a], on_mesh, SPECIES) for a in frames])
    np.testing.assert_array_equal(together, alone)


def scalar_of(atoms, adjoint):
    return np.sum(adjoint * expand([atoms], descriptors()[1], SPECIES).coefficients)


@pytest.fixture(scope="module")
def reversed_pass():
    expansion = expand([GAS], descriptors()[1], SPECIES)
    adjoint = np.random.default_rng(3).normal(size=expansion.coefficients.shape)
    return adjoint, *expansion.reverse(adjoint)


def test_gradients_are_those_of_the_computed_coefficients(reversed_pass):
    adjoint, gradients, _ = reversed_pass
    change = np.random.default_rng(4).normal(size=(len(GAS), 3))
    numerical = along(lambda atoms, step: atoms.translate(step * change), adjoint)
    assert numerical == pytest.approx(np.vdot(gradients, change), rel=1e-8)


def test_strain_gradients_are_those_of_the_computed_coefficients(reversed_pass):
    adjoint, _, (strain,) = reversed_pass
    change = np.random.default_rng(5).normal(size=(3, 3))

    def stretch(atoms, step):
        atoms.positions += step * atoms.positions @ change

    # the mesh stays where it is, to which the sum of forces is not quite zero
    expected = pytest.approx(np.vdot(strain, change), rel=1e-6)
    assert along(stretch, adjoint) == expected


def along(change, adjoint, step=1e-3):
    """Fourth-order derivative of a sum of coefficients along a change of the gas."""
    total = 0.0
    for shift, weight in ((-2.0, 1.0), (-1.0, -8.0), (1.0, 8.0), (2.0, -1.0)):
        atoms = GAS.copy()
        change(atoms, shift * step)
        total += weight * scalar_of(atoms, adjoint)
    return total / (12.0 * step)


def test_gradients_equal_those_of_all_pairs(reversed_pass):
    adjoint, gradients, strain = reversed_pass
    expected = expand([GAS], descriptors()[0], SPECIES).reverse(adjoint)
    for found, exact in zip((gradients, strain), expected, strict=True):
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-6 * abs(exact).max())


def test_jacobians_are_those_of_all_pairs():
    atoms = cluster(5)
    direct, on_mesh = (expand([atoms], own, SPECIES) for own in descriptors())
    for name in ("centers", "movers", "channels", "derivatives"):
        found = getattr(on_mesh.jacobian(), name)
        np.testing.assert_array_equal(found, getattr(direct.jacobian(), name))
    np.testing.assert_array_equal(on_mesh.strain_jacobian(), direct.strain_jacobian())


def test_meshes_are_for_structures_of_thousands_of_atoms():
    choose = make_lode().open_meshes.choose
    rng = np.random.default_rng(0)
    positions, species = rng.uniform(0.0, 60.0, (20_000, 3)), rng.integers(1, 3, 20_000)
    assert choose(positions, species) > 3.0
    assert choose(positions[:600] / 3.0, species[:600]) is None
    assert choose(positions[:200] / 5.0, species[:200]) is None
    # as many atoms in so much empty space that a mesh of it costs more
    assert choose(100.0 * positions, species) is None


def test_what_a_box_needs_is_made_once():
    _, on_mesh = descriptors()
    meshes = on_mesh.open_meshes
    expand([GAS], on_mesh, SPECIES)
    before = dict(meshes._spectra)
    moved = GAS.copy()
    moved.positions += 100.0 + 0.01 * np.random.default_rng(0).normal(size=(40, 3))
    expand([moved], on_mesh, SPECIES)
    assert before.items() <= meshes._spectra.items()


def test_windows_fall_from_one_to_zero():
    x = np.linspace(-0.5, 1.5, 201)
    values = kaiser_window(x, 20.0)
    np.testing.assert_allclose(values[x <= 0.0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(values[x >= 1.0], 0.0, atol=1e-12)
    assert (np.diff(values) <= 1e-15).all()
    np.testing.assert_allclose(values + values[::-1], 1.0, rtol=0, atol=1e-12)


def test_folding_adds_images():
    # an even function of 14 points, on a circle of 10
    half, values = 5, np.arange(1.0, 9.0)
    folded = fold(values[None], 1, half)[0]
    even = dict(zip(range(8), values, strict=True)) | dict(
        zip(range(0, -8, -1), values, strict=True)
    )
    for place in range(half + 1):
        images = [even[p] for p in (place - 10, place, place + 10) if p in even]
        expected = sum(images)
        assert folded[place] == expected


def test_charges_on_the_mesh_are_those_of_all_pairs():
    direct, on_mesh = descriptors()
    rng = np.random.default_rng(6)
    batch, zeros = StructureBatch.from_frames(GAS), np.zeros(len(GAS), dtype=np.intp)
    charges = rng.normal(size=len(GAS))
    exact, found = (
        one.expand_sources(batch, zeros, 1, charges) for one in (direct, on_mesh)
    )
    assert relative_error(found.values, exact.values, direct) < 1e-5
    adjoint = rng.normal(size=found.coefficients.shape)
    by_charges = np.zeros((2, len(GAS)))
    for own, expansion in zip(by_charges, (exact, found), strict=True):
        expansion.reverse(adjoint, own)
    scale = np.abs(by_charges[0]).max()
    np.testing.assert_allclose(by_charges[1], by_charges[0], atol=1e-5 * scale)
    assert by_charges[1] @ charges == pytest.approx(
        np.sum(adjoint * found.coefficients), rel=1e-9
    )
