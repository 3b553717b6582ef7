"""Bonds whose hardness follows from elements and distance.

Charge p_b that flows over bond b of length r costs H_b p_b^2 / 2 with

    H_b = h / f(r),

with h of the pair of elements. f is 1 up to the sum of the covalent radii and falls to
0 at twice the sum, with two continuous derivatives; the hardness grows to infinity
there, so that bonds vanish smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from scipy import linalg

from lodekit.electrostatics import SplitChargeEquilibration
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs
from lodekit.structures.values import is_number

from .elements import radii

#: Where bonds end, in sums of covalent radii.
END = 2.0
#: V/e: where a fit of the hardness starts.
START = 10.0


@dataclass(frozen=True)
class Bonds:
    """Bonds of one structure.

    Attributes
    ----------
    pairs : ndarray of shape (n_bonds, 2)
        Atoms; charge flows from the second to the first.
    kinds : ndarray of shape (n_bonds, 2)
        Their species, as numbers in the model, the smaller one first.
    vectors : ndarray of shape (n_bonds, 3)
        From the first to the second atom in Å.
    hardness : ndarray of shape (n_bonds,)
        H in V/e.
    slopes : ndarray of shape (n_bonds,)
        d(1/H)/dr in e/(V Å), not positive.
    """

    pairs: np.ndarray
    kinds: np.ndarray
    vectors: np.ndarray
    hardness: np.ndarray
    slopes: np.ndarray

    @classmethod
    def find(cls, atoms, species, table, fragments=None) -> Bonds:
        """Return the bonds of a structure, none between fragments.

        Parameters
        ----------
        atoms : ase.Atoms
        species : ndarray of shape (n_species,)
            Atomic numbers, ascending.
        table : ndarray of shape (n_species, n_species)
            h in V/e, infinite where there are no bonds.
        fragments : ndarray of shape (n_atoms,), optional
        """
        ends = END * np.add.outer(radii(species), radii(species))
        neighbors = find_pairs(StructureBatch.from_frames([atoms]), ends.max())
        pairs = np.stack([neighbors.centers, neighbors.neighbors], axis=1)
        kinds = np.searchsorted(species, atoms.numbers)[pairs]
        lengths = np.linalg.norm(neighbors.vectors, axis=1)
        own_end, own_hardness = ends[tuple(kinds.T)], table[tuple(kinds.T)]
        kept = (pairs[:, 0] < pairs[:, 1]) & (lengths < own_end)
        kept &= np.isfinite(own_hardness)
        if fragments is not None:
            kept &= np.equal(*fragments[pairs].T)
        falling, slopes = switch(2.0 * lengths[kept] / own_end[kept] - 1.0)
        kept[kept] = open_ = falling > 0.0
        hardness = own_hardness[kept]
        slopes = 2.0 * slopes[open_] / own_end[kept]
        return cls(
            pairs[kept],
            np.sort(kinds[kept], axis=1),
            neighbors.vectors[kept],
            hardness / falling[open_],
            slopes / hardness,
        )

    def scatter(self, slopes: np.ndarray, n_atoms: int):
        """Turn derivatives by lengths into those by positions and strain.

        Parameters
        ----------
        slopes : ndarray of shape (n_bonds, n)
        n_atoms : int

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3, n)
        strain : ndarray of shape (3, 3, n)
        """
        directions = self.vectors / np.linalg.norm(self.vectors, axis=1)[:, None]
        pulls = directions[:, :, None] * slopes[:, None, :]
        positions = np.zeros((n_atoms, 3, slopes.shape[1]))
        np.add.at(positions, self.pairs[:, 1], pulls)
        np.subtract.at(positions, self.pairs[:, 0], pulls)
        return positions, np.einsum("ba,bcn->acn", self.vectors, pulls)

    def tensions(self, flows: np.ndarray) -> np.ndarray:
        """Return p dH/dr in V/Å for flows p in e, both (n_bonds,).

        The energy of a bond changes with its length by half of it, times p.
        """
        return -self.slopes * self.hardness**2 * flows


class BondEquilibration(SplitChargeEquilibration):
    """Charges that flow over `Bonds`, which change with the positions."""

    def __init__(self, positions, cell, pbc, hardness, widths, bonds, **options):
        self.bonds = bonds
        super().__init__(
            positions, cell, pbc, hardness, widths, bonds.pairs, bonds.hardness,
            **options,
        )  # fmt: skip

    def energy(self, charges, electronegativities, field=None, start=None) -> float:
        """Return U in eV, with that of the bonds where charges flowed from ``start``.

        Of all flows that give the same charges, those of least energy.
        """
        energy = super().energy(charges, electronegativities, field)
        if start is None:
            return energy
        changed = charges - start
        return energy + 0.5 * changed @ self.bond_matrix @ changed

    @cached_property
    def bond_matrix(self) -> np.ndarray:
        """The stiffness of bonds against charges in V/e, (n_atoms, n_atoms)."""
        softness = (self.transfers / self.penalty) @ self.transfers.T
        return linalg.pinvh(softness.toarray())

    def minimum_gradients(self, solution, field=None):
        """Return the derivatives of the least energy by positions and strain."""
        positions, strain = super().minimum_gradients(solution, field)
        slopes = 0.5 * self.bonds.tensions(solution.flows) * solution.flows
        more = self.bonds.scatter(slopes[:, None], len(positions))
        return positions + more[0][:, :, 0], strain + more[1][:, :, 0]

    def charge_gradients(self, solution, slopes):
        """Return the derivatives of sum_i f_i q_i, see `ChargeEquilibration`."""
        answers, *gradients = super().charge_gradients(solution, slopes)
        more = self.gradient_rows(solution, slopes[:, None])
        positions, strain = (
            a + b[..., 0] for a, b in zip(gradients, more, strict=True)
        )
        return answers, positions, strain

    def gradient_rows(self, solution, columns) -> tuple[np.ndarray, np.ndarray]:
        """Return the part of bonds in the changes of `minimum_gradients` with chi.

        Parameters
        ----------
        solution : EquilibratedCharges
        columns : ndarray of shape (n_atoms, n)
            Changes of chi in V.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3, n)
        strain : ndarray of shape (3, 3, n)
        """
        flows = -self.openness[:, None] * self.response.flows(columns)
        tensions = self.bonds.tensions(solution.flows)[:, None]
        return self.bonds.scatter(tensions * flows, len(columns))


def switch(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a step from 1 at x = 0 to 0 at x = 1, and its derivative."""
    x = np.clip(x, 0.0, 1.0)
    y = 1.0 - x
    return y**3 * (1.0 + 3.0 * x + 6.0 * x**2), -30.0 * x**2 * y**2


