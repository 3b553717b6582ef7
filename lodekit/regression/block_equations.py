"""Dense equations of weights in blocks, with residuals measured in a metric.

With Psi w the values of a structure, c what is fitted, its metric M, and a prior
precision D of every weight,

    H w + s D w = b,   H = sum Psi^T M Psi,   b = sum Psi^T M c.

Psi has rank nonzero columns in every row, those of the channel of the row. The
contraction over atoms and components of one of two blocks comes last,

    H[n r, n' r'] = sum_im Phi_i[m, r] T_im[n, n', r'],
    T_im[n, n', r'] = sum_jm' M[i n m, j n' m'] Phi_j[m', r'],

and takes a number of operations that is smaller by the number of channels than that of
products of whole rows.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy import linalg
from scipy.linalg import blas

from .block_layout import BlockLayout, StructureRows
from .block_posterior import BlockPosterior

#: Numbers of T that are held at once.
LARGEST_PART = 2**24


class BlockEquations:
    """H and b of structures, added a few at a time.

    Parameters
    ----------
    layout : BlockLayout
    precisions : dict of key to ndarray of shape (n_channels,)
        D, of every channel.
    """

    def __init__(self, layout: BlockLayout, precisions: dict):
        self.layout = layout
        self.precisions = layout.per_channel(precisions)
        self.posterior = BlockPosterior(layout, precisions)
        # the triangle that LAPACK calls lower is the upper one of a C-ordered array
        self.matrix = np.zeros((layout.size, layout.size))
        self.moment = np.zeros(layout.size)

    @staticmethod
    def bytes_needed(n_weights: int) -> int:
        """Return the memory for H and its factor."""
        return 2 * 8 * n_weights**2

    def add(self, rows: StructureRows) -> None:
        """Add the rows of structures of one composition."""
        keys = [key for key in self.layout.shapes if key in rows.places]
        for number, first in enumerate(keys):
            for second in keys[number:]:
                self.add_pair(rows, first, second)
        self.moment += self.layout.join(rows.project(rows.weigh(rows.values)))
        self.posterior.add(rows)

    def add_pair(self, rows: StructureRows, first, second) -> None:
        """Add the product of two blocks; the one with fewer rows is contracted last."""
        sizes = {key: rows.places[key][:, 0].size for key in (first, second)}
        outer, inner = (first, second)
        if sizes[first] > sizes[second]:
            outer, inner = second, first
        (n_outer, rank), (n_inner, n_columns) = (
            self.layout.shapes[key] for key in (outer, inner)
        )
        per_structure = sizes[outer] * n_outer * n_inner * max(n_columns, sizes[inner])
        step = max(1, LARGEST_PART // per_structure)
        product = 0.0
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            flat = rows.features[outer][part].reshape(-1, rank)
            product = product + flat.T @ self.contract(rows, outer, inner, part)
        product = product.reshape(rank, n_outer, n_inner, n_columns)
        product = product.swapaxes(0, 1).reshape(n_outer * rank, -1)
        if outer != first:
            product = product.T
        self.matrix[self.layout.slices[first], self.layout.slices[second]] += product

    @staticmethod
    def contract(rows: StructureRows, outer, inner, part: slice) -> np.ndarray:
        """Return T of some structures, (n m, n_outer n_inner rank)."""
        metrics, features = rows.metrics[part], rows.features[inner][part]
        left, right = (
            rows.places[key].transpose(0, 2, 1).reshape(-1, rows.places[key].shape[1])
            for key in (outer, inner)
        )
        blocks = metrics[:, left.ravel()[:, None], right.ravel()]
        blocks = blocks.reshape(len(metrics), *left.shape, *right.shape)
        blocks = blocks.swapaxes(3, 4).reshape(len(metrics), -1, len(right))
        product = np.matmul(blocks, features.reshape(len(metrics), len(right), -1))
        return product.reshape(len(metrics) * len(left), -1)

    def factorize(self, strength: float) -> np.ndarray:
        """Return the lower Cholesky factor of H + s D.

        Raises
        ------
        numpy.linalg.LinAlgError
            If s is too small for the digits of H.
        """
        matrix = self.matrix.copy()
        matrix[np.diag_indices_from(matrix)] += strength * self.precisions
        return linalg.cholesky(
            matrix.T, lower=True, overwrite_a=True, check_finite=False
        )

    def solve(self, strength: float) -> np.ndarray:
        """Return the weights at a strength s of the prior."""
        factor = self.factorize(strength), True
        return linalg.cho_solve(factor, self.moment, check_finite=False)

    def path(self, strength: float, n_steps: int = 40) -> SolutionPath:
        """Return weights at all strengths around one, with one factorisation."""
        return SolutionPath(self, strength, n_steps)


class SolutionPath:
    """Weights at any strength of the prior, from the factor at one of them.

    With H + s0 D = L L^T and B = L^-1 D L^-T,

        w(s) = L^-T (1 + (s - s0) B)^-1 L^-1 b,

    where the inverse is taken in the Krylov space of B and L^-1 b (Lanczos): 40 vectors
    are enough for strengths within a factor of a hundred.

    Parameters
    ----------
    equations : BlockEquations
    strength : float
        s0.
    n_steps : int

    Attributes
    ----------
    basis : ndarray of shape (n_steps, n_weights)
        w(s) are combinations of its rows.
    """

    def __init__(self, equations: BlockEquations, strength: float, n_steps: int):
        self.strength = strength
        factor = equations.factorize(strength)
        vector = blas.dtrsv(factor, equations.moment, lower=1)
        self.norm = float(np.linalg.norm(vector))
        vectors, basis = [], []
        diagonal, below = [], []
        vector = vector / (self.norm or 1.0)
        for _ in range(min(n_steps, len(vector))):
            vectors.append(vector)
            basis.append(blas.dtrsv(factor, vector, lower=1, trans=1))
            new = blas.dtrsv(factor, equations.precisions * basis[-1], lower=1)
            diagonal.append(float(vector @ new))
            known = np.array(vectors)
            for _ in range(2):  # rounding leaves components along earlier vectors
                new = new - known.T @ (known @ new)
            below.append(float(np.linalg.norm(new)))
            if below[-1] <= 1e-12 * diagonal[0]:
                break
            vector = new / below[-1]
        self.basis = np.array(basis)
        self.triangle = (
            np.diag(diagonal) + np.diag(below[:-1], 1) + np.diag(below[:-1], -1)
        )

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues and eigenvectors of B in the Krylov space."""
        return np.linalg.eigh(self.triangle)

    def coordinates(self, strength: float) -> np.ndarray:
        """Return w(s) in the basis, (n_steps,)."""
        values, vectors = self.spectrum
        scales = 1.0 + (strength - self.strength) * values
        return self.norm * (vectors @ (vectors[0] / scales))

    def weights(self, strength: float) -> np.ndarray:
        """Return w(s), (n_weights,)."""
        return self.coordinates(strength) @ self.basis
