"""Predictions far outside the training data are never silent: one line about all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lodekit.errors import StructureError

from .unused import warn

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.fitting.training_range import Extrapolation
    from lodekit.models.model import Model


class RangeWatch:
    """Looks at structures that are predicted, and says which ones are far out.

    Parameters
    ----------
    model : estimator
        A fitted model.
    path : str
        The file that structures come from, for messages.

    Attributes
    ----------
    numbers : list of int
        Frames outside the training data, counted from 1.
    """

    def __init__(self, model: Model, path: str) -> None:
        self.model, self.path = model, path
        self.n_frames = 0
        self.numbers: list[int] = []
        self.largest, self.farthest = 0.0, ""

    @property
    def is_able(self) -> bool:
        """Whether the model knows what its training frames cover."""
        return self.model.training_range_ is not None

    def look(self, frames: list[Atoms]) -> list[Extrapolation]:
        """Judge more structures, in their order; return their extrapolations."""
        extrapolations = self.model.extrapolate(frames) if self.is_able else []
        for number, extrapolation in enumerate(extrapolations, start=self.n_frames + 1):
            if extrapolation.reason:
                self.numbers.append(number)
            if extrapolation.largest > self.largest:
                self.largest = extrapolation.largest
                self.farthest = f"frame {number}: {extrapolation.reason}"
        self.n_frames += len(frames)
        return extrapolations

    def describe(self) -> str:
        """Return one line about the structures, empty where there is nothing to say."""
        if not self.numbers:
            return ""
        if self.n_frames == 1:
            summary = "it is far from the training data; "
        else:
            summary = (
                f"{len(self.numbers)} of {self.n_frames} frames are far from the "
                "training data; the farthest is "
            )
        return f"{self.path}: {summary}{self.farthest}"

    def summary(self) -> dict[str, Any] | None:
        """Return far frames as an object for JSON, None where all is known."""
        if not self.numbers:
            return None
        return {"frames": self.numbers, "largest": self.largest}

    def finish(self, strict: bool) -> None:
        """Warn of structures far out, or with ``strict`` raise an error."""
        if strict and not self.is_able:
            raise StructureError(
                "this model does not know what its training frames cover, as --strict "
                "needs; fit it again"
            )
        text = self.describe()
        if text and strict:
            raise StructureError(f"{text}; everything is written (--strict)")
        if text:
            warn(text)
