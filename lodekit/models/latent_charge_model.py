"""`LatentChargeModel`: charges learned from energies and forces."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.fitting.charge_start import StartedFit
from lodekit.fitting.clock import Clock
from lodekit.fitting.problem import FitResult
from lodekit.observables.charges import (
    check_total_charges,
    collect_charge_targets,
    total_charge,
)
from lodekit.observables.energy import collect_targets
from lodekit.physics.elements import known_electronegativities
from lodekit.physics.multipoles import Multipoles
from lodekit.quantities import ENERGIES
from lodekit.regression.atomic_moments import AtomicMoments
from lodekit.regression.environments import batches
from lodekit.regression.latent_states import ElementLatent
from lodekit.stored_model import StoredModel
from lodekit.structures import frame_name
from lodekit.structures.batch import as_frames
from lodekit.terms.choice import check_whole
from lodekit.terms.tables import default_charge_terms

from .charge_checks import check_fraction, check_noises, check_weights, is_number
from .charge_energy import ChargeEnergyModel, check_width
from .charge_state import read_width
from .extrapolating import with_extrapolation
from .linear_charges import BATCH_ATOMS


class LatentChargeModel(ChargeEnergyModel):
    """Charges of environments, learned from energies and forces.

    q_i = q_0(species of i) + Phi_i w, moved by one number for each structure to its
    total charge (0 where it is not given), with the energy

        U = sum_i [e_0(species of i) + a_i] + k_e sum over pairs q_i q_j erf(...) / r

    of Gaussian charges, by an Ewald sum where the structure is periodic, and a
    short-ranged latent a_i. Both latents are fitted at once: a convex problem in a few
    directions says where to start, Gauss-Newton steps with exact derivatives do the
    rest. Charges and moments can be fitted with the energies.

    Energies of neutral structures do not tell q from -q. Where nothing else does, the
    sign is such that elements of high electronegativity (Pauling's) are negative; among
    equal elements the first charge of the frames is positive.

    Parameters
    ----------
    descriptor, covariance, n_sparse, selection
        As in `SparsePotential`, of the charges.
    targets : list of str, optional
        What is fitted, of energy, forces, stress (of which energy or forces must be
        there), charges, dipole, quadrupole. All energies, forces and stress that the
        frames have where None.
    noises : dict of str to float, optional
        Standard deviation of the noise by target in eV/atom, eV/Å, eV/Å^3, e, e·Å and
        e·Å², and of the "total_charge" of charges before they are moved; where one is
        missing or "auto", what makes the targets most probable.
    charge_width : float
        Standard deviation in Å of the Gaussian charges.
    charge_prior : float
        Prior standard deviation in e of what surroundings add to the charge of an
        element. A smaller one keeps charges from explaining what the remainder can, and
        may give better dipoles where nothing but energies and forces is known.
    potential : SparsePotential, optional
        What describes the short-ranged remainder: descriptor, covariance, n_sparse and
        selection are used. SOAP, near and wide, where None.
    validation_fraction : float
        Share of the frames that may be left out, see `SparsePotential`.
    n_ensemble : int
        Members drawn from the posterior for standard deviations of energies.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    weights_ : ndarray of shape (rank,)
        Of the charges.
    potential_ : SparsePotential
        The short-ranged remainder.
    std_scales_ : dict of str to float
        Calibration factors of standard deviations by target.
    summary_ : dict

    References
    ----------
    O. T. Unke, M. Meuwly, J. Chem. Theory Comput. 15, 3678 (2019); B. Cheng, npj
    Comput. Mater. 11, 80 (2025).
    """

    conserves_charge = True
    needs_ensemble = True
    predicts_energies = True

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        selection=None,
        targets=None,
        noises=None,
        charge_width=1.0,
        charge_prior=1.0,
        potential=None,
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
        self.noises = noises
        self.charge_width = charge_width
        self.charge_prior = charge_prior
        self.potential = potential
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
            Names of groups of like frames, see `SparsePotential.fit`.

        Returns
        -------
        self : LatentChargeModel

        Raises
        ------
        ValueError
            For targets that are missing, neither energies nor forces,
            structures of one atom alone, slabs with a net charge, arguments out of
            range.
        """
        clock = Clock()
        frames = as_frames(frames)
        targets = self._check(frames, y)
        weights = check_weights(sample_weight, len(frames))
        random_state = check_random_state(self.random_state)
        self.charge_width_ = float(self.charge_width)
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self._select(frames, random_state)
        for kernel in self.latent_.kernels:
            kernel.amplify(self.charge_prior)
        self._fit_energies(
            frames,
            targets,
            self._linear(),
            start=np.zeros(self.rank),
            random_state=random_state,
            clock=clock,
            weighting={"sample_weight": weights, "groups": groups},
            kind=StartedFit,
        )
        self._share_features()
        self.learn_range(frames, groups)
        return self

    def _turn(self, problem, result: FitResult) -> None:
        """Give charges the sign of the convention, in place, where none is learned."""
        if self.targets_ or self.is_charged_:
            return
        n_rest, charges = problem.n_rest, []
        for group in batches(problem.frames, BATCH_ATOMS):
            some = [problem.frames[i] for i in group]
            solved = self.response.solve(some, result.weights[n_rest:])
            charges += solved.charges
        charges = np.concatenate(charges)
        numbers = np.concatenate([atoms.numbers for atoms in problem.frames])
        scale = known_electronegativities(self.species_)
        scale = scale[np.searchsorted(self.species_, numbers)]
        order = -charges @ scale
        if abs(order) < 1e-9 * (np.abs(charges) @ scale):
            order = charges[np.argmax(np.abs(charges) > 0.0)]
        if order < 0.0:
            result.weights[n_rest:] *= -1.0
            result.solution.factor[n_rest:, :n_rest] *= -1.0

    def _check(self, frames, y):
        """Check arguments and frames, and return the targets of energies."""
        self.check_labelled(frames)
        check_fraction(self.validation_fraction)
        check_whole("n_ensemble", self.n_ensemble)
        check_width(self.charge_width)
        if not (is_number(self.charge_prior) and 0 < self.charge_prior < np.inf):
            raise ValueError(
                f"charge_prior must be positive, in e, got {self.charge_prior!r}"
            )
        names = None
        if self.targets is not None:
            names = [name for name in self.targets if name in ENERGIES]
        if names is not None and not {"energy", "forces"} & {*names}:
            raise ValueError(
                "latent charges are learned from energy or forces, got the targets "
                f"{list(self.targets)}; `ChargeModel` needs charges or moments alone"
            )
        targets = collect_targets(frames, names, y)
        moments = [name for name in self.targets or () if name not in ENERGIES]
        self.targets_ = collect_charge_targets(frames, moments) if moments else []
        self.is_charged_ = check_total_charges(frames)
        check_noises(self.noises or {}, [*self._linear(), *targets.names])
        check_slabs(frames)
        if max(len(atoms) for atoms in frames) == 1:
            raise ValueError(
                "every structure has one atom, whose charge is the total charge: there "
                "is nothing to learn; add structures of several atoms"
            )
        return targets

    def _default_terms(self, frames) -> list[tuple]:
        """Return SOAP alone, which varies smoothly enough for forces."""
        return default_charge_terms(linear=False)

    def _linear(self) -> list[str]:
        """Return the targets that are linear in the charges.

        Charges before they are moved shall sum to the total charge as well, so that
        they are moved little and parts of a structure have charges of their own.
        """
        return [*self.targets_, "total_charge"]

    @property
    def response(self) -> Multipoles:
        """Charges with equal shares of the total charge, without self-interaction."""
        return Multipoles(
            ElementLatent(self.latent_, self.species_, self.element_prior),
            AtomicMoments([]),
            self.charge_width_,
            interacts_with_itself=False,
        )

    @with_extrapolation
    def compute(self, frames, properties=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of energy (eV), forces (eV/Å), stress (eV/Å^3, Voigt, fully periodic
            frames only), charges (e), dipole (e·Å, from the origin), quadrupole (e·Å²,
            (6,)), and the standard deviations energy_std, charges_std, dipole_std,
            quadrupole_std. Where None, energy, forces, charges, and as far as the
            boundary has them stress and dipole.

        Returns
        -------
        results : list of dict

        Raises
        ------
        ValueError
            For unknown species and properties, missing total charges, moments of
            periodic structures, slabs with a net charge.
        """
        return self._compute(frames, properties)

    def _check_frames(self, frames) -> None:
        """Raise ``ValueError`` for bad frames, and for slabs with a net charge."""
        super()._check_frames(frames)
        check_slabs(frames)

    def add_state(self, settings: dict, arrays: dict, store) -> None:
        """Add the charge width."""
        settings["charge_width"] = self.charge_width_

    def take_state(self, stored: StoredModel) -> None:
        """Take what `add_state` added; there is always a potential."""
        stored.setting("potential", dict)
        self.charge_width_ = read_width(stored)


def check_slabs(frames) -> None:
    """Raise ``ValueError`` for slabs with a net charge."""
    for index, atoms in enumerate(frames):
        if atoms.pbc.sum() == 2 and total_charge(atoms) != 0.0:
            raise ValueError(
                f"{frame_name(index)} is a slab with the total charge "
                f"{total_charge(atoms):g} e, which has no finite energy; add a "
                "counter-charge, or make it periodic in three directions"
            )
