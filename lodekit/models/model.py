"""What every model is: a scikit-learn estimator of structures that fits into a file."""

from __future__ import annotations

from sklearn.base import BaseEstimator, RegressorMixin

from lodekit.model_file import save_model

from .extrapolating import Extrapolating


class Model(Extrapolating, RegressorMixin, BaseEstimator):
    """Base of all models.

    A subclass has ``fit(frames, y=None)``, ``compute(frames, properties=None)``, a list
    of ``properties``, ``predict``, ``score``, ``species_`` once it is fitted, and to
    become a file and come back ``get_state`` and ``from_state``.
    """

    #: Further arguments of ``compute``, of "field" and "displacement".
    responds_to: tuple = ()

    def __sklearn_tags__(self):
        """Tell scikit-learn that structures are no arrays and carry their targets."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.target_tags.required = False
        return tags

    def save(self, path, overwrite: bool = False) -> None:
        """Write the fitted model to one file; see `lodekit.model_file`."""
        save_model(self, path, overwrite=overwrite)
