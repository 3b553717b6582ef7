"""Estimated times of the ways to sum LODE coefficients: they decide speed alone.

Times are in ns on one core of a 2023 server, for a structure; n_q is the number of
coefficients of an atom and one species.
"""

from __future__ import annotations

import numpy as np

#: A pair: search and geometry, and each of its products.
PAIR, PAIR_PRODUCT = 170.0, 0.5
#: An atom and a k-vector: phases, and each of their products.
PHASE, PHASE_PRODUCT = 3.0, 0.16
#: A field on a mesh: every grid point, and every spline point of an atom and degree.
GRID_POINT, SPLINE_POINT = 7.0, 0.2
#: Grid spacing of usual meshes times the k-cutoff.
GRID_PHASE = 1.55


def rounded(volume: float) -> float:
    """Return a volume that hardly ever changes along a trajectory."""
    return float(2.0 ** (np.round(2.0 * np.log2(volume)) / 2.0))


def near_cost(n_atoms: int, volume: float, pair_cutoff, n_q: int):
    """Return the time for the pairs within ``pair_cutoff`` (Å, may be an array)."""
    pairs = 4.0 / 3.0 * np.pi * pair_cutoff**3 * n_atoms**2 / volume
    return pairs * (PAIR + PAIR_PRODUCT * n_q)


def direct_cost(n_atoms: int, volume: float, n_species: int, k_cutoff, n_q: int):
    """Return the time for the direct sum up to ``k_cutoff`` (1/Å, may be an array)."""
    k_vectors = volume * k_cutoff**3 / (12.0 * np.pi**2)
    return n_atoms * k_vectors * (PHASE + PHASE_PRODUCT * n_species * n_q)


def mesh_cost(
    n_atoms: int,
    volume: float,
    n_species: int,
    k_cutoff,
    max_angular: int,
    extent: float,
    tolerance: float,
):
    """Return the time for the mesh; numbers of fields and orders are empirical.

    Parameters
    ----------
    k_cutoff : float or ndarray
        Largest k in 1/Å.
    extent : float
        Extent of the basis in Å.
    tolerance : float
        Relative error of the coefficients.
    """
    n_fields = 3.0 + 0.12 * k_cutoff * extent
    order = 6.0 - 0.6 * np.log(tolerance)
    grid = GRID_POINT * volume * (k_cutoff / GRID_PHASE) ** 3
    splines = SPLINE_POINT * n_atoms * (max_angular + 1) * order**3
    return n_species * n_fields * (grid + splines)
