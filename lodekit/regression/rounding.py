"""Numbers with fewer digits, where the others mean nothing: files get smaller."""

from __future__ import annotations

import numpy as np

#: Significant bits of numbers in single and in double precision.
SINGLE, DOUBLE = 24, 53


def round_bits(numbers: np.ndarray, n_bits: int) -> np.ndarray:
    """Return numbers rounded to so many significant bits.

    >>> round_bits(np.array([1.0 + 2.0**-30, 3.0]), 24).tolist()
    [1.0, 3.0]
    """
    fractions, exponents = np.frexp(numbers)
    scale = 2.0**n_bits
    return np.ldexp(np.rint(fractions * scale) / scale, exponents)


def enough_bits(error: float) -> int:
    """Return how many bits keep relative errors below ``error``, at least 24.

    >>> enough_bits(1e-3), enough_bits(1e-9), enough_bits(0.0)
    (24, 30, 53)
    """
    if not error > 0.0:
        return DOUBLE
    # rounding to n bits changes a number by 2^-n of its size at the most
    return int(np.clip(np.ceil(-np.log2(error)), SINGLE, DOUBLE))