def pair_name(first: int, second: int) -> str:
    """Return how settings call a pair of elements, the lighter one first."""
    return "-".join(chemical_symbols[z] for z in sorted((first, second)))


def by_pair(table, species) -> dict:
    """Return h in V/e by the name of the pair, of pairs that have bonds."""
    if table is None:
        return {}
    return {
        pair_name(first, second): float(table[i, j])
        for i, first in enumerate(species.tolist())
        for j, second in enumerate(species.tolist())
        if i <= j and np.isfinite(table[i, j])
    }


def read_bond_hardness(setting, species: np.ndarray) -> np.ndarray | None:
    """Return h in V/e for pairs of species, or None where charge needs no bonds.

    Parameters
    ----------
    setting : float, dict, "fit" or None
        V/e of all pairs, or by pair such as {"H-O": 5.0}; other pairs have no bonds.
    species : ndarray of shape (n_species,)

    Raises
    ------
    ValueError
        If a number is not positive, or a pair is none of two elements.
    """
    if setting is None:
        return None
    if isinstance(setting, str) and setting == "fit":
        setting = START
    n_species = species.size
    if not isinstance(setting, dict):
        _check(setting, "bond_hardness")
        return np.full((n_species, n_species), float(setting))
    table = np.full((n_species, n_species), np.inf)
    known = {int(z): index for index, z in enumerate(species)}
    for pair, value in setting.items():
        numbers = [atomic_numbers.get(symbol) for symbol in str(pair).split("-")]
        if len(numbers) != 2 or None in numbers:
            raise ValueError(
                f"bond_hardness names pairs of elements such as 'H-O', got {pair!r}"
            )
        _check(value, f"bond_hardness of {pair}")
        if set(numbers) <= set(known):
            first, second = (known[z] for z in numbers)
            table[first, second] = table[second, first] = float(value)
    return table


def _check(value, name: str) -> None:
    if not (is_number(value) and 0.0 < value < np.inf):
        raise ValueError(
            f"{name} must be a positive number in V/e, got {value!r}; all pairs of "
            "elements by 'fit', or a dictionary such as {'H-O': 5.0}, can be given too"
        )
