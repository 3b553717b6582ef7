"""`GlobalPotential`: energies and forces, linear in descriptors of whole structures."""

from __future__ import annotations

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.descriptors.global_descriptors import GLOBAL_DESCRIPTORS
from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.fitting.left_out import scale_of
from lodekit.fitting.problem import FitResult
from lodekit.observables.energy import collect_targets
from lodekit.observables.rows import Rows
from lodekit.parameters import (
    decode,
    encode,
)
from lodekit.quantities import ENERGIES, UNITS, error_units, quantity
from lodekit.regression.baseline import count_species
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch, as_frames
from lodekit.threads import threads_for

from .charge_checks import check_fraction, check_weights, is_number
from .energy_estimator import EnergyEstimator
from .extrapolating import with_extrapolation
from .potential_state import read_scales
from .prediction import check_species

#: Structures are open: all of energies but the stress.
PROPERTIES = tuple(name for name in ENERGIES if quantity(name).boundary != "cell")
DEVIATIONS = tuple(f"{name}_std" for name in PROPERTIES)


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
    energy_noise, force_noise : float or "auto"
        Standard deviation of energies in eV/atom and of force components in eV/Å;
        "auto" takes what makes the targets most probable, which needs
        ``solver="cholesky"``.
    baseline : dict, "composition" or "isolated-atoms"
        The mean of u before the fit, as in `SparsePotential`.
    solver : {"cholesky", "qr"}
        ``"qr"`` needs given noises and bears features of any condition.
    validation_fraction : float
        Share of the frames that may be left out, see `SparsePotential`.
    n_ensemble : int
        Members drawn from the posterior for standard deviations.
    random_state : int or numpy.random.RandomState
    """

    def __init__(
        self,
        descriptors,
        targets=None,
        energy_noise=1e-3,
        force_noise=3e-2,
        baseline="composition",
        solver="qr",
        validation_fraction=1.0,
        n_ensemble=32,
        random_state=0,
    ):
        self.descriptors = descriptors
        self.targets = targets
        self.energy_noise = energy_noise
        self.force_noise = force_noise
        self.baseline = baseline
        self.solver = solver
        self.validation_fraction = validation_fraction
        self.n_ensemble = n_ensemble
        self.random_state = random_state

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``, or to the total energies ``y`` in eV.

        ``sample_weight`` and ``groups`` are as in `SparsePotential.fit`.

        Raises
        ------
        ValueError
            For periodic frames, targets that are missing, and noises that are
            not positive.
        """
        clock = Clock()
        frames = as_frames(frames)
        self.check_labelled(frames)
        noises = self._check_noises()
        check_fraction(self.validation_fraction)
        weights = check_weights(sample_weight, len(frames))
        random_state = check_random_state(self.random_state)
        targets = collect_targets(frames, self.targets or self._present(frames, y), y)
        several = isinstance(self.descriptors, (list, tuple))
        self.descriptors_ = clone(
            list(self.descriptors) if several else [self.descriptors], safe=True
        )
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self.baseline_ = targets.subtract_baseline(frames, self.species_, self.baseline)
        self.scales_ = None
        problem = self.problem(frames, targets)
        clock.lap("features")
        result = fit(
            problem,
            {name: noises[name] for name in targets.names},
            groups=groups,
            sample_weight=weights,
            fraction=self.validation_fraction,
            random_state=random_state,
            lap=clock.lap,
        )
        self.learn(result, random_state)
        self.learn_range(frames, groups)
        self.summary_ = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "rank": int(self.weights_.size),
            **result.summary(),
            "units": error_units(PROPERTIES),
            "seconds": clock.seconds,
        }
        return self

    def problem(self, frames, targets):
        """Return the rows of frames; the first ones decide on scales of columns."""
        counts = count_species(frames, self.species_)
        states = self._evaluate(frames)
        matrix = np.hstack([counts, [join(state) for state in states]])
        if self.scales_ is None:
            self.scales_ = self._scales(matrix)
        return GlobalProblem(self, frames, targets, states, matrix, self.scales_)

    def learn(self, result: FitResult, random_state) -> None:
        """Take over weights, their ensemble and the calibration factors."""
        self.weights_ = self.scales_ * result.weights
        drawn = result.solution.draw(self.n_ensemble, random_state)
        self.ensemble_ = self.scales_[:, None] * drawn
        self.std_scales_ = result.std_scales

    def take_fits(self, fits: list, last: list, n_frames: int) -> None:
        """Become what another one of nested fits has found; see `curves`."""
        (fit_to_some,) = fits
        result = fit_to_some.result
        self.learn(result, check_random_state(self.random_state))
        facts = {"n_structures": n_frames, **result.summary()}
        self.summary_ = {**self.summary_, **facts}

    def _check_noises(self) -> dict:
        """Return the noises.

        Raises
        ------
        ValueError
            For noises that are not positive, or to be chosen by a solver that cannot.
        """
        if self.solver not in ("cholesky", "qr"):
            raise ValueError(f"solver must be 'cholesky' or 'qr', got '{self.solver}'")
        noises = {"energy": self.energy_noise, "forces": self.force_noise}
        for name, noise in noises.items():
            if noise == "auto" and self.solver == "cholesky":
                continue
            if not (is_number(noise) and 0 < noise < np.inf):
                raise ValueError(
                    f"the noise of {name} must be a positive number, got {noise!r}"
                )
        return noises

    def _scales(self, matrix) -> np.ndarray:
        """Return the factor of every column."""
        rms = np.sqrt(np.mean(matrix**2, axis=0))
        largest = [
            np.repeat(part.max(initial=0.0), part.size)
            for part in np.split(rms, self._bounds)[1:]
        ]
        return 1.0 / np.concatenate([np.ones(self.species_.size), *largest])

    @property
    def _bounds(self) -> np.ndarray:
        """Where the features of every descriptor begin, after the atoms themselves."""
        sizes = [
            descriptor.n_features(self.species_.size)
            for descriptor in self.descriptors_
        ]
        return np.cumsum([self.species_.size, *sizes[:-1]])

    def _present(self, frames, y) -> list[str]:
        """Return which targets there are; without any, the energies that miss."""
        names = collect_targets(frames, None, y).names
        return [name for name in PROPERTIES if name in names] or ["energy"]

    def _evaluate(self, frames) -> list[tuple]:
        """Return the features of every descriptor, structure by structure."""
        batch = StructureBatch.from_frames(frames)
        parts = [
            descriptor.evaluate(batch, self.species_)
            for descriptor in self.descriptors_
        ]
        return list(zip(*parts, strict=True))

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        deviations = DEVIATIONS if self.ensemble_.size else ()
        return [*PROPERTIES, *deviations, *self.range_properties]

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter: there is none."""
        return np.inf

    @with_extrapolation
    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
            Without periodic directions.
        properties : list of str, optional
            Of energy (eV) and forces (eV/Å, (n_atoms, 3)), which are returned if None,
            and their standard deviations energy_std and forces_std.

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
            if name not in self.properties:
                raise ValueError(
                    f"properties must be among {self.properties}, got '{name}'"
                )
        per_atom, *weights = np.split(self.weights_, self._bounds)
        counts = count_species(frames, self.species_)
        energies = counts @ (self.baseline_ + per_atom)
        results = []
        with threads_for(frames):
            states = self._evaluate(frames)
        for index, state in enumerate(states):
            parts = list(zip(state, weights, strict=True))
            features = sum(part.features @ slopes for part, slopes in parts)
            result = {"energy": float(energies[index] + features)}
            if "forces" in wanted:
                result["forces"] = -sum(part.reverse(slopes) for part, slopes in parts)
            if {*DEVIATIONS} & {*wanted}:
                result |= self._deviations(counts[index], state, wanted)
            results.append({name: result[name] for name in wanted})
        return results

    def _deviations(self, counts, state, wanted) -> dict:
        """Return standard deviations of one structure: those of the ensemble."""
        rows = {"energy_std": np.concatenate([counts, join(state)])}
        if "forces_std" in wanted:
            rows["forces_std"] = force_rows(state, self.species_.size)
        deviations = {}
        for name, matrix in rows.items():
            scale = scale_of(self.std_scales_, name.removesuffix("_std"))
            spread = np.sqrt(((matrix @ self.ensemble_) ** 2).mean(axis=-1))
            deviations[name] = scale * spread
        deviations["energy_std"] = float(deviations["energy_std"])
        if "forces_std" in wanted:
            deviations["forces_std"] = deviations["forces_std"].reshape(-1, 3)
        return deviations

    def add_parts(self, settings: dict, arrays: dict) -> None:
        """Add descriptors, weights and their ensemble."""
        settings["descriptors"] = encode(self.descriptors_, "descriptors")
        settings["std_scales"] = self.std_scales_
        arrays.update(
            baseline=self.baseline_, weights=self.weights_, ensemble=self.ensemble_
        )
        if self.scales_ is not None:
            arrays["scales"] = self.scales_

    def take_parts(self, stored: StoredModel) -> None:
        """Take what `add_parts` added."""
        self.descriptors_ = decode(stored.setting("descriptors", list))
        kinds = tuple(GLOBAL_DESCRIPTORS.values())
        if not all(isinstance(descriptor, kinds) for descriptor in self.descriptors_):
            raise ValueError("the descriptors are not those of whole structures")
        n_species = self.species_.size
        sizes = [descriptor.n_features(n_species) for descriptor in self.descriptors_]
        self.baseline_ = stored.array("baseline", n_species)
        self.weights_ = stored.array("weights", n_species + sum(sizes))
        self.ensemble_ = np.zeros((self.weights_.size, 0))
        if stored.has("ensemble"):  # files of format 1 have none
            self.ensemble_ = stored.array("ensemble", self.weights_.size, None)
        self.std_scales_ = read_scales(stored)
        self.scales_ = None
        if stored.has("scales"):  # older files have none
            self.scales_ = stored.array("scales", self.weights_.size)


def join(state) -> np.ndarray:
    """Return the features of all descriptors of one structure side by side."""
    return np.concatenate([part.features for part in state])


def force_rows(state, n_species: int) -> np.ndarray:
    """Return the rows of the forces of one structure, (3 n_atoms, rank)."""
    jacobian = [part.jacobian() for part in state]
    jacobian = [part.reshape(len(part), -1) for part in jacobian]
    constant = np.zeros((n_species, jacobian[0].shape[1]))
    return -np.concatenate([constant, *jacobian]).T


class GlobalProblem:
    """Rows of a `GlobalPotential`, linear in its weights.

    Parameters
    ----------
    model : GlobalPotential
    frames : list of ase.Atoms
    targets : EnergyTargets
    states : list
        Features of every structure.
    matrix : ndarray of shape (n_frames, rank)
        Numbers of atoms, and features.
    scales : ndarray of shape (rank,)
        They multiply the columns of the matrix.
    """

    n_linear, first_column, kernels = None, 0, ()
    units, progress = UNITS, False

    def __init__(self, model, frames, targets, states, matrix, scales):
        self.frames, self.targets, self.states = frames, targets, states
        self.matrix, self.scales = matrix, scales
        self.n_species, self.solver = model.species_.size, model.solver
        self.names, self.rank = targets.names, scales.size
        self.n_rows = targets.count_rows(frames)

    def content(self):
        """Yield features and targets."""
        yield self.matrix
        yield from self.targets.arrays()

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows, frame by frame."""
        for index in frames:
            targets = {name: self.targets.values[name][index] for name in self.names}
            if targets.get("energy") is not None:
                n_atoms = len(self.frames[index])
                row = self.matrix[index] * self.scales / n_atoms
                values = np.array([targets["energy"] / n_atoms])
                rows = Rows(row[None], values, np.array([index]))
                yield "energy", rows, np.ones(1)
            if targets.get("forces") is not None:
                values = targets["forces"].ravel()
                matrix = force_rows(self.states[index], self.n_species) * self.scales
                owners = np.full(values.size, index)
                yield "forces", Rows(matrix, values, owners), np.ones(values.size)
