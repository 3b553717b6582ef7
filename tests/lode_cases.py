"""LODE descriptors of the tests, and what every one of them must fulfil."""

import functools

import numpy as np
from finite_differences import central_differences, displaced, strained

from lodekit.descriptors import LodeSphericalExpansion
from lodekit.structures.batch import StructureBatch

SMEARING = 0.9
MAX_ANGULAR, MAX_RADIAL, RADIUS = 3, 2, 2.5
SPECIES = (1, 8, 11)


def make_lode(exponent=1, accuracy=1e-6, weight=1.0, pair_cutoff=None, **changes):
    """A descriptor; ``pair_cutoff`` fixes the range of its near part."""
    density = {"type": "SmearedPowerLaw", "smearing": SMEARING, "exponent": exponent}
    radial = {"type": "Gto", "max_radial": MAX_RADIAL, "radius": RADIUS}
    basis = {"type": "TensorProduct", "max_angular": MAX_ANGULAR, "radial": radial}
    arguments = {
        "density": {**density, "center_atom_weight": weight},
        "basis": basis,
        "accuracy": accuracy,
    }
    descriptor = LodeSphericalExpansion(**{**arguments, **changes})
    if pair_cutoff is not None:
        descriptor.splits.choose = lambda *_: pair_cutoff
    return descriptor


#: The same, with its tables kept from test to test; arguments must be hashable.
kept_lode = functools.cache(make_lode)


def expand(atoms, descriptor, species=SPECIES):
    batch = StructureBatch.from_frames(atoms)
    return descriptor.expand(batch, np.array(species))


def coefficients(atoms, descriptor, species=SPECIES):
    """Coefficients of shape (n_atoms, n_lm, n_species, n_radial)."""
    values = expand(atoms, descriptor, species).coefficients
    return values.reshape(*values.shape[:2], len(species), -1)


def relative_error(values, expected, descriptor):
    """Largest error in the units that ``accuracy`` is defined in."""
    l_of_lm = np.sqrt(np.arange(values.shape[1])).astype(int)
    scale = descriptor.projections.scale[l_of_lm]
    if values.ndim == 4:
        scale = scale[:, None]
    return np.abs((values - expected) / scale).max()


def invariants(values):
    """Sums over m of products of coefficients, for every l."""
    n_l = int(np.sqrt(values.shape[1]) + 0.5)
    flat = values.reshape(*values.shape[:2], -1)
    return np.stack(
        [
            np.einsum("imp,imq->ipq", part, part)
            for part in (flat[:, l * l : (l + 1) ** 2] for l in range(n_l))
        ]
    )


def dense_jacobian(expansion):
    """The Jacobian, (n_movers, 3, n_atoms, n_lm, n_species, n_radial)."""
    jacobian = expansion.jacobian()
    n_atoms, n_lm, n_q = expansion.coefficients.shape
    n_species = len(SPECIES)
    shape = (n_atoms, 3, n_atoms, n_lm, n_species, n_q // n_species)
    dense = np.zeros(shape)
    for i, j, channel, values in zip(
        jacobian.centers,
        jacobian.movers,
        jacobian.channels,
        jacobian.derivatives,
        strict=True,
    ):
        dense[j, :, i, :, channel] += values
        dense[i, :, i, :, channel] -= values
    return dense


def assert_gradients_equal_finite_differences(
    atoms, descriptor, tolerance=2e-7, step=1e-3
):
    """Both Jacobians against differences, the reverse pass against the Jacobians."""
    expansion = expand(atoms, descriptor)
    numerical = central_differences(
        lambda r: coefficients(displaced(atoms, r), descriptor), atoms.positions, step
    )
    scale = np.abs(numerical).max()
    jacobian = dense_jacobian(expansion)
    np.testing.assert_allclose(jacobian, numerical, atol=tolerance * scale)
    numerical = central_differences(
        lambda e: expand(strained(atoms, e), descriptor).coefficients,
        np.zeros((3, 3)),
        step,
    )
    scale = np.abs(numerical).max()
    strain_jacobian = expansion.strain_jacobian()
    analytic = np.moveaxis(strain_jacobian, 0, 2)
    np.testing.assert_allclose(analytic, numerical, atol=tolerance * scale)
    adjoint = np.random.default_rng(0).normal(size=expansion.coefficients.shape)
    positions, strain = expansion.reverse(adjoint)
    expected = np.einsum(
        "jaimcn,imcn->ja",
        jacobian,
        adjoint.reshape(*adjoint.shape[:2], *jacobian.shape[4:]),
    )
    np.testing.assert_allclose(positions, expected, atol=1e-10 * adjoint.size)
    expected = np.einsum("iabmq,imq->ab", strain_jacobian, adjoint)
    np.testing.assert_allclose(strain[0], expected, atol=1e-10 * adjoint.size)
