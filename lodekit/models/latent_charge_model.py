"""`LatentChargeModel`: charges learned from energies and forces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.clock import Clock
from lodekit.observables.charges import (
    DEVIATIONS,
    AffineCharges,
    check_total_charges,
    collect_charge_targets,
    default_properties,
    total_charge,
)
from lodekit.observables.energy import collect_targets
from lodekit.quantities import CHARGES, ENERGIES
from lodekit.regression.environments import batches
from lodekit.structures import check_structures, frame_name
from lodekit.structures.batch import as_frames
from lodekit.terms.choice import check_whole
from lodekit.terms.tables import default_charge_terms
from lodekit.threads import threads_for

from .charge_checks import check_fraction, check_noises, check_weights, is_number
from .charge_energy import add_energies, add_remainder, share_features
from .dipole_gradients import EnvironmentDipoles
from .energy_estimator import energy_score
from .extrapolating import with_extrapolation
from .joint_fit import energy_spread
from .latent_charge_batch import (
    Interaction,
    LatentBatch,
    LatentExpansion,
    project,
)
from .latent_charge_fit import LatentFit, LatentProblem
from .latent_charge_state import LatentChargeState
from .linear_charges import BATCH_ATOMS, LinearChargeModel


class LatentChargeModel(LatentChargeState, LinearChargeModel):
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
        arguments = frames, targets, self._linear(), LatentExpansion, random_state
        problem = LatentProblem(self, *arguments)
        clock.lap("sparse points")
        fitting = LatentFit(self, problem, random_state, clock)
        fitting.run(sample_weight=weights, groups=groups)
        share_features(self)
        self.learn_range(frames, groups)
        return self

    def _check(self, frames, y):
        """Check arguments and frames, and return the targets of energies."""
        check_structures(frames)
        check_fraction(self.validation_fraction)
        check_whole("n_ensemble", self.n_ensemble)
        if not (is_number(self.charge_width) and 0 <= self.charge_width < np.inf):
            raise ValueError(
                f"charge_width must be a length in Å, got {self.charge_width!r}"
            )
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

    def _charges(self, atoms, features: np.ndarray) -> AffineCharges:
        """Return the charges of one structure, affine in the weights."""
        moved = EnvironmentDipoles(self, atoms)
        return replace(project(features, total_charge(atoms)), moved=moved)

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        return [*ENERGIES, "energy_std", *super().properties]

    def predict(self, frames) -> np.ndarray:
        """Return the total energies in eV, (n_frames,)."""
        return np.array([r["energy"] for r in self.compute(frames, ["energy"])])

    def score(self, frames, y=None) -> float:
        """Return R^2 of the energies per atom; see `energy_score`."""
        return energy_score(self, self.potential_, frames, y)

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
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        self._check_frames(frames)
        check_slabs(frames)
        properties = self._check_properties(frames, properties)
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                results += self._compute_batch([frames[i] for i in group], properties)
        return results

    def _compute_batch(self, frames, properties) -> list[dict]:
        """Predict frames that fit into memory together."""
        together = LatentBatch(self, frames)
        results = []
        for atoms, charges in zip(frames, together.charges, strict=True):
            wanted = properties
            if wanted is None:
                wanted = default_properties(atoms.pbc)
            none = np.zeros((len(atoms), 0))
            moved = EnvironmentDipoles(self, atoms)
            fixed = AffineCharges(none, charges, moved=moved)
            results.append(self._compute_one(atoms, fixed, {*CHARGES} & {*wanted}))
        wanted = {*(ENERGIES if properties is None else properties)}
        if {*DEVIATIONS} & wanted:
            for result, (atoms, affine) in zip(
                results, self._affine(frames), strict=True
            ):
                result.update(self._compute_one(atoms, affine, {*DEVIATIONS} & wanted))
        if "energy_std" in wanted:
            for result, deviation in zip(
                results, energy_spread(self, together), strict=True
            ):
                result["energy_std"] = deviation
        if {*ENERGIES} & wanted:
            add_energies(results, together, self.potential_, {*ENERGIES} & wanted)
        return results

    def energies_of_charges(self, atoms, charges) -> np.ndarray:
        """Return energies of one structure with other charges than those predicted.

        Parameters
        ----------
        atoms : ase.Atoms
        charges : ndarray of shape (n_sets, n_atoms)
            In e.

        Returns
        -------
        energies : ndarray of shape (n_sets,)
            In eV, of the charges and of the remainder.
        """
        interaction = Interaction(atoms, self.charge_width_)
        energies = [0.5 * own @ (interaction @ own) for own in charges]
        return add_remainder(energies, atoms, self.potential_)


def check_slabs(frames) -> None:
    """Raise ``ValueError`` for slabs with a net charge."""
    for index, atoms in enumerate(frames):
        if atoms.pbc.sum() == 2 and total_charge(atoms) != 0.0:
            raise ValueError(
                f"{frame_name(index)} is a slab with the total charge "
                f"{total_charge(atoms):g} e, which has no finite energy; add a "
                "counter-charge, or make it periodic in three directions"
            )
