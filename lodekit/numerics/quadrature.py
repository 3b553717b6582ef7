"""Gauss-Legendre quadrature."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import special


def gauss_legendre(n_nodes: float, end: float) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights of Gauss-Legendre quadrature on [0, end].

    The number of nodes is rounded up, so that few sets have to be made.
    """
    x, weights = unit_gauss_legendre(16 * int(np.ceil(n_nodes / 16)))
    return 0.5 * end * (x + 1.0), 0.5 * end * weights


@lru_cache(maxsize=32)
def unit_gauss_legendre(n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return nodes and weights on [-1, 1]."""
    return special.roots_legendre(n_nodes)
