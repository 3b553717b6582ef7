"""The energy of moments and responses of structures in a uniform electric field.

    U(E) = U_0 - E . M - E . alpha . E / 2 - E . beta : E E / 6

is linear in the moment M, the polarizability alpha and the hyperpolarizability beta,
which is symmetric in all indices:

    U_M = -E,   U_alpha = -E E / 2,   U_beta = -E E E / 6,
    M(E) = M + alpha . E + beta : E E / 2,   alpha(E) = alpha + beta . E.

Stress is the derivative by strain at constant voltages E . a of the cell vectors a: the
field turns back as the cell is strained, dE = -strain . E, and the whole charges, whose
moment turns with the cell, add nothing, so that no branch matters. At constant D the
field is the one with D = E + 4 pi k M(E) / V; the energy

    U_D = max over E of U(R, E) + V / (4 pi k) (D . E - E . E / 2)

is stationary there, and its forces are those at constant E.

References
----------
M. Stengel, N. A. Spaldin, D. Vanderbilt, Nat. Phys. 5, 304 (2009).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.units import COULOMB_CONSTANT, FOUR_PI

#: Newton steps to the field of a displacement, and the relative change at their end.
MAX_STEPS, LEAST_STEP = 50, 1e-12


def powers_of(fields: np.ndarray) -> list[np.ndarray]:
    """Return E, E E / 2 and E E E / 6 of fields (n, 3)."""
    squares = np.einsum("na,nb->nab", fields, fields)
    cubes = np.einsum("nab,nc->nabc", squares, fields)
    return [fields, squares / 2.0, cubes / 6.0]


def factors_of(fields: np.ndarray, *directions: np.ndarray) -> list[np.ndarray]:
    """Return the factors of M, alpha and beta in a derivative of -U.

    Without a direction in U_0 - U, with one, a, in a . M(E), with two in a . alpha(E) .
    b, with three in beta : a b c.

    Parameters
    ----------
    fields : ndarray of shape (n, 3)
        In V/Å.
    *directions : ndarray of shape (3,)

    Returns
    -------
    factors : list of ndarray of shape (n, 3), (n, 3, 3) and (n, 3, 3, 3)
    """
    powers = [np.ones(len(fields)), *powers_of(fields)]
    order, outer = len(directions), np.ones(())
    for direction in directions:
        outer = np.multiply.outer(outer, direction)
    factors = []
    for rank in (1, 2, 3):
        if rank < order:
            factors.append(np.zeros((len(fields), *[3] * rank)))
        else:
            power = powers[rank - order]
            shape = (len(fields), *[1] * order, *power.shape[1:])
            factors.append(
                outer.reshape(1, *outer.shape, *[1] * (rank - order))
                * power.reshape(shape)
            )
    return factors


@dataclass
class FieldEnergy:
    """Structures in a field, or at an electric displacement.

    Attributes
    ----------
    moments : ndarray of shape (n, 3)
        M in e·Å, without a field.
    polarizabilities : ndarray of shape (n, 3, 3)
        alpha in e·Å²/V, without a field.
    hyperpolarizabilities : ndarray of shape (n, 3, 3, 3) or None
        beta in e·Å³/V²; none where None.
    volumes : ndarray of shape (n,)
        In Å³, of periodic structures.
    field : ndarray of shape (3,) or (n, 3) or None
        In V/Å.
    displacement : ndarray of shape (3,) or None
        In V/Å.
    """

    moments: np.ndarray
    polarizabilities: np.ndarray
    hyperpolarizabilities: np.ndarray | None
    volumes: np.ndarray
    field: np.ndarray | None = None
    displacement: np.ndarray | None = None

    @cached_property
    def fields(self) -> np.ndarray:
        """E of every structure in V/Å, (n, 3).

        Raises
        ------
        ValueError
            If no field belongs to a displacement.
        """
        shape = self.moments.shape
        if self.displacement is None:
            field = np.zeros(3) if self.field is None else self.field
            return np.broadcast_to(field, shape)
        factors = FOUR_PI * COULOMB_CONSTANT / self.volumes[:, None]
        fields = np.zeros(shape)
        for _ in range(MAX_STEPS):  # the first step is the last one without beta
            moments = self.moments + self.induced(fields)
            rest = self.displacement - fields - factors * moments
            matrix = np.eye(3) + factors[:, :, None] * self.responses(fields)
            steps = np.linalg.solve(matrix, rest[:, :, None])[:, :, 0]
            fields = fields + steps
            change = np.abs(steps).max()
            if self.hyperpolarizabilities is None:
                return fields
            if change <= LEAST_STEP * np.abs(fields).max():
                return fields
        raise ValueError(
            "no field belongs to this displacement: the hyperpolarizability is too "
            "large for it; give a smaller displacement, or a field"
        )

    def induced(self, fields: np.ndarray) -> np.ndarray:
        """Return M(E) - M in e·Å, (n, 3)."""
        induced = np.einsum("nab,nb->na", self.polarizabilities, fields)
        if self.hyperpolarizabilities is not None:
            _, halves, _ = powers_of(fields)
            induced += np.einsum("nabc,nbc->na", self.hyperpolarizabilities, halves)
        return induced

    def responses(self, fields: np.ndarray) -> np.ndarray:
        """Return alpha(E) in e·Å²/V, (n, 3, 3)."""
        if self.hyperpolarizabilities is None:
            return self.polarizabilities
        changes = np.einsum("nabc,nc->nab", self.hyperpolarizabilities, fields)
        return self.polarizabilities + changes

    @cached_property
    def total_moments(self) -> np.ndarray:
        """M(E) in e·Å, (n, 3)."""
        return self.moments + self.induced(self.fields)

    @cached_property
    def total_polarizabilities(self) -> np.ndarray:
        """Alpha(E) in e·Å²/V, (n, 3, 3)."""
        return self.responses(self.fields)

    @cached_property
    def dielectric_tensors(self) -> np.ndarray:
        """Eps at fixed ions of periodic structures in the field, (n, 3, 3)."""
        factors = FOUR_PI * COULOMB_CONSTANT / self.volumes
        return np.eye(3) + factors[:, None, None] * self.total_polarizabilities

    @cached_property
    def slopes(self) -> list[np.ndarray]:
        """U_M, U_alpha and U_beta."""
        return [-power for power in powers_of(self.fields)]

    @cached_property
    def energies(self) -> np.ndarray:
        """U - U_0 in eV, (n,)."""
        parts = [self.moments, self.polarizabilities, self.hyperpolarizabilities]
        energies = sum(
            np.einsum(
                "nk,nk->n", slope.reshape(len(slope), -1), part.reshape(len(part), -1)
            )
            for slope, part in zip(self.slopes, parts, strict=True)
            if part is not None
        )
        if self.displacement is not None:
            free = self.displacement - 0.5 * self.fields
            stored = np.einsum("na,na->n", self.fields, free)
            energies = energies + self.volumes * stored / (FOUR_PI * COULOMB_CONSTANT)
        return energies

    def strain(self, dipoles: np.ndarray) -> np.ndarray:
        """Return dU/d(strain) in eV at strained atomic tensors, (n, 3, 3).

        Parameters
        ----------
        dipoles : ndarray of shape (n, 3)
            The sums of atomic dipoles: M without the part of whole charges.
        """
        moments = dipoles + self.induced(self.fields)
        strain = np.einsum("na,nb->nab", self.fields, moments)
        if self.displacement is None:
            return strain
        squares = np.einsum("na,nb->nab", self.fields, self.fields)
        traces = np.trace(squares, axis1=1, axis2=2)[:, None, None]
        factors = self.volumes / (FOUR_PI * COULOMB_CONSTANT)
        maxwell = 0.5 * traces * np.eye(3) - squares
        return strain - factors[:, None, None] * maxwell
