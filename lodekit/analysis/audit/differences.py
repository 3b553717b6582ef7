"""Derivatives of energies that are simple functions: quadratic in charges or fields."""

from __future__ import annotations

import numpy as np

#: Places, and weights over the step, of a derivative of fourth order.
SHIFTS = np.array([-2.0, -1.0, 1.0, 2.0])
WEIGHTS = np.array([1.0, -8.0, 8.0, -1.0]) / 12.0


def slopes(values, step: float) -> np.ndarray:
    """Return derivatives from values at all `SHIFTS` of one direction after another."""
    values = np.asarray(values)
    values = values.reshape(-1, len(SHIFTS), *values.shape[1:])
    return np.einsum("s,ns...->n...", WEIGHTS, values) / step
