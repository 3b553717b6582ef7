"""LODE of far sources only: near neighbours are taken out of the potential."""

from __future__ import annotations

import numpy as np

from lodekit.descriptors.pair_expansion import PairExpansion
from lodekit.descriptors.radial import cutoff_factors
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs

from .open import OpenTable


def exclude_neighbors(
    batch: StructureBatch,
    channels: np.ndarray,
    values: np.ndarray,
    cutoff: dict,
    table: OpenTable,
    prefactors: np.ndarray,
    charges: np.ndarray,
) -> PairExpansion:
    """Subtract f(r_ij) times the whole contribution of every neighbour, and the atom.

    Parameters
    ----------
    channels : ndarray of shape (n_atoms,)
        Channel of every atom's species.
    values : ndarray of shape (n_atoms, n_lm, n_channels, n_radial)
        Coefficients, changed in place.
    cutoff : dict
        Cutoff function f as of `SphericalExpansion`.
    table : OpenTable
    prefactors : ndarray of shape (n_l, n_l)
        Norms of the spherical harmonics.
    charges : ndarray of shape (n_atoms,)
        Of the sources.

    Returns
    -------
    expansion : PairExpansion
        What was added, for its derivatives.
    """
    pairs = find_pairs(batch, cutoff["radius"])
    distances = np.linalg.norm(pairs.vectors, axis=1)
    expansion = PairExpansion(
        batch=batch,
        pairs=pairs,
        channels=channels[pairs.neighbors],
        factors=-cutoff_factors(distances, cutoff, None),
        table=table.reaching(cutoff["radius"]),
        prefactors=prefactors,
        values=values,
        charges=charges[pairs.neighbors],
    )
    expansion.add_neighbors()
    return expansion
