"""LODE of sources whose charges depend on their surroundings."""

import numpy as np
import pytest
from crystals import cluster, random_rotation, triclinic
from finite_differences import central_differences, displaced, strained

from lodekit.descriptors import LodeSphericalExpansion, SphericalExpansion
from lodekit.errors import SettingsError
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8, 11])
CHARGES = np.array([0.5, -1.0, 0.7, -0.3, 0.4])


def slab():
    atoms = triclinic(5)
    atoms.pbc = [True, True, False]
    return atoms


STRUCTURES = {"open": cluster(5, (1, 8, 11)), "slab": slab(), "periodic": triclinic(5)}


def lode(**changes):
    arguments = {
        "density": {"type": "SmearedPowerLaw", "smearing": 0.9, "exponent": 1},
        "basis": {
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 1, "radius": 2.0},
        },
    }
    return LodeSphericalExpansion(**{**arguments, **changes})


class DensityCharges:
    """Charges that are sums over neighbours: what an expansion has for l = 0."""

    descriptor = SphericalExpansion(
        cutoff={"radius": 3.0, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        density={"type": "Gaussian", "width": 0.5},
        basis={
            "type": "TensorProduct",
            "max_angular": 2,
            "radial": {"type": "Gto", "max_radial": 0},
        },
    )

    def evaluate(self, batch):
        return DensityState(self.descriptor.expand(batch, SPECIES), batch)


class DensityState:
    """Charges of one batch with their derivatives, from those of the expansion."""

    def __init__(self, expansion, batch):
        self.expansion, self.n_atoms = expansion, batch.n_atoms
        self.weights = np.array([1.0, -2.0, 0.5])
        self.values = expansion.coefficients[:, 0] @ self.weights

    def gradients(self, scales):
        adjoint = np.zeros(self.expansion.coefficients.shape)
        adjoint[:, 0] = scales[:, None] * self.weights
        return self.expansion.reverse(adjoint)

    def atom_gradients(self):
        units = np.eye(self.n_atoms)
        return np.array([self.gradients(own)[0] for own in units])

    def atom_strain_gradients(self):
        jacobian = self.expansion.strain_jacobian()[:, :, :, 0]
        return jacobian @ self.weights


#: Descriptors whose tables are made once.
UNITS, PREDICTED = lode(), lode(charges="predicted")
FAR = lode(
    exclude_within={
        "radius": 2.5,
        "smoothing": {"type": "ShiftedCosine", "width": 1.0},
    }
)
PREDICTED.predictor = DensityCharges()


def batch_of(atoms):
    return StructureBatch.from_frames(atoms)


def expand_charges(descriptor, atoms, charges):
    zeros = np.zeros(len(atoms), dtype=np.intp)
    return descriptor.expand_sources(batch_of(atoms), zeros, 1, charges)


@pytest.mark.parametrize("name", STRUCTURES)
@pytest.mark.parametrize("descriptor", [UNITS, FAR])
def test_derivatives_by_positions_strain_and_charges(name, descriptor):
    """The sum is linear in the charges; finite differences say the rest."""
    atoms = STRUCTURES[name]
    expansion = expand_charges(descriptor, atoms, CHARGES)
    adjoint = np.random.default_rng(0).normal(size=expansion.coefficients.shape)

    def value(moved, charges=CHARGES):
        values = expand_charges(descriptor, moved, charges).coefficients
        return np.sum(adjoint * values)

    by_charges = np.zeros(len(atoms))
    positions, strain = expansion.reverse(adjoint, by_charges)
    units = [value(atoms, unit) for unit in np.eye(len(atoms))]
    np.testing.assert_allclose(by_charges, units, atol=1e-10)
    numerical = central_differences(
        lambda r: value(displaced(atoms, r)), atoms.positions
    )
    np.testing.assert_allclose(positions, numerical, atol=1e-6, rtol=1e-6)
    numerical = central_differences(
        lambda e: value(strained(atoms, e)), np.zeros((3, 3))
    )
    np.testing.assert_allclose(strain[0], numerical, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", STRUCTURES)
def test_unit_charges_are_those_of_species(name):
    atoms = STRUCTURES[name]
    by_species = UNITS.expand(batch_of(atoms), SPECIES).values
    values = expand_charges(UNITS, atoms, np.ones(len(atoms))).values
    np.testing.assert_allclose(values[:, :, 0], by_species.sum(axis=2), atol=1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_predicted_charges_move_with_the_surroundings(name):
    """Reverse passes, Jacobians and finite differences agree."""
    atoms = STRUCTURES[name]
    expansion = PREDICTED.expand(batch_of(atoms), SPECIES)
    adjoint = np.random.default_rng(0).normal(size=expansion.coefficients.shape)

    def value(moved):
        return np.sum(adjoint * PREDICTED.expand(batch_of(moved), SPECIES).coefficients)

    positions, strain = expansion.reverse(adjoint)
    numerical = central_differences(
        lambda r: value(displaced(atoms, r)), atoms.positions
    )
    np.testing.assert_allclose(positions, numerical, atol=1e-6, rtol=1e-6)
    numerical = central_differences(
        lambda e: value(strained(atoms, e)), np.zeros((3, 3))
    )
    np.testing.assert_allclose(strain[0], numerical, atol=1e-6, rtol=1e-6)
    own = expansion.jacobian()
    forward = np.einsum("exln,eln->ex", own.derivatives, adjoint[own.centers])
    total = np.zeros_like(positions)
    np.add.at(total, own.movers, forward)
    np.subtract.at(total, own.centers, forward)
    np.testing.assert_allclose(total, positions, atol=1e-9)
    jacobian = np.einsum("iabln,iln->ab", expansion.strain_jacobian(), adjoint)
    np.testing.assert_allclose(jacobian, strain[0], atol=1e-9)


def test_a_batch_holds_what_its_structures_hold():
    """Structures of every boundary and size do not see each other."""
    frames = [*STRUCTURES.values(), cluster(3, (1, 8, 11))]
    together = PREDICTED.expand(batch_of(frames), SPECIES)
    jacobian = together.jacobian()
    first = 0
    for atoms in frames:
        alone = PREDICTED.expand(batch_of(atoms), SPECIES)
        own = slice(first, first + len(atoms))
        np.testing.assert_allclose(
            together.coefficients[own], alone.coefficients, atol=1e-12
        )
        entries = (jacobian.centers >= own.start) & (jacobian.centers < own.stop)
        np.testing.assert_allclose(
            jacobian.derivatives[entries], alone.jacobian().derivatives, atol=1e-12
        )
        first += len(atoms)


def test_turned_structures_have_the_same_invariants():
    atoms = STRUCTURES["periodic"]
    rotation = random_rotation()
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ rotation.T)
    turned.set_positions(atoms.positions @ rotation.T)
    squares = [
        (PREDICTED.expand(batch_of(a), SPECIES).coefficients[:, 1:4] ** 2).sum(axis=1)
        for a in (atoms, turned)
    ]
    np.testing.assert_allclose(squares[0], squares[1], atol=1e-10)


def test_charges_need_what_predicts_them():
    with pytest.raises(SettingsError, match="needs the `predictor`"):
        lode(charges="predicted").expand(batch_of(STRUCTURES["open"]), SPECIES)
