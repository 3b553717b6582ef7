"""Atomic tensors of any order, linear in weights: lambda-SOAP with sparse points.

Environments i and m with equivariant features p of one order lambda, for the components
a, b and all channels, and invariants P have the covariance

    K(i, m)_ab = f(i, m) sum_c p_i[a, c] p_m[b, c] / s,

with f of `EquivariantCovariance` and s the mean of f(m, m) |p_m|^2 / (2 lambda + 1)
over the sparse points. It turns with both environments, by Wigner matrices.

References
----------
A. Grisafi, D. M. Wilkins, G. Csányi, M. Ceriotti, Phys. Rev. Lett. 120, 036002 (2018).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import linalg

from lodekit.descriptors.equivariant_power_spectrum import EquivariantPowerSpectrum
from lodekit.descriptors.power_spectrum import PowerSpectrum
from lodekit.structures.batch import StructureBatch

from .covariance_gradients import PointTransfers
from .environments import batches, select_sparse_points
from .equivariant_covariance import EquivariantCovariance
from .equivariant_state import EquivariantState
from .point_kernel import PointKernel
from .sparse_kernel import SparseKernel

#: Eigenvalues of K_MM below this times the largest are dropped.
RCOND = 1e-10
#: Atoms whose features are held at once.
BATCH_ATOMS = 1000
#: Arrays of `EquivariantPoints`, in this order.
PARTS = ("features", "tensors", "projection")


@dataclass
class EquivariantPoints:
    """Sparse points of one centre species.

    Attributes
    ----------
    features : ndarray of shape (n_points, n_invariants)
        P.
    tensors : ndarray of shape (n_points, 2 order + 1, n_channels)
        p, divided by s.
    projection : ndarray of shape (n_points * (2 order + 1), rank)
        Covariances with the points times it are Phi.
    """

    features: np.ndarray
    tensors: np.ndarray
    projection: np.ndarray


@dataclass
class EquivariantKernel(PointKernel):
    """Feature map of atomic tensors t_i = Phi_i w.

    Attributes
    ----------
    order, sigma : int
        lambda, and 1 for tensors or -1 for pseudotensors.
    descriptor : EquivariantPowerSpectrum
        Gives p.
    invariants : PowerSpectrum
        Gives P, of the same expansions or of others.
    covariance : EquivariantCovariance
    species : ndarray of shape (n_species,)
        Sorted atomic numbers of centres and neighbours.
    points : dict of int to EquivariantPoints
        By centre species; a species without entry has no tensors.
    amplitude : float
        Prior standard deviation of the tensors, in units of the covariance.
    """

    order: int
    sigma: int
    descriptor: EquivariantPowerSpectrum
    invariants: PowerSpectrum
    covariance: EquivariantCovariance
    species: np.ndarray
    points: dict[int, EquivariantPoints] = field(default_factory=dict)
    amplitude: float = field(default=1.0, init=False)
    _transfers: dict = field(default_factory=dict, init=False, repr=False)

    @property
    def n_angular(self) -> int:
        """Number of angular channels of the invariants."""
        return self.invariants.n_angular

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter."""
        return max(self.descriptor.reach, self.invariants.reach)

    def select(
        self, frames, n_sparse: int, *, selection=None, random_state=None
    ) -> EquivariantKernel:
        """Choose at most ``n_sparse`` points per species by their invariants.

        Parameters
        ----------
        frames : list of ase.Atoms
        selection, random_state
            See `select_sparse_points`.
        """
        scalar = SparseKernel(self.invariants, self.covariance.scalar, self.species)
        chosen = select_sparse_points(
            frames, scalar, n_sparse, selection=selection, random_state=random_state
        )
        tensors = self.collect(frames, chosen)
        self.points.clear()
        for z, points in scalar.points.items():
            self.set_points(z, points.features, tensors[z])
        return self

    def collect(self, frames, chosen: dict[int, np.ndarray]) -> dict:
        """Return p of chosen atoms (sorted indices in all frames) by species."""
        first = np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])])
        wanted = np.sort(np.concatenate(list(chosen.values())))
        used = np.unique(np.searchsorted(first, wanted, side="right") - 1)
        parts: dict = {z: [] for z in chosen}
        for group in batches([frames[i] for i in used], BATCH_ATOMS):
            indices = used[group]
            batch = StructureBatch.from_frames([frames[i] for i in indices])
            numbers = np.concatenate([np.arange(*first[i : i + 2]) for i in indices])
            features = self.descriptor.evaluate(batch, self.species)
            for z, atoms in chosen.items():
                places = np.flatnonzero(np.isin(numbers, atoms))
                parts[z].append(features.values(self.order, self.sigma, z, places))
        return {z: np.concatenate(arrays) for z, arrays in parts.items() if arrays}

    def set_points(self, species: int, features, tensors: np.ndarray) -> None:
        """Store sparse points with their invariants P and tensors p.

        None are stored where all tensors vanish.
        """
        factors = self.covariance.matrix(features, features)
        squares = np.einsum("mac,mac->m", tensors, tensors)
        scale = np.mean(factors.diagonal() * squares) / tensors.shape[1]
        self._transfers.clear()
        if not scale > 0.0:
            return
        points = EquivariantPoints(features, tensors / scale, np.empty(0))
        eigenvalues, axes = linalg.eigh(self.covariances(features, tensors, points))
        kept = eigenvalues > RCOND * eigenvalues[-1]
        points.projection = np.ascontiguousarray(
            axes[:, kept] / np.sqrt(eigenvalues[kept])
        )
        self.points[int(species)] = points

    def covariances(self, features, tensors, points: EquivariantPoints) -> np.ndarray:
        """Return K of n environments with the points, (n (2 order + 1), columns).

        A column is a point and a component, which is faster.
        """
        n_components, n_channels = tensors.shape[1:]
        products = (
            tensors.reshape(-1, n_channels) @ points.tensors.reshape(-1, n_channels).T
        )
        shape = (len(tensors), n_components, len(points.tensors), n_components)
        factors = self.covariance.matrix(features, points.features)
        products.reshape(shape)[...] *= factors[:, None, :, None]
        return products

    def evaluate(
        self, batch: StructureBatch, cache: dict | None = None
    ) -> EquivariantState:
        """Return what gives values, rows and derivatives of a batch.

        ``cache`` shares features and expansions with other kernels of the same batch,
        see `PowerSpectrum.evaluate`.
        """
        cache = {} if cache is None else cache
        return EquivariantState(
            self,
            batch,
            self.invariants.evaluate(batch, self.species, cache),
            self.descriptor.evaluate(batch, self.species, cache),
        )

    def tensor_transfers(self, factor, species: int) -> PointTransfers:
        """Return what derivatives of p need of the sparse points, made once."""
        key = (species, factor.side, "tensors")
        if key not in self._transfers:
            tensors = self.points[species].tensors
            self._transfers[key] = PointTransfers(
                factor,
                tensors.reshape(-1, tensors.shape[2]),
                factor.n_l,
                self.species.size,
            )
        return self._transfers[key]

    def get_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return arrays (named ``name/...``) for a model file."""
        return {
            f"{name}/{z}/{part}": getattr(points, part)
            for z, points in self.points.items()
            for part in PARTS
        }

    def set_arrays(self, arrays: dict, name: str) -> None:
        """Take over the points that `get_arrays` returned."""
        self._transfers.clear()
        self.points = {
            int(z): EquivariantPoints(
                *(np.ascontiguousarray(arrays[f"{name}/{z}/{part}"]) for part in PARTS)
            )
            for z in self.species
            if f"{name}/{z}/{PARTS[0]}" in arrays
        }
