"""Observables of charges: linear maps of charges and atomic moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.structures import get_target


@dataclass(frozen=True)
class AffineCharges:
    """Charges of one structure, affine in the weights: q = matrix w + offset.

    Observables of the charges have this form, too.

    Attributes
    ----------
    matrix : ndarray of shape (n_atoms, rank)
    offset : ndarray of shape (n_atoms,)
    moments : tuple of ndarray
        Atomic dipoles (e·Å), (n_atoms, 3, n), and quadrupoles (e·Å²), (n_atoms, 6, n'),
        as far as there are any, each linear in weights of its own, the last ones.
    moved : object, optional
        How the dipole of charges and moments follows displaced atoms, with the charge
        of these fixed (e): ``rows()`` returns it as matrix (n_atoms, 3, 3, rank) and
        offset (n_atoms, 3, 3), ``values()`` (n_atoms, 3, 3); indices are atom,
        component of the dipole, component of the displacement.
    """

    matrix: np.ndarray
    offset: np.ndarray
    moments: tuple = ()
    moved: object = None

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return the charges in e, (n_atoms,)."""
        return self.matrix @ weights[: self.matrix.shape[1]] + self.offset

    @property
    def columns(self) -> list[slice]:
        """The weights of each of the moments."""
        sizes = [moments.shape[2] for moments in self.moments]
        stops = self.matrix.shape[1] - sum(sizes) + np.cumsum(sizes)
        return [slice(b - n, b) for n, b in zip(sizes, stops, strict=True)]

    def moment_values(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return the atomic dipoles (n_atoms, 3) and quadrupoles (n_atoms, 6)."""
        pairs = zip(self.moments, self.columns, strict=True)
        return [moments @ weights[columns] for moments, columns in pairs]


class ChargeObservable:
    """Something that is measured and linear in the charges and moments of atoms.

    A subclass has a ``name`` of `lodekit.quantities` and says in `operators`, or in
    `observe`, what turns charges into it. Users see its numbers in a ``shape``.
    """

    name: str
    shape: tuple = (-1,)

    def operators(self, atoms) -> list[np.ndarray]:
        """Return the matrix from moments of the atoms of a structure to the observable.

        Returns
        -------
        operators : list of ndarray
            For charges (n, n_atoms), dipoles (n, n_atoms, 3) and quadrupoles (n,
            n_atoms, 6), with n numbers of the observable; those beyond the last one are
            zero.
        """
        raise NotImplementedError

    def observe(self, atoms, charges: AffineCharges) -> AffineCharges:
        """Return the observable of a structure as an affine map of the weights."""
        on_charges, *on_moments = self.operators(atoms)
        observed = AffineCharges(
            on_charges @ charges.matrix, on_charges @ charges.offset
        )
        parts = zip(on_moments, charges.moments, charges.columns, strict=False)
        for operator, moments, columns in parts:
            observed.matrix[:, columns] += np.tensordot(operator, moments, 2)
        return observed

    def value(self, atoms, charges: AffineCharges, weights: np.ndarray) -> np.ndarray:
        """Return the observable at some weights, as users see it."""
        return self.present(atoms, self.observe(atoms, charges).values(weights))

    def is_given(self, atoms) -> bool:
        """Return whether a structure has a reference value."""
        return get_target(atoms, self.name) is not None

    def reference(self, atoms) -> np.ndarray:
        """Return the reference values that `observe` is compared with, (n,)."""
        return np.ravel(get_target(atoms, self.name))

    def present(self, atoms, observed: np.ndarray) -> np.ndarray:
        """Return the numbers of `observe` in the shape that users see."""
        return observed.reshape(self.shape)

    def conditions(self, charges: AffineCharges, names) -> dict[str, np.ndarray]:
        """Return rows (n, rank) by name, of ``names``, that have to be zero as well."""
        return {}

    def check(self, frames, chosen) -> None:
        """Raise ``ValueError`` if frames with these indices cannot have it."""

    def check_references(self, frames, chosen) -> None:
        """Raise ``ValueError`` if reference values of frames cannot be right."""


class Charges(ChargeObservable):
    """The charges themselves."""

    name = "charges"

    def observe(self, atoms, charges: AffineCharges) -> AffineCharges:
        """Return the charges without the moments."""
        return AffineCharges(charges.matrix, charges.offset)


def total_charge(atoms) -> float:
    """Return the total charge of a structure in e: 0 where it is not given."""
    value = get_target(atoms, "total_charge")
    return 0.0 if value is None else float(value)


class TotalCharge(ChargeObservable):
    """The sum of the charges; a condition that every structure has."""

    name = "total_charge"

    def operators(self, atoms) -> list[np.ndarray]:
        """Return ones."""
        return [np.ones((1, len(atoms)))]

    def is_given(self, atoms) -> bool:
        """Return True: 0 where it is not given."""
        return True

    def reference(self, atoms) -> np.ndarray:
        """Return the total charge, (1,)."""
        return np.array([total_charge(atoms)])
