"""Coefficients of spherical expansions with their derivatives, and the base class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy import special
from sklearn.base import BaseEstimator

from lodekit.structures.batch import StructureBatch, as_frames


@dataclass(frozen=True)
class CoefficientJacobian:
    """Derivatives of expansion coefficients with respect to atoms, as a list of pairs.

    Moving atom ``movers[p]`` changes the coefficients of atom ``centers[p]`` in the
    channels of the mover's species only, by ``derivatives[p]``. Moving the centre
    changes them by the opposite: an expansion depends on differences of positions.

    Attributes
    ----------
    centers, movers : ndarray of shape (n_entries,)
        Atom indices in the batch, sorted by centre.
    channels : ndarray of shape (n_entries,)
        Index of the mover's species in the species of the expansion.
    derivatives : ndarray of shape (n_entries, 3, n_lm, n_radial)
        Derivatives with respect to the mover's position.
    """

    centers: np.ndarray
    movers: np.ndarray
    channels: np.ndarray
    derivatives: np.ndarray


class Expansion(Protocol):
    """Coefficients c[i, lm, a n] of one batch, and their derivatives.

    ``coefficients`` has shape (n_atoms, (max_angular + 1)^2, n_species * n_radial),
    with lm = l*l + l + m and the species index slower than the radial one.
    """

    coefficients: np.ndarray
    #: Whether channels are kinds of charges instead of species.
    has_charges: bool

    @property
    def n_channels(self) -> int:
        """Number of channels: species, or kinds of charges."""

    @property
    def has_neighbor(self) -> np.ndarray:
        """Whether an atom has neighbours of a species, (n_atoms, n_species)."""

    def reverse(self, adjoint: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(coefficients) into gradients.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
            Derivatives with respect to the positions.
        strain : ndarray of shape (n_structures, 3, 3)
            Derivatives with respect to the strain e of positions and cell,
            r_b -> r_b + sum_a r_a e_ab (featomic's order of indices).
        """

    def jacobian(self) -> CoefficientJacobian:
        """Return the derivatives with respect to positions."""

    def strain_jacobian(self) -> np.ndarray:
        """Return the derivatives with respect to strain, (n_atoms, 3, 3, n_lm, n_q)."""


class ExpansionEstimator(BaseEstimator):
    """Base of the expansions; tables that follow from arguments are made on first use.

    Setting an argument, as ``set_params`` does, forgets what came from the old one. A
    subclass has checked arguments in ``hypers``, and a method ``expand``.
    """

    #: Distance in Å beyond which atoms do not matter to an expansion.
    reach = np.inf

    def __setattr__(self, name: str, value):
        """Set an argument and forget what was derived."""
        for key in list(vars(self)):
            if isinstance(getattr(type(self), key, None), cached_property):
                del self.__dict__[key]
        super().__setattr__(name, value)

    @property
    def max_angular(self) -> int:
        """Largest angular index l."""
        return int(self.hypers["basis"]["max_angular"])

    @property
    def n_radial(self) -> int:
        """Number of radial functions."""
        return int(self.hypers["basis"]["radial"]["max_radial"]) + 1

    def n_channels(self, species: np.ndarray) -> int:
        """Return the number of channels for neighbours of these species."""
        return species.size

    def compute(self, frames, gradients=None):
        """Return the coefficients as featomic's ``TensorMap``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        gradients : list of {"positions", "strain"}, optional

        Returns
        -------
        TensorMap
            Keys ``o3_lambda, o3_sigma, center_type, neighbor_type``, samples ``system,
            atom``, components ``o3_mu``, properties ``n``.
        """
        from .tensor_map import featomic_tensor_map, spherical_tensor_map

        frames = as_frames(frames)
        if getattr(self, "backend", "lodekit") == "featomic":
            return featomic_tensor_map(type(self).__name__, self, frames, gradients)
        batch = StructureBatch.from_frames(frames)
        species = np.unique(batch.species)
        expansion = self.expand(batch, species)
        return spherical_tensor_map(expansion, batch, species, gradients)


def harmonic_prefactors(max_angular: int) -> np.ndarray:
    """Return the norms of real spherical harmonics, shape (n_l, n_l), index [l, m].

    sqrt((2l + 1) / (4 pi) (l - m)! / (l + m)!), times sqrt(2) for m > 0; no
    Condon-Shortley phase, so that Y_1 = sqrt(3 / 4 pi) (y, z, x).
    """
    l = np.arange(max_angular + 1)[:, None]
    m = np.minimum(np.arange(max_angular + 1)[None, :], l)
    ratio = special.gamma(l - m + 1.0) / special.gamma(l + m + 1.0)
    norms = np.sqrt((2 * l + 1) / (4 * np.pi) * ratio)
    return np.ascontiguousarray(np.where(m > 0, np.sqrt(2.0), 1.0) * norms)


def channel_of_species(species: np.ndarray, channels: np.ndarray) -> np.ndarray:
    """Return the index of every atomic number in ``channels`` (sorted).

    Raises
    ------
    ValueError
        If an atomic number is not among ``channels``.
    """
    if channels.size == 0:
        raise ValueError(
            "an expansion needs at least one species, and there are no atoms"
        )
    index = np.searchsorted(channels, species).clip(max=channels.size - 1)
    foreign = channels[index] != species
    if foreign.any():
        raise ValueError(
            f"species {sorted(set(species[foreign].tolist()))} are not among the "
            f"species {channels.tolist()} of this expansion"
        )
    return index
