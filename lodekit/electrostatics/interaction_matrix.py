"""Matrices of interactions 1/r^p between atoms, as a sum of a near and a far part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .boundary import Boundary, FarKernel
from .cutoff_choice import choose_cutoff
from .far_mesh import FarMesh
from .far_sum import FarSum
from .near_sum import NearSum
from .open_sum import OpenSum
from .split import Split

#: Net charge, relative to the sum of all magnitudes, that counts as none.
NEUTRAL = 1e-9
#: The most accurate and the least accurate sum on offer.
FINEST, COARSEST = 1e-12, 0.1


@dataclass(frozen=True)
class ElectrostaticResult:
    """Energy, potentials, forces and stress of charges at fixed positions.

    Attributes
    ----------
    energy : float
        Energy in eV.
    potential : ndarray of shape (n_atoms,)
        Potential V = dE/dq in V.
    forces : ndarray of shape (n_atoms, 3)
        -dE/dr at fixed charges, in eV/Å.
    strain_gradient : ndarray of shape (3, 3)
        dE/de in eV at fixed charges, where r_b -> r_b + sum_a r_a e_ab; the volume
        times the stress of a periodic cell.
    """

    energy: float
    potential: np.ndarray
    forces: np.ndarray
    strain_gradient: np.ndarray


class InteractionMatrix:
    """Interaction matrix of the atoms of one structure, times vectors.

    Parameters
    ----------
    positions : array_like of shape (n_atoms, 3)
        Positions in Å.
    cell : array_like of shape (3, 3) or None
        Cell vectors in Å as rows.
    pbc : bool or array_like of shape (3,)
        Periodic directions: none, two or all.
    widths : float or array_like of shape (n_atoms,)
        Standard deviations in Å of Gaussian charges; 0 for points.
    accuracy : float
        Error of the forces, relative to their root mean square.
    cutoff : float or None
        Range in Å of the near part; None chooses.
    exponent : int
        Exponent p.
    make_split : callable
        Split for a range and an accuracy.
    """

    #: What products are multiplied with.
    factor = 1.0

    def __init__(
        self,
        positions,
        cell,
        pbc,
        widths,
        accuracy: float,
        cutoff: float | None,
        exponent: int,
        make_split: Callable[[float, float], Split],
    ):
        self.positions = check_positions(positions)
        n_atoms = len(self.positions)
        self.widths = check_widths(widths, n_atoms)
        self.boundary = Boundary.of(cell, pbc)
        if not FINEST <= accuracy <= COARSEST:
            raise ValueError(
                f"accuracy must be between {FINEST:g} and {COARSEST:g}, got "
                f"{accuracy:g}"
            )
        self.accuracy = accuracy
        if self.boundary.n_periodic == 0 or n_atoms == 0:
            self.parts = [OpenSum(self.positions, self.widths, exponent)]
            return
        thickness = 0.0
        if self.boundary.n_periodic == 2:
            thickness = float(np.ptp(self.boundary.heights(self.positions)))
        bandwidth = make_split(1.0, accuracy).k_cutoff
        fastest, use_mesh = choose_cutoff(
            self.boundary, n_atoms, thickness, bandwidth, cutoff
        )
        split = make_split(fastest, accuracy)
        kernel = FarKernel(self.boundary, split, thickness)
        near = NearSum(
            self.boundary, split, self.positions, self.widths, 0.01 * accuracy
        )
        far = FarMesh if use_mesh else FarSum
        self.parts = [near, far(kernel, self.positions)]

    @property
    def shape(self) -> tuple[int, int]:
        """(n_atoms, n_atoms)."""
        return len(self.positions), len(self.positions)

    @property
    def dtype(self) -> np.dtype:
        """Kind of number, for SciPy's linear operators."""
        return np.dtype(float)

    def dense(self) -> np.ndarray:
        """Return the matrix, (n_atoms, n_atoms)."""
        matrix = np.zeros(self.shape)
        for part in self.parts:
            part.add_matrix(matrix)
        above = np.triu_indices(len(matrix), 1)
        matrix[above] = matrix.T[above]
        spread = self.spread
        matrix += spread[:, None] + spread
        matrix *= self.factor
        return matrix

    @cached_property
    def spread(self) -> np.ndarray:
        """Missing part of the mean potential of Gaussian charges, (n_atoms,).

        The mean potential of a Gaussian is 2 pi s_i^2 / V below that of a point.
        """
        if self.boundary.n_periodic != 3:
            return np.zeros(len(self.positions))
        return 2.0 * np.pi / self.boundary.measure * self.widths**2

    def matvec(self, charges) -> np.ndarray:
        """Return A q: the potential in V at atoms with these charges in e.

        Parameters
        ----------
        charges : array_like of shape (n_atoms,) or (n_atoms, n_columns)
        """
        charges = self.check_charges(charges)
        columns = charges if charges.ndim == 2 else charges[:, None]
        potential = sum(part.potential(columns) for part in self.parts)
        potential += self.spread[:, None] * columns.sum(axis=0)
        potential += self.spread @ columns
        return self.factor * potential.reshape(charges.shape)

    __matmul__ = matvec

    def gradients(self, left, right) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradients of left.A right at fixed left and right.

        Parameters
        ----------
        left, right : array_like of shape (n_atoms,)
            Charges in e.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
            In eV/Å.
        strain : ndarray of shape (3, 3)
            In eV; r_b -> r_b + sum_a r_a e_ab.
        """
        same = left is right
        left = self.check_charges(left, 1)
        right = left if same else self.check_charges(right, 1)
        return self._gradients(left, right)[1:]

    def potential_gradients(self, charges) -> tuple[np.ndarray, np.ndarray]:
        """Return the derivatives of all potentials A q by positions and by strain.

        Parameters
        ----------
        charges : array_like of shape (n_atoms,)
            In e.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3 * n_atoms)
            In V/Å.
        strain : ndarray of shape (n_atoms, 9)
            In V.
        """
        units = np.eye(len(self.positions))
        parts = [self.gradients(unit, charges) for unit in units]
        positions, strain = (np.array(part) for part in zip(*parts, strict=True))
        return positions.reshape(len(units), -1), strain.reshape(len(units), 9)

    def _gradients(self, left, right):
        parts = [part.gradients(left, right) for part in self.parts]
        potential, positions, strain = (sum(part) for part in zip(*parts, strict=True))
        if self.boundary.n_periodic == 3:
            spread = self.spread * right.sum() + self.spread @ right
            potential += spread
            strain -= left @ spread * np.eye(3)
        return tuple(self.factor * part for part in (potential, positions, strain))

    def energy(self, charges) -> float:
        """Return q.A q / 2 in eV.

        Raises
        ------
        ValueError
            If a slab has a net charge: its energy is infinite.
        """
        charges = self.check_energy(charges)
        return float(0.5 * charges @ (self @ charges))

    def compute(self, charges) -> ElectrostaticResult:
        """Return energy, potential, forces and strain gradient of charges in e."""
        charges = self.check_energy(charges)
        potential, positions, strain = self._gradients(charges, charges)
        return ElectrostaticResult(
            energy=float(0.5 * charges @ potential),
            potential=potential,
            forces=-0.5 * positions,
            strain_gradient=0.5 * strain,
        )

    def check_charges(self, charges, n_dimensions=None) -> np.ndarray:
        """Return charges as an array, or say what is wrong with their shape."""
        charges = np.ascontiguousarray(charges, dtype=float)
        n_atoms = len(self.positions)
        allowed = (1, 2) if n_dimensions is None else (n_dimensions,)
        if charges.ndim not in allowed or len(charges) != n_atoms:
            raise ValueError(
                f"charges must have shape ({n_atoms},), one per atom, got "
                f"{charges.shape}"
            )
        return charges

    def check_energy(self, charges) -> np.ndarray:
        """Return charges whose energy is finite."""
        charges = self.check_charges(charges, 1)
        net = charges.sum()
        if self.boundary.n_periodic == 2 and abs(net) > NEUTRAL * abs(charges).sum():
            raise ValueError(
                f"a slab with the net charge {net:.4g} e has no finite energy; add a "
                "counter-charge on a plane or in the slab, or make it periodic"
            )
        return charges


def check_positions(positions) -> np.ndarray:
    """Return positions (n_atoms, 3), or say what is wrong with them."""
    positions = np.ascontiguousarray(positions, dtype=float)
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise ValueError(
            f"positions must have shape (n_atoms, 3), got {positions.shape}"
        )
    if not np.isfinite(positions).all():
        raise ValueError("positions hold numbers that are not finite")
    return positions


def check_widths(widths, n_atoms: int) -> np.ndarray:
    """Return widths (n_atoms,), or say what is wrong with them."""
    widths = np.asarray(widths, dtype=float)
    if widths.shape not in ((), (n_atoms,)):
        raise ValueError(
            f"widths must be one number or have shape ({n_atoms},), got {widths.shape}"
        )
    if not ((widths >= 0) & (widths < np.inf)).all():
        raise ValueError("widths must be finite and not negative")
    return np.broadcast_to(widths, n_atoms).copy()
