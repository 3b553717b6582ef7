"""Charge equilibration: charges that minimise a quadratic energy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.units import COULOMB_CONSTANT

from .charge_constraints import ChargeConstraints
from .charge_response import DenseResponse, IterativeResponse
from .coulomb import CoulombInteraction

#: Atoms up to which matrices are dense, where the user does not say.
DENSE_ATOMS = 1500


@dataclass(frozen=True)
class EquilibratedCharges:
    """Charges at the minimum of the energy.

    Attributes
    ----------
    charges : ndarray of shape (n_atoms,)
        In e.
    energy : float
        U at the minimum, in eV.
    chemical_potentials : ndarray of shape (n_atoms,)
        dU/dq in V: the same for all atoms between which charge flows freely.
    flows : ndarray of shape (n_bonds,) or None
        Charge in e that bonds move, of `SplitChargeEquilibration`.
    """

    charges: np.ndarray
    energy: float
    chemical_potentials: np.ndarray
    flows: np.ndarray | None = None


class EquilibrationEnergy:
    """U(q) = sum_i chi_i q_i + q.(A + diag(J)) q / 2 - E.sum_i q_i R_i.

    Parameters
    ----------
    positions, cell, pbc
        As in `CoulombInteraction`, which makes A.
    hardness : float or array_like of shape (n_atoms,)
        J in V/e, beyond the self-interaction k_e / (sqrt(pi) s) of a Gaussian charge.
    widths : float or array_like of shape (n_atoms,)
        Standard deviations s of Gaussian charges in Å.
    accuracy : float
        Of the Coulomb sum, see `CoulombInteraction`.

    Raises
    ------
    ValueError
        If hardness is not finite or negative, or an atom has neither hardness nor
        width.
    """

    def __init__(self, positions, cell, pbc, hardness, widths, *, accuracy=1e-8):
        self.interaction = CoulombInteraction(
            positions, cell, pbc, widths, accuracy=accuracy
        )
        n_atoms = len(self.interaction.positions)
        hardness = np.asarray(hardness, dtype=float)
        if hardness.shape not in ((), (n_atoms,)):
            raise ValueError(
                f"hardness must be one number or have shape ({n_atoms},), got "
                f"{hardness.shape}"
            )
        self.hardness = np.broadcast_to(hardness, n_atoms).copy()
        if not (np.isfinite(self.hardness) & (self.hardness >= 0.0)).all():
            raise ValueError("hardness must be finite and not negative")
        soft = np.flatnonzero((self.hardness == 0) & (self.interaction.widths == 0))
        if soft.size:
            raise ValueError(
                f"atom {soft[0] + 1} has zero hardness and zero width, so that its "
                "charge costs nothing; give it one of them"
            )

    def product(self, charges: np.ndarray) -> np.ndarray:
        """Return (A + J) q in V, of charges (n_atoms,) or (n_atoms, n)."""
        return self.interaction @ charges + (self.hardness * charges.T).T

    def slopes(self, electronegativities, field=None) -> np.ndarray:
        """Return chi_i - E.R_i in V, (n_atoms,).

        Parameters
        ----------
        electronegativities : array_like of shape (n_atoms,)
            In V.
        field : array_like of shape (3,), optional
            Uniform field E in V/Å. It acts on positions from the origin: the energy of
            a charged structure depends on where that is, charges do not.

        Raises
        ------
        ValueError
            If shapes do not fit, or the field is along a periodic direction.
        """
        n_atoms = len(self.hardness)
        slopes = np.asarray(electronegativities, dtype=float)
        if slopes.shape != (n_atoms,):
            raise ValueError(
                f"electronegativities must have shape ({n_atoms},), one per atom, got "
                f"{slopes.shape}"
            )
        if field is None:
            return slopes
        return slopes - self.interaction.positions @ self.check_field(field)

    def check_field(self, field) -> np.ndarray:
        """Return a field (3,), or say what is wrong with it."""
        field = np.asarray(field, dtype=float)
        if field.shape != (3,) or not np.isfinite(field).all():
            raise ValueError(f"field must be three finite numbers in V/Å, got {field}")
        boundary = self.interaction.boundary
        along = boundary.cell[: boundary.n_periodic] @ field
        lengths = np.linalg.norm(boundary.cell[: boundary.n_periodic], axis=1)
        if (abs(along) > 1e-9 * lengths * np.linalg.norm(field)).any():
            raise ValueError(
                f"the field {field.tolist()} V/Å has a component along a periodic "
                "direction, where a position means nothing; leave that component out"
            )
        return field

    def energy(self, charges, electronegativities, field=None, start=None) -> float:
        """Return U in eV, for which it does not matter where charges started."""
        slopes = self.slopes(electronegativities, field)
        return float(charges @ (slopes + 0.5 * self.product(charges)))

    def gradients(self, charges, field=None) -> tuple[np.ndarray, np.ndarray]:
        """Return dU/dR and dU/de at fixed charges and electronegativities.

        At the minimum these are the total derivatives but for those of the
        electronegativities (review Eqs. 14 and 15).

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
            In eV/Å.
        strain : ndarray of shape (3, 3)
            In eV; r_b -> r_b + sum_a r_a e_ab. The field of an open structure stays,
            that on a slab turns with it.
        """
        positions, strain = self.interaction.gradients(charges, charges)
        positions, strain = 0.5 * positions, 0.5 * strain
        if field is not None:
            field = self.check_field(field)
            boundary = self.interaction.boundary
            dipole = charges @ self.interaction.positions
            if boundary.n_periodic == 2:
                normal = boundary.cell[2]
                dipole = (normal @ dipole) * normal
            positions = positions - np.outer(charges, field)
            strain = strain - np.outer(dipole, field)
        return positions, strain

    def check_total(self, total_charge: float) -> None:
        """Refuse a net charge where its energy is infinite."""
        if self.interaction.boundary.n_periodic == 2 and total_charge != 0.0:
            raise ValueError(
                f"a slab with the net charge {total_charge:g} e has no finite energy; "
                "make it neutral, or periodic in three directions"
            )


class ChargeEquilibration(EquilibrationEnergy):
    """Charges of least energy at a given total charge, and how they respond.

    Parameters
    ----------
    positions, cell, pbc, hardness, widths, accuracy
        As in `EquilibrationEnergy`.
    constraints : array_like of shape (n_constraints, n_atoms), optional
        Sums of charges that are given besides the total charge; for those of fragments
        see `fragment_constraints`.
    iterative : bool, optional
        Conjugate gradients with products by pairs and mesh instead of a matrix; for
        more than 1,500 atoms if None.
    tolerance : float
        Of the conjugate gradients, relative.
    coulomb : ndarray of shape (n_atoms, n_atoms), optional
        `CoulombInteraction.dense` of these positions and widths, where it is known.

    Raises
    ------
    ValueError
        If shapes do not fit, or the energy has no minimum.

    References
    ----------
    A. K. Rappé, W. A. Goddard III, J. Phys. Chem. 95, 3358 (1991); S. A. Ghasemi et
    al., Phys. Rev. B 92, 045131 (2015) (Gaussian charges).
    """

    def __init__(
        self,
        positions,
        cell,
        pbc,
        hardness,
        widths,
        *,
        constraints=None,
        iterative=None,
        tolerance=1e-10,
        accuracy=1e-8,
        coulomb=None,
    ):
        super().__init__(positions, cell, pbc, hardness, widths, accuracy=accuracy)
        n_atoms = len(self.hardness)
        further = np.zeros((0, n_atoms)) if constraints is None else constraints
        further = np.asarray(further, dtype=float)
        if further.ndim != 2 or further.shape[1] != n_atoms:
            raise ValueError(
                f"constraints must have shape (n_constraints, {n_atoms}), got "
                f"{further.shape}"
            )
        self.constraints = ChargeConstraints(np.vstack([np.ones(n_atoms), further]))
        self.tolerance = tolerance
        if n_atoms > DENSE_ATOMS if iterative is None else iterative:
            widths = self.interaction.widths
            diagonal = self.hardness + COULOMB_CONSTANT / np.sqrt(np.pi) * np.divide(
                1.0, widths, out=np.zeros(n_atoms), where=widths > 0
            )
            self.response = self._iterative_response(diagonal)
        else:
            matrix = self.interaction.dense() if coulomb is None else coulomb.copy()
            matrix[np.diag_indices(n_atoms)] += self.hardness
            self.matrix = matrix
            self.response = self._dense_response(matrix)
            self.product = self._dense_product

    def _dense_response(self, matrix):
        return DenseResponse(matrix, self.constraints)

    def _iterative_response(self, diagonal):
        return IterativeResponse(
            self.product, diagonal, self.constraints, self.tolerance
        )

    def _dense_product(self, charges):
        return self.matrix @ charges

    def solve(
        self, electronegativities, total_charge=0.0, constrained=(), field=None
    ) -> EquilibratedCharges:
        """Return the charges of least energy.

        Parameters
        ----------
        electronegativities : array_like of shape (n_atoms,)
            chi in V.
        total_charge : float
            In e.
        constrained : array_like of shape (n_constraints,)
            Values in e of the further constraints.
        field : array_like of shape (3,), optional
            Uniform field in V/Å, see `slopes`.

        Raises
        ------
        ValueError
            If constraints contradict, the field is along a periodic direction, or a
            slab has a net charge.
        """
        start = self.start(total_charge, constrained)
        return self.solve_from(start, electronegativities, field)

    def solve_from(self, start, electronegativities, field=None) -> EquilibratedCharges:
        """Return the charges of least energy that transfers reach from others.

        Parameters
        ----------
        start : ndarray of shape (n_atoms,)
            In e, such as those of `start`.
        electronegativities, field
            As in `solve`.
        """
        slopes = self.slopes(electronegativities, field)
        charges = start + self.respond(slopes + self.product(start))
        potentials = slopes + self.product(charges)
        energy = 0.5 * charges @ (slopes + potentials)
        return EquilibratedCharges(charges, float(energy), potentials)

    def minimum_gradients(self, equilibrated: EquilibratedCharges, field=None):
        """Return the derivatives of the least energy by positions and strain.

        As `gradients`, for charges that were found in the same ``field``.
        """
        return self.gradients(equilibrated.charges, field)

    def charge_gradients(self, equilibrated: EquilibratedCharges, slopes):
        """Return the derivatives of sum_i f_i q_i with the charges of least energy.

        Those by the electronegativities are a = -Abar f; those of A follow from them.

        Parameters
        ----------
        found : EquilibratedCharges
            Without a field.
        slopes : ndarray of shape (n_atoms,)
            f.

        Returns
        -------
        answers : ndarray of shape (n_atoms,)
            a.
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (3, 3)
            Both at fixed electronegativities.
        """
        answers = self.respond(slopes)
        return answers, *self.interaction.gradients(answers, equilibrated.charges)

    def start(self, total_charge: float, constrained=()) -> np.ndarray:
        """Return the least charges in e that fulfil the constraints, (n_atoms,).

        Raises
        ------
        ValueError
            If constraints contradict, or a slab has a net charge.
        """
        self.check_total(total_charge)
        return self.constraints.smallest_charges([total_charge, *constrained])

    def allowed(self, changes: np.ndarray) -> np.ndarray:
        """Return the part of charge changes that transfers can make, (n_atoms, n)."""
        return self.constraints.project(changes)

    def respond(self, potentials: np.ndarray) -> np.ndarray:
        """Return -Abar v: how charges in e answer to potentials v in V.

        Abar is symmetric, positive and conserves all sums, so that this is the adjoint
        as well: df/dchi = -Abar df/dq.

        Parameters
        ----------
        potentials : ndarray of shape (n_atoms,) or (n_atoms, n_columns)
        """
        potentials = np.asarray(potentials, dtype=float)
        columns = potentials.reshape(len(self.hardness), -1)
        return -self.response.apply(columns).reshape(potentials.shape)

    def response_matrix(self) -> np.ndarray:
        """Return dq/dchi = -Abar in e/V, (n_atoms, n_atoms)."""
        return self.respond(np.eye(len(self.hardness)))
