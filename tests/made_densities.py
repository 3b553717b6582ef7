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


def beside(atoms, seed):
    """The same molecule with two charges at 3 to 8 Å from its first atom."""
    rng = np.random.default_rng([seed, 5])
    directions = rng.normal(size=(2, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    points = atoms.positions[0] + rng.uniform(3.0, 8.0, (2, 1)) * directions
    atoms = atoms.copy()
    atoms.info["point_charges"] = np.column_stack([rng.normal(size=2), points])
    return atoms


def charge_response(atoms):
    """Changes (n_functions, 1): dipoles along fields, and charges by potentials."""
    charges, points = np.split(atoms.info["point_charges"].reshape(-1, 4), [1], axis=1)
    charges, vectors = charges[:, 0], atoms.positions[:, None] - points
    distances = np.linalg.norm(vectors, axis=2)
    potentials = (charges / distances).sum(axis=1)
    fields = np.einsum("q,iqa->ia", charges, vectors / distances[..., None] ** 3)
    gradient = sum(
        charge / distance**5 * solid(2, vector[None])
        for charge, distance, vector in zip(
            charges, distances[0], vectors[0], strict=True
        )
    )
    bonds = atoms.positions[1:] - atoms.positions[0]
    changes = np.zeros(BASIS.size(atoms.numbers))
    changes[2:5][AXES] = -3.0 * fields[0] - bonds.T @ bonds @ fields[0]
    changes[5:10] = -4.0 * gradient
    potentials -= potentials.mean()
    changes[1] = 0.5 * potentials[0]
    for number in (1, 2):
        changes[6 + 4 * number] = 0.5 * potentials[number]
        changes[7 + 4 * number : 10 + 4 * number][AXES] = -0.5 * fields[number]
    counts = electron_counts(atoms, BASIS)
    changes[0] -= counts @ changes / counts[0]
    return changes[:, None]


def made_charge_set(n_frames, first=0):
    frames = [beside(bent(seed), seed) for seed in range(first, first + n_frames)]
    values = [coefficients(atoms) for atoms in frames]
    return DensitySet(frames, BASIS, values, [charge_response(a) for a in frames])


def made_set(n_frames, first=0):
    frames = [bent(seed) for seed in range(first, first + n_frames)]
    values = [coefficients(atoms) for atoms in frames]
    changes = [response(atoms) for atoms in frames]
    return DensitySet(frames, BASIS, values, changes)
