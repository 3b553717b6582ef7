"""Noises and amplitudes of kernels that make the targets most probable.

Rows of targets y have the covariance

    K = K_0 + sum_k a_k^2 Phi_k Phi_k^T + S,

with the amplitude a_k of the weights of kernel k, and the noise variances S. With the
weights w of unit prior, their posterior covariance A^-1 and the residuals r, the
logarithm L of the probability has the derivatives

    dL/d(log a_k) = sum_{b in k} (w_b^2 + (A^-1)_bb - 1),
    dL/d(log s_t) = (r_t^2 + trace(A^-1 Phi_t^T Phi_t)) / s_t^2 - n_t

by amplitudes and by the noise of a target. Fewer rows than weights give the same from
K^-1 - K^-1 y y^T K^-1. Second derivatives are those of y^T K^-1 y / 2 where these and
their expectation are averaged, the average information

    H_kl = v_k^T K^-1 v_l / 2,    v_k = dK/d(log of parameter k) K^-1 y,

which is never indefinite. With weights, v_k = 2 Phi_k w_k for amplitudes and 2 r_t for
noises.

References
----------
C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), Sec. 5.4.1. D. J. C. MacKay, Neural Comput. 4, 415 (1992). A. R. Gilmour, R.
Thompson, B. R. Cullis, Biometrics 51, 1440 (1995), for the average information.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

#: Prior standard deviations of the logarithms of amplitudes, and of noises about where
#: they start. Without the latter few rows are fitted exactly, which predicts worse.
SPREAD, NOISE_SPREAD = 2.0, 0.2
#: How far logarithms may be from where they start.
FARTHEST = 9.0
#: A search ends where a step is expected to lower the loss by less than this.
LEAST_GAIN = 1e-3
#: Steps of a search at the most, and the longest change of a logarithm in one.
MAX_STEPS, LONGEST_STEP = 60, 2.0
#: Damping of the first step that is damped, relative to H.
FIRST_DAMPING = 0.05
#: Rows per row of the thinned data that are searched first.
THINNING = 3
#: Stands for the loss where there are no digits left.
UNRESOLVED = 1e10
#: Noise variance over the largest covariance from which posterior covariances keep some
#: four digits: they are differences of numbers with sixteen.
DIGITS = 1e-12
#: Rounding of the normal equations that the unit prior bears.
LARGEST_ROUNDING = 0.1


class RowEvidence:
    """Probability of rows from their covariances, for fewer rows than weights.

    Parameters
    ----------
    matrix : ndarray of shape (n_rows, rank)
        Phi.
    values : ndarray of shape (n_rows,)
    kinds : ndarray of shape (n_rows,)
        Number of the noise of each row.
    columns : list of slice
        Weights of every kernel; those of none have the amplitude 1.
    parts : ndarray of shape (n_rows,)
        Number of what each row came with, such as its structure: thinned together.
    """

    def __init__(self, matrix, values, kinds, columns, parts):
        self.values, self.kinds, self.parts = values, kinds, parts
        self.kernels = [
            matrix[:, columns_of_kernel] @ matrix[:, columns_of_kernel].T
            for columns_of_kernel in columns
        ]
        fixed = without(matrix, columns)
        self.fixed = fixed @ fixed.T

    @property
    def n_kernels(self) -> int:
        """Number of kernels with an amplitude."""
        return len(self.kernels)

    def subset(self, kind: int) -> RowEvidence:
        """Return the evidence of the rows of one kind."""
        return self.take(np.flatnonzero(self.kinds == kind))

    def stages(self) -> list[RowEvidence]:
        """Return the evidences to maximise in turn: of some rows, then of all."""
        return [self.take(np.flatnonzero(self.parts % THINNING == 0)), self]

    def take(self, rows: np.ndarray) -> RowEvidence:
        """Return the evidence of some rows."""
        part = object.__new__(RowEvidence)
        part.values, part.kinds = self.values[rows], self.kinds[rows]
        part.parts = self.parts[rows]
        part.kernels = [kernel[np.ix_(rows, rows)] for kernel in self.kernels]
        part.fixed = self.fixed[np.ix_(rows, rows)]
        return part

    def loss(self, noises: np.ndarray, amplitudes: np.ndarray):
        """Return -L without constants, its slopes by the logarithms, and H.

        Raises
        ------
        numpy.linalg.LinAlgError
            Where noises are too small for the digits of the covariances.
        """
        covariance = self.fixed.copy()
        scaled = np.empty_like(covariance)
        for amplitude, kernel in zip(amplitudes, self.kernels, strict=True):
            covariance += np.multiply(kernel, amplitude**2, out=scaled)
        variances = noises[self.kinds] ** 2
        if variances.min() < DIGITS * covariance.diagonal().max():
            raise linalg.LinAlgError("the noise is lost to rounding")
        covariance[np.diag_indices_from(covariance)] += variances
        factor = cholesky(covariance)
        solved = linalg.cho_solve((factor, True), self.values, check_finite=False)
        loss = 0.5 * self.values @ solved + np.log(np.diag(factor)).sum()
        parts = [
            np.where(self.kinds == kind, variances * solved, 0.0)
            for kind in range(noises.size)
        ]
        parts += [
            amplitude**2 * (kernel @ solved)
            for amplitude, kernel in zip(amplitudes, self.kernels, strict=True)
        ]
        squares = np.array(parts) @ solved
        half = linalg.solve_triangular(factor, 2.0 * np.array(parts).T, lower=True)
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        traces = np.bincount(
            self.kinds, inverse.diagonal() * variances, noises.size
        ).tolist()
        traces += [
            amplitude**2 * trace_of(inverse, kernel)
            for amplitude, kernel in zip(amplitudes, self.kernels, strict=True)
        ]
        return float(loss), traces - squares, 0.5 * half.T @ half


class WeightEvidence:
    """Probability of rows from their sums, for fewer weights than rows.

    Parameters
    ----------
    grams : list of Gram
        One for each noise.
    columns : list of slice
        As in `RowEvidence`.
    """

    def __init__(self, grams, columns):
        self.grams, self.columns = grams, columns

    @property
    def n_kernels(self) -> int:
        """Number of kernels with an amplitude."""
        return len(self.columns)

    def subset(self, kind: int) -> WeightEvidence:
        """Return the evidence of the rows of one kind, with a place for every noise."""
        empty = [type(gram)(gram.rank) for gram in self.grams]
        empty[kind] = self.grams[kind]
        return WeightEvidence(empty, self.columns)

    def stages(self) -> list[WeightEvidence]:
        """Return the evidence to maximise: sums of all rows are as cheap as of some."""
        return [self]

    def loss(self, noises: np.ndarray, amplitudes: np.ndarray):
        """Return -L without constants, its slopes and H; see `RowEvidence.loss`."""
        rank = self.grams[0].rank
        scales = np.ones(rank)
        for columns, amplitude in zip(self.columns, amplitudes, strict=True):
            scales[columns] = amplitude
        pairs = list(zip(self.grams, noises, strict=True))
        matrix = sum(gram.matrix / noise**2 for gram, noise in pairs)
        moment = scales * sum(gram.moment / noise**2 for gram, noise in pairs)
        matrix *= scales * scales[:, None]
        matrix[np.diag_indices(rank)] += 1.0
        if matrix.diagonal().max() * np.finfo(float).eps > LARGEST_ROUNDING:
            raise linalg.LinAlgError("the unit prior is lost to rounding")
        factor = cholesky(matrix)
        weights = linalg.cho_solve((factor, True), moment, check_finite=False)
        loss = np.log(np.diag(factor)).sum() - 0.5 * moment @ weights
        own_weights = scales * weights
        misses, squares = [], []
        for gram, noise in pairs:
            loss += 0.5 * gram.square / noise**2 + gram.n_rows * np.log(noise)
            fitted = multiply(gram.matrix, own_weights)
            misses.append(scales * (gram.moment - fitted) / noise**2)
            squares.append(gram.square + own_weights @ (fitted - 2.0 * gram.moment))
        blocks = np.zeros((rank, len(self.columns)))
        for number, columns in enumerate(self.columns):
            blocks[columns, number] = weights[columns]
        squares = np.array(squares) / noises**2
        vectors = np.column_stack([*misses, blocks])
        half = linalg.solve_triangular(factor, vectors, lower=True)
        sign = np.repeat([1.0, -1.0], [noises.size, len(self.columns)])
        lengths = np.concatenate([squares, (blocks**2).sum(axis=0)])
        information = 2.0 * (np.diag(lengths) - np.outer(sign, sign) * (half.T @ half))
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        spread = weights**2 + inverse.diagonal() - 1.0
        by_kernel = [-spread[columns].sum() for columns in self.columns]
        inverse *= scales * scales[:, None]
        by_noise = [
            gram.n_rows - square - trace_of(inverse, gram.matrix) / noise**2
            for (gram, noise), square in zip(pairs, squares, strict=True)
        ]
        return float(loss), np.array([*by_noise, *by_kernel]), information


def cholesky(matrix: np.ndarray) -> np.ndarray:
    """Return the lower factor, zero above, of a symmetric matrix that is lost."""
    # the transpose of C order is Fortran order, which LAPACK takes as it is
    matrix = matrix if matrix.flags.f_contiguous else matrix.T
    return linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)


def trace_of(lower: np.ndarray, other: np.ndarray) -> float:
    """Return trace(M N) of symmetric M, zero above its diagonal here, and N."""
    below = np.vdot(lower.T, other.T)
    return float(2.0 * below - lower.diagonal() @ other.diagonal())


def multiply(lower: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Return a symmetric matrix, given as lower triangle, times a vector."""
    return np.tril(lower) @ vector + np.tril(lower, -1).T @ vector


