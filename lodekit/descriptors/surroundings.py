"""Few and cheap features of surroundings, which tell whether they are like others.

There are two kinds. Bonds count neighbours by their distance in units of the sum of
covalent radii, whatever their elements are, so that they mean the same in any molecule:

    b_k(i) = sum_j f(r_ij) exp(-(r_ij / (R_i + R_j) - c_k)^2 / (2 s^2)),

with a cutoff function f. Norms of the density of neighbours, element by element, add
what they are and their angles: |c^a_nl(i)| = (sum_m c^a_nlm(i)^2)^(1/2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import covalent_radii

from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import NeighborPairs, find_pairs

from .spherical_expansion import SphericalExpansion

#: Centres c_k of bonds and their width s, in sums of covalent radii.
BOND_LENGTHS, BOND_WIDTH = np.arange(0.7, 1.7, 0.3), 0.12
#: Least range in Å, and the range in radii of the largest atom.
LEAST_RANGE, RANGE_IN_RADII = 3.5, 3.2
#: Radial functions and the largest angular index of the density.
N_RADIAL, MAX_ANGULAR = 4, 2


@dataclass
class Surroundings:
    """Features of all atoms of a batch.

    Attributes
    ----------
    bonds : ndarray of shape (n_atoms, n_lengths)
    norms : ndarray of shape (n_atoms, n_features)
    has_neighbor : ndarray of shape (n_atoms, n_species)
        Whether an element is within the range of an atom.
    """

    bonds: np.ndarray
    norms: np.ndarray
    has_neighbor: np.ndarray

    @property
    def views(self) -> tuple[np.ndarray, np.ndarray]:
        """Both kinds of features."""
        return self.bonds, self.norms


class SurroundingsDescriptor:
    """Makes `Surroundings` of structures with some elements.

    Parameters
    ----------
    species : ndarray of shape (n_species,)
        Sorted atomic numbers.
    """

    def __init__(self, species: np.ndarray):
        self.species = species
        largest = float(covalent_radii[species].max())
        self.range = max(LEAST_RANGE, RANGE_IN_RADII * largest)
        self.expansion = SphericalExpansion(
            cutoff={
                "radius": self.range,
                "smoothing": {"type": "ShiftedCosine", "width": 0.5 * self.range},
            },
            density={"type": "Gaussian", "width": 0.3, "center_atom_weight": 0.0},
            basis={
                "type": "TensorProduct",
                "max_angular": MAX_ANGULAR,
                "radial": {"type": "Gto", "max_radial": N_RADIAL - 1},
            },
        )

    def evaluate(self, batch: StructureBatch) -> Surroundings:
        """Return the features of a batch, whose pairs are searched once."""
        pairs = find_pairs(batch, self.range)
        expansion = self.expansion.expand(batch, self.species, pairs)
        norms = [
            np.sqrt((expansion.values[:, l**2 : (l + 1) ** 2] ** 2).sum(axis=1))
            for l in range(MAX_ANGULAR + 1)
        ]
        norms = np.concatenate([part.reshape(batch.n_atoms, -1) for part in norms], 1)
        bonds = bonds_of(batch, pairs, expansion.factors[:, 0])
        return Surroundings(bonds, norms, expansion.has_neighbor)


def bonds_of(batch: StructureBatch, pairs: NeighborPairs, factors) -> np.ndarray:
    """Return b of all atoms, (n_atoms, n_lengths); ``factors`` are f of all pairs."""
    radii = covalent_radii[batch.species]
    lengths = np.linalg.norm(pairs.vectors, axis=1)
    lengths /= radii[pairs.centers] + radii[pairs.neighbors]
    near = np.flatnonzero(lengths < BOND_LENGTHS[-1] + 4.0 * BOND_WIDTH)
    centers, lengths, factors = pairs.centers[near], lengths[near], factors[near]
    bonds = []
    for middle in BOND_LENGTHS:
        values = factors * np.exp(-0.5 * ((lengths - middle) / BOND_WIDTH) ** 2)
        bonds.append(np.bincount(centers, values, minlength=batch.n_atoms))
    return np.stack(bonds, axis=1)
