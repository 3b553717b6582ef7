"""The base of models whose charges are affine in the weights."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.charge_problem import ChargeProblem
from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.fitting.left_out import scale_of
from lodekit.fitting.nested import amplify
from lodekit.fitting.problem import FitResult
from lodekit.fitting.progress import progress_bar
from lodekit.observables.charges import (
    ATOMIC_MOMENTS,
    DEVIATIONS,
    OBSERVABLES,
    check_defined,
    check_total_charges,
    collect_charge_targets,
    default_properties,
    observe,
    present_targets,
    reference,
)
from lodekit.observables.energy import collect_targets
from lodekit.quantities import CHARGES, ENERGIES, error_units, quantity
from lodekit.regression.environments import batches
from lodekit.regression.latent import (
    Latent,
    count_points,
    share_descriptors,
)
from lodekit.structures import check_structures, frame_name, get_target
from lodekit.structures.batch import as_frames
from lodekit.terms.choice import choose_terms
from lodekit.terms.tables import default_charge_terms, may_be_far
from lodekit.threads import threads_for

from .charge_checks import check_fraction, check_noises, check_stress, check_weights
from .charge_state import ChargeState
from .extrapolating import with_extrapolation
from .model import Model
from .prediction import check_species

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000


class LinearChargeModel(ChargeState, Model):
    """Base of models that predict charges, with atomic latents linear in weights.

    A subclass says in `response` how the charges of a structure come from the latents
    of its atoms. A latent of atom i is a constant of its element, with a wide prior,
    plus sparse-kernel features times weights.
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
        self._fit_charges(as_frames(frames), sample_weight, groups)
        return self

    def _fit_charges(self, frames, sample_weight, groups) -> FitResult:
        """Fit charges and moments, and return what came out."""
        clock = Clock()
        self.check_labelled(frames)
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
            ChargeProblem(self.response, frames, noises, self.progress),
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
        return result

    def learn(self, solution, std_scales: dict) -> None:
        """Take over weights, their posterior and the calibration factors."""
        self.solution_ = solution.rounded()
        self.weights_ = solution.weights
        self.std_scales_ = std_scales

    def take_fits(self, fits: list, last: list, n_frames: int) -> None:
        """Become what another one of nested fits has found; see `curves`."""
        (fit_to_some,) = fits
        amplify(self.kernels, fit_to_some, *last)
        result = fit_to_some.result
        # charges are not conditioned on a posterior before there is one
        vars(self).pop("solution_", None)
        self.learn(result.solution, result.std_scales)
        self.noises_, self.held_out_errors_ = result.noises, result.errors
        amplitudes = [kernel.amplitude for kernel in self.kernels]
        facts = {"n_structures": n_frames, "amplitudes": amplitudes}
        self.summary_ = {**self.summary_, **facts, **result.summary()}

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
    def response(self):
        """The `Response` that turns latents into charges."""
        raise NotImplementedError

    def solve(self, frames):
        """Return latents, charges and energies of frames that fit into memory."""
        return self.response.solve(frames, self.weights_)

    @property
    def kernels(self) -> list:
        """Kernels in the order of their weights, which follow those of elements."""
        return self.response.kernels

    @property
    def rank(self) -> int:
        """Number of weights."""
        return self.response.rank

    def _share_features(self) -> None:
        """Let charges and remainder share equal descriptors."""
        kernels = getattr(self.potential_, "kernels_", ())
        share_descriptors([*self.kernels, *kernels])

    def _noises(self) -> dict:
        """Return the noise of every kind of row."""
        asked = self.noises or {}
        check_noises(asked, [*self.targets_, *self.shaping_])
        noises = {name: asked.get(name, "auto") for name in self.targets_}
        if not self.conserves_charge and "charges" not in noises:
            noises["total_charge"] = "auto"
        return noises

    #: Whether charges sum to the total charge whatever the weights are.
    conserves_charge = False

    def _affine(self, frames):
        """Yield every structure with its charges, affine in the weights."""
        solved = self.solve(frames)
        for index, atoms in enumerate(frames):
            yield atoms, solved.affine(index)

    def predict(self, frames) -> np.ndarray:
        """Return the first target: charges of all atoms (n,), or moments (n_frames, _).

        Moments are dipoles (3) or quadrupoles (6); a mep is that of all points (n,).
        """
        check_is_fitted(self, "weights_")
        name = self.targets_[0]
        values = [result[name] for result in self.compute(frames, [name])]
        first = quantity(name)
        has_any_length = first.per_atom or None in first.shape
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
        return self._compute(frames, properties)

    def _compute(self, frames, properties, **field) -> list[dict]:
        """Predict properties of frames, with a field where the response takes one."""
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        self._check_frames(frames)
        names = self._check_properties(frames, properties)
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                solved = self.solve([frames[i] for i in group], **field)
                results += self._measure(solved, names)
        return results

    def _measure(self, solved, names: list[str] | None) -> list[dict]:
        """Return some properties of a solution, structure by structure."""
        results = []
        for index, atoms in enumerate(solved.frames):
            wanted = default_properties(atoms.pbc) if names is None else names
            results.append(self._measure_charges(solved, index, set(wanted)))
        return results

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

    def _measure_charges(self, solved, index: int, wanted: set) -> dict:
        """Return the properties of the charges and moments of one structure."""
        atoms, charges, result = solved.frames[index], solved.fixed(index), {}
        ones = np.ones(len(charges.moments))
        moments = charges.moment_values(ones)
        named = zip(ATOMIC_MOMENTS, moments, strict=False)
        result.update({name: values for name, values in named if name in wanted})
        for name in CHARGES:
            observable = OBSERVABLES[name]
            if name in wanted:
                result[name] = observable.value(atoms, charges, ones)
            if f"{name}_std" in wanted:
                rows = observable.observe(atoms, solved.linear(index, name)).matrix
                deviations = self.solution_.standard_deviations(rows)
                deviations = deviations.reshape(observable.shape)
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


def energy_targets(frames, targets, potential) -> list[str]:
    """Return which of `ENERGIES` are fitted.

    Those among ``targets``; where these are None, none without a ``potential`` and all
    that are there with one.
    """
    if targets is not None:
        return [name for name in targets if name in ENERGIES]
    if potential is None:
        return []
    return collect_targets(frames).names
