"""What LODE is for: lattice potentials, and the multipoles of linear models."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from crystals import cluster
from lode_cases import coefficients, make_lode
from reference import real_harmonics
from scipy import integrate, special

from lodekit.descriptors import PowerSpectrum, SphericalExpansion
from lodekit.structures.batch import StructureBatch

MAX_ANGULAR = 2


@pytest.mark.parametrize(
    ("lattice", "madelung"),
    [("rocksalt", 1.7475645946), ("cesiumchloride", 1.7626747731)],
)
def test_the_potential_of_an_ionic_crystal_has_its_madelung_constant(lattice, madelung):
    """A harmonic function has its value at the centre as its mean over a sphere."""
    crystal = bulk("NaCl", lattice, a=5.0)
    nearest = 2.5 if lattice == "rocksalt" else 2.5 * np.sqrt(3.0)
    radius, smearing = 0.8, 0.2
    descriptor = make_lode(
        accuracy=1e-9,
        density={
            "type": "SmearedPowerLaw",
            "smearing": smearing,
            "exponent": 1,
            "center_atom_weight": 0.0,
        },
        basis={
            "type": "TensorProduct",
            "max_angular": 0,
            "radial": {"type": "Monomials", "max_radial": 0, "radius": radius},
        },
    )
    values = coefficients(crystal, descriptor, (11, 17))[:, 0, :, 0]
    mean = values / np.sqrt(4.0 * np.pi * radius**3 / 3.0)
    charges = np.array([1.0, -1.0])
    np.testing.assert_allclose(mean @ charges, -madelung / nearest * charges, rtol=1e-8)


def linear_model(cutoff, width):
    radial = {"type": "Gto", "max_radial": 2, "radius": 1.5}
    basis = {"type": "TensorProduct", "max_angular": MAX_ANGULAR, "radial": radial}
    density = SphericalExpansion(
        cutoff={"radius": cutoff, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        density={"type": "Gaussian", "width": width},
        basis=basis,
    )
    return PowerSpectrum(density, make_lode(accuracy=1e-11, basis=basis)), density


def projected_gaussian(r, distance, width, l):
    """Radial part of the projection on Y_lm of a Gaussian of norm 1 at a distance."""
    argument = r * distance / width**2
    bessel = special.ive(l + 0.5, argument) * np.sqrt(0.5 * np.pi / argument)
    gaussian = np.exp(-0.5 * ((r - distance) / width) ** 2)
    return 4.0 * np.pi * (2.0 * np.pi * width**2) ** -1.5 * gaussian * bessel


def test_tails_of_linear_models_are_multipoles_in_the_far_density():
    """Eq. 21 of the review: sum_lm M_lm times int rho_lm(r) / r^(l+1) r^2 dr.

    The multipoles come from the weights and the density within the cutoff alone, the
    integral from a quadrature of the Gaussian density.
    """
    cutoff, smearing = 4.0, 0.9
    product, density = linear_model(cutoff, 0.5)
    near = cluster(4)
    far = Atoms("OH", positions=[[14.0, 11.0, -9.0], [-12.0, 15.0, 20.0]])
    species = np.array([1, 8])
    both = StructureBatch.from_frames(near + far)
    features = product.evaluate(both, species).features
    alone = product.evaluate(StructureBatch.from_frames(near), species).features
    weights = np.random.default_rng(0).normal(size=features.shape[1])
    tail = (features[: len(near)] - alone) @ weights
    rho = density.expand(both, species).coefficients[: len(near)]
    # weights and moments of the radial functions, summed over all n of the potential
    by_l = weights.reshape(MAX_ANGULAR + 1, rho.shape[2], 2, 3)
    basis = product.right.projections.basis
    r = np.linspace(1e-6, 60.0, 20001)
    expected = np.zeros(len(near))
    for l in range(MAX_ANGULAR + 1):
        moments = integrate.trapezoid(
            r[:, None] ** (l + 2) * basis.evaluate(r), r, axis=0
        )
        factors = 4.0 * np.pi / (2 * l + 1.0) ** 1.5 * by_l[l] @ moments
        multipoles = np.einsum("imq,qa->ima", rho[:, l * l : (l + 1) ** 2], factors)
        for place, source in zip(far.positions, far.numbers, strict=True):
            vectors = place - near.positions
            distances = np.linalg.norm(vectors, axis=1)
            angular = real_harmonics(l, vectors)[:, l * l :]
            beyond = r[r > cutoff]
            radial = [
                integrate.trapezoid(
                    beyond ** (1.0 - l) * projected_gaussian(beyond, d, smearing, l),
                    beyond,
                )
                for d in distances
            ]
            channel = list(species).index(source)
            expected += np.einsum(
                "im,im,i->i", multipoles[:, :, channel], angular, radial
            )
    np.testing.assert_allclose(tail, expected, rtol=0, atol=1e-8 * np.abs(tail).max())
