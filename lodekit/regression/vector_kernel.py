"""Atomic vectors, linear in weights: the sparse-kernel feature map of atomic dipoles.

Environments i and m with density coefficients C (3, n_q) of l = 1, for all neighbour
species and radial functions q, have the covariance of vectors

    K(i, m)_ab = k(i, m) sum_q C_i[a, q] C_m[b, q] / s,

with k a covariance of invariant features and s the mean of |C_m|^2 / 3. It turns with
both environments, and vanishes where symmetry allows no vector.

References
----------
A. Grisafi, D. M. Wilkins, G. Csányi, M. Ceriotti, Phys. Rev. Lett. 120, 036002 (2018);
here the vectors come from pairs, and many-body terms from k alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from lodekit.descriptors.power_spectrum import PowerSpectrum
from lodekit.structures.batch import StructureBatch

from .covariances import PolynomialCovariance
from .environments import batches, select_sparse_points
from .sparse_kernel import SparseKernel

#: Eigenvalues of K_MM below this times the largest are dropped.
RCOND = 1e-10
#: Atoms whose coefficients are held at once.
BATCH_ATOMS = 1000
#: Arrays of `VectorPoints`, in this order.
PARTS = ("features", "vectors", "projection")


@dataclass
class VectorPoints:
    """Sparse points of one centre species.

    Attributes
    ----------
    features : ndarray of shape (n_points, n_features)
    vectors : ndarray of shape (n_points, 3, n_q)
        C, divided by s.
    projection : ndarray of shape (3 * n_points, rank)
        Covariances with the points times it are Phi.
    """

    features: np.ndarray
    vectors: np.ndarray
    projection: np.ndarray


@dataclass
class VectorKernel:
    """Feature map of atomic vectors v_i = Phi_i w.

    Attributes
    ----------
    descriptor : PowerSpectrum
        Its left factor gives C.
    covariance : PolynomialCovariance
    species : ndarray of shape (n_species,)
        Sorted atomic numbers.
    points : dict of int to VectorPoints
        By centre species; a species without entry has no vectors.
    """

    descriptor: PowerSpectrum
    covariance: PolynomialCovariance
    species: np.ndarray
    points: dict[int, VectorPoints]

    @classmethod
    def select(
        cls, frames, descriptor, covariance, species, n_sparse, *, random_state=None
    ):
        """Choose at most ``n_sparse`` points per species as `select_sparse_points`."""
        scalar = SparseKernel(descriptor, covariance, species)
        chosen = select_sparse_points(
            frames, scalar, n_sparse, random_state=random_state
        )
        wanted = np.concatenate(list(chosen.values()))
        vectors = collect_vectors(frames, descriptor, species, np.sort(wanted))
        kernel = cls(descriptor, covariance, species, {})
        for z, atoms in chosen.items():
            own = vectors[np.searchsorted(np.sort(wanted), atoms)]
            scale = np.mean(np.einsum("maq,maq->m", own, own)) / 3.0
            if scale > 0.0:
                kernel.set_points(z, scalar.points[z].features, own, scale)
        return kernel

    def set_points(self, species: int, features, vectors, scale: float) -> None:
        """Store sparse points with coefficients C and build their projection."""
        points = VectorPoints(features, vectors / scale, np.empty(0))
        covariances = self.covariances(features, vectors, points)
        eigenvalues, axes = linalg.eigh(covariances)
        kept = eigenvalues > RCOND * eigenvalues[-1]
        points.projection = np.ascontiguousarray(
            axes[:, kept] / np.sqrt(eigenvalues[kept])
        )
        self.points[int(species)] = points

    @property
    def rank(self) -> int:
        """Number of weights."""
        return sum(points.projection.shape[1] for points in self.points.values())

    def covariances(self, features, vectors, points: VectorPoints) -> np.ndarray:
        """Return K of n environments with the points, (3 n, 3 n_points)."""
        n_q = vectors.shape[2]
        products = vectors.reshape(-1, n_q) @ points.vectors.reshape(-1, n_q).T
        shape = (len(vectors), 3, len(points.vectors), 3)
        scalars = self.covariance.matrix(features, points.features)
        products.reshape(shape)[...] *= scalars[:, None, :, None]
        return products

    def rows(self, batch: StructureBatch, cache: dict) -> np.ndarray:
        """Return Phi, (n_atoms, 3, rank); ``cache`` as in `PowerSpectrum.evaluate`."""
        state = self.descriptor.evaluate(batch, self.species, cache)
        vectors = cartesian(state.left.coefficients)
        rows = np.zeros((batch.n_atoms, 3, self.rank))
        start = 0
        for z, points in self.points.items():
            atoms = np.flatnonzero(batch.species == z)
            stop = start + points.projection.shape[1]
            values = self.covariances(state.features[atoms], vectors[atoms], points)
            values = values @ points.projection
            rows[atoms, :, start:stop] = values.reshape(atoms.size, 3, stop - start)
            start = stop
        return rows

    def get_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return arrays (named ``name/...``) for a model file."""
        return {
            f"{name}/{z}/{part}": getattr(points, part)
            for z, points in self.points.items()
            for part in PARTS
        }

    @classmethod
    def from_arrays(cls, descriptor, covariance, species, arrays: dict, name: str):
        """Rebuild a kernel from what `get_arrays` returned."""
        points = {
            int(z): VectorPoints(*(arrays[f"{name}/{z}/{part}"] for part in PARTS))
            for z in species
            if f"{name}/{z}/{PARTS[0]}" in arrays
        }
        return cls(descriptor, covariance, species, points)


def cartesian(coefficients: np.ndarray) -> np.ndarray:
    """Return C with the axes x, y, z, (n, 3, n_q): harmonics of l = 1 are y, z, x."""
    return np.ascontiguousarray(coefficients[:, [3, 1, 2]])


def collect_vectors(frames, descriptor, species, wanted: np.ndarray) -> np.ndarray:
    """Return C of the atoms ``wanted`` (sorted global indices)."""
    first = np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])])
    used = np.unique(np.searchsorted(first, wanted, side="right") - 1)
    collected = []
    for group in batches([frames[i] for i in used], BATCH_ATOMS):
        own = used[group]
        batch = StructureBatch.from_frames([frames[i] for i in own])
        numbers = np.concatenate([np.arange(first[i], first[i + 1]) for i in own])
        coefficients = descriptor.left.expand(batch, species).coefficients
        collected.append(cartesian(coefficients)[np.isin(numbers, wanted)])
    return np.concatenate(collected)
