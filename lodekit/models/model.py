"""The base of all models: scikit-learn estimators of structures that fit into files."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from lodekit.model_file import save_model
from lodekit.observables.fields import refuse_fields, refuse_point_charges
from lodekit.parameters import decode_parameters, encode_parameters
from lodekit.stored_model import StoredModel
from lodekit.structures import check_structures

from .extrapolating import Extrapolating


class Model(Extrapolating, RegressorMixin, BaseEstimator):
    """Base of all models.

    A subclass has ``fit(frames, y=None)``, ``compute(frames, properties=None)``, a list
    of ``properties``, ``predict``, ``score``, and once it is fitted ``species_`` and
    ``summary_``. What else it has learned it writes in `add_parts`, and reads in
    `take_parts`.
    """

    #: Further arguments of ``compute``, of "field" and "displacement".
    responds_to: tuple = ()
    #: Whether the ``electric_field`` of a frame is that in which it is computed.
    reads_fields = False
    #: Whether ``point_charges`` of a frame are known, or refused by another check.
    reads_point_charges = False

    def __sklearn_tags__(self):
        """Tell scikit-learn that structures are no arrays and carry their targets."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        return tags

    def check_labelled(self, frames) -> None:
        """Check frames whose targets are fitted, or compared with predictions.

        Raises
        ------
        ValueError
            For structures that are none, and those in an electric field or beside
            point charges, which this model takes for none.
        """
        check_structures(frames)
        if not self.reads_fields:
            refuse_fields(frames, self)
        if not self.reads_point_charges:
            refuse_point_charges(frames, self)

    def save(self, path, overwrite: bool = False) -> None:
        """Write the fitted model to one file; see `lodekit.model_file`."""
        save_model(self, path, overwrite=overwrite)

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "summary_")
        settings = {"parameters": self.encoded_parameters(), "summary": self.summary_}
        arrays = {"species": self.species_}
        self.add_parts(settings, arrays)
        self.add_range(settings, arrays)
        return {"class": type(self).__name__, "settings": settings, "arrays": arrays}

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`.

        Raises
        ------
        ValueError, KeyError
            If the state contradicts itself, or lacks something.
        """
        stored = StoredModel(state)
        model = cls.from_stored(stored)
        stored.finish()
        return model

    @classmethod
    def from_stored(cls, stored: StoredModel):
        """Rebuild a fitted model that may be a part of another one."""
        model = cls(**decode_parameters(cls, stored.setting("parameters", dict)))
        model.species_ = stored.species()
        model.summary_ = read_summary(stored, model.species_)
        model.take_parts(stored)
        model.take_range(stored)
        return model

    def encoded_parameters(self) -> dict:
        """Return the parameters as JSON has them."""
        return encode_parameters(self)

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add what was learned to settings and arrays."""
        raise NotImplementedError

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        raise NotImplementedError


def read_summary(stored: StoredModel, species: np.ndarray) -> dict:
    """Return the summary of the fit, which has to be about these species."""
    summary = stored.setting("summary", dict)
    facts = StoredModel({"settings": summary, "arrays": {}})
    if facts.setting("species", list) != species.tolist():
        raise ValueError("the summary is about other species than the model")
    facts.setting("noises", dict)
    return summary
