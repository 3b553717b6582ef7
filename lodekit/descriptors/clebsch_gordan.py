"""Clebsch-Gordan coefficients of real spherical harmonics, and tables of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import wigners

#: Coefficients below this are zero: the others are at least a thousand times as large.
SMALLEST = 1e-12


@lru_cache(maxsize=32)
def real_from_complex(l: int) -> np.ndarray:
    """Return U with Y(real) = U Y(complex), both in the order m = -l..l.

    The complex harmonics have the Condon-Shortley phase, the real ones do not.
    """
    matrix = np.zeros((2 * l + 1, 2 * l + 1), dtype=complex)
    matrix[l, l] = 1.0
    for m in range(1, l + 1):
        sign = (-1.0) ** m
        matrix[l + m, [l - m, l + m]] = np.array([1.0, sign]) / np.sqrt(2.0)
        matrix[l - m, [l - m, l + m]] = np.array([1.0j, -1.0j * sign]) / np.sqrt(2.0)
    return matrix


@lru_cache(maxsize=1024)
def clebsch_gordan(l1: int, l2: int, order: int) -> np.ndarray:
    """Return C of the coupling of l1 and l2 to ``order``, for real harmonics.

    The coupled tensor sum_{m1 m2} C[m1, m2, mu] x[m1] y[m2] turns like harmonics of
    this order. C has real values where l1 + l2 + order is even and imaginary ones where
    it is odd; there it is the imaginary part, with the sign of featomic.

    Returns
    -------
    coefficients : ndarray of shape (2 l1 + 1, 2 l2 + 1, 2 order + 1)
    """
    coefficients = np.einsum(
        "am,bn,mnk,ck->abc",
        real_from_complex(l1).conj(),
        real_from_complex(l2).conj(),
        wigners.clebsch_gordan_array(l1, l2, order),
        real_from_complex(order),
    )
    is_odd = (l1 + l2 + order) % 2
    coefficients = -coefficients.imag if is_odd else coefficients.real
    coefficients[np.abs(coefficients) < SMALLEST] = 0.0
    return coefficients


@lru_cache(maxsize=1024)
def coupling_tables(l1: int, l2: int, order: int) -> tuple:
    """Return the nonzero C as tables of terms, see `lodekit.kernels.equivariants`.

    Returns
    -------
    by_mu, by_m1, by_m2 : tuple of ndarray
        ``first``, ``terms`` and ``factors``, each for the rows of its name. The indices
        of a term are m1 and m2, mu and m2, mu and m1.
    """
    table = clebsch_gordan(l1, l2, order)
    return tuple(
        terms_of(table.transpose(turn)) for turn in ((2, 0, 1), (0, 2, 1), (1, 2, 0))
    )


def terms_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the terms of every first index, of even number."""
    first, terms, factors = [0], [], []
    for row in table:
        for term in zip(*np.nonzero(row), strict=True):
            terms.append(term)
            factors.append(row[term])
        if len(factors) % 2:
            terms.append((0, 0))
            factors.append(0.0)
        first.append(len(factors))
    return (
        np.array(first, dtype=np.intp),
        np.array(terms, dtype=np.intp).reshape(-1, 2),
        np.array(factors),
    )


class TermArrays:
    """Tables of several couplings one after the other."""

    def __init__(self):
        self.parts: list[tuple] = []
        self.starts: dict[tuple, list[int]] = {}
        self.n_rows = self.n_terms = 0

    def add(self, l1: int, l2: int, order: int) -> list[int]:
        """Return where the tables by mu, by m1 and by m2 start, added once."""
        key = l1, l2, order
        if key not in self.starts:
            self.starts[key] = []
            for first, terms, factors in coupling_tables(*key):
                self.starts[key].append(self.n_rows)
                self.parts.append((first + self.n_terms, terms, factors))
                self.n_rows += first.size
                self.n_terms += factors.size
        return self.starts[key]

    def arrays(self) -> list[np.ndarray]:
        """Return ``first``, ``terms`` and ``factors`` of all tables."""
        empty = np.zeros(0, dtype=np.intp), np.zeros((0, 2), dtype=np.intp), np.zeros(0)
        return [np.concatenate(part) for part in zip(empty, *self.parts, strict=True)]
