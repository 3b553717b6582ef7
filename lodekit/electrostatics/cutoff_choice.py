"""The cutoff between sums over pairs and over k-vectors that takes least time."""

from __future__ import annotations

import numpy as np

from .boundary import Boundary

#: Ranges of the near part to choose from, in Å.
CUTOFFS = 3.0 * 1.08 ** np.arange(44)
#: Fewer atoms are summed directly: about as fast, and better for the dense matrix.
FEWEST_ON_MESH = 700
#: Costs in ns on one core of a 2023 server: of a pair from a list and one found on the
#: fly; of a phase and its product with that of another atom; of a grid point and of a
#: point under a spline. They decide speed alone.
LIST_COST, PAIR_COST = 300.0, 50.0
PHASE_COST, PRODUCT_COST = 5.0, 0.1
GRID_COST, SPLINE_COST = 50.0, 2.0
#: k-cutoff times grid spacing, about what `mesh_parameters` comes to.
GRID_PHASE = 0.75 * np.pi


def choose_cutoff(
    boundary: Boundary,
    n_atoms: int,
    thickness: float,
    bandwidth: float,
    cutoff: float | None = None,
) -> tuple[float, bool]:
    """Return the range of the near part in Å, and whether a mesh is faster.

    Sizes are rounded, so that the choice hardly ever changes along a trajectory.

    Parameters
    ----------
    boundary : Boundary
    n_atoms : int
    thickness : float
        Extent in Å of a slab along its normal.
    bandwidth : float
        Range times k-cutoff.
    cutoff : float, optional
        Range that is wanted, in Å.
    """
    cutoffs = CUTOFFS if cutoff is None else np.array([float(cutoff)])
    if boundary.n_periodic == 3:
        volume = np.full(cutoffs.size, boundary.measure)
        density = n_atoms / volume
    else:
        volume = boundary.measure * 2.0 * (thickness + cutoffs)
        density = n_atoms / (boundary.measure * (thickness + 2.0))
    volume = 2.0 ** np.round(np.log2(volume))
    k_cutoffs = bandwidth / cutoffs
    pairs = n_atoms * 2.0 / 3.0 * np.pi * cutoffs**3 * density
    k_vectors = volume * k_cutoffs**3 / (12.0 * np.pi**2)
    direct = LIST_COST * pairs + n_atoms * k_vectors * (
        PHASE_COST + PRODUCT_COST * n_atoms
    )
    order = 0.6 * bandwidth
    mesh = PAIR_COST * pairs + GRID_COST * volume * (k_cutoffs / GRID_PHASE) ** 3
    mesh += SPLINE_COST * n_atoms * order**3
    if n_atoms < FEWEST_ON_MESH:
        mesh[:] = np.inf
    best = np.argmin(np.minimum(direct, mesh))
    return float(cutoffs[best]), bool(mesh[best] < direct[best])
