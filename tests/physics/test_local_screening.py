"""Electrostatic energies of charges and dipoles that their surroundings screen."""

import numpy as np
import polar_crystals as crystals
import pytest
from ase import Atoms
from finite_differences import central_differences, displaced, strained

from lodekit.physics.dipole_electrostatics import ChargesAndDipoles
from lodekit.physics.local_screening import LocallyScreened
from lodekit.units import FOUR_PI

SPECIES, ALPHAS = np.array([3, 9]), np.array([0.3, 0.9])


@pytest.mark.parametrize("pbc", [False, True])
def test_derivatives_are_finite_differences(pbc):
    atoms = crystals.draw(np.random.default_rng(1), pbc=pbc)
    charges = np.array([crystals.CHARGES[z] for z in atoms.numbers])
    dipoles = 0.2 * np.random.default_rng(2).normal(size=(4, 3))
    part = LocallyScreened(0.8, SPECIES, ALPHAS)
    result = part.compute(atoms, charges, dipoles)
    numerical = central_differences(
        lambda values: part.compute(displaced(atoms, values), charges, dipoles).energy,
        atoms.positions,
    )
    np.testing.assert_allclose(result.positions, numerical, rtol=1e-6, atol=1e-7)
    numerical = central_differences(
        lambda values: part.compute(atoms, charges, values).energy, dipoles
    )
    np.testing.assert_allclose(result.by_dipoles, numerical, rtol=1e-6, atol=1e-7)
    if pbc:
        numerical = central_differences(
            lambda values: (
                part.compute(strained(atoms, values), charges, dipoles).energy
            ),
            np.zeros((3, 3)),
        )
        np.testing.assert_allclose(result.strain, numerical, rtol=1e-6, atol=1e-6)


def test_a_crystal_screens_as_a_whole_and_an_atom_does_not():
    side = 2.0
    part = LocallyScreened(0.8, SPECIES, ALPHAS)
    crystal = Atoms("F", positions=[[0.0, 0.0, 0.0]], cell=side * np.eye(3), pbc=True)
    (constant,), *_ = part.dielectric_constants(crystal)
    # sum_j w(r_ij) is 1 / V but for the atom itself and the waves of the lattice
    itself = FOUR_PI * ALPHAS[1] * 315.0 / (64.0 * np.pi * 6.0**3)
    expected = 1.0 + FOUR_PI * ALPHAS[1] / side**3 - itself
    assert constant == pytest.approx(expected, rel=3e-3)
    atom = Atoms("F", positions=[[0.0, 0.0, 0.0]])
    assert part.dielectric_constants(atom)[0].tolist() == [1.0]


def test_nothing_is_screened_without_polarizabilities():
    atoms = crystals.draw(np.random.default_rng(1))
    charges = np.array([crystals.CHARGES[z] for z in atoms.numbers])
    dipoles = 0.2 * np.random.default_rng(2).normal(size=(4, 3))
    result = LocallyScreened(0.8, SPECIES, 0.0 * ALPHAS).compute(
        atoms, charges, dipoles
    )
    expected = ChargesAndDipoles(0.8, 1.0).compute(atoms, charges, dipoles)
    assert result.energy == pytest.approx(expected.energy, rel=1e-12)
    np.testing.assert_allclose(result.positions, expected.positions, atol=1e-12)
