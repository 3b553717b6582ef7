"""Sparse points: which environments represent all others.

Own loops rather than scikit-matter's, which pins an older scikit-learn; it serves as an
oracle in tests. All selectors are greedy and deterministic, never pick a point twice
and stop when nothing new is left.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_array

from lodekit.kernels.selection import farthest_points


def check_points(points) -> np.ndarray:
    """Return points as an array of doubles, (n_points, n_features).

    Raises
    ------
    ValueError
        For other shapes, complex numbers, and numbers that are not finite.
    TypeError
        For sparse matrices.
    """
    return check_array(
        points,
        dtype=np.float64,
        order="C",
        ensure_min_samples=0,
        ensure_min_features=0,
        input_name="points",
    )


class FarthestPointSelection(BaseEstimator):
    """Pick the point farthest from all points picked before.

    References
    ----------
    Y. Eldar, M. Lindenbaum, M. Porat, Y. Zeevi, IEEE Trans. Image Process. 6, 1305
    (1997).
    """

    def select(self, points: np.ndarray, n_select: int) -> np.ndarray:
        """Return indices of at most ``n_select`` rows of ``points``.

        The first is the one farthest from the mean. Fewer come back where all remaining
        rows are copies of picked ones.
        """
        points = check_points(points)
        if len(points) == 0 or n_select < 1:
            return np.zeros(0, dtype=np.intp)
        offsets = points - points.mean(axis=0)
        first = int(np.einsum("pf,pf->p", offsets, offsets).argmax())
        return farthest_points(points, min(n_select, len(points)), first)[0]


class CurSelection(BaseEstimator):
    """Pick by leverage scores, projecting out each picked row (CUR decomposition).

    Parameters
    ----------
    n_vectors : int
        Number of leading singular vectors whose weights make the score.

    References
    ----------
    M. W. Mahoney, P. Drineas, Proc. Natl. Acad. Sci. USA 106, 697 (2009);
    G. Imbalzano et al., J. Chem. Phys. 148, 241730 (2018).
    """

    #: Every pick takes a direction away; there are no more picks than directions.
    ends_at_rank = True

    def __init__(self, n_vectors=1):
        self.n_vectors = n_vectors

    def select(self, points: np.ndarray, n_select: int) -> np.ndarray:
        """Return indices of at most ``n_select`` rows of ``points``."""
        points = check_points(points)
        remainder = points.copy()
        largest = np.einsum("pf,pf->p", remainder, remainder).max(initial=0.0)
        chosen = []
        while len(chosen) < min(n_select, len(points)):
            scores = leverage_scores(remainder, self.n_vectors)
            scores[chosen] = -1.0
            pick = int(scores.argmax())
            row = remainder[pick].copy()
            square = row @ row
            if square <= 1e-24 * largest:
                break
            chosen.append(pick)
            remainder -= np.outer(remainder @ row / square, row)
        return np.array(chosen, dtype=np.intp)


def leverage_scores(points: np.ndarray, n_vectors: int) -> np.ndarray:
    """Return the weight of every row in the leading left singular vectors.

    Fewer count where the rank is smaller: a null vector says nothing about rows.
    """
    is_wide = points.shape[0] <= points.shape[1]
    product = points @ points.T if is_wide else points.T @ points
    squares, vectors = np.linalg.eigh(product)
    squares, vectors = squares[-n_vectors:], vectors[:, -n_vectors:]
    kept = squares > 1e-12 * squares.max(initial=0.0)
    left = vectors[:, kept]
    if not is_wide:
        left = points @ (left / np.sqrt(squares[kept]))
    return (left**2).sum(axis=1)


class PivotedCholeskySelection(BaseEstimator):
    """Pick the point whose value is least determined by those picked before.

    Greedy maximisation of the conditional variance 1 - k K^-1 k of a linear covariance.

    References
    ----------
    H. Harbrecht, M. Peters, R. Schneider, Appl. Numer. Math. 62, 428 (2012).
    """

    ends_at_rank = True

    def select(self, points: np.ndarray, n_select: int) -> np.ndarray:
        """Return indices of at most ``n_select`` rows of ``points``."""
        points = check_points(points)
        variances = np.einsum("pf,pf->p", points, points)
        floor = 1e-14 * variances.max(initial=0.0)
        columns = np.empty((min(n_select, len(points)), len(points)))
        chosen = []
        for count in range(len(columns)):
            pick = int(variances.argmax())
            if variances[pick] <= floor:
                break
            column = points @ points[pick] - columns[:count].T @ columns[:count, pick]
            columns[count] = column / np.sqrt(variances[pick])
            variances -= columns[count] ** 2
            variances[pick] = -1.0
            chosen.append(pick)
        return np.array(chosen, dtype=np.intp)
