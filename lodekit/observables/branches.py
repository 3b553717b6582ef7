"""Polarization of periodic structures is a lattice: branches, folding, unwrapping.

Codes give the polarization P of a periodic structure up to multiples of quanta, e a /
V for every cell vector a. Times the volume V, M = P V in e·Å is known up to quanta e a,
the rows of the cell. M + n . quanta with whole numbers n are the branches of one and
the same polarization. An estimate of M tells which branch is meant,

    n = argmin abs(M + n . quanta - estimate),

the nearest vector of a lattice, exactly, in cells of any shape. It is certain where the
distance that remains is well below half the shortest vector of the lattice.

References
----------
R. D. King-Smith, D. Vanderbilt, Phys. Rev. B 47, 1651 (1993); R. Resta, D. Vanderbilt,
in Physics of Ferroelectrics (Springer, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from ase.geometry import minkowski_reduce

from lodekit.errors import StructureError
from lodekit.structures import frame_name, get_target

#: Steps among which the vectors are that bound the cell around a lattice point; in
#: three dimensions those of a reduced basis are -1, 0 and 1.
STEPS = np.array(list(product((-1, 0, 1), repeat=3)), dtype=float)
#: Distances to an estimate, over half the shortest quantum, that are accepted.
SAFE_SHARE = 0.8
#: Frames that a message names.
MOST_NAMED = 5


def polarization_quanta(atoms, quantum: float = 1.0) -> np.ndarray:
    """Return the quanta of M = P V of a structure, rows in e·Å, (3, 3).

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three directions.
    quantum : float
        Charge in e: 1, or 2 where every band holds two electrons and the ions have even
        charges.

    Raises
    ------
    StructureError
        If the structure is not periodic in three directions.
    """
    if not atoms.pbc.all():
        raise StructureError(
            "polarization belongs to structures that are periodic in three directions; "
            "open ones have a dipole"
        )
    return quantum * np.array(atoms.cell[:], dtype=float)


@dataclass(frozen=True)
class Folding:
    """Polarizations M on the branch nearest to their estimates.

    Attributes
    ----------
    values : ndarray of shape (n_frames, 3)
        M in e·Å on this branch.
    branches : ndarray of shape (n_frames, 3)
        Whole numbers n: quanta that were added.
    residuals : ndarray of shape (n_frames, 3)
        M minus the estimates, in e·Å.
    shares : ndarray of shape (n_frames,)
        Length of the residuals over half the shortest vector of the lattice. Below 1
        no other branch is as near; the estimate has to be that good for the branch to
        be right.
    """

    values: np.ndarray
    branches: np.ndarray
    residuals: np.ndarray
    shares: np.ndarray

    @property
    def is_certain(self) -> bool:
        """Whether every residual is below `SAFE_SHARE` of half the shortest quantum."""
        return bool((self.shares <= SAFE_SHARE).all())

    def check(self, names=None) -> None:
        """Raise ``StructureError`` where a branch is not certain.

        Parameters
        ----------
        names : list of str, optional
            What messages call the frames; their numbers where None.
        """
        bad = np.flatnonzero(~(self.shares <= SAFE_SHARE))
        if not bad.size:
            return
        named = [frame_name(int(i)) if names is None else names[i] for i in bad]
        listed = ", ".join(named[:MOST_NAMED])
        if bad.size > MOST_NAMED:
            listed += f" and {bad.size - MOST_NAMED} more"
        raise StructureError(
            f"the branch of the polarization is not certain for {listed}: "
            f"{self.shares[bad[0]]:.2f} of half a quantum from the estimate, at most "
            f"{SAFE_SHARE} is safe; give Born charges of more frames, or leave the "
            "frame out"
        )


def nearest_branch(difference: np.ndarray, quanta: np.ndarray):
    """Return the lattice vector nearest to minus a difference, and half the shortest.

    Parameters
    ----------
    difference : ndarray of shape (3,)
        M minus its estimate.
    quanta : ndarray of shape (3, 3)
        Rows are the vectors of the lattice.

    Returns
    -------
    branch : ndarray of shape (3,)
        Whole numbers n with the smallest length of difference + n . quanta.
    half : float
        Half the length of the shortest vector of the lattice.
    """
    reduced, operation = minkowski_reduce(quanta)
    # the vectors that bound the Voronoi cell of a reduced lattice are among the steps:
    # a point from which none of them leads nearer is the nearest one
    steps = STEPS @ reduced
    branch = -np.rint(np.linalg.solve(reduced.T, difference))
    while True:
        distances = np.linalg.norm(difference + branch @ reduced + steps, axis=1)
        best = int(np.argmin(distances))
        here = len(STEPS) // 2
        if not distances[best] < distances[here] - 1e-12:
            break
        branch = branch + STEPS[best]
    lengths = np.linalg.norm(steps, axis=1)
    shortest = lengths[lengths > 0.0].min()
    return np.rint(branch @ operation).astype(int), 0.5 * float(shortest)


def fold(values, estimates, quanta) -> Folding:
    """Return polarizations on the branch nearest to their estimates.

    Parameters
    ----------
    values, estimates : ndarray of shape (n_frames, 3)
        M on any branch, and what they should be near to, in e·Å.
    quanta : ndarray of shape (n_frames, 3, 3)
        See `polarization_quanta`.
    """
    values = np.asarray(values, dtype=float).reshape(-1, 3)
    estimates = np.asarray(estimates, dtype=float).reshape(-1, 3)
    pairs = list(zip(values - estimates, quanta, strict=True))
    nearest = [nearest_branch(difference, lattice) for difference, lattice in pairs]
    branches = np.array([branch for branch, _ in nearest]).reshape(-1, 3)
    halves = np.array([half for _, half in nearest])
    folded = values + np.einsum("ni,nia->na", branches, np.array(quanta))
    residuals = folded - estimates
    shares = np.linalg.norm(residuals, axis=1) / halves
    return Folding(folded, branches, residuals, shares)


def unwrap(values, quanta) -> Folding:
    """Return the polarizations of a trajectory without jumps from frame to frame.

    Every frame is on the branch nearest to that of the frame before it. Where the cell
    changes, M moves with it: numbers of quanta are compared, not M.

    Parameters
    ----------
    values : ndarray of shape (n_frames, 3)
        M in e·Å.
    quanta : ndarray of shape (n_frames, 3, 3)

    Returns
    -------
    folding : Folding
        Its residuals are the steps from frame to frame.
    """
    values = np.asarray(values, dtype=float).reshape(-1, 3)
    parts, before = [], None
    for value, lattice in zip(values, quanta, strict=True):
        estimate = value if before is None else before @ lattice
        parts.append(fold([value], [estimate], [lattice]))
        before = np.linalg.solve(lattice.T, parts[-1].values[0])
    names = ("values", "branches", "residuals", "shares")
    return Folding(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def fold_path(start, end, born_charges, n_points: int = 8) -> np.ndarray:
    """Return the change of M from one structure to another by Born charges, (3,).

    M(end) - M(start) = integral of sum_i Z_i . dR_i along the straight path, by Gauss
    and Legendre's rule. It has no branches, and is called effective polarization where
    the start is centrosymmetric.

    Parameters
    ----------
    start, end : ase.Atoms
        With the same cell and atoms; atoms go the straight way between their positions,
        which must not be wrapped.
    born_charges : callable
        Gets a list of structures, returns arrays (n_atoms, 3, 3) in e: the first index
        is that of M, the second that of the displacement.
    n_points : int

    Raises
    ------
    StructureError
        If atoms or cells differ.
    """
    if not np.array_equal(start.numbers, end.numbers):
        raise StructureError("a path needs the same atoms, in the same order")
    if not np.allclose(start.cell[:], end.cell[:], rtol=0.0, atol=1e-8):
        raise StructureError(
            "a path by Born charges needs one cell; a change of the cell is not seen "
            "by them"
        )
    nodes, weights = np.polynomial.legendre.leggauss(n_points)
    step = end.positions - start.positions
    frames = []
    for node in nodes:
        atoms = start.copy()
        atoms.positions += 0.5 * (1.0 + node) * step
        frames.append(atoms)
    charges = born_charges(frames)
    changes = [np.einsum("iab,ib->a", at_node, step) for at_node in charges]
    return 0.5 * weights @ np.array(changes)


def sum_path(frames, born_charges) -> np.ndarray:
    """Return M relative to the first frame along a path with Born charges, (n, 3).

    The integral of sum_i Z_i . dR_i by the trapezoidal rule between the frames, such as
    those of a trajectory, whose positions must not be wrapped and whose cell is one.

    Parameters
    ----------
    frames : list of ase.Atoms
    born_charges : list of ndarray of shape (n_atoms, 3, 3)
    """
    steps = np.diff([atoms.positions for atoms in frames], axis=0)
    charges = np.asarray(born_charges, dtype=float)
    means = 0.5 * (charges[1:] + charges[:-1])
    changes = np.einsum("tiab,tib->ta", means, steps)
    return np.concatenate([np.zeros((1, 3)), np.cumsum(changes, axis=0)])


def describe_branches(frames) -> dict | None:
    """Return quanta and branches of the polarizations of frames, None without any.

    Returns
    -------
    facts : dict
        "n" frames with a polarization, "least_quantum" and "largest_quantum" (e·Å), and
        "branches": along every cell vector the least and the largest number of quanta
        between a frame and the first one.
    """
    polarized = [(atoms, get_target(atoms, "polarization")) for atoms in frames]
    polarized = [(a, v) for a, v in polarized if v is not None and a.pbc.all()]
    if not polarized:
        return None
    quanta = np.array([polarization_quanta(atoms) for atoms, _ in polarized])
    numbers = [
        np.linalg.solve(q.T, v) for (_, v), q in zip(polarized, quanta, strict=True)
    ]
    steps = np.rint(np.array(numbers) - numbers[0]).astype(int)
    lengths = np.linalg.norm(quanta, axis=2)
    return {
        "n": len(polarized),
        "least_quantum": float(lengths.min()),
        "largest_quantum": float(lengths.max()),
        "branches": [[int(axis.min()), int(axis.max())] for axis in steps.T],
    }
