"""Invariant products of two spherical expansions: SOAP and LODE features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from sklearn.base import BaseEstimator

from lodekit.kernels.power_spectrum import (
    multiply_expansions,
    reverse_multiply,
    reverse_square,
    square_expansion,
)
from lodekit.structures.batch import StructureBatch, as_frames
from lodekit.structures.stress import symmetric_part

from .expansion import CoefficientJacobian, Expansion
from .factor_gradients import contract_factors, contract_strain


class PowerSpectrum(BaseEstimator):
    """Rotation-invariant products of one or two spherical expansions.

    p_l[q1, q2] = sum_m left[lm, q1] right[lm, q2] / sqrt(2l + 1), with q the joint
    index of neighbour species and radial function. SOAP is density x density, LODE
    features are density x potential.

    Parameters
    ----------
    left, right : SphericalExpansion or LodeSphericalExpansion
        Both with the same ``max_angular``; ``right=None`` squares ``left``.

    References
    ----------
    A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013);
    A. Grisafi, M. Ceriotti, J. Chem. Phys. 151, 204105 (2019).
    """

    def __init__(self, left, right=None):
        self.left = left
        self.right = right

    @property
    def n_angular(self) -> int:
        """Number of angular channels.

        Raises
        ------
        ValueError
            If the two expansions differ in ``max_angular``.
        """
        right = self.right or self.left
        if self.left.max_angular != right.max_angular:
            raise ValueError(
                "both expansions of a power spectrum need the same max_angular, got "
                f"{self.left.max_angular} and {right.max_angular}"
            )
        return self.left.max_angular + 1

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter."""
        return max(self.left.reach, (self.right or self.left).reach)

    def n_features(self, species: np.ndarray) -> int:
        """Return the number of features for neighbours of these species."""
        n_left = self.left.n_channels(species) * self.left.n_radial
        if self.right is None:
            return self.n_angular * n_left * (n_left + 1) // 2
        n_right = self.right.n_channels(species) * self.right.n_radial
        return self.n_angular * n_left * n_right

    def evaluate(
        self, batch: StructureBatch, species: np.ndarray, cache: dict | None = None
    ) -> PowerSpectrumFeatures:
        """Compute the features of all atoms of ``batch``.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers of all neighbours that may occur.
        cache : dict, optional
            Features and expansions of this batch by descriptor, so that the terms of
            one model compute each of them once.
        """
        cache = {} if cache is None else cache
        if id(self) in cache:
            return cache[id(self)]
        expansions = []
        for descriptor in (self.left, self.right):
            if descriptor is not None and id(descriptor) not in cache:
                cache[id(descriptor)] = descriptor.expand(batch, species)
            expansions.append(cache.get(id(descriptor)))
        features = np.empty((batch.n_atoms, self.n_features(species)))
        left, right = expansions
        if right is None:
            square_expansion(left.coefficients, features)
        else:
            multiply_expansions(left.coefficients, right.coefficients, features)
        cache[id(self)] = PowerSpectrumFeatures(features, left, right)
        return cache[id(self)]

    def multiply(self, left: np.ndarray, right: np.ndarray | None = None) -> np.ndarray:
        """Return the features of expansion coefficients, without compiled code.

        Parameters
        ----------
        left, right : ndarray of shape (n, n_lm, n_q)
            Coefficients of both factors; a square has one.

        Returns
        -------
        features : ndarray of shape (n, n_features)
        """
        parts = []
        for l in range(self.n_angular):
            lm = slice(l * l, (l + 1) ** 2)
            other = left if right is None else right
            products = np.matmul(left[:, lm].swapaxes(1, 2), other[:, lm])
            products /= np.sqrt(2.0 * l + 1.0)
            if right is None:
                first, second = np.triu_indices(left.shape[2])
                products = products[:, first, second]
                products *= np.where(first == second, 1.0, np.sqrt(2.0))
            parts.append(products.reshape(len(left), -1))
        return np.ascontiguousarray(np.concatenate(parts, axis=1))

    def coefficient_shapes(self, species: np.ndarray) -> list[tuple[int, int]]:
        """Return (n_lm, n_q) of the factors for neighbours of these species."""
        factors = [self.left] if self.right is None else [self.left, self.right]
        return [
            (self.n_angular**2, factor.n_channels(species) * factor.n_radial)
            for factor in factors
        ]

    def compute(self, frames, gradients=None):
        """Return the features as a ``TensorMap`` with featomic's names."""
        from .power_spectrum_tensor_map import power_spectrum_tensor_map

        frames = as_frames(frames)
        batch = StructureBatch.from_frames(frames)
        species = np.unique(batch.species)
        return power_spectrum_tensor_map(
            self.evaluate(batch, species), batch, species, gradients
        )


