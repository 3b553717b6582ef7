"""Functions on sites: atoms with the shells of a basis, or points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from lodekit.errors import BasisError

from .basis import DensityBasis


@dataclass(frozen=True)
class ShellTable:
    """Shells of several kinds of sites as arrays for compiled code.

    Attributes
    ----------
    first_shell : ndarray of shape (n_kinds + 1,)
        Shells of a kind are ``first_shell[kind]:first_shell[kind + 1]``, sorted by l.
    shell_l : ndarray of shape (n_shells,)
        Their l.
    first_primitive : ndarray of shape (n_shells + 1,)
        Primitives of a shell.
    spreads, amplitudes : ndarray of shape (n_primitives,)
        t (Å^2) and A of the transforms A (-i)^l k^l Y_lm exp(-t k^2).
    """

    first_shell: np.ndarray
    shell_l: np.ndarray
    first_primitive: np.ndarray
    spreads: np.ndarray
    amplitudes: np.ndarray

    @classmethod
    def of(cls, kinds: list) -> ShellTable:
        """Return the table of kinds, each a list of (l, spreads, amplitudes)."""
        shells = [shell for kind in kinds for shell in kind]
        sizes = [len(spreads) for _, spreads, _ in shells]
        return cls(
            np.cumsum([0, *map(len, kinds)]).astype(np.intp),
            np.array([l for l, _, _ in shells], dtype=np.intp),
            np.cumsum([0, *sizes]).astype(np.intp),
            np.concatenate([np.zeros(0), *(spreads for _, spreads, _ in shells)]),
            np.concatenate([np.zeros(0), *(values for _, _, values in shells)]),
        )

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order of `lodekit.kernels.gaussian_pairs`."""
        return (
            self.first_shell,
            self.shell_l,
            self.first_primitive,
            self.spreads,
            self.amplitudes,
        )

    @property
    def largest_l(self) -> int:
        """The highest l of a shell."""
        return int(self.shell_l.max(initial=0))

    @cached_property
    def sizes(self) -> np.ndarray:
        """Number of functions of every kind, (n_kinds,)."""
        return np.diff(np.cumsum([0, *(2 * self.shell_l + 1)])[self.first_shell])

    def widest(self, kinds: np.ndarray) -> float:
        """Return the largest spread (Å^2) of a primitive of some kinds."""
        spreads = [
            self.spreads[
                slice(*self.first_primitive[self.first_shell[kind : kind + 2]])
            ]
            for kind in np.unique(kinds)
        ]
        return float(max((s.max(initial=0.0) for s in spreads), default=0.0))


