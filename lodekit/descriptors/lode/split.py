"""Range separation of LODE: a near part summed over pairs, a far one over k-vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lodekit.descriptors.radial import RadialTable, tabulate
from lodekit.numerics.quadrature import gauss_legendre
from lodekit.numerics.smooth_step import smooth_step

from .costs import direct_cost, mesh_cost, near_cost, rounded
from .mesh_table import MeshTable, make_mesh_table
from .projections import PotentialProjections, spherical_bessel

#: Density of neighbours, in 1/Å^3, for which errors are estimated: that of liquid
#: water.
NOMINAL_DENSITY = 0.1
#: The errors of truncation, tables and compression add up to less than the accuracy.
SAFETY = 0.5
#: Share of the k-range over which the far part is switched off smoothly.
TAPER = 0.05
#: Where tables of transforms with log k begin to be accurate, in 1/Å: cells up to
#: 200 Å.
SMALLEST_K = 0.03
#: Least k-cutoff in 1/Å; a near part that holds everything, for p = 0, needs none.
LEAST_K_CUTOFF = 0.1
#: Ranges of the near part to choose from, in Å.
PAIR_CUTOFFS = 3.0 * 1.1 ** np.arange(24)


@dataclass(frozen=True)
class Split:
    """Near and far part of the potential's projections for one range of the near part.

    Attributes
    ----------
    pair_cutoff : float
        Range of the near part in Å; 0 where there is none.
    near : RadialTable or None
        Near part of g_nl(r), zero with two derivatives at ``pair_cutoff``.
    background : ndarray of shape (n_radial,)
        What a uniform density of one atom per Å^3 has too much of in c_n00: the near
        part, less the k = 0 term of p = 0 and p > 3.
    k_cutoff : float
        Largest k in 1/Å.
    far : RadialTable
        k^2 times the far functions f_lp(k), with the signs (-1)^(l // 2) of i^l.
    far_radial : list of ndarray of shape (n_far, n_radial)
        For every l, the matrix from far functions to the far part of all n.
    projections : PotentialProjections
        What was split.
    tolerance : float
        Largest error of the coefficients, relative to ``projections.scale``.
    """

    pair_cutoff: float
    near: RadialTable | None
    background: np.ndarray
    k_cutoff: float
    far: RadialTable
    far_radial: list
    projections: PotentialProjections
    tolerance: float

    @cached_property
    def mesh_table(self) -> MeshTable:
        """The far part in the form that a mesh takes."""
        p = self.projections
        return make_mesh_table(
            far=self.far,
            far_radial=self.far_radial,
            scale=p.scale,
            k_cutoff=self.k_cutoff,
            extent=max(self.pair_cutoff, 0.7 * p.extent),
            exponent=p.exponent,
            tolerance=self.tolerance,
        )

    def prefers_mesh(self, n_atoms: int, volume: float, n_species: int) -> bool:
        """Whether a mesh takes less time than a direct sum over k-vectors."""
        if self.near is None:
            return False
        p = self.projections
        structure = n_atoms, rounded(volume), n_species, self.k_cutoff
        on_mesh = mesh_cost(*structure, p.max_angular, p.extent, self.tolerance)
        n_q = (p.max_angular + 1) ** 2 * p.basis.size
        return bool(on_mesh < direct_cost(*structure, n_q))


class NearPart:
    """The near part of g_nl that leaves least to sum beyond a k-cutoff.

    Whatever short-ranged function is summed over pairs, the rest can be summed over
    k-vectors: the choice decides only how fast the rest decays. Here it is

        near_nl(r) = (1 - (r / c)^2)^3 sum_j x_j j_l((j + 1/2) pi r / c),  r < c,

    fitted by linear least squares to phi(k) I_nl(k) beyond the k-cutoff. At a given
    accuracy, range times k-cutoff is half that of the usual Gaussian split; prolate
    functions gain as much for point charges.

    Parameters
    ----------
    projections : PotentialProjections
    cutoff : float
        Range c in Å.
    k_end : float
        Largest k of the fit functions in 1/Å.

    References
    ----------
    J. Liang, L. Lu, A. Barnett, L. Greengard, S. Jiang, Nat. Commun. (2025),
    arXiv:2505.09727 (prolate functions for point charges).
    """

    def __init__(self, projections: PotentialProjections, cutoff: float, k_end: float):
        self.projections = projections
        self.cutoff = cutoff
        n_nodes = 32 + 0.55 * cutoff * projections.k[-1]
        self.r, weights = gauss_legendre(n_nodes, cutoff)
        self.r_weights = weights * self.r**2
        self.n_terms = int(2 + cutoff * k_end / np.pi)
        self.functions = self.evaluate(self.r)
        self.transforms = self.transform(projections.k, self.functions)

    def evaluate(self, r: np.ndarray) -> np.ndarray:
        """Return the fit functions, shape (max_angular + 1, r.size, n_terms)."""
        k = (np.arange(self.n_terms) + 0.5) * np.pi / self.cutoff
        window = (1.0 - (r / self.cutoff) ** 2) ** 3
        waves = spherical_bessel(self.projections.max_angular, np.outer(r, k))
        return window[:, None] * waves * np.sqrt(2.0 / self.cutoff) * k

    def transform(self, k: np.ndarray, functions: np.ndarray) -> np.ndarray:
        """Return int r^2 f(r) j_l(k r) dr of functions (n_l, r.size, n), by l and k."""
        bessel = spherical_bessel(self.projections.max_angular, np.outer(k, self.r))
        return bessel @ (functions * self.r_weights[:, None])

    def fit(self, k_cutoff: float, tolerance: float) -> np.ndarray:
        """Return the coefficients x, shape (max_angular + 1, n_terms, n_radial).

        They fit g_nl / scale. A tiny weight on x keeps both parts from growing against
        each other.
        """
        p = self.projections
        weights = rest_weights(p, k_cutoff)
        ridge = 0.03 * tolerance * np.eye(self.n_terms)
        zeros = np.zeros((self.n_terms, p.basis.size))
        target = weights[:, None, None] * p.relative_integrals
        return np.stack(
            [
                np.linalg.lstsq(
                    np.concatenate([weights[:, None] * one, ridge]),
                    np.concatenate([target[:, l], zeros]),
                    rcond=None,
                )[0]
                for l, one in enumerate(self.transforms)
            ]
        )

    def rest(self, x: np.ndarray) -> np.ndarray:
        """Return the far part of phi(k) I_nl(k) / scale, (n_nodes, n_l, n_radial)."""
        return self.projections.relative_integrals - np.moveaxis(
            self.transforms @ x, 0, 1
        )


def rest_weights(projections: PotentialProjections, k_cutoff: float) -> np.ndarray:
    """Return weights w with sum (w f)^2 the squared error of cutting f at ``k_cutoff``.

    The error is that of coefficients of atoms at random places, at the nominal density.
    """
    p = projections
    taper = smooth_step((p.k / k_cutoff - 1.0 + TAPER) / TAPER)[0]
    return (1.0 - taper) * p.k * np.sqrt(8.0 * NOMINAL_DENSITY * p.k_weights)


def cut_error(
    projections: PotentialProjections, rest: np.ndarray, k_cutoff: float
) -> float:
    """Return the largest relative error when ``rest`` is cut at ``k_cutoff``."""
    weights = rest_weights(projections, k_cutoff)[:, None, None]
    return float(np.sqrt(((weights * rest) ** 2).sum(axis=0)).max())


class SplitChoice:
    """Chooses splits and keeps their tables, for one basis and one accuracy.

    Parameters
    ----------
    projections : PotentialProjections
    accuracy : float
        Wanted accuracy of the coefficients, relative to ``projections.scale``.
    """

    def __init__(self, projections: PotentialProjections, accuracy: float):
        self.projections = projections
        self.tolerance = SAFETY * accuracy
        self._splits: dict[float, Split] = {}

    @cached_property
    def longest_k_cutoff(self) -> float:
        """Largest k that matters without a near part, in 1/Å."""
        p = self.projections
        for k_cutoff in 0.5 * 1.03 ** np.arange(200):
            if cut_error(p, p.relative_integrals, k_cutoff) < self.tolerance:
                return float(k_cutoff)
        return float(p.k[-1])

    @property
    def cutoff_product(self) -> float:
        """Range times k-cutoff, about the same for every split (empirical)."""
        return 10.0 - 1.2 * np.log(self.tolerance)

    def choose(self, n_atoms: int, volume: float, n_species: int) -> float:
        """Return the range of the near part, in Å, that takes least time.

        The volume is rounded, so that the range hardly ever changes along a trajectory.
        """
        p = self.projections
        structure = n_atoms, rounded(volume)
        n_q = (p.max_angular + 1) ** 2 * p.basis.size
        k_cutoffs = self.cutoff_product / PAIR_CUTOFFS
        near = near_cost(*structure, PAIR_CUTOFFS, n_q)
        mesh_arguments = p.max_angular, p.extent, self.tolerance
        far = np.minimum(
            direct_cost(*structure, n_species, k_cutoffs, n_q),
            mesh_cost(*structure, n_species, k_cutoffs, *mesh_arguments),
        )
        best = int(np.argmin(near + far))
        without = direct_cost(*structure, n_species, self.longest_k_cutoff, n_q)
        return 0.0 if without < near[best] + far[best] else float(PAIR_CUTOFFS[best])

    def split(self, pair_cutoff: float) -> Split:
        """Return the split with this range of the near part, made on first use."""
        if pair_cutoff not in self._splits:
            self._splits[pair_cutoff] = self.make(pair_cutoff)
        return self._splits[pair_cutoff]

    def make(self, pair_cutoff: float) -> Split:
        """Fit and tabulate both parts."""
        p = self.projections
        if pair_cutoff == 0.0:
            return self.tabulate(None, None, self.longest_k_cutoff)
        near = NearPart(p, pair_cutoff, self.longest_k_cutoff)
        k_cutoff = min(self.cutoff_product / pair_cutoff, self.longest_k_cutoff)
        x, good = self.try_fit(near, k_cutoff)
        step = 1.0 / 1.03 if good else 1.03
        while True:
            next_x, next_good = self.try_fit(near, k_cutoff * step)
            if next_good != good or not (
                LEAST_K_CUTOFF < k_cutoff * step < self.longest_k_cutoff
            ):
                break
            x, k_cutoff = next_x, k_cutoff * step
        return self.tabulate(
            near, *((x, k_cutoff) if good else (next_x, k_cutoff * step))
        )

    def try_fit(self, near: NearPart, k_cutoff: float):
        """Return a fit and whether it keeps the tolerance."""
        x = near.fit(k_cutoff, self.tolerance)
        error = cut_error(self.projections, near.rest(x), k_cutoff)
        return x, error <= self.tolerance

    def tabulate(self, near: NearPart | None, x, k_cutoff: float) -> Split:
        """Return the tables of both parts."""
        p = self.projections
        table, background = None, -p.at_zero_k
        rest = p.relative_integrals
        if near is not None:
            rest = near.rest(x)
            at_zero = near.transform(np.zeros(1), near.functions)[0, 0] @ x[0]
            background = np.sqrt(4.0 * np.pi) * at_zero * p.scale[0] - p.at_zero_k
            table = tabulate(
                lambda r: np.moveaxis(near.evaluate(r) @ x, 0, 1),
                near.cutoff,
                0.03 * self.tolerance,
            ).scaled(p.scale)
        modes = self.far_modes(rest, k_cutoff)
        return Split(
            pair_cutoff=near.cutoff if near else 0.0,
            near=table,
            background=background,
            k_cutoff=k_cutoff,
            far=self.tabulate_far(near, x, k_cutoff, modes),
            far_radial=[mode * p.scale[l] for l, mode in enumerate(modes)],
            projections=p,
            tolerance=self.tolerance,
        )

    def far_modes(self, rest: np.ndarray, k_cutoff: float) -> list:
        """Return, for every l, the combinations over n that the far part needs.

        Each is a matrix (n_far, n_radial) with orthonormal rows: singular vectors of
        the far part over the k-range, without those below the tolerance.
        """
        p = self.projections
        weights = np.sqrt(8.0 * NOMINAL_DENSITY * p.k_weights) * p.k
        amplitudes = (weights[:, None, None] * rest)[p.k < k_cutoff]
        modes = []
        for l in range(p.max_angular + 1):
            _, singular, vectors = np.linalg.svd(amplitudes[:, l], full_matrices=False)
            dropped = np.sqrt((singular[::-1] ** 2).cumsum()[::-1])
            modes.append(vectors[: max(1, int((dropped > self.tolerance).sum()))])
        return modes

    def tabulate_far(self, near, x, k_cutoff: float, modes: list) -> RadialTable:
        """Return the table of the far functions over k."""
        p = self.projections
        n_far = max(len(mode) for mode in modes)

        def far_functions(k):
            rest = p.transform(k)[:, None, None] * p.radial_integrals(k) / p.scale
            if near is not None:
                transforms = near.transform(k, near.functions) @ x
                rest -= (k**2)[:, None, None] * np.moveaxis(transforms, 0, 1)
            values = np.zeros((k.size, p.max_angular + 1, n_far))
            for l, mode in enumerate(modes):
                values[:, l, : len(mode)] = (-1.0) ** (l // 2) * rest[:, l] @ mode.T
            return values

        smallest = SMALLEST_K if p.has_logarithm else 0.0
        # at small k, errors are multiplied by 1 / k^2 and add up over layers of atoms
        return tabulate(far_functions, k_cutoff, 0.01 * self.tolerance, smallest)


def accuracy_of_cutoff(projections: PotentialProjections, k_cutoff: float) -> float:
    """Return the accuracy of cutting the sum over k-vectors, without a near part."""
    error = cut_error(projections, projections.relative_integrals, k_cutoff)
    return float(np.clip(error / SAFETY, 1e-12, 0.1))
