"""Structures moved, strained, turned, repeated and put together."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from lodekit.observables.charges import total_charge
from lodekit.structures import get_target

#: Atoms closer than this times the sum of their covalent radii are bonded.
BOND = 1.3


def bare(atoms) -> Atoms:
    """Return a structure without anything but its total charge, if it has one."""
    plain = Atoms(
        atoms.numbers, atoms.positions.copy(), cell=atoms.cell[:], pbc=atoms.pbc
    )
    charge = get_target(atoms, "total_charge")
    if charge is not None:
        plain.info["total_charge"] = float(charge)
    return plain


def charged(atoms, charge: float) -> Atoms:
    """Return a copy with another total charge (e)."""
    copy = atoms.copy()
    copy.info["total_charge"] = charge
    return copy


def moved(atoms, change) -> Atoms:
    """Return a copy with all positions moved by ``change`` (Å)."""
    copy = atoms.copy()
    copy.positions += change
    return copy


def strained(atoms, strain: np.ndarray) -> Atoms:
    """Return a copy with r -> r (1 + e), rows r of positions and cell."""
    return transformed(atoms, np.eye(3) + strain)


def transformed(atoms, matrix: np.ndarray) -> Atoms:
    """Return a copy with r -> r M, rows r of positions and cell.

    Cell vectors that become left-handed change sign, which leaves the lattice alone.
    """
    copy = atoms.copy()
    copy.set_cell(atoms.cell[:] @ matrix * np.sign(np.linalg.det(matrix)))
    copy.positions = atoms.positions @ matrix
    return copy


def repeated(atoms, limit: int) -> Atoms:
    """Return a supercell of at most ``limit`` atoms, but of two cells at least.

    Directions are doubled one after the other, that of the shortest vector first.
    """
    lengths = np.where(atoms.pbc, atoms.cell.lengths(), np.inf)
    times = np.ones(3, dtype=int)
    for direction in np.argsort(lengths)[: int(atoms.pbc.sum())]:
        if times.max() == 1 or 2 * times.prod() * len(atoms) <= limit:
            times[direction] = 2
    large = atoms.repeat(times)
    if "total_charge" in atoms.info:
        large.info["total_charge"] = atoms.info["total_charge"] * int(times.prod())
    return large


def joined(first, second) -> Atoms:
    """Return two open structures as one; total charges are added where given."""
    both = first + second
    if "total_charge" in first.info:
        both.info["total_charge"] = total_charge(first) + total_charge(second)
    return both


def random_rotation(random) -> np.ndarray:
    """Return a proper rotation, uniformly distributed."""
    q, r = np.linalg.qr(random.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def turned_copy(atoms, random) -> Atoms:
    """Return a copy turned at random around its centre."""
    center = atoms.positions.mean(axis=0)
    copy = atoms.copy()
    copy.positions = (atoms.positions - center) @ random_rotation(random) + center
    return copy


def beside(atoms, other, gap: float) -> Atoms:
    """Return ``other`` moved along x, so far that a gap in Å is between both."""
    shift = atoms.positions[:, 0].max() - other.positions[:, 0].min() + gap
    return moved(other, [shift, 0.0, 0.0])


def split(atoms) -> list[np.ndarray]:
    """Return the atoms of every fragment that no bond joins to others; open structures.

    Fragments are in the order of their first atoms.
    """
    radii = covalent_radii[atoms.numbers]
    pairs = KDTree(atoms.positions).query_pairs(
        2.0 * BOND * radii.max(), output_type="ndarray"
    )
    vectors = atoms.positions[pairs[:, 0]] - atoms.positions[pairs[:, 1]]
    bonded = np.linalg.norm(vectors, axis=1) < BOND * radii[pairs].sum(axis=1)
    first, second = pairs[bonded].T
    graph = coo_matrix((np.ones(len(first)), (first, second)), (len(atoms),) * 2)
    n_fragments, label = connected_components(graph, directed=False)
    return [np.flatnonzero(label == fragment) for fragment in range(n_fragments)]
