"""The distance of structures from the training frames, for all models."""

from __future__ import annotations

from functools import wraps

from lodekit.fitting.training_range import Extrapolation, TrainingRange
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import as_frames

from .prediction import check_species

#: The property of `compute`: one number for every atom, 1 the limit of what is known.
EXTRAPOLATION = "extrapolation"


class Extrapolating:
    """A model that knows the range of its training frames.

    A model that is part of another one does not: `knows_range` is False.

    Attributes
    ----------
    training_range_ : TrainingRange or None
        None where nothing is known, as of models from old files.
    """

    training_range_: TrainingRange | None = None
    knows_range = True

    def learn_range(self, frames, groups=None) -> None:
        """Remember what the training frames cover."""
        self.training_range_ = None
        if self.knows_range:
            self.training_range_ = TrainingRange.learn(frames, groups)

    def extrapolate(self, frames) -> list[Extrapolation]:
        """Return how far ``frames`` are from the training frames, with reasons.

        Raises
        ------
        ValueError
            For species the model has not seen, and a model that knows no range.
        """
        frames = as_frames(frames)
        check_species(frames, self.species_)
        if self.training_range_ is None:
            raise ValueError(
                "this model does not know what its training frames cover; fit it again"
            )
        return self.training_range_.measure(frames)

    @property
    def range_properties(self) -> tuple[str, ...]:
        """The name of the property, where the model has it."""
        return () if self.training_range_ is None else (EXTRAPOLATION,)

    def add_range(self, settings: dict, arrays: dict) -> None:
        """Add the range to settings and arrays of a model file."""
        if self.training_range_ is not None:
            kept, more = self.training_range_.get_state()
            settings["training_range"] = kept
            arrays |= {f"training_range/{name}": array for name, array in more.items()}

    def take_range(self, stored: StoredModel) -> None:
        """Take what `add_range` added; older files have none."""
        if stored.has_setting("training_range"):
            part = stored.part("training_range")
            self.training_range_ = TrainingRange.from_stored(part, self.species_)


def with_extrapolation(compute):
    """Let ``compute(self, frames, properties)`` return the extrapolation as well."""

    @wraps(compute)
    def compute_all(self, frames, properties=None, *others, **more):
        names = [properties] if isinstance(properties, str) else properties
        if names is None or EXTRAPOLATION not in names or not self.range_properties:
            return compute(self, frames, properties, *others, **more)
        frames = as_frames(frames)
        rest = [name for name in names if name != EXTRAPOLATION]
        extrapolations = self.extrapolate(frames)
        results = [{} for _ in frames]
        if rest:
            results = compute(self, frames, rest, *others, **more)
        for result, extrapolation in zip(results, extrapolations, strict=True):
            result[EXTRAPOLATION] = extrapolation.values
        return results

    return compute_all
