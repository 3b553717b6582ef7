"""Near and far sums of the potential of multipoles and its derivatives."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from lodekit.kernels.multipole_pairs import (
    N_ORDERS,
    add_own_derivatives,
    add_own_tensors,
    add_pair_derivatives,
    add_pair_tensors,
    fill_pair_phases,
)
from lodekit.numerics.mesh import monomials

from .boundary import FarKernel
from .far_sum import FarSum

#: Largest degree of moments, and of derivatives of the potential.
MOMENT_DEGREE, FIELD_DEGREE = 2, 3
#: Phases of pairs made at a time.
PAIR_PHASES = 2**15


@lru_cache
def monomial_tables(
    moment_degree: int = MOMENT_DEGREE, field_degree: int = FIELD_DEGREE
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return recursion, sums, raised and degrees of `kernels.multipole_pairs`."""
    high = monomials(moment_degree + field_degree)
    place = {tuple(exponents): n for n, exponents in enumerate(high.tolist())}
    units = np.eye(3, dtype=int)
    recursion = np.zeros((len(high), 4), dtype=np.intp)
    for n in range(1, len(high)):
        axis = int(np.argmax(high[n] > 0))
        less = high[n] - units[axis]
        recursion[n, :2] = axis, place[tuple(less)]
        if less[axis]:
            recursion[n, 2:] = place[tuple(less - units[axis])], less[axis]
    fields, moments = monomials(field_degree), monomials(moment_degree)
    sums = [[place[tuple(a + b)] for b in moments] for a in fields]
    raised = [[place[tuple(b + unit)] for unit in units] for b in moments]
    tables = recursion, sums, raised, high.sum(axis=1)
    return tuple(np.array(table, dtype=np.intp) for table in tables)


class MultipoleNearSum:
    """Sums over pairs; over all pairs of an open system, where there is no split.

    Parameters
    ----------
    pairs : tuple of ndarray
        First and second atom (n_pairs,), and vectors from first to second (n_pairs, 3).
    widths : ndarray of shape (n_atoms,)
        Widths of Gaussians in Å; 0 for points.
    split : Split or None
    reach : float
        Distance in widths beyond which a Gaussian is a point.
    """

    def __init__(self, pairs, widths, split, reach):
        self.pairs = pairs
        self.variances = widths**2
        self.reach = reach
        if split is None:
            self.cutoff, self.table = 0.0, np.zeros((N_ORDERS, 1, 6))
            self.at_zero = np.zeros(N_ORDERS)
        else:
            self.cutoff, self.table = split.cutoff, split.table
            self.at_zero = split.at_zero

    def add(self, moments, derivatives, strain) -> None:
        """Add derivatives at the atoms and the strain gradient of the energy."""
        recursion, sums, raised, degrees = monomial_tables()
        add_pair_derivatives(
            *self.pairs,
            self.variances,
            self.cutoff,
            self.table,
            self.reach,
            recursion,
            sums,
            raised,
            degrees,
            moments,
            derivatives,
            strain,
        )
        add_own_derivatives(
            self.variances,
            self.at_zero,
            recursion,
            sums,
            degrees,
            moments,
            derivatives,
        )

    def add_tensors(self, recursion, degrees, lower: int, tensors) -> None:
        """Add the tensors of pairs, as in `kernels.multipole_pairs`."""
        radial = self.cutoff, self.table, self.reach
        which = recursion, degrees, lower, tensors
        add_pair_tensors(*self.pairs, self.variances, *radial, *which)
        add_own_tensors(self.variances, self.at_zero, *which)


