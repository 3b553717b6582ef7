"""Rows of targets, as every observable gives them to a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Rows:
    """Rows of one target: Phi, the target values, and the frame of each row."""

    matrix: np.ndarray
    values: np.ndarray
    frames: np.ndarray

    def take(self, chosen: np.ndarray) -> Rows:
        """Return some rows."""
        return Rows(self.matrix[chosen], self.values[chosen], self.frames[chosen])
