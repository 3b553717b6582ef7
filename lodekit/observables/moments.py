"""Linear operators from moments of atoms to those of structures and to potentials.

Moments of a structure are sums over its atoms of their charges q, dipoles d and
traceless quadrupoles T, in e, e·Å and e·Å², each times an array (``operators``):

* dipole: sum_i q_i (R_i - R_c) + d_i (e·Å), with R_c the centre of positions; a
  reference dipole counts from the origin of coordinates, so that Q R_c is taken from
  it,
* quadrupole: the traceless part of the second moment, sum_i q_i (R_i R_i^T - R_i^2 / 3)
  + R_i d_i^T + d_i R_i^T - 2/3 R_i.d_i + T_i (e·Å²) for the origin of coordinates; 3/2
  times it is Buckingham's quadrupole,
* mep: the molecular electrostatic potential at points r outside (V), k sum_i q_i / s +
  d_i.s / s^3 + 3/2 s.T_i.s / s^5 with s = r - R_i and k the Coulomb constant.

Symmetric tensors have the order xx, yy, zz, yz, xz, xy.

References
----------
A. J. Stone, The Theory of Intermolecular Forces, 2nd ed. (Oxford University Press,
2013), Secs. 2.1 and 3.1.
"""

from __future__ import annotations

import numpy as np

from lodekit.structures import frame_name, get_target
from lodekit.units import COULOMB_CONSTANT

from .charge_observable import ChargeObservable, total_charge

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
#: What the six numbers of a symmetric tensor count in a contraction with another.
MULTIPLICITY = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
#: Points nearer to an atom than this, in Å, have no potential of point charges.
NEAREST_POINT = 0.1


class Dipole(ChargeObservable):
    """The dipole from the centre of positions; users see it from the origin."""

    name = "dipole"

    def operators(self, atoms) -> list[np.ndarray]:
        """Return R - R_c, and ones."""
        centred = atoms.positions - atoms.positions.mean(axis=0)
        return [centred.T, same_for_all(len(atoms), np.eye(3))]

    def reference(self, atoms) -> np.ndarray:
        """Return the dipole in e·Å from the centre of positions, (3,)."""
        return get_target(atoms, self.name) - self.shift(atoms)

    def present(self, atoms, observed: np.ndarray) -> np.ndarray:
        """Return the dipole from the origin."""
        return observed + self.shift(atoms)

    def shift(self, atoms) -> np.ndarray:
        """Return Q R_c."""
        return total_charge(atoms) * atoms.positions.mean(axis=0)


class Quadrupole(ChargeObservable):
    """The traceless quadrupole for the origin."""

    name = "quadrupole"

    def operators(self, atoms) -> list[np.ndarray]:
        """Return the operators of the traceless second moment."""
        n_atoms, positions = len(atoms), atoms.positions
        squares = np.einsum("ia,ia->i", positions, positions)
        on_charges = np.empty((6, n_atoms))
        on_dipoles = np.zeros((6, n_atoms, 3))
        for row, (a, b) in enumerate(VOIGT):
            on_charges[row] = positions[:, a] * positions[:, b]
            on_charges[row] -= (a == b) * squares / 3.0
            on_dipoles[row, :, a] += positions[:, b]
            on_dipoles[row, :, b] += positions[:, a]
            on_dipoles[row] -= (a == b) * 2.0 / 3.0 * positions
        return [on_charges, on_dipoles, same_for_all(n_atoms, np.eye(6))]

    def reference(self, atoms) -> np.ndarray:
        """Return the quadrupole in e·Å² without its trace, (6,)."""
        value = get_target(atoms, self.name)
        traceless = value - np.trace(value) / 3.0 * np.eye(3)
        return np.array([traceless[a, b] for a, b in VOIGT])


class Potential(ChargeObservable):
    """The molecular electrostatic potential at points outside."""

    name = "mep"

    def operators(self, atoms) -> list[np.ndarray]:
        """Return the operators of the potential in V at the points of a structure."""
        vectors = get_target(atoms, "mep_points")[:, None] - atoms.positions
        inverse = 1.0 / np.linalg.norm(vectors, axis=2)
        squares = [vectors[..., a] * vectors[..., b] for a, b in VOIGT]
        squares = MULTIPLICITY * np.stack(squares, axis=2)
        return [
            COULOMB_CONSTANT * inverse,
            COULOMB_CONSTANT * inverse[..., None] ** 3 * vectors,
            1.5 * COULOMB_CONSTANT * inverse[..., None] ** 5 * squares,
        ]

    def check(self, frames, chosen) -> None:
        """Raise ``ValueError`` where points are missing or bad; see `check_points`."""
        check_points(frames, chosen)


def same_for_all(n_atoms: int, operator: np.ndarray) -> np.ndarray:
    """Return an operator (n, n_components) repeated for every atom."""
    return np.repeat(operator[:, None], n_atoms, axis=1)


def check_points(frames, chosen=None) -> None:
    """Check the points of the electrostatic potential of frames.

    Those with the indices ``chosen``, all where None.

    Raises
    ------
    ValueError
        If there are none, not as many as values, or one lies on an atom.
    """
    for index in range(len(frames)) if chosen is None else chosen:
        atoms = frames[index]
        points, values = (get_target(atoms, name) for name in ("mep_points", "mep"))
        if points is None:
            raise ValueError(
                f"{frame_name(index)} has no mep_points, at which the mep is wanted; "
                "write x y z of every point into its comment line"
            )
        if values is not None and len(values) != len(points):
            raise ValueError(
                f"{frame_name(index)} has {len(values)} values of the mep at "
                f"{len(points)} mep_points; give one value for every point"
            )
        distances = np.linalg.norm(points[:, None] - atoms.positions, axis=2)
        point, atom = np.unravel_index(distances.argmin(), distances.shape)
        if distances[point, atom] < NEAREST_POINT:
            raise ValueError(
                f"mep_points of {frame_name(index)}: point {point + 1} is "
                f"{distances[point, atom]:.2g} Å from atom {atom + 1}, where point "
                f"charges have no potential; keep {NEAREST_POINT} Å away from atoms"
            )
