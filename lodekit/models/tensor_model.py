"""`TensorModel`: vectors, matrices and other tensors of structures or of atoms."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.clock import Clock
from lodekit.fitting.groups import find_groups
from lodekit.fitting.tensor_kernels import select_kernels
from lodekit.observables.tensors import Tensor, collect_tensor, describe_tensor
from lodekit.quantities import family
from lodekit.regression.environments import batches
from lodekit.structures import check_structures, frame_name, get_target
from lodekit.structures.batch import as_frames

from .charge_checks import check_fraction, check_noises, check_weights
from .extrapolating import with_extrapolation
from .model import Model
from .prediction import check_species
from .tensor_fit import BATCH_ATOMS, PartProblem, summarize_parts
from .tensor_prediction import TensorPrediction
from .tensor_state import TensorState

#: Targets that are fitted where the user names none.
DEFAULT_TARGETS = family("tensors")


class TensorModel(TensorState, Model):
    """Tensors of structures or of atoms, learned with the symmetry that they have.

    A tensor is a sum of irreducible parts that turn like spherical harmonics, such as
    the mean (order 0) and the anisotropy (order 2) of a polarizability. Every part is a
    sum over atoms of kernels of its order, k(i, m)_ab = f(i, m) p_i[a] . p_m[b], with
    equivariant features p (lambda-SOAP, or with the potential of all atoms
    lambda-LODE). Parts of order 0 have a constant of every element as well.

    Parameters
    ----------
    descriptor : EquivariantPowerSpectrum or list of these, optional
        One for each term; three SOAP terms of different range where None.
    covariance : EquivariantCovariance or list of these, optional
        Of every term; with zeta = 2 where None.
    n_sparse : int or list of int, optional
        Sparse points of each species, at the most.
    n_channels : int
        Channels of every order and species, at the most, chosen among thousands where
        the descriptor has no selection.
    selection : object with ``select(points, n_select)``, optional
        Chooses sparse points and channels; `FarthestPointSelection` where None.
    targets : list of str, optional
        Names of the tensors in the frames: of `lodekit.structures.TARGETS`, or any
        name of ``info`` (of structures) or ``arrays`` (of atoms). Where None, those of
        dipole and polarizability that the frames have.
    spherical : list of str, optional
        Targets that are spherical tensors, 2 l + 1 components in the order m = -l..l;
        others are Cartesian, of 1, 3, 6, 9, 27 or 81 components.
    pseudotensors : list of str, optional
        Targets that a reflection turns to the opposite of what it makes of others, such
        as magnetic dipoles.
    noises : dict of str to float, optional
        Standard deviation of the noise of components by target; what makes the targets
        most probable where it is missing.
    validation_fraction : float
        Largest share of the frames that is left out, one group at a time, for errors,
        noises and the calibration of standard deviations.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    tensors_ : dict of str to Tensor
        What is known of every target.
    kernels_ : dict of (order, sigma) to list of EquivariantKernel
        One for each term.
    parts_ : dict of str to list of TensorPart
        Fitted parts of every target.
    summary_ : dict

    References
    ----------
    A. Grisafi, D. M. Wilkins, G. Csányi, M. Ceriotti, Phys. Rev. Lett. 120, 036002
    (2018).
    """

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        n_channels=500,
        selection=None,
        targets=None,
        spherical=None,
        pseudotensors=None,
        noises=None,
        validation_fraction=1.0,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.n_channels = n_channels
        self.selection = selection
        self.targets = targets
        self.spherical = spherical
        self.pseudotensors = pseudotensors
        self.noises = noises
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
        y : None
            Not used: tensors come from the frames.
        sample_weight : array-like of shape (n_frames,), optional
            Weight of each frame: its noise variances are divided by it.
        groups : array-like of shape (n_frames,), optional
            Names of groups of like frames, see `SparsePotential.fit`.

        Raises
        ------
        ValueError
            For targets that are missing in some frames or are no tensors, dipoles of
            charged structures, arguments out of range.
        """
        clock = Clock()
        frames = as_frames(frames)
        self.check_labelled(frames)
        check_fraction(self.validation_fraction)
        random_state = check_random_state(self.random_state)
        self.targets_ = choose_targets(frames, self.targets)
        check_noises(self.noises or {}, self.targets_)
        check_kinds(self, self.targets_)
        values = {name: collect_tensor(frames, name) for name in self.targets_}
        self.tensors_ = {
            name: describe_tensor(
                name,
                np.concatenate(arrays),
                self.spherical or (),
                per_atom,
                name in (self.pseudotensors or ()),
            )
            for name, (arrays, per_atom) in values.items()
        }
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self.kernels_ = self._select(frames, random_state)
        clock.lap("sparse points")
        arguments = {
            "groups": find_groups(frames, groups),
            "sample_weight": check_weights(sample_weight, len(frames)),
            "fraction": self.validation_fraction,
            "random_state": random_state,
            "lap": clock.lap,
        }
        self.parts_ = {
            name: self._fit_parts(frames, arrays, self.tensors_[name], arguments)
            for name, (arrays, _) in values.items()
        }
        self.learn_range(frames, arguments["groups"])
        clock.lap("training range")
        self.summary_ = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            **summarize_parts(self.tensors_, self.parts_),
            "seconds": clock.seconds,
        }
        return self

    def prepare(self, tensor: Tensor, frames, species, random_state):
        """Choose the kernels of one tensor of structures; return the model itself.

        For fits of other models, which hand the result to `adopt`.
        """
        self.targets_, self.tensors_ = [tensor.name], {tensor.name: tensor}
        self.species_ = species
        self.kernels_ = self._select(frames, random_state)
        return self

    def adopt(self, parts: list, summary: dict):
        """Take the fitted parts of the tensor of `prepare`; return the model itself."""
        self.parts_ = {name: parts for name in self.targets_}
        self.summary_ = {"species": self.species_.tolist(), **summary}
        return self

    def take_fits(self, fits: list, last: list, n_frames: int) -> None:
        """Become what another one of nested fits has found; see `curves`."""
        parts = [part for parts in self.parts_.values() for part in parts]
        for part, fit_to_some in zip(parts, fits, strict=True):
            part.amplitudes = list(fit_to_some.amplitudes)
            part.take(fit_to_some.result)
        facts = summarize_parts(self.tensors_, self.parts_)
        self.summary_ = {**self.summary_, "n_structures": n_frames, **facts}

    def _select(self, frames, random_state) -> dict:
        """Choose channels and sparse points of every order."""
        keys = sorted({part[:2] for t in self.tensors_.values() for part in t.parts})
        return select_kernels(self, frames, keys, random_state)

    def _fit_parts(self, frames, values, tensor: Tensor, arguments: dict) -> list:
        """Return the fitted parts of one target."""
        values = [arrays.reshape(len(arrays), -1) for arrays in values]
        noise = (self.noises or {}).get(tensor.name, "auto")
        problems = [
            PartProblem(
                frames,
                values,
                tensor,
                index,
                self.kernels_[order, sigma],
                self.species_,
                self.progress,
            )
            for index, (order, sigma, _) in enumerate(tensor.parts)
        ]
        return [problem.fit(noise, arguments) for problem in problems]

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        names = [name + end for end in ("", "_std") for name in self.targets_]
        return [*names, *self.range_properties]

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to an atom's tensor."""
        return max(k.reach for kernels in self.kernels_.values() for k in kernels)

    @with_extrapolation
    def compute(self, frames, properties=None) -> list[dict]:
        """Predict tensors of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Targets of the fit, and each with _std its standard deviations; all targets
            where None.

        Returns
        -------
        results : list of dict
            Values in the shape and unit of the targets.

        Raises
        ------
        ValueError
            For species the model has not seen, unknown properties.
        """
        check_is_fitted(self, "parts_")
        frames = as_frames(frames)
        check_structures(frames)
        check_species(frames, self.species_)
        if isinstance(properties, str):
            properties = [properties]
        wanted = self.targets_ if properties is None else list(properties)
        for name in wanted:
            if name not in self.properties:
                raise ValueError(
                    f"properties must be among {self.properties}, got '{name}'"
                )
        results = []
        for group in batches(frames, BATCH_ATOMS):
            some = TensorPrediction(self, [frames[i] for i in group])
            results += some.results(wanted)
        return results

    def predict(self, frames) -> np.ndarray:
        """Return the first target: (n_frames, ...), or of all atoms (n_atoms, ...)."""
        check_is_fitted(self, "parts_")
        name = self.targets_[0]
        values = [result[name] for result in self.compute(frames, [name])]
        per_atom = self.tensors_[name].per_atom
        return np.concatenate(values) if per_atom else np.array(values)

    def score(self, frames, y=None) -> float:
        """Return R^2 of the first target, all components together."""
        from sklearn.metrics import r2_score

        check_is_fitted(self, "parts_")
        frames = as_frames(frames)
        expected, _ = collect_tensor(frames, self.targets_[0])
        predicted = self.predict(frames)
        return r2_score(np.concatenate(expected).ravel(), predicted.ravel())


