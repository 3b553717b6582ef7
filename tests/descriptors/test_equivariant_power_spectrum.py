import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, rock_salt, triclinic
from finite_differences import central_differences, displaced, strained
from wigner import wigner_matrix

from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.structures.batch import StructureBatch

BASIS = {
    "type": "TensorProduct",
    "max_angular": 3,
    "radial": {"type": "Gto", "max_radial": 1},
    "spline_accuracy": None,
}
DENSITY = {
    "cutoff": {"radius": 3.5, "smoothing": {"type": "ShiftedCosine", "width": 0.6}},
    "density": {"type": "Gaussian", "width": 0.5},
    "basis": BASIS,
}
OTHER_DENSITY = {
    **DENSITY,
    "density": {"type": "Gaussian", "width": 0.7},
    "basis": {**BASIS, "max_angular": 2, "radial": {"type": "Gto", "max_radial": 2}},
}
POTENTIAL = {
    "density": {"type": "SmearedPowerLaw", "smearing": 1.2, "exponent": 1},
    "basis": {**BASIS, "radial": {"type": "Gto", "max_radial": 1, "radius": 3.5}},
}
SOAP = EquivariantPowerSpectrum(SphericalExpansion(**DENSITY))
TWO = EquivariantPowerSpectrum(
    SphericalExpansion(**DENSITY), SphericalExpansion(**OTHER_DENSITY)
)
LODE = EquivariantPowerSpectrum(
    SphericalExpansion(**DENSITY), LodeSphericalExpansion(**POTENTIAL, accuracy=1e-10)
)
ALL = {"soap": SOAP, "two": TWO, "lode": LODE}
FRAMES = {
    "triclinic": [triclinic(5)],
    "open": [cluster(4)],
    "no neighbours": [Atoms("O"), Atoms("HCl", positions=[[0, 0, 0], [0, 0, 9.0]])],
    "different species": [cluster(2), rock_salt(1), Atoms("O"), triclinic(3)],
}


def featomic_equivariants(*arguments):
    """featomic's calculator of expansions, (name, arguments) each."""
    featomic = pytest.importorskip("featomic")
    products = pytest.importorskip("featomic.clebsch_gordan")
    sides = [getattr(featomic, name)(**values) for name, values in arguments]
    return products.EquivariantPowerSpectrum(*sides)


def assert_same_tensor_map(ours, theirs, atol):
    assert ours.keys == theirs.keys
    for key, expected in theirs.items():
        block = ours.block(key)
        assert block.samples == expected.samples
        assert block.components == expected.components
        assert block.properties == expected.properties
        np.testing.assert_allclose(block.values, expected.values, rtol=0, atol=atol)


@pytest.mark.parametrize("in_properties", [False, True])
@pytest.mark.parametrize("frames", FRAMES)
def test_square_of_a_density_equals_featomic(frames, in_properties):
    calculator = featomic_equivariants(("SphericalExpansion", DENSITY))
    arguments = {"neighbors_to_properties": in_properties}
    theirs = calculator.compute(FRAMES[frames], **arguments)
    ours = SOAP.compute(FRAMES[frames], **arguments)
    assert_same_tensor_map(ours, theirs, 1e-10)


@pytest.mark.parametrize("in_properties", [False, True])
@pytest.mark.parametrize("frames", ["open", "different species"])
def test_product_of_two_densities_equals_featomic(frames, in_properties):
    calculator = featomic_equivariants(
        ("SphericalExpansion", DENSITY), ("SphericalExpansion", OTHER_DENSITY)
    )
    arguments = {"neighbors_to_properties": in_properties}
    theirs = calculator.compute(FRAMES[frames], **arguments)
    ours = TWO.compute(FRAMES[frames], **arguments)
    assert_same_tensor_map(ours, theirs, 1e-10)


def test_density_times_potential_equals_featomic():
    potential = {**POTENTIAL, "k_cutoff": 9.0}
    calculator = featomic_equivariants(
        ("SphericalExpansion", DENSITY), ("LodeSphericalExpansion", potential)
    )
    frames = FRAMES["triclinic"]
    assert_same_tensor_map(LODE.compute(frames), calculator.compute(frames), 1e-8)


def test_largest_order_selects_keys_as_in_featomic():
    metatensor = pytest.importorskip("metatensor")
    calculator = featomic_equivariants(("SphericalExpansion", DENSITY))
    wanted = metatensor.Labels(["o3_lambda"], np.arange(3)[:, None])
    theirs = calculator.compute(FRAMES["open"], selected_keys=wanted)
    ours = EquivariantPowerSpectrum(SOAP.left, max_lambda=2).compute(FRAMES["open"])
    assert_same_tensor_map(ours, theirs, 1e-10)


def evaluate(descriptor, atoms):
    batch = StructureBatch.from_frames([atoms])
    return descriptor.evaluate(batch, np.unique(atoms.numbers))


