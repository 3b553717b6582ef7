"""LODE of charged sources, at every boundary."""

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained

from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    PowerSpectrum,
    SphericalExpansion,
)
from lodekit.errors import SettingsError
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8, 11])
ONE = {"H": 0.5, "O": -1.0, "Na": 0.75}
TWO = {"H": [0.5, 0.0], "O": [-1.0, 1.0], "Na": [0.0, -1.0]}


def slab():
    atoms = triclinic(5)
    atoms.pbc = [True, True, False]
    return atoms


STRUCTURES = {"open": cluster(5, (1, 8, 11)), "slab": slab(), "periodic": triclinic(5)}


def lode(charges=None, **changes):
    arguments = {
        "density": {"type": "SmearedPowerLaw", "smearing": 0.9, "exponent": 1},
        "basis": {
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 1, "radius": 2.5},
        },
        "charges": charges,
    }
    return LodeSphericalExpansion(**{**arguments, **changes})


def density():
    return SphericalExpansion(
        cutoff={"radius": 3.0, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        density={"type": "Gaussian", "width": 0.5},
        basis={
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 1},
        },
    )


#: Descriptors whose tables are made once.
UNITS, CHARGED, PAIR = lode(), lode(ONE), lode(TWO)


def expand(atoms, descriptor):
    return descriptor.expand(StructureBatch.from_frames(atoms), SPECIES)


def matrix(charges):
    return np.array([np.atleast_1d(charges[s]) for s in ("H", "O", "Na")])


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize(("descriptor", "charges"), [(CHARGED, ONE), (PAIR, TWO)])
def test_channels_are_sums_over_species_with_charges_as_weights(
    name, descriptor, charges
):
    atoms = STRUCTURES[name]
    units = expand(atoms, UNITS).values
    expected = np.einsum("ilsn,sc->ilcn", units, matrix(charges))
    values = expand(atoms, descriptor).coefficients
    np.testing.assert_allclose(values, expected.reshape(values.shape), atol=1e-13)


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("descriptor", [CHARGED, PAIR])
def test_derivatives_equal_finite_differences(name, descriptor):
    atoms = STRUCTURES[name]
    rng = np.random.default_rng(0)
    adjoint = rng.normal(size=expand(atoms, descriptor).coefficients.shape)

    def value(moved):
        return np.sum(adjoint * expand(moved, descriptor).coefficients)

    expansion = expand(atoms, descriptor)
    positions, strain = expansion.reverse(adjoint)
    numerical = central_differences(
        lambda r: value(displaced(atoms, r)), atoms.positions
    )
    np.testing.assert_allclose(positions, numerical, atol=1e-6, rtol=1e-6)
    by_strain = central_differences(
        lambda e: value(strained(atoms, e)), np.zeros((3, 3))
    )
    np.testing.assert_allclose(strain[0], by_strain, atol=1e-6, rtol=1e-6)
    own = expansion.jacobian()
    shaped = adjoint.reshape(len(atoms), -1, expansion.n_channels, 2).swapaxes(1, 2)
    chosen = shaped[own.centers, own.channels]
    forward = np.einsum("exln,eln->ex", own.derivatives, chosen)
    total = np.zeros_like(positions)
    np.add.at(total, own.movers, forward)
    np.subtract.at(total, own.centers, forward)
    np.testing.assert_allclose(total, positions, atol=1e-9)
    jacobian = np.einsum("iabln,iln->ab", expansion.strain_jacobian(), adjoint)
    np.testing.assert_allclose(jacobian, strain[0], atol=1e-9)


def test_rotations_turn_nothing():
    """Invariants of a turned structure are the same."""
    atoms = STRUCTURES["periodic"]
    spectrum = PowerSpectrum(density(), PAIR)
    turned = atoms.copy()
    rotation = random_rotation()
    turned.set_cell(atoms.cell.array @ rotation.T)
    turned.set_positions(atoms.positions @ rotation.T)
    batch = StructureBatch.from_frames([atoms, turned])
    features = spectrum.evaluate(batch, SPECIES).features
    assert features.shape == (10, spectrum.n_features(SPECIES))
    np.testing.assert_allclose(features[5:], features[:5], atol=1e-10)


def test_neutral_sources_have_the_same_potential_in_a_cell_as_without():
    """A background of zero charge: dipole-free ions in a large cell, and in none."""
    ions = Atoms("O2Na2", [[0, 0, 0], [2, 2, 0], [2, 0, 0], [0, 2, 0]])
    charges = {"O": -1.0, "Na": 1.0}
    boxed = ions.copy()
    boxed.set_cell(np.diag([40.0, 41.0, 42.0]))
    boxed.pbc = True
    values = {}
    for name, own in (("charged", charges), ("units", None)):
        spherical = lode(own)
        cells = [
            spherical.expand(StructureBatch.from_frames(a), np.array([8, 11]))
            for a in (ions, boxed)
        ]
        values[name] = np.abs(cells[0].coefficients - cells[1].coefficients).max()
    assert values["charged"] < 1e-4  # the octopole of images
    assert values["units"] > 0.1


def test_names_of_channels():
    """Channels of charges are -1, -2, ... in a TensorMap."""
    atoms = STRUCTURES["open"]
    tensor = PAIR.compute(atoms, gradients=["positions", "strain"])
    assert set(tensor.keys["neighbor_type"]) == {-1, -2}
    product = PowerSpectrum(density(), PAIR).compute(atoms)
    names = np.unique(product.block(0).properties["neighbor_2_type"])
    assert names.tolist() == [-2, -1]
    couplings = EquivariantPowerSpectrum(density(), PAIR).compute(atoms)
    assert set(couplings.keys["neighbor_2_type"]) == {-1, -2}


@pytest.mark.parametrize(
    ("charges", "message"),
    [
        ("data", "must be a table of charges by element symbol"),
        ({}, "must be a table"),
        ({"Xx": 1.0}, "no element 'Xx'"),
        ({"H": "one"}, "charges.H"),
        ({"H": float("nan")}, "must be finite"),
        ({"H": 1.0, "O": [1.0, 2.0]}, "same number of charges"),
        ({"H": []}, "same number of charges"),
    ],
)
def test_charges_that_make_no_sense_are_refused(charges, message):
    with pytest.raises(SettingsError, match=message):
        lode(charges).hypers  # noqa: B018


def test_a_species_without_charge_is_named():
    with pytest.raises(SettingsError, match="have no Na"):
        expand(STRUCTURES["open"], lode({"H": 1.0, "O": -2.0}))


def test_featomic_has_no_charges():
    with pytest.raises(SettingsError, match="`charges` needs backend"):
        lode(ONE, backend="featomic").compute(STRUCTURES["open"])
