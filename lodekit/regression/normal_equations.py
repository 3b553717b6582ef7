"""Streamed ridge regression in feature-map space: weights with a unit Gaussian prior.

The rows Phi are already whitened (K_MM is the identity there), so that the normal
equations lose no digits to an ill-conditioned K_MM. With noise s_t of target t,

    A w = sum_t Phi_t^T y_t / s_t^2,    A = 1 + sum_t Phi_t^T Phi_t / s_t^2,

and A^-1 is the posterior covariance of the weights.

References
----------
C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), Sec. 2.1 and 5.4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import linalg
from scipy.linalg import blas, lapack

from .evidence import LARGEST_ROUNDING, WeightEvidence
from .rounding import enough_bits, round_bits

#: Relative change of standard deviations that does not matter.
LEAST_CHANGE = 1e-2


@dataclass
class Gram:
    """Running sums of one target: Phi^T Phi, Phi^T y and y^T y.

    Attributes
    ----------
    rank : int
        Number of weights.
    matrix : ndarray of shape (rank, rank)
        Phi^T Phi, lower triangle, Fortran order.
    moment : ndarray of shape (rank,)
        Phi^T y.
    square : float
        y^T y.
    n_rows : int
        Number of rows folded in.
    log_weights : float
        Sum of the logarithms of the row weights.
    """

    rank: int
    matrix: np.ndarray = field(init=False)
    moment: np.ndarray = field(init=False)
    square: float = 0.0
    n_rows: int = 0
    log_weights: float = 0.0

    def __post_init__(self):
        """Start with sums of nothing."""
        self.matrix = np.zeros((self.rank, self.rank), order="F")
        self.moment = np.zeros(self.rank)

    def add(self, rows: np.ndarray, values: np.ndarray, weights=None) -> None:
        """Fold in rows of shape (n_rows, rank) with targets of shape (n_rows,).

        ``weights`` (n_rows,) multiply the inverse noise variance of each row.
        """
        if len(values) == 0:
            return
        if weights is not None:
            root = np.sqrt(weights)
            rows, values = rows * root[:, None], values * root
            self.log_weights += float(np.log(weights).sum())
        rows = np.ascontiguousarray(rows)
        blas.dsyrk(1.0, rows.T, 1.0, self.matrix, lower=1, overwrite_c=1)
        self.moment += rows.T @ values
        self.square += float(values @ values)
        self.n_rows += len(values)

    def weigh_again(self, rows, before: np.ndarray, after: np.ndarray) -> None:
        """Give rows that were folded in other weights than before, (n_rows,)."""
        matrix, values = np.ascontiguousarray(rows.matrix), rows.values
        for sign, weights in ((1.0, after), (-1.0, before)):
            scaled = matrix * np.sqrt(weights)[:, None]
            blas.dsyrk(sign, scaled.T, 1.0, self.matrix, lower=1, overwrite_c=1)
        change = after - before
        self.moment += matrix.T @ (change * values)
        self.square += float(change @ values**2)
        self.log_weights += float(np.log(after / before).sum())


@dataclass
class Solution:
    """Posterior of the weights.

    Attributes
    ----------
    weights : ndarray of shape (rank,)
        Posterior mean.
    factor : ndarray of shape (rank, rank)
        Lower Cholesky factor of A; the posterior covariance is A^-1.
    """

    weights: np.ndarray
    factor: np.ndarray

    def with_weights(self, weights: np.ndarray) -> Solution:
        """Return the same covariance of other weights."""
        return Solution(weights, self.factor)

    def part(self, columns: np.ndarray) -> Solution:
        """Return the posterior of some weights, whatever the others are.

        With these weights last, the end of the factor of A is that of their own A. No
        covariance is inverted, which loses what the data say where A is badly
        conditioned.
        """
        last = np.isin(np.arange(len(self.weights)), columns)
        order = np.concatenate((np.flatnonzero(~last), columns))
        upper = linalg.qr(self.factor[order].T, mode="r", check_finite=False)[0]
        factor = upper[len(order) - len(columns) :, len(order) - len(columns) :]
        factor *= np.where(factor.diagonal() < 0.0, -1.0, 1.0)[:, None]
        return Solution(self.weights[columns], np.asfortranarray(factor.T))

    def rounded(self) -> Solution:
        """Return the posterior with fewer digits of its factor.

        Standard deviations change by less than `LEAST_CHANGE`.
        """
        n_bits = enough_bits(LEAST_CHANGE / np.sqrt(self.condition_number))
        factor = np.asfortranarray(round_bits(self.factor, n_bits))
        return Solution(self.weights, factor)

    @cached_property
    def condition_number(self) -> float:
        """Condition number of A: its extreme eigenvalues by power iteration."""
        return largest_eigenvalue(self.factor) * largest_inverse_eigenvalue(self.factor)

    @cached_property
    def effective_rank(self) -> float:
        """Number of directions that the data determine, trace(1 - A^-1)."""
        inverse, info = lapack.dtrtri(self.factor, lower=1)
        if info:
            raise linalg.LinAlgError("the factor of the normal equations is singular")
        return float(len(self.weights) - np.einsum("ab,ab->", inverse, inverse))

    def apply_covariance(self, vectors: np.ndarray) -> np.ndarray:
        """Return A^-1 times ``vectors`` (rank, n)."""
        return linalg.cho_solve((self.factor, True), vectors, check_finite=False)

    def draw(self, n_members: int, random_state) -> np.ndarray:
        """Return deviations of posterior samples from the mean, (rank, n_members)."""
        return draw_deviations(self.factor, n_members, random_state)

    def standard_deviations(self, rows: np.ndarray) -> np.ndarray:
        """Return posterior standard deviations of ``rows`` (n, rank) times w."""
        solved = linalg.solve_triangular(
            self.factor, rows.T, lower=True, check_finite=False
        )
        return np.sqrt(np.einsum("an,an->n", solved, solved))


def draw_deviations(factor: np.ndarray, n_members: int, random_state) -> np.ndarray:
    """Return L^-T z with z standard normal, (rank, n_members)."""
    noise = random_state.normal(size=(len(factor), n_members))
    members = linalg.solve_triangular(factor, noise, lower=True, trans="T")
    return np.ascontiguousarray(members)


def largest_eigenvalue(factor: np.ndarray, n_steps: int = 30) -> float:
    """Return the largest eigenvalue of L L^T by power iteration."""
    vector = np.random.default_rng(0).normal(size=len(factor))
    value = 0.0
    for _ in range(n_steps):
        vector /= np.linalg.norm(vector)
        vector = factor @ (factor.T @ vector)
        value = np.linalg.norm(vector)
    return float(value)


def largest_inverse_eigenvalue(factor: np.ndarray, n_steps: int = 30) -> float:
    """Return the largest eigenvalue of (L L^T)^-1 by power iteration."""
    vector = np.random.default_rng(0).normal(size=len(factor))
    value = 0.0
    for _ in range(n_steps):
        vector /= np.linalg.norm(vector)
        vector = linalg.cho_solve((factor, True), vector, check_finite=False)
        value = np.linalg.norm(vector)
    return float(value)


def solve_normal_equations(
    grams: dict[str, Gram], noises: dict[str, float]
) -> Solution:
    """Return the posterior of the weights for given noise levels.

    Parameters
    ----------
    grams : dict of str to Gram
        One for each target.
    noises : dict of str to float
        Standard deviation of each target's noise, in the units of its rows.

    Raises
    ------
    numpy.linalg.LinAlgError
        If A is not positive definite, which only non-finite or absurdly scaled rows do.
    """
    matrix, moment = weighted_sums(grams, noises)
    try:
        factor = linalg.cholesky(
            matrix, lower=True, overwrite_a=True, check_finite=False
        )
    except linalg.LinAlgError as error:
        raise linalg.LinAlgError(
            "the normal equations are not positive definite; raise the noise "
            f"({', '.join(f'{k} = {v:g}' for k, v in noises.items())}), "
            "or use solver='qr'"
        ) from error
    weights = linalg.cho_solve((factor, True), moment, check_finite=False)
    return Solution(weights, factor)


class NormalEquations:
    """Normal equations of several targets, with the interface of `DualEquations`.

    Parameters
    ----------
    rank : int
        Number of weights.
    names : iterable of str
        Targets.
    """

    def __init__(self, rank: int, names):
        self.rank = rank
        self.grams = {name: Gram(rank) for name in names}

    def add(self, name: str, rows: np.ndarray, values: np.ndarray, weights=None):
        """Fold in rows (n_rows, rank) of one target; see `Gram.add`."""
        self.grams[name].add(rows, values, weights)

    def weigh_again(self, name: str, rows, before, after) -> None:
        """Give `Rows` of one target other weights than before, (n_rows,)."""
        self.grams[name].weigh_again(rows, before, after)

    def solve(self, noises: dict[str, float]) -> Solution:
        """Return the posterior for given noises; see `solve_normal_equations`."""
        return solve_normal_equations(self.grams, noises)

    def bear(self, noises: dict[str, float]) -> bool:
        """Return whether noises leave digits for the unit prior."""
        grams = self.grams.items()
        diagonal = sum(np.diag(gram.matrix) / noises[name] ** 2 for name, gram in grams)
        return bool(diagonal.max() * np.finfo(float).eps <= LARGEST_ROUNDING)

    def evidence(self, names: list, columns: list) -> WeightEvidence:
        """Return the evidence of the rows, of which every name has a noise."""
        return WeightEvidence([self.grams[name] for name in names], columns)

    def scale(self, scales: np.ndarray) -> None:
        """Multiply the column of every weight, (rank,)."""
        for gram in self.grams.values():
            gram.matrix *= scales * scales[:, None]
            gram.moment *= scales

    def n_rows(self) -> dict[str, int]:
        """Return the number of rows of every target."""
        return {name: gram.n_rows for name, gram in self.grams.items()}

    def merge(self, other: NormalEquations) -> None:
        """Add the sums of other rows of the same targets."""
        for name, gram in other.grams.items():
            sums = self.grams[name]
            sums.matrix += gram.matrix
            sums.moment += gram.moment
            sums.square += gram.square
            sums.n_rows += gram.n_rows
            sums.log_weights += gram.log_weights

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return the sums by name, for `set_arrays`."""
        arrays = {}
        for name, gram in self.grams.items():
            arrays[f"{name}/matrix"] = gram.matrix
            arrays[f"{name}/moment"] = gram.moment
            numbers = gram.square, gram.n_rows, gram.log_weights
            arrays[f"{name}/numbers"] = np.array(numbers, float)
        return arrays

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over sums from `get_arrays`."""
        for name, gram in self.grams.items():
            gram.matrix = np.asfortranarray(arrays[f"{name}/matrix"])
            gram.moment = arrays[f"{name}/moment"]
            gram.square, n_rows, gram.log_weights = arrays[f"{name}/numbers"].tolist()
            gram.n_rows = int(n_rows)


def weighted_sums(grams, noises) -> tuple[np.ndarray, np.ndarray]:
    """Return A (lower triangle) and the right-hand side."""
    rank = next(iter(grams.values())).rank
    matrix = np.zeros((rank, rank), order="F")
    moment = np.zeros(rank)
    for name, gram in grams.items():
        matrix += gram.matrix / noises[name] ** 2
        moment += gram.moment / noises[name] ** 2
    matrix[np.diag_indices(rank)] += 1.0
    return matrix, moment


class QrEquations:
    """Ridge regression by a running QR decomposition, for rows of any condition.

    Keeps R of [1; Phi / s] and Q^T y, and rows until there are as many as weights;
    twice the work of the normal equations, and no squared condition number.

    Parameters
    ----------
    rank : int
        Number of weights.
    noises : dict of str to float
        Noise of every target, which is needed from the first row on.
    """

    def __init__(self, rank: int, noises: dict[str, float]):
        self.noises = noises
        self.triangle = np.eye(rank)
        self.projected = np.zeros(rank)
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.counts = dict.fromkeys(noises, 0)

    def add(self, name: str, rows: np.ndarray, values: np.ndarray, weights=None):
        """Add rows (n_rows, rank) of one target; see `Gram.add`."""
        roots = np.ones(len(values)) if weights is None else np.sqrt(weights)
        roots = roots / self.noises[name]
        self.waiting.append((rows * roots[:, None], values * roots))
        self.counts[name] += len(values)
        if sum(len(values) for _, values in self.waiting) >= len(self.triangle):
            self.fold()

    def fold(self) -> None:
        """Decompose the rows that wait, together with R."""
        if not self.waiting:
            return
        rows, values = zip(*self.waiting, strict=True)
        self.waiting = []
        orthogonal, self.triangle = linalg.qr(
            np.vstack([self.triangle, *rows]),
            mode="economic",
            overwrite_a=True,
            check_finite=False,
        )
        self.projected = orthogonal.T @ np.concatenate([self.projected, *values])

    def solve(self, noises: dict[str, float]) -> Solution:
        """Return the posterior of the weights.

        Raises
        ------
        ValueError
            For other noises than those of the rows.
        """
        if noises != self.noises:
            raise ValueError(f"rows were added with {self.noises}, not {noises}")
        self.fold()
        weights = linalg.solve_triangular(self.triangle, self.projected)
        signs = np.sign(np.diag(self.triangle))
        return Solution(weights, np.asfortranarray((self.triangle * signs[:, None]).T))

    def n_rows(self) -> dict[str, int]:
        """Return the number of rows of every target."""
        return dict(self.counts)

    def get_arrays(self) -> dict[str, np.ndarray]:
        """Return the decomposed rows, for `set_arrays`."""
        self.fold()
        counts = np.array(list(self.counts.values()))
        projected = self.projected
        return {"triangle": self.triangle, "projected": projected, "counts": counts}

    def set_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take over what `get_arrays` returned."""
        self.triangle, self.projected = arrays["triangle"], arrays["projected"]
        self.counts = dict(zip(self.counts, arrays["counts"].tolist(), strict=True))
