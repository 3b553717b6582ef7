"""What models of charges share whose charges are affine in the weights."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.fitting.left_out import scale_of
from lodekit.fitting.progress import progress_bar
from lodekit.observables.charges import (
    ATOMIC_MOMENTS,
    DEVIATIONS,
    OBSERVABLES,
    AffineCharges,
    check_defined,
    check_total_charges,
    collect_charge_targets,
    default_properties,
    observe,
    present_targets,
    reference,
    row_counts,
    target_rows,
)
from lodekit.observables.fields import refuse_fields
from lodekit.quantities import CHARGES, ENERGIES, UNITS, error_units, quantity
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent, count_points, point_features
from lodekit.structures import check_structures, frame_name, get_target
from lodekit.structures.batch import StructureBatch, as_frames
from lodekit.terms.choice import choose_terms
from lodekit.terms.tables import default_charge_terms, may_be_far
from lodekit.threads import threads_for

from .charge_checks import check_fraction, check_noises, check_stress, check_weights
from .charge_energy import energy_targets
from .charge_state import ChargeState
from .extrapolating import with_extrapolation
from .model import Model
from .prediction import check_species

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000


class LinearChargeModel(ChargeState, Model):
    """Base of models that predict charges by an atomic latent, linear in the weights.

    A subclass says in `_charges` how the charges of a structure come from the features
    Phi of its atoms, or in `_affine` for many structures at once. The latent of atom i
    is a constant of its element, with a wide prior, plus sparse-kernel features times
    weights.
    """

    #: Targets that are fitted where the user names none; None for all that are there.
    default_targets: tuple | None = None
    #: Whether default terms are linear ones as well where energies are fitted. Forces
    #: of charges that are functions of their surroundings contain their derivatives,
    #: which LODE makes rough at large distances.
    linear_with_energies = False
    #: Prior standard deviation of the constant of an element.
    element_prior = 10.0
    #: Targets among energy, forces and stress that shape the charges.
    shaping_: list = []
    #: Members drawn from the posterior for standard deviations of energies.
    n_ensemble = 32

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
        y : None
            Not used: charges and moments come from the frames.
        sample_weight : array-like of shape (n_frames,), optional
            Weight of each frame: its noise variances are divided by it.
        groups : array-like of shape (n_frames,), optional
            Names of groups of like frames, see `SparsePotential.fit`.

        Raises
        ------
        ValueError
            For targets that are missing, charges that do not sum to the total charge,
            arguments out of range.
        """
        clock = Clock()
        frames = as_frames(frames)
        check_structures(frames)
        refuse_fields(frames, self)
        check_fraction(self.validation_fraction)
        weights = check_weights(sample_weight, len(frames))
        random_state = check_random_state(self.random_state)
        # charges are not conditioned on a posterior before there is one
        vars(self).pop("solution_", None)
        self.targets_ = collect_charge_targets(
            frames, linear_targets(self.targets, self.default_targets)
        )
        self.is_charged_ = check_total_charges(frames)
        noises = self._noises()
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self._select(frames, random_state)
        clock.lap("sparse points")
        result = fit(
            ChargeProblem(self, frames, noises),
            noises,
            groups=groups,
            sample_weight=weights,
            fraction=self.validation_fraction,
            random_state=random_state,
            lap=clock.lap,
        )
        self.learn(result.solution, result.std_scales)
        self.noises_, self.held_out_errors_ = result.noises, result.errors
        self.ensemble_ = None
        self.summary_ = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "is_charged": self.is_charged_,
            "n_sparse": count_points(self.latent_.kernels),
            "rank": self.rank,
            "amplitudes": [kernel.amplitude for kernel in self.kernels],
            **result.summary(),
            "units": error_units(CHARGES),
            "seconds": clock.seconds,
        }
        self.learn_range(frames, groups)
        return self

    def learn(self, solution, std_scales: dict) -> None:
        """Take over weights, their posterior and the calibration factors."""
        self.solution_ = solution.rounded()
        self.weights_ = solution.weights
        self.std_scales_ = std_scales

    def _select(self, frames, random_state) -> None:
        """Choose sparse points."""
        terms = choose_terms(
            frames,
            self.descriptor,
            self.covariance,
            self.n_sparse,
            default=self._default_terms,
        )
        self.latent_ = Latent.select(
            frames,
            progress_bar(terms, "sparse points", self.progress),
            self.species_,
            selection=self.selection,
            random_state=random_state,
        )

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        return [*CHARGES, *DEVIATIONS, *self.range_properties]

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to a charge.

        But for the total charge, which all atoms share.
        """
        return self.latent_.reach

    def _default_terms(self, frames) -> list[tuple]:
        """Return SOAP, and linear terms as well where they help."""
        energies = energy_targets(frames, self.targets, self.potential)
        linear = not energies or self.linear_with_energies
        return default_charge_terms(linear, may_be_far(frames, self.targets_))

    @property
    def kernels(self) -> list:
        """Kernels in the order of their weights, which follow those of elements."""
        return self.latent_.kernels

    @property
    def rank(self) -> int:
        """Number of weights: one for each element, then those of the kernels."""
        return self.species_.size + sum(kernel.rank for kernel in self.kernels)

    def _noises(self) -> dict:
        """Return the noise of every kind of row."""
        given = self.noises or {}
        check_noises(given, [*self.targets_, *self.shaping_])
        noises = {name: given.get(name, "auto") for name in self.targets_}
        if not self.conserves_charge and "charges" not in noises:
            noises["total_charge"] = "auto"
        return noises

    #: Whether `_charges` sum to the total charge whatever the weights are.
    conserves_charge = False

    def _charges(self, atoms, features: np.ndarray) -> AffineCharges:
        """Return the charges of one structure, affine in the weights."""
        raise NotImplementedError

    def _affine(self, frames):
        """Yield every structure with its charges, affine in the weights."""
        for atoms, features in self._features(frames):
            yield atoms, self._charges(atoms, features)

    def _features(self, frames):
        """Yield every structure with the features of its atoms, (n_atoms, rank)."""
        batch = StructureBatch.from_frames(frames)
        features = self.feature_rows(batch, self.latent_.evaluate(batch))
        for index, atoms in enumerate(frames):
            own = slice(batch.first_atom[index], batch.first_atom[index + 1])
            yield atoms, features[own]

    def feature_rows(
        self, batch: StructureBatch, states, covariances=None
    ) -> np.ndarray:
        """Return Phi of elements and kernels, (n_atoms, rank).

        ``covariances`` are those of `Latent.covariances`, where they are known.
        """
        n_species = self.species_.size
        rows = np.empty((batch.n_atoms, n_species + self.latent_.rank))
        is_element = batch.species[:, None] == self.species_
        rows[:, :n_species] = is_element * self.element_prior
        self.latent_.rows(batch, states, rows[:, n_species:], covariances)
        return rows

    def predict(self, frames) -> np.ndarray:
        """Return the first target: charges of all atoms (n,), or moments (n_frames, _).

        Moments are dipoles (3) or quadrupoles (6); a mep is that of all points (n,).
        """
        check_is_fitted(self, "weights_")
        name = self.targets_[0]
        values = [result[name] for result in self.compute(frames, [name])]
        own = quantity(name)
        has_any_length = own.per_atom or None in own.shape
        return np.concatenate(values) if has_any_length else np.array(values)

    @with_extrapolation
    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            mep (V, at the ``mep_points`` of the frames), and each with _std. Charges
            and, for open structures, the dipole if None.

        Returns
        -------
        results : list of dict
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        self._check_frames(frames)
        properties = self._check_properties(frames, properties)
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                results += self._compute_batch([frames[i] for i in group], properties)
        return results

    def _compute_batch(self, frames, properties) -> list[dict]:
        """Predict frames that fit into memory together."""
        return [
            self._compute_one(atoms, charges, properties)
            for atoms, charges in self._affine(frames)
        ]

    def _check_frames(self, frames) -> None:
        """Raise ``ValueError`` for bad frames, unknown species, no total charges."""
        check_structures(frames)
        check_species(frames, self.species_)
        missing = [get_target(a, "total_charge") is None for a in frames]
        if self.is_charged_ and any(missing):
            raise ValueError(
                f"{frame_name(missing.index(True))} has no total_charge, and the model "
                "was fitted to charged structures; set total_charge in every frame"
            )
        check_total_charges(frames)

    def _check_properties(self, frames, properties) -> list[str] | None:
        """Return the names of properties, None where the boundary decides.

        Raises
        ------
        ValueError
            For properties that the model or the boundary does not have.
        """
        if properties is None:
            return None
        names = [properties] if isinstance(properties, str) else list(properties)
        for name in names:
            if name in self.properties:
                continue
            if name in ENERGIES:
                raise ValueError(
                    f"this model was not fitted to energies, it has no {name}; name "
                    "energy among its targets"
                )
            raise ValueError(
                f"properties must be among {self.properties}, got '{name}'"
            )
        check_stress(frames, names)
        check_defined(frames, [name.removesuffix("_std") for name in names])
        return names

    def _compute_one(self, atoms, charges: AffineCharges, wanted) -> dict:
        """Return the properties of one structure, those of its boundary where None."""
        result = {}
        if wanted is None:
            wanted = default_properties(atoms.pbc)
        if charges.moments:
            moments = charges.moment_values(self.weights_)
            named = zip(ATOMIC_MOMENTS, moments, strict=False)
            result.update({name: values for name, values in named if name in wanted})
        for name in CHARGES:
            if name in wanted:
                observable = OBSERVABLES[name]
                result[name] = observable.value(atoms, charges, self.weights_)
            if f"{name}_std" in wanted:
                rows = observe(atoms, charges, name).matrix
                deviations = self.solution_.standard_deviations(rows)
                deviations = deviations.reshape(OBSERVABLES[name].shape)
                result[f"{name}_std"] = scale_of(self.std_scales_, name) * deviations
        return result

    def score(self, frames, y=None) -> float:
        """Return R^2 of the first target, all components together."""
        from sklearn.metrics import r2_score

        frames = as_frames(frames)
        name = self.targets_[0]
        predicted, expected = [], []
        self._check_frames(frames)
        frames = [atoms for atoms in frames if present_targets(atoms, [name])]
        for group in batches(frames, BATCH_ATOMS):
            for atoms, charges in self._affine([frames[i] for i in group]):
                predicted.append(observe(atoms, charges, name).values(self.weights_))
                expected.append(reference(atoms, name))
        return r2_score(np.concatenate(expected), np.concatenate(predicted))


class ChargeProblem:
    """Rows of charges and moments, linear in the weights: a `lodekit.fitting.Problem`.

    Parameters
    ----------
    model : LinearChargeModel
        With sparse points.
    frames : list of ase.Atoms
    names : iterable of str
        Targets and conditions.
    """

    n_linear, solver, units = None, "cholesky", UNITS

    def __init__(self, model, frames, names):
        self.model, self.frames, self.names = model, frames, list(names)
        self.rank, self.kernels = model.rank, model.kernels
        self.first_column = model.species_.size
        counts = [[row_counts([a], name) for name in self.names] for a in frames]
        self.n_rows = np.array(counts).sum(axis=1)
        self.progress = model.progress

    def content(self):
        """Yield targets and sparse points."""
        for atoms in self.frames:
            values = [get_target(atoms, name) for name in self.names]
            yield from (np.asarray(value) for value in values if value is not None)
        yield from point_features(self.model.kernels)

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows, batch by batch."""
        groups = list(batches([self.frames[i] for i in frames], BATCH_ATOMS))
        for group in progress_bar(groups, "rows", self.progress):
            indices = frames[group]
            affine = self.model._affine([self.frames[i] for i in indices])
            for index, (atoms, charges) in zip(indices, affine, strict=True):
                rows_of = target_rows(
                    atoms, lambda _, own=charges: own, self.names, index
                )
                for name, rows in rows_of:
                    yield name, rows, np.ones(len(rows.values))


def linear_targets(targets, default) -> list | None:
    """Return the targets that charges are fitted to; energies come afterwards."""
    if targets is None:
        return default
    names = [name for name in targets if name not in ENERGIES]
    if not names:
        raise ValueError(
            "charges need charges, a dipole, a quadrupole or a mep among the targets, "
            f"got {list(targets)}; `LatentChargeModel` learns them from energies"
        )
    return names
