"""The response of charges to potentials: dense by Cholesky, large by iteration."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from .charge_constraints import ChargeConstraints

NOT_STABLE = (
    "the charge equilibration has no minimum: hardness and widths are too small for "
    "atoms this close; raise the hardness, or the widths of the charges"
)


class DenseResponse:
    """Abar = Z (Z^T M Z)^-1 Z^T by Cholesky factors, Z the transfers of charge.

    Parameters
    ----------
    matrix : ndarray of shape (n_atoms, n_atoms)
        M, the second derivatives of the energy by charges in V/e.
    constraints : ChargeConstraints

    Raises
    ------
    ValueError
        If M is not positive definite along the transfers.
    """

    def __init__(self, matrix: np.ndarray, constraints: ChargeConstraints):
        self.constraints = constraints
        half = constraints.to_transfers(matrix)
        curvature = constraints.to_transfers(np.asfortranarray(half.T))
        try:
            self.factor = linalg.cholesky(curvature, lower=True)
        except linalg.LinAlgError:
            raise ValueError(NOT_STABLE) from None
        pivots = np.diag(self.factor) ** 2
        if pivots.size and pivots.min() < 1e-12 * pivots.max():
            raise ValueError(NOT_STABLE)

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """Return Abar X in e for potentials X in V, (n_atoms, n)."""
        forces = self.constraints.to_transfers(columns)
        transfers = linalg.cho_solve((self.factor, True), forces, check_finite=False)
        return self.constraints.from_transfers(transfers)


class IterativeResponse:
    """Abar by projected conjugate gradients with a diagonal preconditioner.

    Parameters
    ----------
    product : callable
        M times columns (n_atoms, n).
    diagonal : ndarray of shape (n_atoms,)
        About the diagonal of M, positive.
    constraints : ChargeConstraints
    tolerance : float
        Length of what is left, relative to the start.

    References
    ----------
    N. I. M. Gould, M. E. Hribar, J. Nocedal, SIAM J. Sci. Comput. 23, 1376 (2001).
    """

    def __init__(self, product, diagonal, constraints, tolerance: float):
        self.product = product
        self.diagonal = diagonal[:, None]
        self.constraints = constraints
        self.tolerance = tolerance

    def apply(self, columns: np.ndarray) -> np.ndarray:
        """Return Abar X in e for potentials X in V, (n_atoms, n).

        Raises
        ------
        ValueError
            If M is not positive definite along the transfers.
        RuntimeError
            If the iteration does not converge.
        """
        return conjugate_gradients(
            self.product,
            self.constraints.project(columns),
            self.diagonal,
            self.constraints.project,
            self.tolerance,
        )


def conjugate_gradients(product, columns, diagonal, project, tolerance) -> np.ndarray:
    """Return X of product(X) = columns, all within what ``project`` leaves.

    Raises
    ------
    ValueError
        If the product is not positive definite.
    RuntimeError
        If the iteration does not converge.
    """
    residual = columns
    goal = tolerance * np.linalg.norm(residual, axis=0)
    solution = np.zeros_like(residual)
    direction, weight = np.zeros_like(residual), None
    for _ in range(10 * len(columns) + 100):
        active = np.linalg.norm(residual, axis=0) > goal
        if not active.any():
            return project(solution)
        steepest = project(residual / diagonal)
        old, weight = weight, np.einsum("in,in->n", residual, steepest)
        if old is not None:
            steepest += direction * (weight / np.where(old > 0, old, 1.0))
        direction = steepest
        change = project(product(direction))
        curvature = np.einsum("in,in->n", direction, change)
        if (curvature[active] <= 0.0).any():
            raise ValueError(NOT_STABLE)
        step = np.where(active, weight / np.where(active, curvature, 1.0), 0.0)
        solution += step * direction
        residual = residual - step * change
    raise RuntimeError(
        f"charges did not converge to {tolerance:g} in {10 * len(columns) + 100} "
        "steps; raise the hardness or the accuracy of the Coulomb sum"
    )
