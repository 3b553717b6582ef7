"""Ridge regression in the space of rows: for fewer rows than weights.

The same posterior as that of the normal equations, from the covariances K = Phi Phi^T
of the rows with each other. With the noise variances S of the rows,

    w = Phi^T (K + S)^-1 y,    A^-1 = 1 - Phi^T (K + S)^-1 Phi.

References
----------
C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), Sec. 2.1.2 and 2.2.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from .evidence import RowEvidence
from .normal_equations import Solution, largest_eigenvalue
from .rounding import enough_bits, round_bits

#: Errors of rows that do not matter, in units of their noise.
LEAST_NOISE = 1e-3
#: Columns of rows that are multiplied at once.
COLUMNS = 128
#: Rows that decide on noises and amplitudes, the cost of which grows with their cube.
MAX_ROWS = 2000


@dataclass
class DualSolution:
    """Posterior of the weights.

    Attributes
    ----------
    weights : ndarray of shape (rank,)
        Posterior mean.
    rows : ndarray of shape (n_rows, rank)
        Phi.
    variances : ndarray of shape (n_rows,)
        Diagonal of S.
    """

    weights: np.ndarray
    rows: np.ndarray
    variances: np.ndarray

    @cached_property
    def factor(self) -> np.ndarray:
        """Lower Cholesky factor L of K + S, (n_rows, n_rows)."""
        return factorise(row_covariances(self.rows), self.variances)

    def with_weights(self, weights: np.ndarray) -> DualSolution:
        """Return the same covariance of other weights."""
        other = copy(self)
        other.weights, other.factor = weights, self.factor
        return other

    def part(self, columns: np.ndarray) -> Solution | DualSolution:
        """Return the posterior of some weights, whatever the others are.

        To these, what the others explain is noise, with the covariance S + Phi' Phi'^T:
        rows are divided by its Cholesky factor, and have noise 1. Where there are more
        rows than these weights, they are summed.
        """
        others = np.delete(self.rows, columns, axis=1)
        noise = factorise(row_covariances(others), self.variances)
        rows = linalg.solve_triangular(noise, self.rows[:, columns], lower=True)
        weights = self.weights[columns]
        if len(rows) < len(columns):
            return DualSolution(weights, rows, np.ones(len(rows)))
        factor = linalg.cholesky(np.eye(len(columns)) + rows.T @ rows, lower=True)
        return Solution(weights, np.asfortranarray(factor))

    def rounded(self) -> DualSolution:
        """Return the posterior of rows with fewer digits, half as large in a file.

        Rounding changes a row by less than `LEAST_NOISE` times its noise.
        """
        largest = np.abs(self.rows).max(axis=1, initial=0.0)
        errors = LEAST_NOISE * np.sqrt(self.variances) / np.maximum(largest, 1e-300)
        n_bits = enough_bits(errors.min(initial=1.0))
        return DualSolution(self.weights, round_bits(self.rows, n_bits), self.variances)

    @cached_property
    def precision(self) -> np.ndarray:
        """Lower triangle of (K + S)^-1, (n_rows, n_rows).

        Raises
        ------
        numpy.linalg.LinAlgError
            If the covariance is singular.
        """
        inverse, info = lapack.dpotri(self.factor, lower=1)
        if info:
            raise linalg.LinAlgError("the covariance of the rows is singular")
        return inverse

    def left_share(self, places: np.ndarray) -> np.ndarray:
        """Return the share of some rows that the fit leaves in their own values.

        Parameters
        ----------
        places : ndarray of shape (n,)

        Returns
        -------
        share : ndarray of shape (n, n)
            1 - S^-1/2 Phi A^-1 Phi^T S^-1/2 = S^1/2 (K + S)^-1 S^1/2 of these rows.
        """
        lower = np.tril(self.precision[np.ix_(places, places)])
        whole = lower + np.tril(lower, -1).T
        roots = np.sqrt(self.variances[places])
        return whole * roots * roots[:, None]

    @cached_property
    def effective_rank(self) -> float:
        """Number of directions that the data determine, trace(1 - A^-1)."""
        return float(np.sum(1.0 - self.precision.diagonal() * self.variances))

    @cached_property
    def condition_number(self) -> float:
        """Condition number of A, whose least eigenvalue is 1 with so few rows."""
        return largest_eigenvalue(self.factor / np.sqrt(self.variances)[:, None])

    def apply_covariance(self, vectors: np.ndarray) -> np.ndarray:
        """Return A^-1 times ``vectors`` (rank, n)."""
        known = linalg.cho_solve((self.factor, True), self.rows @ vectors)
        return vectors - self.rows.T @ known

    def draw(self, n_members: int, random_state) -> np.ndarray:
        """Return deviations of posterior samples from the mean, (rank, n_members).

        A sample of the prior, less what rows of it with a sample of the noise say
        (Matheron's rule).

        References
        ----------
        J. T. Wilson et al., J. Mach. Learn. Res. 22, 105 (2021), Eq. 9.
        """
        prior = random_state.normal(size=(self.weights.size, n_members))
        noise = random_state.normal(size=(len(self.rows), n_members))
        misses = self.rows @ prior + np.sqrt(self.variances)[:, None] * noise
        solved = linalg.cho_solve((self.factor, True), misses)
        return np.ascontiguousarray(prior - self.rows.T @ solved)

    def standard_deviations(self, rows: np.ndarray) -> np.ndarray:
        """Return posterior standard deviations of ``rows`` (n, rank) times w."""
        variances = np.einsum("nw,nw->n", rows, rows)
        known = linalg.solve_triangular(self.factor, self.rows @ rows.T, lower=True)
        variances -= np.einsum("rn,rn->n", known, known)
        return np.sqrt(np.maximum(variances, 0.0))  # differences of rounded numbers


class DualEquations:
    """Rows that are kept, and their covariances with each other.

    Parameters
    ----------
    rank : int
        Number of weights.
    """

    def __init__(self, rank: int):
        self.rank = rank
        self.matrix = np.empty((0, rank))
        self.covariance = np.empty((0, 0))  # of the first rows, as far as known
        self.values: list = []
        self.names: list = []
        self.parts: list = []  # number of each row's part among those of its name
        self.n_parts: dict[str, int] = {}
        self._waiting: list = []

    def add(self, name: str, rows: np.ndarray, values: np.ndarray, weights=None):
        """Add rows (n_rows, rank) of a target with values of shape (n_rows,).

        ``weights`` (n_rows,) multiply the inverse noise variance of each row. Returns
        the numbers of the rows among all.
        """
        places = np.arange(len(self.values), len(self.values) + len(values))
        if weights is not None:
            root = np.sqrt(weights)
            rows, values = rows * root[:, None], values * root
        self._waiting.append(rows)
        self.values.extend(values)
        self.names.extend([name] * len(values))
        number = self.n_parts.get(name, 0)
        self.n_parts[name] = number + 1
        self.parts.extend([number] * len(values))
        return places

    def weigh_again(self, name: str, rows, before, after) -> None:
        """Give `Rows` of one target other weights than before, (n_rows,)."""
        self._gather()
        roots = np.sqrt(after / before)
        self.matrix[rows.places] *= roots[:, None]
        for place, root in zip(rows.places.tolist(), roots.tolist(), strict=True):
            self.values[place] *= root
        self.covariance = np.empty((0, 0))

    def solve(self, noises: dict[str, float]) -> DualSolution:
        """Return the posterior of the weights for given noise levels.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the covariance is not positive definite, which only a noise too small for
            the digits of the rows does.
        """
        factor = self._factor(noises)
        solved = linalg.cho_solve((factor, True), np.array(self.values))
        weights = self.matrix.T @ solved
        solution = DualSolution(weights, self.matrix, self.variances(noises))
        solution.factor = factor
        return solution

    def bear(self, noises: dict[str, float]) -> bool:
        """Return whether noises leave digits: a factorisation tells, in `solve`."""
        return all(noise > 0.0 for noise in noises.values())

    def evidence(self, names: list, columns: list) -> RowEvidence:
        """Return the evidence of the rows, of which every name has a noise.

        Of more than `MAX_ROWS` rows it takes every second part that was added of each
        name, or every third, and so on.
        """
        self._gather()
        step = -(-len(self.names) // MAX_ROWS)
        parts = np.array(self.parts)
        chosen = np.flatnonzero(parts % step == 0)
        kinds = np.array([names.index(self.names[row]) for row in chosen])
        values = np.array(self.values)[chosen]
        matrix = self.matrix if step == 1 else self.matrix[chosen]
        return RowEvidence(matrix, values, kinds, columns, parts[chosen] // step)

    def scale(self, scales: np.ndarray) -> None:
        """Multiply the column of every weight, (rank,)."""
        self._gather()
        self.matrix *= scales
        self.covariance = np.empty((0, 0))

    def residuals(self, weights: np.ndarray) -> np.ndarray:
        """Return the residuals of the values at some weights, (n_rows,)."""
        self._gather()
        return np.array(self.values) - self.matrix @ weights

    def shifted(self, weights: np.ndarray) -> DualEquations:
        """Return the same rows, with what weights leave of their values."""
        misses = self.residuals(weights)
        self._grow()
        made = copy(self)
        made.values = misses.tolist()
        return made

    @property
    def squares(self) -> np.ndarray:
        """Lengths of the rows, squared, (n_rows,)."""
        self._gather()
        return np.einsum("rw,rw->r", self.matrix, self.matrix)

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return the rows, for `set_arrays`."""
        self._gather()
        return {
            "matrix": self.matrix,
            "values": np.array(self.values),
            "names": np.array(self.names),
            "parts": np.array(self.parts),
        }

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over rows from `get_arrays`."""
        self.matrix, self.values = arrays["matrix"], arrays["values"].tolist()
        self.names, self.parts = arrays["names"].tolist(), arrays["parts"].tolist()
        for name, part in zip(self.names, self.parts, strict=True):
            self.n_parts[name] = part + 1

    def n_rows(self) -> dict[str, int]:
        """Return the number of rows of every target."""
        names, counts = np.unique(self.names, return_counts=True)
        return dict(zip(names.tolist(), counts.tolist(), strict=True))

    def _factor(self, noises) -> np.ndarray:
        """Return the lower Cholesky factor of K + S."""
        self._gather()
        self._grow()
        try:
            return factorise(self.covariance.copy(), self.variances(noises))
        except linalg.LinAlgError as error:
            raise linalg.LinAlgError(
                "the covariance of the rows is not positive definite; raise the noise "
                f"({', '.join(f'{k} = {v:g}' for k, v in noises.items())})"
            ) from error

    def variances(self, noises: dict) -> np.ndarray:
        """Return the noise variance of every row."""
        return np.array([noises[name] ** 2 for name in self.names])

    def _gather(self) -> None:
        """Take the waiting rows into the matrix."""
        if self._waiting:
            self.matrix = np.concatenate([self.matrix, *self._waiting])
            self._waiting = []

    def _grow(self) -> None:
        """Add the covariances of rows that came after those known."""
        known = len(self.covariance)
        if known < len(self.matrix):
            old, new = self.matrix[:known], self.matrix[known:]
            cross = old @ new.T
            covariance = np.block([[self.covariance, cross], [cross.T, new @ new.T]])
            self.covariance = covariance


def factorise(covariances: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Return the lower Cholesky factor of K + S; K is overwritten."""
    covariances[np.diag_indices_from(covariances)] += variances
    return linalg.cholesky(
        covariances, lower=True, overwrite_a=True, check_finite=False
    )


def row_covariances(rows: np.ndarray) -> np.ndarray:
    """Return K = Phi Phi^T, (n_rows, n_rows).

    Rows of charges are zero in the columns of other elements, which are left out.
    """
    covariances = np.zeros((len(rows), len(rows)))
    for start in range(0, rows.shape[1], COLUMNS):
        columns = rows[:, start : start + COLUMNS]
        present = np.flatnonzero(columns.any(axis=1))
        columns = columns[present]
        covariances[np.ix_(present, present)] += columns @ columns.T
    return covariances
