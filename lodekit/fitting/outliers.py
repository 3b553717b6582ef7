"""Frames that no noise explains: they get a noise of their own, and are named.

One wrong frame decides on the noise of all others where there are few. A frame is an
outlier of a target if its root mean square residual, predicted without its group, is
many times that of all other frames. It stays in the fit with the noise that its
residuals have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.structures import frame_name

from .left_out import LeftOut

#: Root mean square residuals of an outlier in units of those of all other frames.
OUTLIER = 6.0
#: Frames from which others can be told apart.
LEAST_FRAMES = 5


@dataclass(frozen=True)
class Outlier:
    """A frame whose residuals no common noise explains.

    Attributes
    ----------
    frame : int
    target : str
    error, usual : float
        Root mean square of its residuals, and of those of all other frames, in units of
        the rows of the target.
    """

    frame: int
    target: str
    error: float
    usual: float

    def describe(self, unit: str) -> str:
        """Return a line for users."""
        return (
            f"{frame_name(self.frame)} misses its {self.target} by {self.error:.3g} "
            f"{unit}, {self.error / self.usual:.0f} times as much as other frames: it "
            "gets a noise of its own; look whether it is right"
        )


def find_outliers(left: LeftOut) -> list[Outlier]:
    """Return the frames whose residuals are many times those of all others."""
    outliers = []
    for name, residuals in left.residuals.items():
        frames, places = np.unique(left.frames[name], return_inverse=True)
        squares = np.bincount(places, residuals**2) / np.bincount(places)
        order = np.argsort(squares)[::-1]
        for place, rest in zip(
            order[:-1], remaining_means(squares[order]), strict=True
        ):
            if len(frames) < LEAST_FRAMES or squares[place] <= OUTLIER**2 * rest:
                break
            error, usual = np.sqrt(squares[place]), np.sqrt(rest)
            outliers.append(
                Outlier(int(frames[place]), name, float(error), float(usual))
            )
    return outliers


def remaining_means(squares: np.ndarray) -> np.ndarray:
    """Return the means of what follows each but the last of sorted numbers."""
    sums = np.cumsum(squares[::-1])[::-1][1:]
    return sums / np.arange(len(squares) - 1, 0, -1)
