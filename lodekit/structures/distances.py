"""The shortest distance between two atoms, periodic images included."""

from typing import NamedTuple

import numpy as np
from ase.data import covalent_radii
from ase.geometry import complete_cell
from scipy.spatial import KDTree
from vesin import NeighborList

_FIRST_CUTOFF = 2.5  # Å; finds a pair in nearly every structure


class ShortestDistance(NamedTuple):
    """Distance in Å, and the indices of the two atoms."""

    distance: float
    first: int
    second: int


def shortest_distance(structure):
    """Return the closest pair of atoms.

    Parameters
    ----------
    structure : ase.Atoms
        Structure with finite positions and a valid cell.

    Returns
    -------
    shortest : ShortestDistance or None
        An atom and its periodic image are a pair too; None for one open atom.
    """
    if structure.pbc.any():
        return _shortest_periodic(structure)
    if len(structure) < 2:
        return None
    distances, partners = KDTree(structure.positions).query(structure.positions, k=2)
    first = int(np.argmin(distances[:, 1]))
    # Among atoms at one point the tree may name the atom itself second.
    second = partners[first, 1] if partners[first, 1] != first else partners[first, 0]
    return ShortestDistance(float(distances[first, 1]), first, int(second))


def _shortest_periodic(structure):
    # An atom is never further from its own image than the shortest cell vector, so
    # the search ends there.
    cutoff = _FIRST_CUTOFF
    while True:
        search = NeighborList(cutoff=cutoff, full_list=False, n_threads=1)
        first, second, distances = search.compute(
            structure.positions,
            _cell_with_vacuum(structure, 2.0 * cutoff),
            True,
            quantities="ijd",
        )
        if len(distances):
            pair = int(np.argmin(distances))
            return ShortestDistance(
                float(distances[pair]), int(first[pair]), int(second[pair])
            )
        cutoff *= 2.0


def _cell_with_vacuum(structure, vacuum):
    """Return a fully periodic cell (Å) in which open directions hold vacuum.

    The search is slow, and fails in the end, when atoms are far apart along an open
    direction; along periodic ones it is not.
    """
    cell = complete_cell(structure.cell[:] * structure.pbc[:, None])
    for direction in np.flatnonzero(~structure.pbc):
        height = np.ptp(structure.positions @ cell[direction])
        cell[direction] *= height + vacuum
    return cell


def bond_ratio(structure, shortest):
    """Return the shortest distance over the sum of both covalent radii.

    About 1 for molecules and solids; far from it, lengths may be in another unit.
    """
    radii = covalent_radii[structure.numbers[[shortest.first, shortest.second]]]
    return shortest.distance / float(radii.sum())
