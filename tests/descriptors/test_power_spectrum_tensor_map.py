import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, rock_salt, triclinic
from finite_differences import central_differences, displaced, strained

from lodekit.descriptors import (
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.structures.batch import StructureBatch

BASIS = {
    "type": "TensorProduct",
    "max_angular": 3,
    "radial": {"type": "Gto", "max_radial": 2},
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
    "basis": {**BASIS, "radial": {"type": "Gto", "max_radial": 1}},
}
POTENTIAL = {
    "density": {"type": "SmearedPowerLaw", "smearing": 1.2, "exponent": 1},
    "basis": {**BASIS, "radial": {"type": "Gto", "max_radial": 1, "radius": 3.5}},
}
SOAP = PowerSpectrum(SphericalExpansion(**DENSITY))
TWO = PowerSpectrum(SphericalExpansion(**DENSITY), SphericalExpansion(**OTHER_DENSITY))
LODE = PowerSpectrum(
    SphericalExpansion(**DENSITY), LodeSphericalExpansion(**POTENTIAL, accuracy=1e-10)
)
FAR_PAIR = Atoms("HCl", positions=[[0, 0, 0], [0, 0, 9.0]])
FRAMES = {
    "triclinic": [triclinic(5)],
    "cutoff larger than the cell": [triclinic(1), triclinic(2, (8,))],
    "open": [cluster(4)],
    "no neighbours": [Atoms("O"), FAR_PAIR],
    "different species": [cluster(2), rock_salt(1), Atoms("O"), triclinic(3)],
}


def wanted_gradients(frames):
    periodic = all(frame.pbc.all() for frame in frames)
    return ["positions", "strain"] if periodic else ["positions"]


def assert_same_tensor_map(ours, theirs, gradients, atol):
    assert ours.keys == theirs.keys
    for key, block in theirs.items():
        pairs = [(ours.block(key), block)]
        pairs += [(pairs[0][0].gradient(g), block.gradient(g)) for g in gradients]
        for own, expected in pairs:
            assert own.samples == expected.samples
            assert own.components == expected.components
            assert own.properties == expected.properties
            np.testing.assert_allclose(own.values, expected.values, rtol=0, atol=atol)


def featomic_expansion(name, arguments):
    featomic = pytest.importorskip("featomic")
    density = {"center_atom_weight": 1.0, "scaling": None, **arguments["density"]}
    return getattr(featomic, name)(**{**arguments, "density": density})


def featomic_product(left, right):
    clebsch_gordan = pytest.importorskip("featomic.clebsch_gordan")
    return clebsch_gordan.PowerSpectrum(left, right)


@pytest.mark.parametrize("frames", FRAMES)
def test_soap_equals_featomic(frames):
    frames = FRAMES[frames]
    gradients = wanted_gradients(frames)
    calculator = featomic_expansion("SoapPowerSpectrum", DENSITY)
    theirs = calculator.compute(frames, gradients=gradients)
    assert_same_tensor_map(SOAP.compute(frames, gradients), theirs, gradients, 1e-8)


@pytest.mark.parametrize("frames", FRAMES)
def test_product_of_two_densities_equals_featomic(frames):
    frames = FRAMES[frames]
    calculator = featomic_product(
        featomic_expansion("SphericalExpansion", DENSITY),
        featomic_expansion("SphericalExpansion", OTHER_DENSITY),
    )
    theirs = calculator.compute(frames, gradients=["positions"])
    ours = TWO.compute(frames, ["positions"])
    assert_same_tensor_map(ours, theirs, ["positions"], 1e-8)


@pytest.mark.parametrize("name", ["triclinic", "cutoff larger than the cell"])
def test_density_times_potential_equals_featomic(name):
    calculator = featomic_product(
        featomic_expansion("SphericalExpansion", DENSITY),
        featomic_expansion("LodeSphericalExpansion", {**POTENTIAL, "k_cutoff": 8.0}),
    )
    theirs = calculator.compute(FRAMES[name], gradients=["positions"])
    ours = LODE.compute(FRAMES[name], ["positions"])
    assert_same_tensor_map(ours, theirs, ["positions"], 1e-6)


def by_atom(tensor_map, numbers):
    """Feature vectors in the order of atoms, one list entry an atom."""
    rows = [[] for _ in numbers]
    for block in tensor_map.blocks():
        for sample, values in zip(block.samples["atom"], block.values, strict=True):
            rows[sample].append(values.ravel())
    return np.concatenate([np.concatenate(row) for row in rows])


@pytest.mark.parametrize("descriptor", [SOAP, TWO, LODE], ids=["soap", "two", "lode"])
def test_values_do_not_change_under_rotation(descriptor):
    atoms, rotation = triclinic(5), random_rotation()
    turned = displaced(atoms, atoms.positions @ rotation.T)
    turned.set_cell(atoms.cell.array @ rotation.T)
    before, after = (
        by_atom(descriptor.compute(frame), atoms.numbers) for frame in (atoms, turned)
    )
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-10 * abs(before).max())


@pytest.mark.compiled
@pytest.mark.parametrize("descriptor", [SOAP, TWO, LODE], ids=["soap", "two", "lode"])
def test_gradients_equal_finite_differences(descriptor):
    atoms = triclinic(3, (1, 8))
    ours = descriptor.compute(atoms, ["positions", "strain"])
    for key, block in ours.items():
        values = block.values.shape

        def values_of(frame, key=key):
            return descriptor.compute(frame).block(key).values

        expected = central_differences(
            lambda r: values_of(displaced(atoms, r)), atoms.positions, 1e-3
        )
        dense = np.zeros((len(atoms), 3, *values))
        gradient = block.gradient("positions")
        for (sample, _, atom), row in zip(
            gradient.samples.values, gradient.values, strict=True
        ):
            dense[atom, :, sample] = row
        scale = abs(expected).max()
        np.testing.assert_allclose(dense, expected, rtol=0, atol=1e-7 * scale)
        expected = central_differences(
            lambda e: values_of(strained(atoms, e)), np.zeros((3, 3)), 1e-3
        )
        found = np.moveaxis(block.gradient("strain").values, 0, 2)
        scale = abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * scale)


@pytest.mark.parametrize("descriptor", [SOAP, TWO], ids=["soap", "two"])
def test_dot_products_are_those_of_the_arrays_that_models_use(descriptor):
    atoms = Atoms("HHHH", cluster(4).positions)  # one block holds all atoms
    (block,) = descriptor.compute(atoms).blocks()
    values = np.array(block.values)
    packed = descriptor.evaluate(StructureBatch.from_frames([atoms]), np.array([1]))
    expected = packed.features @ packed.features.T
    np.testing.assert_allclose(values @ values.T, expected, rtol=1e-12)


def test_unknown_gradients_are_refused():
    with pytest.raises(ValueError, match="gradients must be among .* got 'cell'"):
        SOAP.compute(triclinic(2), ["cell"])


def test_expansions_of_different_angular_size_are_refused():
    small = {**DENSITY, "basis": {**BASIS, "max_angular": 2}}
    descriptor = PowerSpectrum(
        SphericalExpansion(**DENSITY), SphericalExpansion(**small)
    )
    with pytest.raises(ValueError, match="need the same max_angular, got 3 and 2"):
        descriptor.compute(triclinic(2))