def check_kinds(model: TensorModel, targets: list[str]) -> None:
    """Raise ``ValueError`` for spherical or pseudotensors that are no targets."""
    for kind in ("spherical", "pseudotensors"):
        others = set(getattr(model, kind) or ()) - set(targets)
        if others or isinstance(getattr(model, kind), str):
            raise ValueError(
                f"{kind} must be a list of names among the targets {targets}, got "
                f"{getattr(model, kind)!r}"
            )


def choose_targets(frames, targets) -> list[str]:
    """Return the names of the tensors to fit.

    Raises
    ------
    ValueError
        If there are none, or they are dipoles of charged structures.
    """
    if isinstance(targets, str):
        targets = [targets]
    names = list(targets or ())
    if not names:
        names = [
            name
            for name in DEFAULT_TARGETS
            if all(get_target(atoms, name) is not None for atoms in frames)
        ]
    if not names:
        raise ValueError(
            f"no frame has {' or '.join(DEFAULT_TARGETS)}; name the targets to fit"
        )
    charged = [bool(get_target(atoms, "total_charge")) for atoms in frames]
    if "dipole" in names and any(charged):
        raise ValueError(
            f"{frame_name(charged.index(True))} is charged, and its dipole depends on "
            "the origin; use `DipoleModel`, which learns charges and atomic dipoles"
        )
    return names