class MultipoleFarSum:
    """Sums over k-vectors.

    Parameters
    ----------
    kernel : FarKernel
    positions : ndarray of shape (n_atoms, 3)
        Positions in Å.
    """

    def __init__(self, kernel: FarKernel, positions: np.ndarray):
        self.kernel = kernel
        self.sum = FarSum(kernel, positions)

    def add(self, moments, derivatives, strain) -> None:
        """Add derivatives at the atoms and the strain gradient of the energy."""
        far = np.zeros_like(derivatives)
        waves = np.zeros((3, 3))
        recursion, sums_of, _, degrees = monomial_tables()
        n_fields, n_moments = sums_of.shape
        factors_of_i = np.array([1.0, 1j, -1.0, -1j])[degrees[:n_fields] % 4]
        for columns, phases in self.sum.blocks():
            k, n_k = self.sum.k.vectors[columns], columns.stop - columns.start
            waves_of = phases[:, :n_k] + 1j * phases[:, n_k:]
            powers = powers_of(k, recursion[:n_fields]) * factors_of_i
            sums = waves_of.conj().T @ moments
            factors = (powers[:, :n_moments].conj() * sums).sum(axis=1)
            weights, slopes = self.sum.weights[columns], self.sum.slopes[columns]
            far += (waves_of @ ((weights * factors)[:, None] * powers)).real
            change = slopes * np.abs(factors) ** 2
            waves -= 0.5 * (change[:, None] * k).T @ k
            for axis, turned in enumerate(self.turned(powers, sums)):
                product = weights * (factors.conj() * turned).real
                waves[axis] -= product @ k
        far[:, 0] += self.kernel.uniform * moments[:, 0].sum()
        derivatives += far
        energy = 0.5 * (far[:, :n_moments] * moments).sum()
        strain += self.kernel.full_strain(
            waves,
            energy,
            self.sum.positions,
            gradients_of(moments, far),
            torques_of(moments, far),
        )

    def turned(self, powers, sums):
        """Yield the derivative of sum_b M_b (-ik)^b along each axis of k."""
        exponents = monomials(MOMENT_DEGREE)
        place = {tuple(e): n for n, e in enumerate(exponents.tolist())}
        for axis in range(3):
            total = np.zeros(len(powers), dtype=complex)
            for b in np.flatnonzero(exponents[:, axis]):
                less = exponents[b] - np.eye(3, dtype=int)[axis]
                lower = powers[:, place[tuple(less)]].conj()
                total -= 1j * exponents[b, axis] * lower * sums[:, b]
            yield total

    def add_tensors(self, recursion, degrees, lower: int, tensors) -> None:
        """Add the tensors of pairs, as in `kernels.multipole_pairs`.

        Sums of w(k) (ik)^c e^(ik.r) for f, and of -s(k) (ik)^c e^(ik.r) for h.
        """
        weights = -self.sum.slopes if lower else self.sum.weights
        is_odd = degrees % 2 == 1
        # the real part: cosines for even degrees, -sines times i^(degree - 1) for odd
        signs = np.array([1.0, -1.0, -1.0, 1.0])[degrees % 4]
        first, second = np.triu_indices(len(self.sum.positions))
        for columns, phases in self.sum.blocks():
            k = self.sum.k.vectors[columns]
            powers = powers_of(k, recursion) * (signs * weights[columns, None])
            cosine_powers, sine_powers = powers[:, ~is_odd], powers[:, is_odd]
            n_pairs = max(PAIR_PHASES // len(k), 1)
            for start in range(0, first.size, n_pairs):
                rows = slice(start, start + n_pairs)
                cosines, sines = np.empty((2, first[rows].size, len(k)))
                fill_pair_phases(phases, first[rows], second[rows], cosines, sines)
                tensors[rows, ~is_odd] += cosines @ cosine_powers
                tensors[rows, is_odd] += sines @ sine_powers
        if not lower:
            tensors[:, 0] += self.kernel.uniform


def powers_of(k_vectors: np.ndarray, recursion: np.ndarray) -> np.ndarray:
    """Return k^c by monomial c of a table `recursion`, (n_k, n_monomials)."""
    powers = np.ones((len(recursion), len(k_vectors)))
    for c in range(1, len(recursion)):
        axis, less = recursion[c, :2]
        powers[c] = powers[less] * k_vectors[:, axis]
    return powers.T


def gradients_of(moments: np.ndarray, derivatives: np.ndarray) -> np.ndarray:
    """Return dE/dr of the atoms, (n_atoms, 3)."""
    raised = monomial_tables()[2]
    return np.einsum("ib,ibx->ix", moments, derivatives[:, raised])


@lru_cache
def turn_table(degree: int) -> np.ndarray:
    """Return how derivatives turn with their axes, (3, 3, n_b, n_b).

    When d_x becomes d_x + sum_y e_xy d_y, the change of d^b by e_xy is sum_c
    table[x, y, b, c] d^c: b_x times the monomial b with one x replaced by y. Moments M
    that turn as M_y -> M_y + M_x e_xy, dipoles and all indices of quadrupoles, change
    by M @ table[x, y].
    """
    exponents = monomials(degree)
    place = {tuple(e): n for n, e in enumerate(exponents.tolist())}
    units = np.eye(3, dtype=int)
    table = np.zeros((3, 3, len(exponents), len(exponents)))
    for x, y in np.ndindex(3, 3):
        for b in np.flatnonzero(exponents[:, x]):
            turned = exponents[b] - units[x] + units[y]
            table[x, y, b, place[tuple(turned)]] = exponents[b, x]
    return table


def torques_of(moments: np.ndarray, derivatives: np.ndarray) -> np.ndarray:
    """Return T_ab, the change of the energy when moments M_b turn by M_a e_ab, (3, 3).

    With the moments of all atoms as tensors: dipoles mu_b -> mu_b + mu_a e_ab, and both
    indices of quadrupoles.
    """
    n_moments = moments.shape[1]
    products = moments.T @ derivatives[:, :n_moments]
    return np.einsum("xybc,bc->xy", turn_table(MOMENT_DEGREE), products)
