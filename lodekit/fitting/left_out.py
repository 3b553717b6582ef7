"""Errors and standard deviations on groups of frames left out of a fit, in closed form.

With the rows Phi_g of a group, its noise variances S_g, the posterior mean w and
covariance A^-1 of the fit to everything, and C = Phi_g A^-1 Phi_g^T,

    y_g - Phi_g w_-g = S_g (S_g - C)^-1 (y_g - Phi_g w),
    Phi_g A_-g^-1 Phi_g^T = S_g (S_g - C)^-1 S_g - S_g

are the residuals and the covariance of the fit to all others: no second fit is needed.
Where rows are those of a fit linearised at its end, they are its first order.

References
----------
S. Sundararajan, S. S. Keerthi, Neural Comput. 13, 1103 (2001).
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from lodekit.observables.rows import Rows
from lodekit.regression.dual_equations import DualSolution

#: Memory for rows that are left out.
KEPT_BYTES = 1.5e9
#: Rows that are left out, at the most: in units of the number of weights, or as many as
#: take this number of operations.
RELATIVE_ROWS, LEAST_WORK = 2.0, 1e11
#: Least pivot of the Cholesky factor of 1 - H that rounding leaves some digits of.
LEAST_PIVOT = 1e-7
#: Shares of errors within one and two standard deviations, and how far from them a
#: calibration may be.
COVERAGES, TOLERANCES = np.array([0.6827, 0.9545]), np.array([0.08, 0.04])
#: Calibration factors that are tried, relative to the one that is right for one
#: standard deviation.
FACTORS = np.geomspace(0.5, 2.0, 121)


class KeptGroups:
    """Rows of the groups that are left out one at a time.

    Parameters
    ----------
    groups : ndarray of shape (n_frames,)
        Number of the group of every frame.
    leavable : ndarray
        Groups that may be left out.
    n_rows : ndarray of shape (n_frames,)
        Number of rows of every frame.
    rank : int
        Number of weights.
    fraction : float
        Share of the frames that may be left out, at the most.
    seed : int
        Draws groups where not all of them are left out.

    Attributes
    ----------
    ignored : dict of str to set of int
        By target, frames that count neither in errors nor in calibrations, see
        `ignore`.
    """

    def __init__(self, groups, leavable, n_rows, rank: int, fraction=1.0, seed=0):
        self.groups = groups
        n_groups = groups.max(initial=-1) + 1
        order = np.random.RandomState(seed).permutation(leavable)
        rows = np.cumsum(np.bincount(groups, n_rows, n_groups)[order])
        frames = np.cumsum(np.bincount(groups, minlength=n_groups)[order])
        work = max(RELATIVE_ROWS * rank, LEAST_WORK / float(rank) ** 2)
        affordable = rows <= min(KEPT_BYTES / (8.0 * rank), work)
        affordable[:1] = True
        affordable &= frames <= fraction * len(groups)
        self.chosen = np.sort(order[affordable])
        self.parts: dict[int, list] = {}
        self.ignored: dict[str, set] = {}

    @property
    def names(self) -> set[str]:
        """Targets of which rows are left out."""
        return {name for parts in self.parts.values() for name, _, _ in parts}

    @property
    def frames(self) -> np.ndarray:
        """Frames of the groups that are left out, ascending."""
        return np.flatnonzero(np.isin(self.groups, self.chosen))

    def add(self, name: str, rows, weights: np.ndarray) -> None:
        """Keep what belongs to groups that are left out.

        Parameters
        ----------
        name : str
            Target.
        rows : Rows
        weights : ndarray of shape (n_rows,)
            They multiply the inverse noise variance of each row.
        """
        owners = self.groups[rows.frames]
        for group in np.unique(owners[np.isin(owners, self.chosen)]):
            mine = np.flatnonzero(owners == group)
            part = name, rows.take(mine), weights[mine]
            self.parts.setdefault(int(group), []).append(part)

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return the rows by name, for `set_arrays`."""
        arrays = {}
        for group, parts in self.parts.items():
            for number, (name, rows, weights) in enumerate(parts):
                key = f"{group}/{number}/{name}"
                arrays[f"{key}/matrix"] = rows.matrix
                columns = [rows.values, rows.frames, weights]
                if rows.places is not None:
                    columns.append(rows.places)
                arrays[f"{key}/columns"] = np.array(columns, float)
        return arrays

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over rows from `get_arrays`."""
        for key, matrix in arrays.items():
            group, _, name, what = key.split("/")
            if what == "matrix":
                columns = arrays[key.removesuffix("matrix") + "columns"]
                values, frames, weights, *places = columns
                indices = [part.astype(np.intp) for part in (frames, *places)]
                rows = Rows(matrix, values, *indices)
                self.parts.setdefault(int(group), []).append((name, rows, weights))

    def of_frames(self, frames: np.ndarray, leavable: np.ndarray) -> KeptGroups:
        """Return copies of the rows of some frames, in groups that may be left out."""
        some = copy(self)
        some.chosen = np.intersect1d(self.chosen, leavable)
        some.parts = {}
        for group in some.chosen.tolist():
            for name, rows, weights in self.parts.get(group, ()):
                mine = np.flatnonzero(np.isin(rows.frames, frames))
                if mine.size:
                    part = name, rows.take(mine), weights[mine]
                    some.parts.setdefault(group, []).append(part)
        return some

    def ignore(self, own_noise: dict) -> None:
        """Let frames with a noise of their own not count.

        ``own_noise`` has, by target, what multiplies the noise variance of the rows of
        every frame, (n_frames,).
        """
        self.own_noise = own_noise
        self.ignored = {
            name: set(np.flatnonzero(factors != 1.0).tolist())
            for name, factors in own_noise.items()
        }

    def weigh_again(self, own_noise: dict, equations) -> None:
        """Let frames have other noises of their own, here and in equations."""
        before = self.own_noise
        self.ignore(own_noise)
        for group, parts in self.parts.items():
            for number, (name, rows, weights) in enumerate(parts):
                change = (before[name] / own_noise[name])[rows.frames]
                changed = np.flatnonzero(change != 1.0)
                if not changed.size:
                    continue
                after = weights * change
                equations.weigh_again(
                    name, rows.take(changed), weights[changed], after[changed]
                )
                self.parts[group][number] = name, rows, after

    def scale(self, scales: np.ndarray) -> None:
        """Multiply the column of every weight, (rank,)."""
        for parts in self.parts.values():
            for _, rows, _ in parts:
                rows.matrix *= scales

    def frame_by_frame(self):
        """Yield the parts of every frame of the groups."""
        for parts in self.parts.values():
            frames = np.unique(np.concatenate([rows.frames for _, rows, _ in parts]))
            for frame in frames:
                chosen = [np.flatnonzero(rows.frames == frame) for _, rows, _ in parts]
                yield [
                    (name, rows.take(places), weights[places])
                    for (name, rows, weights), places in zip(parts, chosen, strict=True)
                    if places.size
                ]

    def leave_out(self, solution, noises: dict, single: bool = False) -> LeftOut:
        """Return residuals and standard deviations of every group without itself.

        Parameters
        ----------
        solution : Solution or DualSolution
            Of the fit to everything.
        noises : dict of str to float
            Noise of every target.
        single : bool
            Whether frames are left out one at a time instead of groups.
        """
        results: dict[str, list] = {}
        for parts in self.frame_by_frame() if single else self.parts.values():
            variances = np.concatenate(
                [noises[name] ** 2 / weights for name, _, weights in parts]
            )
            group_rows = Rows.join([rows for _, rows, _ in parts])
            residuals, deviations = without_group(solution, group_rows, variances)
            bounds = np.cumsum([len(rows.values) for _, rows, _ in parts])[:-1]
            pieces = zip(
                parts,
                np.split(residuals, bounds),
                np.split(deviations, bounds),
                strict=True,
            )
            for (name, rows, _), *numbers in pieces:
                counts = ~np.isin(rows.frames, list(self.ignored.get(name, ())))
                shares = counts / len(rows.values)
                results.setdefault(name, []).append((*numbers, rows.frames, shares))
        return LeftOut(
            *(
                {
                    name: np.concatenate([part[place] for part in pieces])
                    for name, pieces in results.items()
                }
                for place in range(4)
            )
        )


def without_group(solution, rows: Rows, variances: np.ndarray):
    """Return residuals and standard deviations of rows predicted without them.

    Parameters
    ----------
    solution : Solution or DualSolution
    rows : Rows
    variances : ndarray of shape (n_rows,)
        Of their noise.
    """
    matrix, roots = rows.matrix, np.sqrt(variances)
    residuals = rows.values - matrix @ solution.weights
    # 1 - H of rows in units of their noise, which is symmetric and positive
    if rows.places is None or not isinstance(solution, DualSolution):
        covariance = matrix @ solution.apply_covariance(matrix.T)
        left = -covariance / (roots * roots[:, None])
        left[np.diag_indices_from(left)] += 1.0
    else:
        left = solution.left_share(rows.places)
    inverse = inverse_of(left)
    spread = np.sqrt(np.maximum(inverse.diagonal() - 1.0, 0.0))
    return roots * (inverse @ (residuals / roots)), roots * spread


def inverse_of(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive matrix, its pseudo-inverse if rounded.

    Rows that nothing but their group determines have the eigenvalue 0 but for rounding.
    """
    lower, info = lapack.dpotrf(matrix.T, lower=1)
    if info == 0 and lower.diagonal().min() > LEAST_PIVOT:
        inverse, _ = lapack.dpotri(lower, lower=1, overwrite_c=1)
        return np.tril(inverse) + np.tril(inverse, -1).T
    return linalg.pinvh(matrix, rtol=LEAST_PIVOT**2)


