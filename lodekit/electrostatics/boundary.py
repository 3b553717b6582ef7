"""Open, slab and periodic boundaries of sums over 1/r^p."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.structures.cells import cell_problem

from .split import Split


@dataclass(frozen=True)
class Boundary:
    """Periodic directions and their cell.

    Attributes
    ----------
    n_periodic : int
        0, 2 or 3.
    cell : ndarray of shape (3, 3)
        Cell vectors in Å as rows: zero for an open system, in a slab the third is the
        unit normal of the plane of the two periodic ones.
    measure : float
        Volume (Å^3) of the cell, or area (Å^2) of the slab's; 1 for an open system.
    """

    n_periodic: int
    cell: np.ndarray
    measure: float

    @classmethod
    def of(cls, cell: np.ndarray, pbc: np.ndarray) -> Boundary:
        """Return the boundary of an ASE cell (None if open) and its periodic flags.

        Raises
        ------
        ValueError
            If one direction is periodic, or the cell has no area or volume.
        """
        cell = np.asarray(np.zeros((3, 3)) if cell is None else cell, dtype=float)
        if cell.shape != (3, 3):
            raise ValueError(
                f"the cell must have shape (3, 3), vectors as rows, got {cell.shape}"
            )
        pbc = np.broadcast_to(np.asarray(pbc, dtype=bool), 3)
        n_periodic = int(np.count_nonzero(pbc))
        if n_periodic == 1:
            raise ValueError(
                "electrostatics needs 0, 2 or 3 periodic directions, got 1; make the "
                "wire open, or periodic in three directions with vacuum around it"
            )
        problem = cell_problem(cell, pbc)
        if problem:
            raise ValueError(problem)
        if n_periodic == 0:
            return cls(0, np.zeros((3, 3)), 1.0)
        if n_periodic == 3:
            return cls(3, cell, float(abs(np.linalg.det(cell))))
        first, second = cell[pbc]
        normal = np.cross(first, second)
        area = float(np.linalg.norm(normal))
        return cls(2, np.array([first, second, normal / area]), area)

    @property
    def pbc(self) -> np.ndarray:
        """Periodic flags of the three rows of ``cell``."""
        return np.arange(3) < self.n_periodic

    def heights(self, positions: np.ndarray) -> np.ndarray:
        """Return the positions along the normal of a slab."""
        return positions @ self.cell[2]


class FarKernel:
    """Weights of k-vectors in the far part, for a periodic cell or a slab.

    The far interaction of two unit charges is w_0 + sum_k w(k) cos(k.r), the sum over
    all k-vectors of ``cell`` but k = 0.

    A slab is summed with a cell whose third vector is normal to it and 2 R long, and
    with the interaction cut where the distance along the normal is R, which is more
    than any distance in the slab: the result is that of a slab alone. The transform of
    the cut interaction is known in closed form.

    Parameters
    ----------
    boundary : Boundary
        With 2 or 3 periodic directions.
    split : Split
    thickness : float
        Extent in Å of a slab along its normal; anything for a periodic cell.

    Attributes
    ----------
    cell : ndarray of shape (3, 3)
        Cell vectors in Å whose reciprocal lattice is summed over.
    uniform : float
        w_0, without the correction for Gaussian charges.

    References
    ----------
    C. A. Rozzi et al., Phys. Rev. B 73, 205119 (2006); S. Ismail-Beigi, Phys. Rev. B
    73, 233103 (2006) (cut interactions).
    """

    def __init__(self, boundary: Boundary, split: Split, thickness: float):
        self.split = split
        self.is_slab = boundary.n_periodic == 2
        self.cell = boundary.cell.copy()
        if self.is_slab:
            # the far part of a point charge is 1/r beyond the cutoff: it ends there
            self.reach = thickness + split.cutoff
            self.cell[2] *= 2.0 * self.reach
            self.normal = boundary.cell[2]
            self.volume = boundary.measure * 2.0 * self.reach
            self.uniform = -2.0 * np.pi * self.reach**2 / self.volume
        else:
            self.volume = boundary.measure
            self.uniform = split.far_at_k_zero / self.volume

    def weights(
        self, k_vectors: np.ndarray, transform=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return w(k) and s(k) of k-vectors (n_k, 3) that are not zero.

        ``transform`` is what `Split.transform` returns for their lengths, made where
        None. When the cell is strained by e, dw / de_ab = -w delta_ab - s k_a k_b; in a
        slab only within its plane.
        """
        k = np.linalg.norm(k_vectors, axis=1)
        value, slope = transform or self.split.transform(k)
        change = slope / k
        if self.is_slab:
            across = k_vectors @ self.normal
            along = np.linalg.norm(k_vectors - np.outer(across, self.normal), axis=1)
            # cos(k_z R) is (-1)^n
            sign = 1.0 - 2.0 * (np.rint(across * self.reach / np.pi).astype(int) % 2)
            decay = sign * np.exp(-along * self.reach)
            safe = np.where(along > 1e-9 * k, along, np.inf)
            change = change * (1.0 - decay) + value * decay * self.reach / safe
            value = value * (1.0 - decay)
        return value / self.volume, change / self.volume

    def full_strain(self, waves, uniform, positions, gradients, torques) -> np.ndarray:
        """Return the strain gradient of the far part.

        Parameters
        ----------
        waves : ndarray of shape (3, 3)
            Sum of -s k_a k_b times the product of structure factors.
        uniform : float
            The far part's value: it is inversely proportional to the volume.
        positions, gradients : ndarray of shape (n_atoms, 3)
            Gradients of the far part: in a slab, strain along the normal only moves
            atoms, and rotations of atoms, cell and moments change nothing.
        torques : ndarray of shape (3, 3)
            Change T_ab of the energy when moments turn as M_b -> M_b + M_a e_ab.
        """
        if not self.is_slab:
            return waves - uniform * np.eye(3)
        plane = np.eye(3) - np.outer(self.normal, self.normal)
        normal_forces = (positions @ self.normal) @ gradients
        turned = normal_forces - (torques - torques.T) @ self.normal
        return (
            plane @ (waves - uniform * np.eye(3)) @ plane
            + np.outer(self.normal, normal_forces)
            + np.outer(plane @ turned, self.normal)
        )