@dataclass
class PowerSpectrumFeatures:
    """Features of one batch and their derivatives.

    ``features`` has shape (n_atoms, n_features). A square keeps q1 <= q2 only, times
    sqrt(2) off the diagonal.
    """

    features: np.ndarray
    left: Expansion
    right: Expansion | None

    def reverse(self, adjoint: np.ndarray, more=()) -> tuple[np.ndarray, np.ndarray]:
        """Turn d(scalar)/d(features) into position and strain gradients.

        ``more`` is added to d(scalar)/d(coefficients) of each factor.
        """
        left, *right = self.reverse_product(adjoint, more)
        positions, strain = self.left.reverse(left)
        for gradients in right:
            more_positions, more_strain = self.right.reverse(gradients)
            positions, strain = positions + more_positions, strain + more_strain
        return positions, strain

    def reverse_product(self, adjoint: np.ndarray, more=()) -> list[np.ndarray]:
        """Turn d(scalar)/d(features) into that by the coefficients of each factor.

        ``more`` has what is added to that of each factor, or nothing.
        """
        left = self.left.coefficients
        left_gradients = np.empty_like(left)
        if self.right is None:
            reverse_square(adjoint, left, left_gradients)
            gradients = [left_gradients]
        else:
            right = self.right.coefficients
            gradients = [left_gradients, np.empty_like(right)]
            reverse_multiply(adjoint, left, right, *gradients)
        for gradient, change in zip(gradients, more, strict=False):
            gradient += change
        return gradients

    def atom_gradients(self, adjoint: np.ndarray) -> np.ndarray:
        """Return the gradients of adjoint_i . p_i of every atom i on its own.

        Parameters
        ----------
        adjoint : ndarray of shape (n_atoms, n_features)

        Returns
        -------
        gradients : ndarray of shape (n_atoms, n_atoms, 3)
            Of the first atom by the position of the second.
        """
        return contract_factors(self.factors, self.reverse_product(adjoint))

    def atom_strain_gradients(self, adjoint: np.ndarray) -> np.ndarray:
        """Do what `atom_gradients` does, for strain: (n_atoms, 3, 3)."""
        return contract_strain(self.factors, self.reverse_product(adjoint))

    @cached_property
    def factors(self) -> list[Factor]:
        """The expansions that carry derivatives, each with its partner."""
        if self.right is None:
            return [Factor(self.left, self.left.coefficients, "square")]
        return [
            Factor(self.left, self.right.coefficients, "left"),
            Factor(self.right, self.left.coefficients, "right"),
        ]


@dataclass
class Factor:
    """One factor of the product: d(features) = d(factor) x partner.

    Attributes
    ----------
    expansion : Expansion
        The factor that moves.
    partner : ndarray of shape (n_atoms, n_lm, n_partner)
        Coefficients of the other factor.
    side : {"square", "left", "right"}
        Its place in the product.
    """

    expansion: Expansion
    partner: np.ndarray
    side: str

    @property
    def n_channels(self) -> int:
        """Number of channels of neighbours of the factor."""
        return self.expansion.n_channels

    @cached_property
    def jacobian(self) -> CoefficientJacobian:
        """Derivatives of the factor, sorted by centre, then by channel."""
        jacobian = self.expansion.jacobian()
        order = np.lexsort((jacobian.channels, jacobian.centers))
        return CoefficientJacobian(
            jacobian.centers[order],
            jacobian.movers[order],
            jacobian.channels[order],
            jacobian.derivatives[order],
        )

    @cached_property
    def strain_jacobian(self) -> np.ndarray:
        """Strain derivatives of the factor, (n_atoms, 3, 3, n_lm, n_q)."""
        return self.expansion.strain_jacobian()

    @cached_property
    def voigt_jacobian(self) -> np.ndarray:
        """Those of symmetric strain, (n_atoms, 6, n_lm, n_q).

        Voigt order xx, yy, zz, yz, xz, xy.
        """
        return np.ascontiguousarray(symmetric_part(self.strain_jacobian, 1))

    def weights(self, points: np.ndarray, n_l: int) -> np.ndarray:
        """Return the factors of the coefficients' derivatives in d(features . point).

        Parameters
        ----------
        points : ndarray of shape (n_points, n_features)
            Feature vectors, for instance of the sparse points.
        n_l : int

        Returns
        -------
        weights : ndarray of shape (n_points, n_l, n_own, n_partner)
            d(features . point) is the sum over l, m, q1, q2 of weights[l, q1, q2]
            d(factor)[lm, q1] partner[lm, q2].
        """
        n_own = self.expansion.coefficients.shape[2]
        n_partner = self.partner.shape[2]
        if self.side == "square":
            full = unpack_square(points, n_l, n_own)
        elif self.side == "left":
            full = points.reshape(len(points), n_l, n_own, n_partner)
        else:
            full = points.reshape(len(points), n_l, n_partner, n_own).swapaxes(2, 3)
        return full / np.sqrt(2.0 * np.arange(n_l) + 1.0)[:, None, None]


def unpack_square(points: np.ndarray, n_l: int, n_q: int) -> np.ndarray:
    """Return symmetric arrays w with d(p . point) = sum of w[q1, q2] dc[q1] c[q2].

    A diagonal feature counts twice, a kept off-diagonal one carries sqrt(2).
    """
    upper = np.triu_indices(n_q)
    packed = points.reshape(len(points), n_l, upper[0].size)
    full = np.empty((len(points), n_l, n_q, n_q))
    scaled = packed * np.where(upper[0] == upper[1], 2.0, np.sqrt(2.0))
    full[:, :, upper[0], upper[1]] = scaled
    full[:, :, upper[1], upper[0]] = scaled
    return full
