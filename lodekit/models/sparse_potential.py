"""`SparsePotential`: energies, forces, stress by sparse Gaussian-process regression."""

from __future__ import annotations

import numbers
import warnings

import numpy as np
from sklearn.base import clone
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.descriptors.hyperparameters import PREDICTED
from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.fitting.joint_fit import ROW_ATOMS, ROW_BYTES
from lodekit.fitting.nested import amplify, using
from lodekit.fitting.planning import in_full
from lodekit.fitting.problem import FitResult
from lodekit.fitting.progress import progress_bar
from lodekit.observables.energy import build_rows, collect_targets
from lodekit.observables.rows import Rows
from lodekit.quantities import ENERGIES, UNITS, error_units, quantity
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent, count_points, point_features
from lodekit.structures.batch import StructureBatch, as_frames
from lodekit.terms.choice import check_whole
from lodekit.terms.sources import predicted, source_charges

from .charge_checks import check_fraction, check_weights
from .energy_estimator import EnergyEstimator
from .extrapolating import with_extrapolation
from .potential_state import PotentialState
from .prediction import PROPERTIES, Predictor
from .source_charges import fit_charge_latent


class SparsePotential(PotentialState, EnergyEstimator):
    """Potential energy as a sum of atomic energies, linear in sparse kernels.

    E = sum_i [e_0(species of i) + sum_terms sum_M k(i, M) alpha_M], fitted to energies,
    forces and stress together.

    Parameters
    ----------
    descriptor : PowerSpectrum or list of PowerSpectrum, optional
        One term of the energy each. Chosen from the data where None
        (`lodekit.settings.potential.default_settings`).
    covariance : PolynomialCovariance or list, optional
        One for all terms, or one each.
    n_sparse : int or list of int, optional
        Sparse points of each species, for all terms or each. Where None, chosen from
        the data with the descriptor, 500 for a given descriptor.
    selection : object with ``select(points, n_select)``, optional
        How sparse points are picked; `FarthestPointSelection` where None.
    targets : list of {"energy", "forces", "stress"}, optional
        What is fitted, where a frame has it; all that the frames have where None, but
        one that three of four lack must be named.
    energy_noise, force_noise, stress_noise : float or "auto"
        Standard deviation of the noise in eV/atom, eV/Å and eV/Å^3. "auto" takes what
        makes the targets most probable, together with the prior standard deviation of
        the atomic energies of every term, see `lodekit.fitting.noises`. Where all
        noises are given, the latter is 1 eV.
    baseline : "composition", "isolated-atoms" or dict
        Energy per species taken away before the fit: least squares on the composition,
        the energies of frames with one neutral atom that is open or far from its
        images, or ``{atomic number or symbol: eV}``.
    solver : {"cholesky", "qr"}
        ``"qr"`` needs given noises, takes longer and bears rows of any condition.
    validation_fraction : float
        Share of the frames that may be left out, one group of like frames at a time,
        for errors, calibration and the scale of noises: in closed form, without a
        second fit.
    n_ensemble : int
        Members drawn from the posterior; their spread is the standard deviation of
        every prediction (relative sampling error 1 / sqrt(2 n_ensemble)).
    random_state : int or numpy.random.RandomState
        Splits frames, draws candidates and the ensemble.
    progress : bool
        Whether to show progress bars.

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
        Atomic numbers that the model knows.
    baseline_ : ndarray of shape (n_species,)
        Baseline energies in eV.
    weights_ : ndarray of shape (rank,)
        Posterior mean of the weights.
    std_scales_ : dict of str to float
        Calibration factors of standard deviations by target.
    summary_ : dict
        Sizes, noises, condition number, effective rank, held-out errors, seconds.

    References
    ----------
    A. P. Bartók et al., Phys. Rev. Lett. 104, 136403 (2010); F. Musil et al., Chem.
    Rev. 121, 9759 (2021); calibration: F. Musil et al., J. Chem. Theory Comput. 15, 906
    (2019).
    """

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        selection=None,
        targets=None,
        energy_noise="auto",
        force_noise="auto",
        stress_noise="auto",
        baseline="composition",
        solver="cholesky",
        validation_fraction=1.0,
        n_ensemble=32,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.selection = selection
        self.targets = targets
        self.energy_noise = energy_noise
        self.force_noise = force_noise
        self.stress_noise = stress_noise
        self.baseline = baseline
        self.solver = solver
        self.validation_fraction = validation_fraction
        self.n_ensemble = n_ensemble
        self.random_state = random_state
        self.progress = progress

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
        y : array-like of shape (n_frames,), optional
            Total energies in eV instead of those of the frames.
        sample_weight : array-like of shape (n_frames,), optional
            Weight of each frame: its noise variances are divided by it.
        groups : array-like of shape (n_frames,), optional
            Names of groups of like frames, which are left out together; found from the
            frames where None, see `lodekit.fitting.groups`.

        Returns
        -------
        self : SparsePotential

        Raises
        ------
        ValueError
            For targets that are missing, arguments out of range, or frames that no
            model can be fitted to.
        """
        clock = Clock()
        frames = as_frames(frames)
        weights = self._check(frames, sample_weight)
        random_state = check_random_state(self.random_state)
        targets = collect_targets(frames, self.targets, y)
        self._check_noises(targets.names)
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self.baseline_ = targets.subtract_baseline(
            frames, self.species_, self.baseline, weights
        )
        terms = self._terms(frames)
        self._fit_sources(frames, terms, targets.names, y, random_state)
        clock.lap("charges of sources")
        latent = Latent.select(
            frames,
            progress_bar(terms, "sparse points", self.progress),
            self.species_,
            selection=self.selection,
            random_state=random_state,
        )
        self.kernels_ = latent.kernels
        clock.lap("sparse points")
        problem = PotentialProblem(self, frames, targets, weights)
        noises = {name: self._given_noises()[name] for name in targets.names}
        result = fit(
            problem,
            noises,
            groups=groups,
            fraction=self.validation_fraction,
            random_state=random_state,
            lap=clock.lap,
        )
        self.learn_range(frames, groups)
        clock.lap("training range")
        self._finish(result, random_state, clock, len(frames))
        return self

    def take_fits(self, fits: list, last: list, n_frames: int) -> None:
        """Become what another one of nested fits has found; see `curves`."""
        (fit_to_some,) = fits
        amplify(self.kernels_, fit_to_some, *last)
        state = check_random_state(self.random_state)
        self._finish(fit_to_some.result, state, Clock(), n_frames)

    @classmethod
    def learned(cls, potential, species, latent: Latent, **arrays):
        """Return a copy of a potential with what another fit has learned for it.

        Parameters
        ----------
        potential : SparsePotential
        species : ndarray of shape (n_species,)
        latent : Latent
        **arrays
            What the attributes of the same name with "_" hold: baseline, weights,
            ensemble, std_scales, noises, summary.
        """
        fitted = clone(potential)
        fitted.species_, fitted.kernels_ = species, latent.kernels
        for name, value in arrays.items():
            setattr(fitted, f"{name}_", value)
        fitted.coefficients_ = fitted._coefficients()
        return fitted

    def _check(self, frames, sample_weight) -> np.ndarray:
        """Check arguments and return the weight of every frame."""
        self.check_labelled(frames)
        if self.solver not in ("cholesky", "qr"):
            raise ValueError(f"solver must be 'cholesky' or 'qr', got '{self.solver}'")
        check_whole("n_ensemble", self.n_ensemble)
        check_fraction(self.validation_fraction)
        return check_weights(sample_weight, len(frames))

    def _fit_sources(self, frames, terms, names, y, random_state) -> None:
        """Fit what predicts the charges of sources, where terms ask for it."""
        self.charge_latent_ = None
        sides = predicted(descriptor for descriptor, *_ in terms)
        if not sides:
            return
        try:
            seed = random_state.randint(2**31)
            with using(None), in_full():  # of these frames alone
                self.charge_latent_ = fit_charge_latent(
                    frames, names, y, seed, self.progress
                )
        except ValueError as problem:
            warnings.warn(
                "no charges of the sources of LODE could be learned, they are units by "
                f"species: {problem}",
                stacklevel=3,
            )
        for side in sides:
            side.predictor = self.charge_latent_
            side.charges = None if self.charge_latent_ is None else PREDICTED

    def _check_noises(self, targets) -> None:
        """Check the noises before any work is done."""
        for name, noise in self._given_noises().items():
            is_number = isinstance(noise, numbers.Real) and not isinstance(noise, bool)
            if noise != "auto" and not (is_number and 0 < noise < np.inf):
                raise ValueError(
                    f"the noise of {name} must be a positive number or 'auto', "
                    f"got {noise!r}"
                )
            if noise == "auto" and name in targets and self.solver == "qr":
                raise ValueError(
                    f"solver='qr' needs a given noise for the target '{name}'"
                )

    def _given_noises(self) -> dict:
        return {name: getattr(self, quantity(name).noise_key) for name in ENERGIES}

    @property
    def _rank(self) -> int:
        """Number of weights."""
        return Latent(self.kernels_).rank

    def _rows(self, frames, targets) -> dict[str, Rows]:
        """Return the rows of frames that fit into memory together."""
        return build_rows(self.kernels_, StructureBatch.from_frames(frames), targets)

    def _finish(self, result: FitResult, random_state, clock, n_frames: int) -> None:
        """Take over what was learned, and derive what predictions need."""
        solution = result.solution
        self.weights_ = result.weights
        self.noises_, self.std_scales_ = result.noises, result.std_scales
        self.held_out_errors_ = result.errors
        self.ensemble_ = solution.draw(self.n_ensemble, random_state)
        self.coefficients_ = self._coefficients()
        clock.lap("ensemble")
        self.summary_ = {
            "n_structures": n_frames,
            "species": self.species_.tolist(),
            "n_sparse": count_points(self.kernels_),
            "rank": int(self.weights_.size),
            "amplitudes": [kernel.amplitude for kernel in self.kernels_],
            "source_charges": source_charges(self.kernels_),
            **result.summary(),
            "units": error_units(ENERGIES),
            "seconds": clock.seconds,
        }

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        return [*PROPERTIES, *self.range_properties]

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to the energy of an atom."""
        return Latent(self.kernels_).reach

    @with_extrapolation
    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of energy (eV), forces (eV/Å, (n_atoms, 3)), stress (eV/Å^3, Voigt (6,),
            fully periodic frames only), energies (eV, (n_atoms,)), energy_std (eV),
            energies_std (eV), forces_std (eV/Å), extrapolation ((n_atoms,), see
            `lodekit.fitting.training_range`). Energy, forces, energies and, where
            defined, stress if None.

        Returns
        -------
        results : list of dict
            One dictionary for each frame.

        Raises
        ------
        ValueError
            For species the model has not seen and unknown properties.
        """
        check_is_fitted(self, "weights_")
        return Predictor(self).compute(as_frames(frames), properties)


class PotentialProblem:
    """Rows of a potential, linear in its weights: a `lodekit.fitting.fit.Problem`.

    Parameters
    ----------
    model : SparsePotential
        With its kernels.
    frames : list of ase.Atoms
    targets : EnergyTargets
    weights : ndarray of shape (n_frames,)
        Of frames.
    """

    n_linear, first_column, units = None, 0, UNITS

    def __init__(self, model, frames, targets, weights):
        self.model, self.frames, self.targets = model, frames, targets
        self.weights = weights
        self.names, self.rank = targets.names, model._rank
        self.n_rows = targets.count_rows(frames)
        self.progress = model.progress
        self.solver = model.solver
        noises = model._given_noises()
        is_searched = any(noises[name] == "auto" for name in self.names)
        is_plain = self.rank == Latent(model.kernels_).rank
        self.kernels = model.kernels_ if is_searched and is_plain else []

    def content(self):
        """Yield weights, targets and sparse points."""
        yield self.weights
        yield from self.targets.arrays()
        yield from point_features(self.model.kernels_)

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights of rows, batch by batch."""
        subset = [self.frames[i] for i in frames]
        n_atoms = min(ROW_ATOMS, int(ROW_BYTES / (24.0 * self.rank)))
        groups = list(batches(subset, max(1, n_atoms)))
        for group in progress_bar(groups, "rows", self.progress):
            indices = frames[group]
            some = [self.frames[i] for i in indices]
            rows = self.model._rows(some, self.targets.subset(indices))
            for name, part in rows.items():
                part.frames = indices[part.frames]
                yield name, part, self.weights[part.frames]
