"""The base of estimators of energies: predictions and scores of scikit-learn."""

from __future__ import annotations

import numpy as np

from lodekit.observables.energy import reference_energies
from lodekit.regression.baseline import count_species
from lodekit.structures.batch import as_frames

from .model import Model


class EnergyEstimator(Model):
    """An estimator whose primary target are total energies.

    A subclass has ``fit(frames, y=None)``, ``compute(frames, properties=None)`` and
    ``get_state()``.
    """

    def predict(self, frames) -> np.ndarray:
        """Return the total energies in eV, shape (n_frames,)."""
        return np.array([r["energy"] for r in self.compute(frames, ["energy"])])

    def score(self, frames, y=None, sample_weight=None) -> float:
        """Return R^2 of the energies per atom beyond the composition's.

        See `energy_score`; `lodekit.metrics` has errors of all targets.
        """
        return energy_score(self, self, frames, y, sample_weight)


def energy_score(model, potential, frames, y=None, sample_weight=None) -> float:
    """Return the coefficient of determination R^2 of energies per atom.

    The baseline of the composition is taken away from both sides: it is most of the
    spread of different compositions, and would make every model look perfect.

    Parameters
    ----------
    model : estimator
        With ``predict``.
    potential : estimator
        With ``species_`` and ``baseline_``.
    frames : list of ase.Atoms
    y : array-like of shape (n_frames,), optional
        Total energies in eV instead of those of the frames.
    sample_weight : array-like of shape (n_frames,), optional
    """
    from sklearn.metrics import r2_score

    frames = as_frames(frames)
    if y is None:
        y = reference_energies(frames)
    sizes = np.array([len(atoms) for atoms in frames])
    baseline = count_species(frames, potential.species_) @ potential.baseline_
    expected = (np.asarray(y) - baseline) / sizes
    predicted = (model.predict(frames) - baseline) / sizes
    return r2_score(expected, predicted, sample_weight=sample_weight)
