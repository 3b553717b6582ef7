"""Rows of targets, as every observable gives them to a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Rows:
    """Rows of one target: Phi, the target values, and the frame of each row.

    ``places`` are the numbers of the rows among those that equations keep, or None
    where equations are sums over rows.
    """

    matrix: np.ndarray
    values: np.ndarray
    frames: np.ndarray
    places: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> Rows:
        """Return some rows."""
        places = None if self.places is None else self.places[chosen]
        return Rows(
            self.matrix[chosen], self.values[chosen], self.frames[chosen], places
        )

    @classmethod
    def join(cls, parts: list[Rows]) -> Rows:
        """Return the rows of all parts, one after the other."""
        matrices, values, frames, places = zip(
            *((part.matrix, part.values, part.frames, part.places) for part in parts),
            strict=True,
        )
        known = None if places[0] is None else np.concatenate(places)
        return cls(*map(np.concatenate, (matrices, values, frames)), known)