@pytest.mark.parametrize("is_proper", [True, False])
@pytest.mark.parametrize("name", ALL)
def test_features_turn_by_wigner_matrices(name, is_proper):
    rotation = random_rotation() if is_proper else -random_rotation()
    atoms = triclinic(4, (1, 8))
    turned = displaced(atoms, atoms.positions @ rotation.T)
    turned.set_cell(atoms.cell.array @ rotation.T)
    before, after = evaluate(ALL[name], atoms), evaluate(ALL[name], turned)
    for order, sigma in ALL[name].keys:
        matrix = wigner_matrix(order, rotation)
        matrix *= sigma if np.linalg.det(rotation) < 0 else 1
        for center in (1, 8):
            values = before.block(order, sigma, center)
            expected = np.einsum("ab,ibc->iac", matrix, values)
            found = after.block(order, sigma, center)
            atol = 1e-10 * abs(values).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def test_keys_are_all_tensors_and_pseudotensors():
    expected = [(0, 1), (1, 1), (1, -1), (2, 1), (2, -1), (3, 1), (3, -1)]
    expected += [(4, 1), (4, -1), (5, 1), (5, -1), (6, 1)]
    assert SOAP.keys == expected


def test_order_zero_is_the_power_spectrum():
    atoms = triclinic(3, (1, 8))
    batch, species = StructureBatch.from_frames([atoms]), np.array([1, 8])
    for descriptor in (SOAP, LODE):
        invariants = PowerSpectrum(descriptor.left, descriptor.right)
        scalars = invariants.evaluate(batch, species).features
        equivariants = descriptor.evaluate(batch, species)
        for center in (1, 8):
            channels = descriptor.channels(0, 1, center, species)
            signs = (-1.0) ** channels.numbers[:, 0]  # of C(l m l m; 0 0)
            found = equivariants.block(0, 1, center)[:, 0] * signs
            expected = scalars[atoms.numbers == center]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def full_products(features, order, sigma, center):
    """Dot products of atoms over all l1, l2, q1, q2, from single channels."""
    batch_atoms = np.flatnonzero(features.centers == center)
    left, right = (values[batch_atoms] for values in features.coefficients)
    total = 0.0
    l_left, l_right = (int(np.sqrt(side.shape[1])) for side in (left, right))
    from lodekit.descriptors.clebsch_gordan import clebsch_gordan

    for l1 in range(l_left):
        for l2 in range(l_right):
            if not abs(l1 - l2) <= order <= l1 + l2:
                continue
            if (-1) ** (l1 + l2 + order) != sigma:
                continue
            x, y = left[:, l1**2 : (l1 + 1) ** 2], right[:, l2**2 : (l2 + 1) ** 2]
            table = clebsch_gordan(l1, l2, order)
            values = np.einsum("iap,ibq,abm->impq", x, y, table)
            total = total + np.einsum("iapq,jbpq->iajb", values, values)
    return total


@pytest.mark.parametrize("name", ALL)
def test_dot_products_are_those_of_all_products(name):
    features = evaluate(ALL[name], triclinic(3, (8,)))
    for order, sigma in [(0, 1), (1, 1), (1, -1), (2, 1)]:
        values = features.block(order, sigma, 8)
        found = np.einsum("iac,jbc->iajb", values, values)
        expected = full_products(features, order, sigma, 8)
        atol = 1e-12 * abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.compiled
@pytest.mark.parametrize("name", ["soap", "lode"])
def test_reverse_pass_equals_finite_differences(name):
    atoms, rng = triclinic(3, (1, 8)), np.random.default_rng(0)
    features, adjoints = evaluate(ALL[name], atoms), {}
    for order, sigma in [(0, 1), (1, -1), (2, 1), (3, 1)]:
        for center in (1, 8):
            key = order, sigma, center
            adjoints[key] = rng.normal(size=features.block(*key).shape)

    def scalar(frame):
        features = evaluate(ALL[name], frame)
        return sum(np.sum(features.block(*key) * y) for key, y in adjoints.items())

    positions, strain = features.reverse(adjoints)
    expected = central_differences(
        lambda r: scalar(displaced(atoms, r)), atoms.positions, 1e-3
    )
    atol = 1e-7 * abs(expected).max()
    np.testing.assert_allclose(positions, expected, rtol=0, atol=atol)
    expected = central_differences(
        lambda e: scalar(strained(atoms, e)), np.zeros((3, 3)), 1e-3
    )
    atol = 1e-7 * abs(expected).max()
    np.testing.assert_allclose(strain[0], expected, rtol=0, atol=atol)


@pytest.mark.parametrize("max_lambda", [-1, 7, 1.5])
def test_orders_that_the_expansions_do_not_reach_are_refused(max_lambda):
    descriptor = EquivariantPowerSpectrum(SOAP.left, max_lambda=max_lambda)
    with pytest.raises(ValueError, match="whole number from 0 to 6, .* got"):
        descriptor.compute(FRAMES["open"])
