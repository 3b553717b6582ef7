"""Charge equilibration over bonds: between insulators and conductors."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from .charge_response import NOT_STABLE
from .equilibration import EquilibratedCharges, EquilibrationEnergy


class SplitChargeEquilibration(EquilibrationEnergy):
    """Charges that flow through bonds with a hardness of their own.

    q = q_0 + D p, where p_b is the charge that bond b moves from its second to its
    first atom, and p minimises U(q) + sum_b H_b p_b^2 / 2. Charge does not leave what
    bonds connect. Soft bonds (H = 0) make a conductor, `ChargeEquilibration` with the
    charge of every connected part given; hard ones (H infinite) an insulator, q = q_0.

    Parameters
    ----------
    positions, cell, pbc, hardness, widths, accuracy
        As in `EquilibrationEnergy`.
    bonds : array_like of shape (n_bonds, 2)
        Atoms that each bond joins.
    bond_hardness : float or array_like of shape (n_bonds,)
        H in V/e, from 0 to infinity.

    Raises
    ------
    ValueError
        If a bond joins an atom to itself or to none, hardness is negative, or the
        energy has no minimum.

    References
    ----------
    R. A. Nistor, J. G. Polihronov, M. H. Müser, N. J. Mosey, J. Chem. Phys. 125,
    094108 (2006).
    """

    def __init__(
        self,
        positions,
        cell,
        pbc,
        hardness,
        widths,
        bonds,
        bond_hardness,
        *,
        accuracy=1e-8,
    ):
        super().__init__(positions, cell, pbc, hardness, widths, accuracy=accuracy)
        bonds, n_atoms = np.asarray(bonds), len(self.hardness)
        inside = ((bonds >= 0) & (bonds < n_atoms)).all()
        shaped = bonds.ndim == 2 and bonds.shape[1:] == (2,)
        if not (shaped and inside and (bonds[:, 0] != bonds[:, 1]).all()):
            raise ValueError(
                f"bonds must have shape (n_bonds, 2) and join different atoms of the "
                f"{n_atoms}, counted from 0"
            )
        given = np.broadcast_to(np.asarray(bond_hardness, dtype=float), len(bonds))
        if not (given >= 0).all():
            raise ValueError("bond_hardness must not be negative")
        open_ = np.isfinite(given)
        self.incidence = np.zeros((n_atoms, np.count_nonzero(open_)))
        columns = np.arange(self.incidence.shape[1])
        self.incidence[bonds[open_, 0], columns] = 1.0
        self.incidence[bonds[open_, 1], columns] = -1.0
        matrix = self.interaction.dense()
        matrix[np.diag_indices(n_atoms)] += self.hardness
        # bonds in rings can carry a current that changes no charge: least squares take
        # the smallest, by eigenvalues that are zero to rounding
        curvature = self.incidence.T @ matrix @ self.incidence
        curvature[np.diag_indices_from(curvature)] += given[open_]
        values, vectors = linalg.eigh(curvature)
        floor = 1e-11 * max(values.max(initial=0.0), abs(matrix).max())
        if values.size and values.min() < -floor:
            raise ValueError(NOT_STABLE)
        kept = values > floor
        self.modes = vectors[:, kept] / np.sqrt(values[kept])

    def response_matrix(self) -> np.ndarray:
        """Return dq/dchi in e/V, (n_atoms, n_atoms)."""
        half = self.incidence @ self.modes
        return -half @ half.T

    def solve(self, electronegativities, start=None, field=None) -> EquilibratedCharges:
        """Return the charges of least energy.

        Parameters
        ----------
        electronegativities : array_like of shape (n_atoms,)
            chi in V.
        start : array_like of shape (n_atoms,), optional
            q_0 in e, 0 if None.
        field : array_like of shape (3,), optional
            Uniform field in V/Å, see `EquilibrationEnergy.slopes`.

        Returns
        -------
        result : EquilibratedCharges
            With the energy of the bonds.
        """
        slopes = self.slopes(electronegativities, field)
        n_atoms = len(slopes)
        start = np.zeros(n_atoms) if start is None else np.asarray(start, dtype=float)
        if start.shape != (n_atoms,):
            raise ValueError(
                f"start must have shape ({n_atoms},), one charge per atom, got "
                f"{start.shape}"
            )
        self.check_total(float(start.sum()))
        at_start = self.product(start)
        push = self.modes.T @ (self.incidence.T @ (slopes + at_start))
        charges = start - self.incidence @ (self.modes @ push)
        energy = start @ (slopes + 0.5 * at_start) - 0.5 * push @ push
        return EquilibratedCharges(
            charges, float(energy), slopes + self.product(charges)
        )
