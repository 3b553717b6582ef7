"""Latents of an ensemble of weights: values and gradients of all members.

Members differ in their coefficients alone. Their covariances with the sparse points are
shared, and contracted with the coefficients of one member before its reverse pass:
gradients of n members cost n reverse passes, whatever the number of weights is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lodekit.structures.batch import StructureBatch

from .latent import Latent
from .sparse_kernel import SparseKernel
from .weighted_sums import PolynomialSum, needs_no_points

#: Bytes of derivatives by features that are held at once.
ADJOINT_BYTES = 2.5e8
#: Atoms whose covariances with all points are held at once.
ATOM_BLOCK = 500


class Ensemble:
    """Members of an atomic latent, for one batch of structures.

    Parameters
    ----------
    latent : Latent
    members : ndarray of shape (rank, n_members)
        Weights of every member.
    batch : StructureBatch
    states : list
        What `Latent.evaluate` returned.
    """

    def __init__(self, latent: Latent, members, batch: StructureBatch, states: list):
        self.latent = latent
        self.n_members = members.shape[1]
        self.batch = batch
        self.states = states
        #: by term and species, (n_members, n_points)
        self.coefficients = latent.coefficients(members.T)

    def values(self) -> np.ndarray:
        """Return the latents of all atoms and members, (n_atoms, n_members)."""
        values = np.zeros((self.batch.n_atoms, self.n_members))
        for kernel, state, atoms, z, alpha in self.parts():
            for start in range(0, atoms.size, ATOM_BLOCK):
                some = atoms[start : start + ATOM_BLOCK]
                values[some] += kernel.covariances(state.features[some], z) @ alpha.T
        return values

    def gradients(self) -> Iterator[np.ndarray]:
        """Yield the position gradients of the sums over atoms, (n_atoms, 3)."""
        n_features = sum(state.features.shape[1] for state in self.states)
        bytes_of_one = 8.0 * self.batch.n_atoms * n_features
        size = int(np.clip(ADJOINT_BYTES / bytes_of_one, 1, self.n_members))
        for start in range(0, self.n_members, size):
            chosen = slice(start, start + size)
            for adjoints in zip(*self.adjoints(chosen), strict=True):
                positions, _ = self.latent.gradients(
                    self.batch, self.states, list(adjoints)
                )
                yield positions

    def adjoints(self, chosen: slice) -> list[np.ndarray]:
        """Return d(a_i)/d(features of i) of some members by term.

        Each has shape (n_chosen, n_atoms, n_features).
        """
        n_chosen = len(range(*chosen.indices(self.n_members)))
        totals = {
            id(kernel): np.zeros((n_chosen, *state.features.shape))
            for kernel, state in zip(self.latent.kernels, self.states, strict=True)
        }
        for kernel, state, atoms, z, alpha in self.parts():
            fill_derivatives(
                kernel, state.features, atoms, z, alpha[chosen], totals[id(kernel)]
            )
        return list(totals.values())

    def parts(self):
        """Yield kernel, state, atoms of one species, species and coefficients."""
        terms = zip(self.latent.kernels, self.states, self.coefficients, strict=True)
        for kernel, state, coefficients in terms:
            for z, alpha in coefficients.items():
                atoms = np.flatnonzero(self.batch.species == z)
                if atoms.size:
                    yield kernel, state, atoms, z, alpha


def fill_derivatives(kernel: SparseKernel, features, atoms, species, alpha, totals):
    """Fill d(a_i)/d(features of i) of every member for atoms of one species.

    Parameters
    ----------
    kernel : SparseKernel
    features : ndarray of shape (n_atoms, n_features)
    atoms : ndarray of shape (n,)
    species : int
    alpha : ndarray of shape (n_members, n_points)
        Coefficients.
    totals : ndarray of shape (n_members, n_atoms, n_features)
    """
    covariance, points = kernel.covariance, kernel.points[species].features
    if needs_no_points(covariance, points.shape, atoms.size):
        for total, weights in zip(totals, alpha, strict=True):
            member = PolynomialSum(covariance, points, weights)
            total[atoms] = member.evaluate(features[atoms])[1]
        return
    for start in range(0, atoms.size, ATOM_BLOCK):
        some = atoms[start : start + ATOM_BLOCK]
        covariances = kernel.covariance_values(features[some], species)
        for total, weights in zip(totals, alpha, strict=True):
            shifts = (covariances.shifts @ weights)[:, None] * features[some]
            total[some] = (covariances.slopes * weights) @ points + shifts
