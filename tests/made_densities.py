"""Densities of bent molecules in closed form, for tests of models that learn them."""

import numpy as np
from ase import Atoms
from crystals import random_rotation
from reference import real_harmonics

from lodekit.density import DensityBasis, DensitySet, Shell, electron_counts

BASIS = DensityBasis(
    {
        "O": [Shell(0, (3.0,), (1.0,)), Shell(0, (1.0,), (1.0,))]
        + [Shell(1, (1.5,), (1.0,)), Shell(2, (1.2,), (1.0,))],
        "H": [Shell(0, (1.5,), (1.0,)), Shell(1, (1.0,), (1.0,))],
    },
    "made",
)
#: x, y, z of the components of harmonics of order 1.
AXES = [2, 0, 1]


def bent(seed):
    rng = np.random.default_rng(seed)
    positions = np.array([[0.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.8, 0.6, 0.0]])
    positions = positions + rng.normal(scale=0.06, size=(3, 3))
    return Atoms("OH2", positions @ random_rotation(seed).T + rng.normal(size=3))


def solid(order, vectors):
    """Sum of r^order Y_lm of vectors (n, 3), as a function of what they are."""
    lengths = np.linalg.norm(vectors, axis=1)[:, None] ** order
    place = slice(order**2, (order + 1) ** 2)
    return (lengths * real_harmonics(order, vectors)[:, place]).sum(axis=0)


def coefficients(atoms):
    """s of bond lengths, p and d of bond vectors, in the order of `BASIS`."""
    bonds = atoms.positions[1:] - atoms.positions[0]
    squares = np.sum(bonds**2, axis=1)
    values = [4.0 + squares.sum(), 1.0 - 0.3 * squares.sum()]
    values += list(0.4 * solid(1, bonds)) + list(0.2 * solid(2, bonds))
    for bond, square in zip(bonds, squares, strict=True):
        values += [0.8 - 0.2 * square, *(-0.1 * solid(1, bond[None]))]
    counts, values = electron_counts(atoms, BASIS), np.array(values)
    values[1] += (10.0 - counts @ values) / counts[1]
    return values


def response(atoms):
    """Changes along x, y, z: dipoles along the field and along bonds."""
    bonds = atoms.positions[1:] - atoms.positions[0]
    pairs = np.einsum("ia,ib->ab", bonds, bonds)
    changes = np.zeros((BASIS.size(atoms.numbers), 3))
    changes[2:5][AXES] = -0.3 * np.eye(3) - 0.1 * pairs
    # the charge that goes from one hydrogen to the other, and to oxygen
    changes[0] = 0.05 * bonds.sum(axis=0)
    for number, bond in enumerate(bonds):
        changes[10 + 4 * number] = -0.04 * bond
        changes[11 + 4 * number : 14 + 4 * number][AXES] = -0.05 * np.outer(bond, bond)
    counts = electron_counts(atoms, BASIS)
    changes[1] -= counts @ changes / counts[1]
    return changes


def made_set(n_frames, first=0):
    frames = [bent(seed) for seed in range(first, first + n_frames)]
    values = [coefficients(atoms) for atoms in frames]
    changes = [response(atoms) for atoms in frames]
    return DensitySet(frames, BASIS, values, changes)