def without(matrix: np.ndarray, columns) -> np.ndarray:
    """Return the columns of a matrix that belong to no kernel."""
    kept = np.ones(matrix.shape[1], bool)
    for columns_of_kernel in columns:
        kept[columns_of_kernel] = False
    return matrix[:, kept]


def most_probable(evidence, noises, is_free, condition: int | None = None):
    """Return the noises and amplitudes that make the targets most probable.

    Parameters
    ----------
    evidence : RowEvidence or WeightEvidence
    noises : ndarray of shape (n_noises,)
        To start from.
    is_free : ndarray of bool, shape (n_noises,)
        Which noises are varied.
    condition : int, optional
        Rows of this kind are taken as known: what counts is the probability of all
        others given these.

    Returns
    -------
    noises : ndarray of shape (n_noises,)
    amplitudes : ndarray of shape (n_kernels,)
    """
    n_noises = len(noises)
    n_kernels = evidence.n_kernels
    start = np.concatenate([np.log(noises), np.zeros(n_kernels)])
    spreads = np.repeat([NOISE_SPREAD, SPREAD], [n_noises, n_kernels])
    varied = np.flatnonzero(np.append(is_free, np.ones(n_kernels, bool)))
    logarithms = start.copy()
    for stage in evidence.stages():
        known = None if condition is None else stage.subset(condition)
        posterior = Posterior(stage, known, start, spreads, varied, n_noises)
        logarithms[varied] = posterior.maximise(logarithms[varied])
    return np.split(np.exp(logarithms), [n_noises])


