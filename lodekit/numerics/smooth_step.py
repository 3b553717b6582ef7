"""A step that is smooth to its fourth derivative."""

from __future__ import annotations

import numpy as np


def smooth_step(x: np.ndarray) -> np.ndarray:
    """Return a step from 1 at x = 0 to 0 at x = 1 and two derivatives, (3, x.size)."""
    x = np.clip(x, 0.0, 1.0)
    step = 1.0 - x**3 * (10.0 - 15.0 * x + 6.0 * x**2)
    slope = -30.0 * x**2 * (1.0 - x) ** 2
    bend = -60.0 * x * (1.0 - x) * (1.0 - 2.0 * x)
    return np.stack([step, slope, bend])
