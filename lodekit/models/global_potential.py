"""`GlobalPotential`: energies and forces, linear in descriptors of whole structures."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from lodekit.descriptors.global_descriptors import GLOBAL_DESCRIPTORS
from lodekit.observables.energy import UNITS, collect_targets
from lodekit.regression.baseline import count_species, find_baseline
from lodekit.regression.normal_equations import RunningQr
from lodekit.structures import check_structures
from lodekit.structures.batch import StructureBatch, as_frames

from .charge_checks import is_number
from .energy_estimator import EnergyEstimator
from .prediction import check_species

PROPERTIES = ("energy", "forces")


class GlobalPotential(EnergyEstimator):
    """Potential energy of open structures, linear in descriptors of the whole.

    U = sum_i u_(species of i) + w . x, where x are the features of all ``descriptors``
    side by side; features of one descriptor are divided by the largest root mean square
    among them over the training frames. The weights, and the u beyond ``baseline``,
    have a prior standard deviation of 1 eV. Since features add up for structures far
    apart, energies do.

    Parameters
    ----------
    descriptors : GlobalDescriptor or list of these
    targets : list of str, optional
        Of "energy" and "forces"; all that the frames have where None.
    energy_noise : float
        Standard deviation of energies in eV/atom.
    force_noise : float
        Standard deviation of force components in eV/Å.
    baseline : dict, "composition" or "isolated-atoms"
        The mean of u before the fit, as in `SparsePotential`.
    """

    def __init__(
        self,
        descriptors,
        targets=None,
        energy_noise=1e-3,
        force_noise=3e-2,
        baseline="composition",
    ):
        self.descriptors = descriptors
        self.targets = targets
        self.energy_noise = energy_noise
        self.force_noise = force_noise
        self.baseline = baseline

    def fit(self, frames, y=None):
        """Fit to the targets of ``frames``, or to the total energies ``y`` in eV.

        Raises
        ------
        ValueError
            For periodic frames, targets that are missing in some, and noises that are
            not positive.
        """
        frames = as_frames(frames)
        check_structures(frames)
        noises = {"energy": self.energy_noise, "forces": self.force_noise}
        for name, noise in noises.items():
            if not (is_number(noise) and 0 < noise < np.inf):
                raise ValueError(
                    f"the noise of {name} must be a positive number, got {noise!r}"
                )
        targets = collect_targets(frames, self.targets or self._present(frames, y), y)
        several = isinstance(self.descriptors, (list, tuple))
        self.descriptors_ = clone(
            list(self.descriptors) if several else [self.descriptors], safe=True
        )
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        counts = count_species(frames, self.species_)
        energies = np.array(targets.values.get("energy", np.zeros(len(frames))))
        self.baseline_ = find_baseline(self.baseline, frames, self.species_, energies)
        values = energies - counts @ self.baseline_
        self.weights_ = self._solve(frames, counts, values, targets.values, noises)
        self.summary_ = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "rank": int(self.weights_.size),
            "noises": {name: noises[name] for name in targets.names},
            "units": {name: UNITS[name] for name in PROPERTIES},
        }
        return self

    def _solve(self, frames, counts, energies, targets, noises) -> np.ndarray:
        """Return the weights of atoms of every species and of all features."""
        states = self._evaluate(frames)
        matrix = np.hstack([counts, [join(state) for state in states]])
        scales = self._scales(matrix)
        solver = RunningQr(scales.size)
        if "energy" in targets:
            sizes = counts.sum(axis=1)
            rows = matrix * scales / sizes[:, None]
            solver.add(rows, energies / sizes, np.full(len(rows), noises["energy"]))
        if "forces" in targets:
            for state, forces in zip(states, targets["forces"], strict=True):
                jacobian = [part.jacobian().reshape(-1, forces.size) for part in state]
                constant = np.zeros((self.species_.size, forces.size))
                rows = -np.concatenate([constant, *jacobian]).T * scales
                solver.add(rows, forces.ravel(), np.full(len(rows), noises["forces"]))
        return scales * solver.solve().weights

    def _scales(self, matrix) -> np.ndarray:
        """Return what to multiply every column with."""
        rms = np.sqrt(np.mean(matrix**2, axis=0))
        largest = [
            np.repeat(part.max(initial=0.0), part.size)
            for part in np.split(rms, self._bounds)[1:]
        ]
        return 1.0 / np.concatenate([np.ones(self.species_.size), *largest])

    @property
    def _bounds(self) -> np.ndarray:
        """Where the features of every descriptor begin, after the atoms themselves."""
        sizes = [own.n_features(self.species_.size) for own in self.descriptors_]
        return np.cumsum([self.species_.size, *sizes[:-1]])

    def _present(self, frames, y) -> list[str]:
        """Return which targets there are; without any, the energies that miss."""
        found = collect_targets(frames, None, y).names
        return [name for name in PROPERTIES if name in found] or ["energy"]

    def _evaluate(self, frames) -> list[tuple]:
        """Return the features of every descriptor, structure by structure."""
        batch = StructureBatch.from_frames(frames)
        parts = [own.evaluate(batch, self.species_) for own in self.descriptors_]
        return list(zip(*parts, strict=True))

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        return list(PROPERTIES)

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter: there is none."""
        return np.inf

    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
            Without periodic directions.
        properties : list of str, optional
            Of energy (eV) and forces (eV/Å, (n_atoms, 3)); both if None.

        Returns
        -------
        results : list of dict
            One dictionary for each frame.

        Raises
        ------
        ValueError
            For species the model has not seen, periodic frames, unknown properties.
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        check_species(frames, self.species_)
        wanted = list(PROPERTIES) if properties is None else list(properties)
        for name in wanted:
            if name not in PROPERTIES:
                raise ValueError(
                    f"properties must be among {list(PROPERTIES)}, got '{name}'"
                )
        per_atom, *weights = np.split(self.weights_, self._bounds)
        counts = count_species(frames, self.species_)
        energies = counts @ (self.baseline_ + per_atom)
        results = []
        for energy, state in zip(energies, self._evaluate(frames), strict=True):
            parts = list(zip(state, weights, strict=True))
            energy += sum(part.features @ own for part, own in parts)
            result = {"energy": float(energy)}
            if "forces" in wanted:
                result["forces"] = -sum(part.reverse(own) for part, own in parts)
            results.append({name: result[name] for name in wanted})
        return results

    def get_state(self) -> dict:
        """Return ``{"class", "settings", "arrays"}``: JSON-able, and named arrays."""
        check_is_fitted(self, "weights_")
        descriptors = [
            {"class": type(own).__name__, "arguments": own.get_params()}
            for own in self.descriptors_
        ]
        arrays = {
            "species": self.species_,
            "baseline": self.baseline_,
            "weights": self.weights_,
        }
        settings = {"descriptors": descriptors, "summary": self.summary_}
        return {"class": "GlobalPotential", "settings": settings, "arrays": arrays}

    @classmethod
    def from_state(cls, state: dict):
        """Rebuild a fitted model from `get_state`."""
        settings, arrays = state["settings"], state["arrays"]
        model = cls(
            [
                GLOBAL_DESCRIPTORS[own["class"]](**own["arguments"])
                for own in settings["descriptors"]
            ]
        )
        model.descriptors_ = clone(model.descriptors)
        model.species_ = np.asarray(arrays["species"], dtype=np.intp)
        model.baseline_, model.weights_ = arrays["baseline"], arrays["weights"]
        model.summary_ = settings["summary"]
        return model


def join(state) -> np.ndarray:
    """Return the features of all descriptors of one structure side by side."""
    return np.concatenate([part.features for part in state])
