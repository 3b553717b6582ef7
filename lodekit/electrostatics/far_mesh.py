"""The far part on a particle mesh: linear cost for large structures."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lodekit.numerics.mesh import Mesh, find_k_vectors
from lodekit.numerics.mesh_accuracy import mesh_parameters
from lodekit.numerics.quadrature import gauss_legendre

from .boundary import FarKernel
from .far_sum import FarSum
from .split import Split

#: Density of atoms in 1/Å^3, and root mean square of forces in units of charges squared
#: times density^(2/3), for which errors are estimated.
NOMINAL_DENSITY, NOMINAL_FORCE = 0.05, 0.6


class FarMesh:
    """Far part of the interaction of n atoms, as `FarSum`, by B-splines and an FFT.

    Gradients are exact for the computed values.

    Parameters
    ----------
    kernel : FarKernel
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    """

    def __init__(self, kernel: FarKernel, positions: np.ndarray):
        self.kernel = kernel
        self.positions = positions
        spacing, order = grid_of(kernel.split)
        self.mesh = Mesh(positions, kernel.cell, kernel.split.k_cutoff, spacing, order)
        transform = transform_at(kernel.split, self.mesh.cell.tobytes())
        weights, slopes = kernel.weights(self.mesh.k_vectors, transform)
        # k and -k are one
        self.weights, self.slopes = 2.0 * weights, 2.0 * slopes

    def add_matrix(self, matrix: np.ndarray) -> None:
        """Add the interactions to the lower triangle of (n_atoms, n_atoms)."""
        FarSum(self.kernel, self.positions).add_matrix(matrix)

    def potential(self, charges: np.ndarray) -> np.ndarray:
        """Return the potential at the atoms; (n_atoms, n_columns) both."""
        factors = self.mesh.transform(charges[None])
        potential = self.mesh.evaluate(self.weights[:, None] * factors)[0]
        return potential + self.kernel.uniform * charges.sum(axis=0)

    def gradients(
        self, left: np.ndarray, right: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the potential of ``right`` and the gradients of left.V right."""
        columns = (right,) if left is right else (right, left)
        factors = self.mesh.transform(np.stack(columns, axis=-1)[None])
        values = self.mesh.evaluate(self.weights[:, None] * factors, 1)
        potential = values[0, :, 0] + self.kernel.uniform * right.sum()
        fields = np.moveaxis(values[1:], 0, 1)
        gradients = left[:, None] * fields[:, :, 0] + right[:, None] * fields[:, :, -1]
        product = self.slopes * (factors[:, 0].conj() * factors[:, -1]).real
        k = self.mesh.k_vectors
        strain = self.kernel.full_strain(
            -(product[:, None] * k).T @ k,
            left @ potential,
            self.positions,
            gradients,
            np.zeros((3, 3)),
        )
        return potential, gradients, strain


@lru_cache(maxsize=2)
def transform_at(split: Split, cell: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the transform of the far part at the k-vectors of `find_k_vectors`."""
    vectors = find_k_vectors(cell, split.k_cutoff)[2]
    transforms = split.transform(np.linalg.norm(vectors, axis=1))
    for array in transforms:
        array.flags.writeable = False
    return transforms


@lru_cache(maxsize=32)
def grid_of(split: Split) -> tuple[float, int]:
    """Return the largest spacing of the grid in Å and the order of its splines."""
    k, weights = gauss_legendre(64, split.k_cutoff)
    # square of the force of random charges: (rho / 2 pi^2) int (k^2 transform(k))^2 dk
    forces = k**2 * split.transform(k)[0]
    scale = NOMINAL_DENSITY / (2.0 * np.pi**2) / NOMINAL_FORCE**2
    relative = (
        np.sqrt(scale * weights)
        * forces
        / NOMINAL_DENSITY ** ((split.exponent + 1.0) / 3.0)
    )
    potentials = np.zeros_like(relative)
    return mesh_parameters(k, np.stack([potentials, relative], axis=1), split.accuracy)
