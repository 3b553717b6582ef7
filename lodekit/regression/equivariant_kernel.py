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

from lodekit.descriptors.equivariant_power_spectrum import EquivariantPowerSpectrum
from lodekit.descriptors.power_spectrum import PowerSpectrum
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch

from .covariance_gradients import PointTransfers
from .environments import choose_environments
from .equivariant_covariance import EquivariantCovariance
from .equivariant_state import EquivariantState
from .point_kernel import KernelPoints, PointKernel, triangular_projection
from .stored_points import PointStore, StoredTerm

#: Points are left out where others leave less than this of the trace of K_MM.
RCOND = 1e-10


@dataclass
class EquivariantPoints(KernelPoints):
    """Sparse points of one centre species, for tensors of any order.

    Attributes
    ----------
    tensors : ndarray of shape (n_points, 2 order + 1, n_channels)
        p, divided by s.
    scale : float
        s.
    """

    tensors: np.ndarray = field(default=None, kw_only=True)
    scale: float = field(default=1.0, kw_only=True)

    def keep(self, used: np.ndarray) -> None:
        """Keep some of the points."""
        super().keep(used)
        self.tensors = self.tensors[used]


@dataclass
class EquivariantKernel(PointKernel):
    """Feature map of atomic tensors t_i = Phi_i w.

    Attributes
    ----------
    order, sigma : int
        lambda, and 1 for tensors or -1 for pseudotensors.
    equivariants : EquivariantPowerSpectrum
        Gives p.
    descriptor : PowerSpectrum
        Gives P, of the same expansions.
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
    equivariants: EquivariantPowerSpectrum
    descriptor: PowerSpectrum
    covariance: EquivariantCovariance
    species: np.ndarray
    points: dict[int, EquivariantPoints] = field(default_factory=dict)
    amplitude: float = field(default=1.0, init=False)
    _transfers: dict = field(default_factory=dict, init=False, repr=False)
    _constants: dict = field(default_factory=dict, init=False, repr=False)

    def share(self, descriptor) -> None:
        """Take an equal descriptor, whose expansions are made once."""
        self.equivariants.take_expansions(descriptor)
        self.descriptor = descriptor

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter."""
        return self.descriptor.reach

    def select(
        self, frames, n_sparse: int, *, selection=None, random_state=None
    ) -> EquivariantKernel:
        """Choose at most ``n_sparse`` points per species by their invariants.

        Parameters
        ----------
        frames : list of ase.Atoms
        selection, random_state
            See `choose_environments`.
        """
        chosen = choose_environments(
            frames,
            self,
            n_sparse,
            selection=selection,
            random_state=random_state,
            single=True,
        )
        self.points.clear()
        for z, (_, _, coefficients) in chosen.items():
            self.set_environments(z, coefficients)
        return self

    def set_environments(self, species: int, coefficients) -> None:
        """Store environments as sparse points, no more of them than have to be.

        None are stored where all tensors vanish.

        Parameters
        ----------
        species : int
        coefficients : sequence of ndarray of shape (n_points, n_lm, n_q)
            Expansion coefficients of the factors, in single precision: a sparse point
            need not be an environment to all digits.
        """
        features, tensors = self.multiply(species, coefficients)
        factors = self.covariance.matrix(features, features)
        squares = np.einsum("mac,mac->m", tensors, tensors)
        scale = np.sum(factors.diagonal() * squares) / tensors.shape[1]
        self._transfers.clear()
        if not scale > 0.0:
            return
        scale = float(scale / len(tensors))
        points = EquivariantPoints(
            features, np.empty((0, 0)), tensors=tensors / scale, scale=scale
        )
        covariances = self.covariances(features, tensors, points)
        points.base = points.projection = triangular_projection(covariances, RCOND)
        points.compress(coefficients)
        self.points[int(species)] = points

    def channels(self, species: int):
        """Return the channels of p for one species of centres."""
        return self.equivariants.channels(self.order, self.sigma, species, self.species)

    def multiply(self, species: int, coefficients) -> tuple[np.ndarray, np.ndarray]:
        """Return P and p of expansion coefficients of centres of one species."""
        factors = [np.ascontiguousarray(factor, dtype=float) for factor in coefficients]
        tensors = self.equivariants.couple(
            self.order, self.sigma, species, self.species, *factors
        )
        return self.descriptor.multiply(*factors), tensors

    def covariances(
        self, features, tensors, points: EquivariantPoints, constants=None
    ) -> np.ndarray:
        """Return K of n environments with the points, (n (2 order + 1), columns).

        A column is a point and a component, which is faster; ``constants`` are those of
        the points for the covariance, where they are known.
        """
        n_components, n_channels = tensors.shape[1:]
        products = (
            tensors.reshape(-1, n_channels) @ points.tensors.reshape(-1, n_channels).T
        )
        shape = (len(tensors), n_components, len(points.tensors), n_components)
        constants = constants or {}
        factors = self.covariance.matrix(features, points.features, **constants)
        products.reshape(shape)[...] *= factors[:, None, :, None]
        return products

    def evaluate(
        self, batch: StructureBatch, cache: dict | None = None
    ) -> EquivariantState:
        """Return the state of a batch: values, rows and derivatives follow from it.

        ``cache`` shares features and expansions with other kernels of the same batch,
        see `PowerSpectrum.evaluate`.
        """
        cache = {} if cache is None else cache
        return EquivariantState(
            self,
            batch,
            self.descriptor.evaluate(batch, self.species, cache),
            self.equivariants.evaluate(batch, self.species, cache),
        )

    def tensor_transfers(self, factor, species: int) -> PointTransfers:
        """Return the arrays of sparse points for derivatives of p, made once."""
        key = (species, factor.side, "tensors")
        if key not in self._transfers:
            tensors = self.points[species].tensors
            self._transfers[key] = PointTransfers(
                factor,
                tensors.reshape(-1, tensors.shape[2]),
                factor.n_l,
                factor.n_channels,
            )
        return self._transfers[key]

    def get_state(self, name: str, store: PointStore) -> tuple[dict, dict]:
        """Return settings and arrays (named ``name/...``) for a model file.

        Environments go to ``store``.
        """
        settings, arrays = store.add(self, name)
        settings["scales"] = {str(z): points.scale for z, points in self.points.items()}
        for z, points in self.points.items():
            if not points.coefficients:  # of files of format 1
                arrays[f"{name}/{z}/tensors"] = points.tensors
        return settings, arrays

    def take_state(self, stored: StoredModel, settings: dict, name: str) -> None:
        """Take over the points that `get_state` described.

        Raises
        ------
        ValueError, KeyError
            If they contradict the kernel.
        """
        term = StoredTerm(stored, settings, name, self)
        self.amplitude = term.amplitude
        kernel_part = StoredModel({"settings": settings, "arrays": {}})
        scales = StoredModel(
            {"settings": kernel_part.setting("scales", dict), "arrays": {}}
        )
        for z, n_points in term.points.items():
            n_rows = n_points * (2 * self.order + 1)
            base = stored.array(f"{name}/{z}/projection", n_rows, None)
            features, coefficients = term.environments(z)
            scale = scales.positive(str(z))
            if coefficients:
                features, tensors = self.multiply(z, coefficients)
                tensors = tensors / scale
            else:
                shape = n_points, 2 * self.order + 1, len(self.channels(z))
                tensors = stored.array(f"{name}/{z}/tensors", *shape)
            self.points[z] = EquivariantPoints(
                features,
                self.amplitude * base,
                coefficients=coefficients,
                base=base,
                tensors=tensors,
                scale=scale,
            )