@dataclass
class LeftOut:
    """Residuals and deviations of rows that were left out with their group.

    Attributes
    ----------
    residuals, deviations, frames, shares : dict of str to ndarray of shape (n_rows,)
        By target: errors, standard deviations, the frame of every row, and what it
        counts: 1 for all rows of a group together, however many copies it has.
    """

    residuals: dict
    deviations: dict
    frames: dict
    shares: dict

    def errors(self) -> dict[str, float]:
        """Return the root mean square of the residuals of every target over groups."""
        return {
            name: float(np.sqrt(np.average(residuals**2, weights=self.shares[name])))
            for name, residuals in self.residuals.items()
            if self.shares[name].any()
        }

    def scales(self) -> dict[str, float]:
        """Return the factors that make standard deviations of every target right.

        As nearly as one number can, 68 % of the errors lie within one and 95 % within
        two standard deviations.
        """
        return {
            name: calibration_factor(
                residuals, self.deviations[name], self.shares[name]
            )
            for name, residuals in self.residuals.items()
        }


def calibration_factor(residuals, deviations, shares=None) -> float:
    """Return the factor with which standard deviations (n,) cover residuals (n,).

    1 where there is none. Rows without deviation, such as those of environments without
    features, do not count; ``shares`` (n,) are what the others count.
    """
    shares = np.ones(residuals.size) if shares is None else shares
    known = (deviations > 0.0) & (shares > 0.0)
    if not known.any():
        return 1.0
    ratios, shares = np.abs(residuals[known]) / deviations[known], shares[known]
    order = np.argsort(ratios)
    ratios = ratios[order]
    below = np.concatenate([[0.0], np.cumsum(shares[order]) / shares.sum()])
    middle = ratios[np.searchsorted(below[1:], COVERAGES[0])]
    factors = FACTORS * max(middle, np.finfo(float).tiny)
    covered = below[np.searchsorted(ratios, np.outer(factors, [1.0, 2.0]))]
    misses = (((covered - COVERAGES) / TOLERANCES) ** 2).sum(axis=1)
    return float(factors[misses.argmin()])


def scale_of(scales: dict[str, float], target: str) -> float:
    """Return the calibration factor of a target, any other one where it has none."""
    return scales.get(target, next(iter(scales.values()), 1.0))
