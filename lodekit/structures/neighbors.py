"""Neighbour pairs within a cutoff, in 0 to 3 periodic dimensions.

The search is vesin's: cell lists in linear time, any cell shape, cutoffs longer than
the cell, and one small wheel without dependencies; ASE's list is 20 to 100 times
slower. It lists every pair once, unsorted: mirroring and sorting by centre is faster
here than there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from vesin import NeighborList

from lodekit.kernels.neighbor_pairs import mirror_pairs

from .batch import StructureBatch, frame_name

#: Widest open structure in Å.
LARGEST_EXTENT = 1e4


@dataclass(frozen=True)
class NeighborPairs:
    """All pairs (centre, neighbour) of a batch, each in both directions.

    Attributes
    ----------
    centers, neighbors : ndarray of shape (n_pairs,)
        Atom indices in the batch; pairs are sorted by centre. A pair of an atom
        with its own periodic image is included, an atom with itself is not.
    vectors : ndarray of shape (n_pairs, 3)
        From centre to neighbour in Å, cell shift included.
    first_pair : ndarray of shape (n_atoms + 1,)
        Pairs of centre i are ``first_pair[i]:first_pair[i + 1]``.
    """

    centers: np.ndarray
    neighbors: np.ndarray
    vectors: np.ndarray
    first_pair: np.ndarray

    @property
    def n_pairs(self) -> int:
        """Number of directed pairs."""
        return self.centers.size


def find_pairs(batch: StructureBatch, cutoff: float) -> NeighborPairs:
    """Return all pairs closer than ``cutoff`` (Å) of every structure of ``batch``.

    Raises
    ------
    ValueError
        If ``cutoff`` is not positive, or two atoms sit on the same point.
    """
    if not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff} Å")
    empty = np.zeros(0, dtype=np.intp)
    search = NeighborList(cutoff=cutoff, full_list=False, sorted=False, n_threads=1)
    first, second, vectors = [empty], [empty], [np.zeros((0, 3))]
    for structure in range(batch.n_structures):
        start, stop = batch.first_atom[structure : structure + 2]
        if stop == start:
            continue
        pbc = batch.pbc[structure]
        extent = np.ptp(batch.positions[start:stop], axis=0).max()
        if not pbc.any() and extent > LARGEST_EXTENT:
            # far below the size at which the search divides by zero
            raise ValueError(
                f"{frame_name(structure)} is open and {extent:.3g} Å wide, more than "
                f"{LARGEST_EXTENT:g} Å; check the unit of its positions"
            )
        # a cell along an open direction has no meaning here and may be zero
        cell = np.where(pbc[:, None], batch.cells[structure], 0.0)
        i, j, vector = search.compute(
            batch.positions[start:stop], cell, pbc, quantities="ijD"
        )
        first.append(i.astype(np.intp) + start)
        second.append(j.astype(np.intp) + start)
        vectors.append(vector)
    once = [np.concatenate(parts) for parts in (first, second, vectors)]
    pairs = NeighborPairs(*mirror_pairs(*once, batch.n_atoms))
    check_distances(batch, pairs)
    return pairs


def check_distances(batch: StructureBatch, pairs: NeighborPairs) -> None:
    """Raise ``ValueError`` where two atoms sit on the same point."""
    squares = np.einsum("pd,pd->p", pairs.vectors, pairs.vectors)
    if squares.size and squares.min() < 1e-12:
        pair = int(squares.argmin())
        center, neighbor = pairs.centers[pair], pairs.neighbors[pair]
        structure = batch.structure_of_atom[center]
        first = batch.first_atom[structure]
        raise ValueError(
            f"atoms {center - first + 1} and {neighbor - first + 1} of "
            f"{frame_name(structure)} are on top of each other; every pair must be "
            "apart"
        )
