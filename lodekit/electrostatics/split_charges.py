"""Charge equilibration over bonds: between insulators and conductors.

Charges are q = q_0 + D p with the charge p_b that bond b moves from its second to its
first atom. The energy is U(q) + sum_b H_b p_b^2 / 2. With p = S t and

    S_b^2 = h_0 / (h_0 + H_b),

which is 1 for a soft bond and 0 for a hard one, the curvature by t is

    S D^T M D S + h_0 (1 - S^2),

with numbers of one size whatever the hardness is, from 0 to infinity.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import linalg, sparse

from .charge_response import NOT_STABLE, conjugate_gradients
from .equilibration import ChargeEquilibration, EquilibratedCharges

#: Eigenvalues this small, relative to the largest, are currents in rings that change no
#: charge and cost nothing.
CURRENT = 1e-11
#: Bonds beyond which conjugate gradients are faster than eigenvectors.
MANY_BONDS = 500


class SplitChargeEquilibration(ChargeEquilibration):
    """Charges that flow through bonds with a hardness of their own.

    Charge does not leave what bonds connect. Soft bonds (H = 0) make a conductor,
    `ChargeEquilibration` with the charge of every connected part given; hard ones (H
    infinite) an insulator, q = q_0.

    Parameters
    ----------
    positions, cell, pbc, hardness, widths
        As in `EquilibrationEnergy`.
    bonds : array_like of shape (n_bonds, 2)
        Atoms that each bond joins.
    bond_hardness : float or array_like of shape (n_bonds,)
        H in V/e, from 0 to infinity.
    options
        As in `ChargeEquilibration`: constraints (they decide where charges start, see
        `start`), iterative, tolerance, accuracy. Flows of more than 500 bonds are found
        by conjugate gradients even with a matrix.

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
        self, positions, cell, pbc, hardness, widths, bonds, bond_hardness, **options
    ):
        bonds = np.asarray(bonds, dtype=np.intp).reshape(-1, 2)
        n_atoms, n_bonds = len(positions), len(bonds)
        inside = ((bonds >= 0) & (bonds < n_atoms)).all()
        if not (inside and (bonds[:, 0] != bonds[:, 1]).all()):
            raise ValueError(
                f"bonds must have shape (n_bonds, 2) and join different atoms of the "
                f"{n_atoms}, counted from 0"
            )
        hardness_of_bonds = np.broadcast_to(
            np.asarray(bond_hardness, dtype=float), n_bonds
        )
        if not (hardness_of_bonds >= 0).all():
            raise ValueError("bond_hardness must not be negative")
        scale = np.mean(np.asarray(hardness, dtype=float)) or 1.0
        self.openness = np.sqrt(scale / (scale + hardness_of_bonds))
        self.penalty = scale * (1.0 - self.openness**2)
        first, second = (
            sparse.coo_array(
                (self.openness, (bonds[:, side], np.arange(n_bonds))),
                shape=(n_atoms, n_bonds),
            )
            for side in (0, 1)
        )
        #: D S: the charges that scaled flows t move, (n_atoms, n_bonds).
        self.transfers = (first - second).tocsr()
        super().__init__(positions, cell, pbc, hardness, widths, **options)

    def _dense_response(self, matrix):
        if self.penalty.size > MANY_BONDS:
            return self._iterative_response(np.diag(matrix))
        half = self.transfers.T @ matrix
        return DenseSplitResponse(half @ self.transfers, self.transfers, self.penalty)

    def _iterative_response(self, diagonal):
        scaled_diagonal = (
            abs(self.transfers.T) @ diagonal * self.openness + self.penalty
        )

        def curvature(flows):
            potentials = self.product(self.transfers @ flows)
            return self.transfers.T @ potentials + self.penalty[:, None] * flows

        return IterativeSplitResponse(
            curvature, self.transfers, scaled_diagonal, self.tolerance
        )

    def allowed(self, changes: np.ndarray) -> np.ndarray:
        """Return the part of changes of charges that flows can make, (n_atoms, n)."""
        joined = abs(self.transfers) @ abs(self.transfers).T
        n_parts, part = sparse.csgraph.connected_components(joined, directed=False)
        members = np.equal.outer(np.arange(n_parts), part).astype(float)
        means = (members @ changes) / members.sum(axis=1)[:, None]
        return changes - means[part]

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
        n_atoms = len(self.hardness)
        start = np.zeros(n_atoms) if start is None else np.asarray(start, dtype=float)
        if start.shape != (n_atoms,):
            raise ValueError(
                f"start must have shape ({n_atoms},), one charge per atom, got "
                f"{start.shape}"
            )
        self.check_total(float(start.sum()))
        return self.solve_from(start, electronegativities, field)

    def solve_from(self, start, electronegativities, field=None) -> EquilibratedCharges:
        """Return the charges of least energy that bonds reach from others."""
        slopes = self.slopes(electronegativities, field)
        at_start = (slopes + self.product(start))[:, None]
        flows = -self.response.flows(at_start)[:, 0]
        charges = start + self.transfers @ flows
        potentials = slopes + self.product(charges)
        energy = 0.5 * (charges @ (slopes + potentials) + self.penalty @ flows**2)
        equilibrated = EquilibratedCharges(charges, float(energy), potentials)
        return replace(equilibrated, flows=self.openness * flows)


class DenseSplitResponse:
    """Abar = Z K^+ Z^T by eigenvectors, with the transfers Z = D S.

    Parameters
    ----------
    curvature : ndarray of shape (n_bonds, n_bonds)
        Z^T M Z.
    transfers : sparse array of shape (n_atoms, n_bonds)
    penalty : ndarray of shape (n_bonds,)
        h_0 (1 - S^2).

    Raises
    ------
    ValueError
        If the curvature is not positive.
    """

    def __init__(self, curvature, transfers, penalty):
        self.transfers = transfers
        curvature[np.diag_indices_from(curvature)] += penalty
        # least squares take the smallest of the currents in rings
        values, vectors = linalg.eigh(curvature)
        floor = CURRENT * values.max(initial=0.0)
        if values.size and values.min() < -floor:
            raise ValueError(NOT_STABLE)
        kept = values > floor
        self.modes = vectors[:, kept] / np.sqrt(values[kept])

    def flows(self, columns: np.ndarray) -> np.ndarray:
        """Return K^+ Z^T X, (n_bonds, n), of potentials X in V, (n_atoms, n)."""
        return self.modes @ (self.modes.T @ (self.transfers.T @ columns))

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """Return Abar X in e for potentials X in V, (n_atoms, n)."""
        return self.transfers @ self.flows(columns)


class IterativeSplitResponse:
    """Abar by conjugate gradients over bonds.

    Parameters
    ----------
    curvature : callable
        K times scaled flows (n_bonds, n).
    transfers : sparse array of shape (n_atoms, n_bonds)
    diagonal : ndarray of shape (n_bonds,)
        About the diagonal of K, positive.
    tolerance : float
        Length of what is left, relative to the start.
    """

    def __init__(self, curvature, transfers, diagonal, tolerance):
        self.curvature = curvature
        self.transfers = transfers
        self.diagonal = diagonal[:, None]
        self.tolerance = tolerance

    def flows(self, columns: np.ndarray) -> np.ndarray:
        """Return K^+ Z^T X, (n_bonds, n), of potentials X in V, (n_atoms, n)."""
        pushes = self.transfers.T @ columns
        return conjugate_gradients(
            self.curvature, pushes, self.diagonal, lambda kept: kept, self.tolerance
        )

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """Return Abar X in e for potentials X in V, (n_atoms, n)."""
        return self.transfers @ self.flows(columns)
