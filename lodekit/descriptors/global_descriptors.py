"""Descriptors of whole structures, for linear models that add up.

A linear model U = w . x is size-extensive where its features are: features of two
structures far apart are the sums of both, without any normalisation. Each descriptor
is a function of the distances of an open structure.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from .global_features import GlobalDescriptor


class CoulombMatrixMoments(GlobalDescriptor):
    """Moments of the Coulomb matrix by element, sum_(i of a) (M^k)_ii, k = 1 to K.

    Summed over elements they are tr(M^k), the sums of the powers of its eigenvalues.
    M_ii = 0.5 Z_i^2.4, which depends on the composition alone, and M_ij = Z_i Z_j /
    r_ij with r in Å; both are divided by 0.5 Z^2.4 of the heaviest element. The matrix
    of two structures far apart is block-diagonal, and its moments add up. What is left
    falls as 1/r^2: a closed walk goes and comes back.

    Parameters
    ----------
    max_power : int
        K.

    References
    ----------
    M. Rupp et al., Phys. Rev. Lett. 108, 058301 (2012).
    """

    LEAST: ClassVar[dict] = {"max_power": 1}

    def __init__(self, max_power=4):
        self.max_power = max_power

    def n_features(self, n_species: int) -> int:
        """Return the number of features, the powers of an element side by side."""
        return n_species * self.max_power

    def _evaluate(self, distances, channels, species):
        charges = np.asarray(species, dtype=float)[channels]
        largest = 0.5 * float(species[-1]) ** 2.4
        products = np.outer(charges, charges) / largest
        matrix = products / distances + np.diag(0.5 * charges**2.4 / largest)
        powers = [np.eye(len(matrix))]
        for _ in range(self.max_power):
            powers.append(powers[-1] @ matrix)
        features = np.zeros((len(species), self.max_power))
        diagonals = np.array([np.diagonal(power) for power in powers[1:]])
        np.add.at(features, channels, diagonals.T)

        def slopes(adjoint):
            # d tr(D M^k) = sum_s tr(M^(k-1-s) D M^s dM), D diagonal
            weights = adjoint.reshape(*adjoint.shape[:-1], *features.shape)
            weights = weights[..., channels, :]
            total = 0.0
            for k in range(1, self.max_power + 1):
                for s in range(k):
                    right = weights[..., k - 1, None] * powers[s]
                    total = total + powers[k - 1 - s] @ right
            total = total + np.swapaxes(total, -1, -2)
            return -total * products / distances**2

        return features.ravel(), slopes


class ManyBodyTensor(GlobalDescriptor):
    """Un-normalised many-body tensor of two bodies, broadened over 1/r.

    x_ab(g) = sum_(pairs of a, b) r^-p exp(-(g - 1/r)^2 / 2 s^2) / sqrt(2 pi s^2), for
    grid points g from 0 to ``largest``. The weight r^-p lets far pairs vanish, so that
    features of structures far apart add up; p = 1 keeps the tail of a Coulomb sum. A
    linear model is a pair potential for every pair of elements.

    Parameters
    ----------
    n_grid : int
        Number of grid points.
    largest : float
        Largest g in 1/Å.
    width : float
        s in 1/Å, about the spacing of the grid.
    decay : float
        p.

    References
    ----------
    H. Huo, M. Rupp, Mach. Learn.: Sci. Technol. 3, 045017 (2022).
    """

    LEAST: ClassVar[dict] = {"n_grid": 2}

    def __init__(self, n_grid=24, largest=1.4, width=0.06, decay=1.0):
        self.n_grid = n_grid
        self.largest = largest
        self.width = width
        self.decay = decay

    def n_features(self, n_species: int) -> int:
        """Return the number of features, the grid of a pair of elements together."""
        return n_species * (n_species + 1) // 2 * self.n_grid

    def _evaluate(self, distances, channels, species):
        grid = np.linspace(0.0, self.largest, self.n_grid)
        first, second = np.triu_indices(len(distances), 1)
        inverse = 1.0 / distances[first, second][:, None]
        kind = pair_index(len(species))[channels[first], channels[second]]
        norm = 1.0 / np.sqrt(2.0 * np.pi * self.width**2)
        offsets = (grid - inverse) / self.width
        values = norm * inverse**self.decay * np.exp(-0.5 * offsets**2)
        features = np.zeros((self.n_features(len(species)) // self.n_grid, self.n_grid))
        np.add.at(features, kind, values)
        # by r: d(1/r) = -dr / r^2
        derivatives = -values * inverse * (self.decay + inverse * offsets / self.width)

        def slopes(adjoint):
            weights = adjoint.reshape(*adjoint.shape[:-1], *features.shape)
            result = np.zeros((*adjoint.shape[:-1], *distances.shape))
            slope = np.einsum("...pg,pg->...p", weights[..., kind, :], derivatives)
            result[..., first, second] = result[..., second, first] = slope
            return result

        return features.ravel(), slopes


class CoulombPairs(GlobalDescriptor):
    """Coulomb energies of charges that are linear in their surroundings.

    x_cd = sum_(i < j) (b_ic b_jd + b_id b_jc) / r_ij for c < d, half of it for c = d.
    The b_i are 1 and v_ia = sum_(j of a) exp(-r_ij / s) / r_ij for every element a,
    each in a place of its own for every element that i may have. With charges
    q_i = sum_c b_ic u_c the Coulomb energy is sum_(c <= d) x_cd u_c u_d, and a linear
    model has a weight in place of u_c u_d. The features are chains of two, three and
    four atoms, un-normalised many-body tensors, of which one link is 1/r. Those of
    structures far apart add up; what is left falls as 1/r.

    Parameters
    ----------
    screening_length : float
        s in Å: how far the surroundings reach.
    """

    def __init__(self, screening_length=0.4):
        self.screening_length = screening_length

    def n_features(self, n_species: int) -> int:
        """Return the number of features, those of c <= d."""
        n_own = n_species * (1 + n_species)
        return n_own * (n_own + 1) // 2

    def _evaluate(self, distances, channels, species):
        n_atoms, n_species = len(distances), len(species)
        elements = np.eye(n_species)[channels]
        links = np.exp(-distances / self.screening_length) / distances
        surroundings = np.hstack([np.ones((n_atoms, 1)), links @ elements])
        channel_features = np.einsum("ia,ib->iab", elements, surroundings).reshape(
            n_atoms, -1
        )
        potential = (1.0 / distances) @ channel_features
        upper = pair_index(channel_features.shape[1])
        features = np.zeros(self.n_features(n_species))
        np.add.at(features, upper, 0.5 * channel_features.T @ potential)
        link_slopes = -links * (1.0 / self.screening_length + 1.0 / distances)

        def slopes(adjoint):
            weights = adjoint[..., upper]
            direct = -(channel_features @ weights @ channel_features.T) / distances**2
            by_own = potential @ weights
            by_own = by_own.reshape(*by_own.shape[:-1], n_species, 1 + n_species)
            by_surroundings = by_own[..., np.arange(n_atoms), channels, 1:]
            indirect = by_surroundings @ elements.T * link_slopes
            return direct + indirect + np.swapaxes(indirect, -1, -2)

        return features, slopes


def pair_index(n: int) -> np.ndarray:
    """Return the index of every unordered pair of n things, (n, n).

    >>> pair_index(2)
    array([[0, 1],
           [1, 2]])
    """
    index = np.empty((n, n), dtype=np.intp)
    first, second = np.triu_indices(n)
    index[first, second] = index[second, first] = np.arange(first.size)
    return index


#: Descriptors of whole structures that a model file may name.
GLOBAL_DESCRIPTORS = {
    cls.__name__: cls for cls in (CoulombMatrixMoments, ManyBodyTensor, CoulombPairs)
}