@dataclass(frozen=True)
class Sites:
    """Functions around sites.

    Attributes
    ----------
    positions : ndarray of shape (n_sites, 3)
        In Å.
    kinds : ndarray of shape (n_sites,)
        Index of the kind of every site.
    table : ShellTable
        The shells of every kind.
    """

    positions: np.ndarray
    kinds: np.ndarray
    table: ShellTable

    @classmethod
    def of_atoms(cls, atoms: Atoms, basis: DensityBasis) -> Sites:
        """Return the functions of a basis around atoms (``ase.Atoms``).

        Raises
        ------
        BasisError
            If the basis lacks an element, or only its layout is known.
        """
        basis.check_known()
        numbers, kinds = np.unique(atoms.numbers, return_inverse=True)
        shells = [
            [(s.l, s.spreads, s.amplitudes) for s in basis.shells_of(int(number))]
            for number in numbers
        ]
        return cls(
            positions_of(atoms.positions), as_index(kinds), ShellTable.of(shells)
        )

    @classmethod
    def of_points(cls, points: ArrayLike, order: int = 0) -> Sites:
        """Return unit point charges, or for order 1 unit dipoles with m = -1, 0, 1.

        The interaction of a charge with such a dipole is the gradient of its potential
        by the place of the dipole, along y, z and x.
        """
        points = positions_of(points)
        norm = np.array([np.sqrt(4.0 * np.pi / (2 * order + 1))])
        table = ShellTable.of([[(order, np.zeros(1), norm)]])
        return cls(points, np.zeros(len(points), dtype=np.intp), table)

    @property
    def n_sites(self) -> int:
        """Number of sites."""
        return len(self.positions)

    @cached_property
    def first_function(self) -> np.ndarray:
        """Functions of a site are ``first_function[i]:first_function[i + 1]``."""
        return np.concatenate([[0], np.cumsum(self.table.sizes[self.kinds])])

    @property
    def size(self) -> int:
        """Number of functions."""
        return int(self.first_function[-1])

    def parts(self, largest: int) -> list[Sites]:
        """Return the sites in runs of at most ``largest``, and at least one run."""
        starts = range(0, max(self.n_sites, 1), largest)
        return [
            Sites(
                self.positions[start : start + largest],
                self.kinds[start : start + largest],
                self.table,
            )
            for start in starts
        ]

    @cached_property
    def site_of_function(self) -> np.ndarray:
        """Index of the site of every function, (n_functions,)."""
        return np.repeat(np.arange(self.n_sites), np.diff(self.first_function))

    def per_function(self, of_shell: Callable) -> np.ndarray:
        """Return something of every function that does not depend on its site.

        Parameters
        ----------
        of_shell : callable
            Takes l, spreads (Å^2) and amplitudes of a shell and returns an array with
            2l + 1 rows.
        """
        table = self.table
        of_kind = []
        for kind in range(len(table.first_shell) - 1):
            rows = []
            for shell in range(*table.first_shell[kind : kind + 2]):
                part = slice(*table.first_primitive[shell : shell + 2])
                spreads, amplitudes = table.spreads[part], table.amplitudes[part]
                rows.append(of_shell(int(table.shell_l[shell]), spreads, amplitudes))
            of_kind.append(np.concatenate(rows))
        if not self.n_sites:
            return of_kind[0][:0]
        return np.concatenate([of_kind[kind] for kind in self.kinds])

    @property
    def widest(self) -> float:
        """The largest spread (Å^2) of a function here."""
        return self.table.widest(self.kinds)


def positions_of(points: ArrayLike) -> np.ndarray:
    """Return points as (n, 3) numbers, or say what is wrong with them."""
    points = np.ascontiguousarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(
            f"points must have shape (n, 3), one row of x, y, z each, got "
            f"{points.shape}"
        )
    if not np.isfinite(points).all():
        row = int(np.argmin(np.isfinite(points).all(axis=1)))
        raise ValueError(f"point {row + 1} is {points[row]}, which is not finite")
    return points


def as_index(values: ArrayLike) -> np.ndarray:
    """Return integers as compiled code takes them."""
    return np.ascontiguousarray(values, dtype=np.intp)


def check_coefficients(
    atoms: Atoms, basis: DensityBasis, coefficients: ArrayLike, name: str = ""
) -> np.ndarray:
    """Return coefficients (n_functions,) of a structure, or say what is wrong.

    Parameters
    ----------
    atoms : ase.Atoms
    basis : DensityBasis
    coefficients : array_like
        Numbers in the order of the basis.
    name : str
        What messages call the coefficients, such as a file; may be empty.

    Raises
    ------
    BasisError
        If there are not as many numbers as functions, or one is not finite.
    """
    where = f"{name}: " if name else ""
    values = np.ascontiguousarray(coefficients, dtype=float)
    size = basis.size(atoms.numbers)
    if values.shape != (size,):
        got = values.size if values.ndim == 1 else f"shape {values.shape}"
        raise BasisError(
            f"{where}{atoms.get_chemical_formula()} needs {size} coefficients in the "
            f"basis {basis.name} ({basis.describe()}), got {got}"
        )
    if not np.isfinite(values).all():
        raise BasisError(
            f"{where}coefficient {int(np.argmin(np.isfinite(values))) + 1} is not "
            "finite"
        )
    return values
