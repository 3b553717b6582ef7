"""Causes of changed densities: a uniform field, point charges outside a structure.

Around an atom, the potential of a perturbation is sum_lm v[l, m] r^l Y_lm up to norms,
with v of order 1 the electric field (V/Å, in the order y, z, x),

    v[1] = E,    v[0] = (V - mean of V over the atoms) / a,
    v[l, m] = k q a^(l - 1) d^(-l - 1) sqrt(4 pi / (2 l + 1)) Y_lm(n)

for a charge q at the distance d, from which n points to the atom. The length a gives
all orders one unit. A potential that is the same everywhere changes nothing: order 0
is without its mean. Changes of a density are linear in v, and a field is the limit of
charges far away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.descriptors.expansion import harmonic_prefactors
from lodekit.errors import StructureError
from lodekit.observables.fields import POINT_CHARGES
from lodekit.structures import get_target
from lodekit.units import COULOMB_CONSTANT

from .coupling import harmonics_of

#: Harmonics of order 1 are y, z, x.
AXES = [2, 0, 1]
#: a in Å, as far as charges are from atoms.
LENGTH = 3.0
#: Charges nearer to an atom than this, in Å, are no longer outside.
NEAREST_CHARGE = 1.0


@dataclass(frozen=True)
class UniformField:
    """A field of 1 V/Å along x, y and z: three cases.

    Attributes
    ----------
    orders : tuple of int
        Of v; the field alone, or with the potential (0) and what charges have beside
        it (2 and more), which a field has not.
    """

    orders: tuple[int, ...] = (1,)
    name, n_cases = "field", 3

    def at_atoms(self, frames) -> dict[int, np.ndarray]:
        """Return v of the atoms of all frames, (n_cases, n_atoms, 2 l + 1), by l."""
        n_atoms = sum(map(len, frames))
        values = {
            order: np.zeros((self.n_cases, n_atoms, 2 * order + 1))
            for order in self.orders
        }
        values[1][:, :, AXES] = np.eye(3)[:, None]
        if 0 in values:
            centred = [a.positions - a.positions.mean(axis=0) for a in frames]
            values[0][:, :, 0] = -np.concatenate(centred).T / LENGTH
        return values


@dataclass(frozen=True)
class PointCharges:
    """The point charges of every frame: one case.

    Attributes
    ----------
    orders : tuple of int
        Of v.
    """

    orders: tuple[int, ...] = (0, 1, 2, 3)
    name, n_cases = "charges", 1

    def at_atoms(self, frames) -> dict[int, np.ndarray]:
        """Return v of the atoms of all frames, (n_cases, n_atoms, 2 l + 1), by l."""
        parts: dict = {order: [] for order in self.orders}
        for atoms in frames:
            charges, points = point_charges(atoms, atoms.get_chemical_formula())
            vectors = atoms.positions[:, None] - points
            for order, matrices in potential_orders(vectors, self.orders).items():
                values = np.einsum("ipm,p->im", matrices, charges)
                if order == 0:
                    values -= values.mean()
                parts[order].append(values)
        return {
            order: np.concatenate(matrices)[None] for order, matrices in parts.items()
        }


def potential_orders(vectors: np.ndarray, orders) -> dict[int, np.ndarray]:
    """Return v of unit charges, (..., 2 l + 1), by l.

    Parameters
    ----------
    vectors : ndarray of shape (..., 3)
        From charges to atoms in Å.
    orders : sequence of int
    """
    flat = vectors.reshape(-1, 3)
    distances = np.linalg.norm(flat, axis=1)[:, None]
    harmonics = harmonics_of(flat / distances, harmonic_prefactors(max(orders)))
    return {
        l: (
            COULOMB_CONSTANT
            * LENGTH ** (l - 1)
            * np.sqrt(4.0 * np.pi / (2 * l + 1))
            * harmonics[:, l * l : (l + 1) ** 2]
            / distances ** (l + 1)
        ).reshape(*vectors.shape[:-1], 2 * l + 1)
        for l in orders
    }


def point_charges(atoms, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the point charges of a structure, (n,) in e, and their places, (n, 3).

    Raises
    ------
    StructureError
        If there are none, they are in or next to an atom, or the structure is
        periodic.
    """
    values = get_target(atoms, POINT_CHARGES)
    if values is None:
        raise StructureError(
            f"{name} has no {POINT_CHARGES}: q x y z of every charge, in e and Å"
        )
    if atoms.pbc.any():
        raise StructureError(
            f"{name} is periodic; {POINT_CHARGES} are outside of open structures"
        )
    values = np.asarray(values, dtype=float).reshape(-1, 4)
    if not np.isfinite(values).all():
        raise StructureError(f"{name} has {POINT_CHARGES} that are not finite")
    charges, points = values[:, 0], values[:, 1:]
    distances = np.linalg.norm(atoms.positions[:, None] - points, axis=2)
    if distances.size and distances.min() < NEAREST_CHARGE:
        atom, charge = np.unravel_index(distances.argmin(), distances.shape)
        raise StructureError(
            f"{name}: point charge {charge + 1} is {distances.min():.2f} Å from atom "
            f"{atom + 1}; charges have to be outside, {NEAREST_CHARGE:g} Å and more "
            "from all atoms"
        )
    return charges, points
