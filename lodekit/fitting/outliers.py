"""Frames that no noise explains: they get a noise of their own, and are named.

One wrong frame decides on the noise of all others where there are few. A frame is an
outlier of a target if its residuals, predicted without its group, are many times those
of all other frames (root mean squares), in units of the target and in units of what is
expected there, the noise and the standard deviation of the prediction: a frame unlike
all others is not wrong. It stays in the fit with the noise that its residuals have.
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


def find_outliers(left: LeftOut, noises: dict, scales: dict) -> list[Outlier]:
    """Return the frames whose residuals are many times those of all others.

    Parameters
    ----------
    left : LeftOut
    noises, scales : dict of str to float
        Noise and calibration factor of every target.
    """
    outliers = []
    for name, residuals in left.residuals.items():
        expected = noises[name] ** 2 + (scales[name] * left.deviations[name]) ** 2
        frames, places = np.unique(left.frames[name], return_inverse=True)
        if len(frames) < LEAST_FRAMES:
            continue
        counts = np.bincount(places)
        squares = np.bincount(places, residuals**2) / counts
        relative = np.bincount(places, residuals**2 / expected) / counts
        order = np.argsort(relative)[::-1]
        means = zip(
            *map(remaining_means, (squares[order], relative[order])), strict=True
        )
        for place, (rest, rest_relative) in zip(order[:-1], means, strict=True):
            is_far = squares[place] > OUTLIER**2 * rest
            if not (is_far and relative[place] > OUTLIER**2 * rest_relative):
                break
            error, usual = float(np.sqrt(squares[place])), float(np.sqrt(rest))
            outliers.append(Outlier(int(frames[place]), name, error, usual))
    return outliers


def remaining_means(squares: np.ndarray) -> np.ndarray:
    """Return the means of what follows each but the last of sorted numbers."""
    sums = np.cumsum(squares[::-1])[::-1][1:]
    return sums / np.arange(len(squares) - 1, 0, -1)
