"""Sums over k-vectors of multipoles at linear cost: B-splines and an FFT."""

from __future__ import annotations

import numpy as np

from lodekit.numerics.mesh import monomials

from .boundary import FarKernel
from .far_mesh import FarMesh
from .multipole_sums import gradients_of, torques_of


class MultipoleFarMesh(FarMesh):
    """The far sum of multipoles on a mesh, see `MultipoleFarSum`.

    Moments are weights of derivatives of exp(-ik.R), so that those of the splines take
    their place, and gradients by positions are exact for the computed values.

    Parameters
    ----------
    kernel : FarKernel
        Of three periodic directions.
    positions : ndarray of shape (n_atoms, 3)
        In Å.
    """

    def __init__(self, kernel: FarKernel, positions: np.ndarray):
        super().__init__(kernel, positions)

    def add(self, moments, derivatives, strain) -> None:
        """Add derivatives at the atoms and the strain gradient of the energy.

        Without quadrupoles derivatives of the third degree are not needed by anything,
        and left out.
        """
        degree = 2 if moments[:, 4:].any() else 1
        n_moments, n_fields = len(monomials(degree)), len(monomials(degree + 1))
        values = np.ascontiguousarray(moments[:, :n_moments].T)[:, :, None]
        factors = self.mesh.transform(values, degree)
        far = self.mesh.evaluate(self.weights[:, None] * factors, degree + 1)
        far = far[:, :, 0].T.copy()
        far[:, 0] += self.kernel.uniform * moments[:, 0].sum()
        derivatives[:, :n_fields] += far
        energy = 0.5 * (far[:, :n_moments] * moments[:, :n_moments]).sum()
        padded = np.zeros_like(derivatives)
        padded[:, :n_fields] = far
        strain += self.kernel.full_strain(
            self.waves(moments, factors[:, 0], degree),
            energy,
            self.positions,
            gradients_of(moments, padded),
            torques_of(moments, padded),
        )

    def waves(self, moments, factors: np.ndarray, degree: int) -> np.ndarray:
        """Return the change of the energy with the k-vectors, (3, 3)."""
        k = self.mesh.k_vectors
        change = 0.5 * self.slopes * np.abs(factors) ** 2
        waves = -(change[:, None] * k).T @ k
        turned = self.mesh.transform(turned_moments(moments, degree), degree - 1)
        products = self.weights[:, None] * (factors.conj()[:, None] * -1j * turned).real
        return waves - products.T @ k


def turned_moments(moments: np.ndarray, degree: int) -> np.ndarray:
    """Return b_x M_b as weights of the monomials b without one x, for every axis x.

    Returns
    -------
    turned : ndarray of shape (n_monomials, n_atoms, 3)
        Up to one degree less.
    """
    exponents = monomials(degree)
    lower = {tuple(e): n for n, e in enumerate(monomials(degree - 1).tolist())}
    turned = np.zeros((len(lower), len(moments), 3))
    for axis, unit in enumerate(np.eye(3, dtype=int)):
        for b in np.flatnonzero(exponents[:, axis]):
            place = lower[tuple((exponents[b] - unit).tolist())]
            turned[place, :, axis] += exponents[b, axis] * moments[:, b]
    return turned