class Posterior:
    """Minus the logarithm of the posterior by logarithms of noises and amplitudes.

    Parameters
    ----------
    evidence : RowEvidence or WeightEvidence
    known : RowEvidence, WeightEvidence or None
        What the evidence is conditioned on.
    start, spreads : ndarray of shape (n_noises + n_kernels,)
        Mean and standard deviation of the prior of logarithms.
    varied : ndarray of int
        Which logarithms are varied.
    n_noises : int
    """

    def __init__(self, evidence, known, start, spreads, varied, n_noises):
        self.evidence, self.known = evidence, known
        self.start, self.spreads, self.varied = start, spreads, varied
        self.n_noises = n_noises

    def maximise(self, logarithms: np.ndarray) -> np.ndarray:
        """Return the logarithms of the maximum near ``logarithms``.

        Newton steps with the average information H in place of second derivatives,
        none longer than `LONGEST_STEP`; H grows by a damping where a step has raised
        the loss, or lowered it by much less than expected.
        """
        loss, slopes, information = self.evaluate(logarithms)
        damping = 0.0
        for _ in range(MAX_STEPS):
            step = self.step(slopes, information, damping)
            expected = -slopes @ step - 0.5 * step @ information @ step
            if expected < LEAST_GAIN:
                break
            trial = self.evaluate(logarithms + step)
            gain = (loss - trial[0]) / expected
            if gain > 0.0:
                logarithms = logarithms + step
                loss, slopes, information = trial
            damping = (
                max(damping, FIRST_DAMPING) * 5.0 if gain < 0.25 else damping / 5.0
            )
        return logarithms

    @staticmethod
    def step(slopes, information, damping: float) -> np.ndarray:
        """Return minus the inverse of damped H times slopes, shortened if too long."""
        values, vectors = np.linalg.eigh(information)
        # the condition may make H indefinite, to which the prior puts an end
        values = np.maximum(values, SPREAD**-2.0) * (1.0 + damping) + damping
        step = -vectors @ ((slopes @ vectors) / values)
        return step * min(1.0, LONGEST_STEP / np.abs(step).max(initial=LONGEST_STEP))

    def evaluate(self, varied: np.ndarray) -> tuple:
        """Return the loss, its slopes, and H, of the logarithms that are varied."""
        logarithms = self.start.copy()
        logarithms[self.varied] = varied
        beyond = (logarithms - self.start) / self.spreads
        try:
            if np.abs(logarithms - self.start).max() > FARTHEST:
                raise linalg.LinAlgError("noises or amplitudes are out of reach")
            values = np.split(np.exp(logarithms), [self.n_noises])
            parts = [self.evidence.loss(*values)]
            if self.known is not None:
                parts.append([-part for part in self.known.loss(*values)])
        except linalg.LinAlgError:
            return UNRESOLVED, np.zeros(self.varied.size), np.eye(self.varied.size)
        loss, slopes, information = (sum(part) for part in zip(*parts, strict=True))
        loss += 0.5 * beyond @ beyond
        slopes = slopes + beyond / self.spreads
        information = information + np.diag(self.spreads**-2.0)
        block = information[np.ix_(self.varied, self.varied)]
        return loss, slopes[self.varied], block
