"""Noises and amplitudes of kernels that make the targets most probable.

Rows of targets y have the covariance

    K = K_0 + sum_k a_k^2 Phi_k Phi_k^T + S,

with the amplitude a_k of the weights of kernel k, and the noise variances S. With the
weights w of unit prior, their posterior covariance A^-1 and the residuals r, the
logarithm L of the probability has the derivatives

    dL/d(log a_k) = sum_{b in k} (w_b^2 + (A^-1)_bb - 1),
    dL/d(log s_t) = (r_t^2 + trace(A^-1 Phi_t^T Phi_t)) / s_t^2 - n_t

by amplitudes and by the noise of a target. Fewer rows than weights give the same from
K^-1 - K^-1 y y^T K^-1.

References
----------
C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT Press,
2006), Sec. 5.4.1. D. J. C. MacKay, Neural Comput. 4, 415 (1992).
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, optimize
from scipy.linalg import lapack

#: Prior standard deviations of the logarithms of amplitudes, and of noises about where
#: they start. Without the latter few rows are fitted exactly, which predicts worse.
SPREAD, NOISE_SPREAD = 2.0, 0.2
#: Limits of these logarithms, and of noises relative to where they start.
FARTHEST_AMPLITUDE, FARTHEST_NOISE = 9.0, 11.5
#: Gain of a step, relative to the loss, at which the search ends.
RESOLUTION = 1e-4
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
    """

    def __init__(self, matrix, values, kinds, columns):
        self.values, self.kinds = values, kinds
        self.kernels = [matrix[:, own] @ matrix[:, own].T for own in columns]
        fixed = without(matrix, columns)
        self.fixed = fixed @ fixed.T

    def subset(self, kind: int) -> RowEvidence:
        """Return the evidence of the rows of one kind."""
        own = np.flatnonzero(self.kinds == kind)
        part = object.__new__(RowEvidence)
        part.values, part.kinds = self.values[own], self.kinds[own]
        part.kernels = [kernel[np.ix_(own, own)] for kernel in self.kernels]
        part.fixed = self.fixed[np.ix_(own, own)]
        return part

    def loss(self, noises: np.ndarray, amplitudes: np.ndarray):
        """Return -L without constants, and its slopes by the logarithms.

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
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        by_row = (inverse.diagonal() - solved**2) * variances
        by_noise = np.bincount(self.kinds, by_row, noises.size)
        by_kernel = [
            amplitude**2 * (trace_of(inverse, kernel) - solved @ kernel @ solved)
            for amplitude, kernel in zip(amplitudes, self.kernels, strict=True)
        ]
        return float(loss), np.concatenate([by_noise, by_kernel])


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

    def subset(self, kind: int) -> WeightEvidence:
        """Return the evidence of the rows of one kind, with a place for every noise."""
        empty = [type(gram)(gram.rank) for gram in self.grams]
        empty[kind] = self.grams[kind]
        return WeightEvidence(empty, self.columns)

    def loss(self, noises: np.ndarray, amplitudes: np.ndarray):
        """Return -L without constants, and its slopes; see `RowEvidence.loss`."""
        rank = self.grams[0].rank
        scales = np.ones(rank)
        for own, amplitude in zip(self.columns, amplitudes, strict=True):
            scales[own] = amplitude
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
        inverse, _ = lapack.dpotri(factor, lower=1, overwrite_c=1)
        spread = weights**2 + inverse.diagonal() - 1.0
        by_kernel = [-spread[own].sum() for own in self.columns]
        own_weights = scales * weights
        inverse *= scales * scales[:, None]
        by_noise = []
        for gram, noise in pairs:
            loss += 0.5 * gram.square / noise**2 + gram.n_rows * np.log(noise)
            products = trace_of(inverse, gram.matrix)
            fitted = multiply(gram.matrix, own_weights)
            squares = gram.square + own_weights @ (fitted - 2.0 * gram.moment)
            by_noise.append(gram.n_rows - (squares + products) / noise**2)
        return float(loss), np.array([*by_noise, *by_kernel])


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
    for own in columns:
        kept[own] = False
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
    n_kernels = len(getattr(evidence, "kernels", None) or evidence.columns)
    start = np.concatenate([np.log(noises), np.zeros(n_kernels)])
    spreads = np.repeat([NOISE_SPREAD, SPREAD], [n_noises, n_kernels])
    reach = np.where(is_free, FARTHEST_NOISE, 0.0)
    reach = np.concatenate([reach, np.full(n_kernels, FARTHEST_AMPLITUDE)])
    known = None if condition is None else evidence.subset(condition)

    def loss(logarithms):
        own, amplitudes = np.split(np.exp(logarithms), [n_noises])
        try:
            value, slopes = evidence.loss(own, amplitudes)
            if known is not None:
                less, less_slopes = known.loss(own, amplitudes)
                value, slopes = value - less, slopes - less_slopes
        except linalg.LinAlgError:
            return UNRESOLVED, np.zeros(len(start))
        beyond = (logarithms - start) / spreads
        return value + 0.5 * beyond @ beyond, slopes + beyond / spreads

    found = optimize.minimize(
        loss,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=np.transpose([start - reach, start + reach]),
        options={"maxiter": 40, "ftol": RESOLUTION},
    )
    return np.split(np.exp(found.x), [n_noises])
