"""Latents of one batch of structures: values, rows, and how they follow the atoms.

What a response asks of a latent a = Phi w with one or several components, (n_atoms,
n_components), is the same for all kinds (`LatentState`): `ElementState` is that of
scalars with a constant for each element, `MomentState` that of Cartesian vectors and
symmetric tensors. Adjoints are derivatives of a number by the components.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part

from .kept_rows import make_anew
from .latent import Latent, ReversePass


class LatentState(Protocol):
    """A latent for one batch and some weights.

    Attributes
    ----------
    rank : int
        Number of weights.
    values : ndarray of shape (n_atoms, n_components)
    rows : ndarray of shape (n_atoms, n_components, rank)
        Phi.
    """

    rank: int
    values: np.ndarray
    rows: np.ndarray

    def pull(self, reverse_pass: ReversePass, adjoint: np.ndarray) -> None:
        """Add the adjoints of the features of sum_i adjoint_i . a_i."""

    def position_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Phi_i)/dR, (n_atoms, 3, rank)."""

    def strain_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i . Phi_i)/d(strain), (n_structures, 6, rank)."""

    def atom_gradients(self, strain: bool = False) -> list[np.ndarray]:
        """Return d(a_i)/dR of every atom, or by strain, by structure.

        Of shape (n_atoms, n_components, 3 n_atoms), or (n_atoms, n_components, 6).
        """


class KernelFeatures:
    """Features of one batch for the kernels of a `Latent`, made once and when needed.

    Parameters
    ----------
    latent : Latent
    batch : StructureBatch
    cache : dict
        Features that others have made, see `Latent.evaluate`.
    keep : callable
        ``keep(name, make)`` returns what was made for the same batch before, if it is
        still there.
    with_covariances : bool
        Whether covariances are kept for adjoints at many weights.
    """

    def __init__(self, latent, batch, cache, keep=make_anew, with_covariances=False):
        self.latent, self.batch, self.cache = latent, batch, cache
        self.keep, self.with_covariances = keep, with_covariances

    @cached_property
    def states(self) -> list:
        """Features of every term."""
        return self.latent.evaluate(self.batch, self.cache)

    @cached_property
    def covariances(self) -> list[dict] | None:
        """Covariances with the sparse points, see `Latent.covariances`."""
        if not self.with_covariances:
            return None
        return self.latent.covariances(self.batch, self.states)

    @cached_property
    def rows(self) -> np.ndarray:
        """Phi of the kernels, (n_atoms, rank)."""
        known = {"covariances": self.covariances}
        return self.keep(
            "features", lambda: self.latent.rows(self.batch, self.states, **known)
        )

    def adjoints(self, vectors: np.ndarray) -> list[np.ndarray]:
        """Return d(Phi_i . vector)/d(features of i) by term.

        With a vector (n_structures, rank) for every structure.
        """
        return self.latent.adjoints(self.batch, self.states, vectors, self.covariances)


@dataclass(frozen=True)
class ElementLatent:
    """Scalars a_i = c_e w_element(i) + sum_k c_k Phi_ik w_k.

    Attributes
    ----------
    latent : Latent
    species : ndarray of shape (n_species,)
        Sorted atomic numbers; none where elements have no constants.
    element_scale : float
        c_e, the prior standard deviation of what is common to an element.
    scales : float or ndarray of shape (rank of the kernels,)
        c, of the columns of the kernels.
    """

    latent: Latent
    species: np.ndarray
    element_scale: float
    scales: float | np.ndarray = 1.0

    @property
    def rank(self) -> int:
        """Number of weights: one for each element, then those of the kernels."""
        return self.species.size + self.latent.rank

    def evaluate(self, features: KernelFeatures, weights: np.ndarray) -> ElementState:
        """Return the latent of a batch with weights (rank,)."""
        return ElementState(self, features, weights)


class ElementState:
    """An `ElementLatent` of one batch, see `LatentState`."""

    def __init__(self, latent: ElementLatent, features: KernelFeatures, weights):
        self.latent, self.features, self.weights = latent, features, weights
        self.batch, self.rank = features.batch, latent.rank
        self.n_species = latent.species.size

    @cached_property
    def kinds(self) -> np.ndarray:
        """Numbers of the elements of the atoms, (n_atoms,)."""
        return np.searchsorted(self.latent.species, self.batch.species)

    @cached_property
    def contracted(self) -> tuple[np.ndarray, list]:
        """sum_k Phi_ik w_k, or with c_k where these differ, and d/d(features)."""
        weights = self.weights[self.n_species :]
        if np.ndim(self.latent.scales):
            weights = self.latent.scales * weights
        latent = self.features.latent
        return latent.values(
            self.batch, self.features.states, latent.coefficients(weights)
        )

    @property
    def scale(self) -> float:
        """The factor of what is contracted."""
        return 1.0 if np.ndim(self.latent.scales) else self.latent.scales

    @cached_property
    def values(self) -> np.ndarray:
        """a, (n_atoms, 1); from rows where these are known."""
        if self.has_rows:
            weights = self.latent.scales * self.weights[self.n_species :]
            values = self.features.rows @ weights
        else:
            values = self.scale * self.contracted[0]
        if self.n_species:
            elements = self.latent.element_scale * self.weights[: self.n_species]
            values = values + elements[self.kinds]
        return values[:, None]

    @property
    def has_rows(self) -> bool:
        """Whether rows are made, or will be made anyway."""
        known = vars(self.features)
        return "rows" in known or self.features.with_covariances

    @cached_property
    def rows(self) -> np.ndarray:
        """Phi, (n_atoms, 1, rank)."""
        rows = np.empty((self.batch.n_atoms, 1, self.rank))
        elements, kernels = np.split(rows[:, 0], [self.n_species], axis=1)
        if self.n_species:
            elements[:] = self.latent.element_scale * np.eye(self.n_species)[self.kinds]
        np.multiply(self.features.rows, self.latent.scales, out=kernels)
        return rows

    def pull(self, reverse_pass: ReversePass, adjoint: np.ndarray) -> None:
        """Add the adjoints of the features of sum_i adjoint_i a_i."""
        scales = self.scale * adjoint[:, 0]
        reverse_pass.add(self.features.states, self.contracted[1], scales)

    def position_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i Phi_i)/dR, (n_atoms, 3, rank)."""
        rows = self.features.latent.force_rows(
            self.batch, self.features.states, self.scale * adjoint[:, 0]
        )
        return self.pad(np.negative(rows, out=rows))

    def strain_rows(self, adjoint: np.ndarray) -> np.ndarray:
        """Return d(sum_i adjoint_i Phi_i)/d(strain), (n_structures, 6, rank)."""
        rows = self.features.latent.strain_rows(
            self.batch, self.features.states, self.scale * adjoint[:, 0]
        )
        return self.pad(rows)

    def pad(self, rows: np.ndarray) -> np.ndarray:
        """Return rows with columns of the elements, which do not move, in front."""
        if np.ndim(self.latent.scales):
            rows *= self.latent.scales
        none = np.zeros((*rows.shape[:-1], self.n_species))
        return np.concatenate([none, rows], axis=-1)

    def atom_gradients(self, strain: bool = False) -> list[np.ndarray]:
        """Return d(a_i)/dR or by strain by structure, (n_atoms, 1, 3 n_atoms or 6)."""
        adjoints = [self.scale * part for part in self.contracted[1]]
        return scalar_gradients(self.features, adjoints, strain)


def scalar_gradients(features: KernelFeatures, adjoints, strain: bool) -> list:
    """Return derivatives of every atom's scalar on its own, as `LatentState` does.

    ``adjoints`` are its derivatives by the features, by term.
    """
    latent, states = features.latent, features.states
    if strain:
        gradients = symmetric_part(latent.atom_strain_gradients(states, adjoints), -2)
    else:
        gradients = latent.atom_gradients(states, adjoints)
    return by_structure(gradients[:, None], features.batch, strain)


def by_structure(gradients, batch: StructureBatch, strain: bool) -> list[np.ndarray]:
    """Return gradients of the components of atoms, structure by structure.

    Parameters
    ----------
    gradients : ndarray of shape (n_atoms, n_components, n_atoms, 3)
        By positions, or (n_atoms, n_components, 6) by strain.
    """
    limits = zip(batch.first_atom[:-1], batch.first_atom[1:], strict=True)
    if strain:
        return [gradients[start:stop] for start, stop in limits]
    parts = [gradients[start:stop, :, start:stop] for start, stop in limits]
    return [part.reshape(*part.shape[:2], -1) for part in parts]
