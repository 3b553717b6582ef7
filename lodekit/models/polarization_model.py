"""`PolarizationModel`: energies, polarization and their responses to a field."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.fitting.tensor_kernels import select_dipoles
from lodekit.observables.fields import fields_of
from lodekit.observables.oxidation_states import choose_oxidation_states
from lodekit.observables.polarization import (
    BORN_CHARGES,
    POLARIZATION,
    PolarizationTargets,
    born_charges_of,
    moment_of,
)
from lodekit.physics.dipole_electrostatics import (
    ChargesAndDipoles,
    check_electrostatics,
)
from lodekit.physics.local_screening import LocallyScreened
from lodekit.quantities import ENERGIES, family
from lodekit.regression.environments import batches
from lodekit.structures import check_structures
from lodekit.structures.batch import as_frames
from lodekit.threads import threads_for

from .charge_checks import (
    check_fields,
    check_fraction,
    check_noises,
    check_quantum,
    check_weights,
)
from .extrapolating import with_extrapolation
from .field_fit import dipole_problem
from .model import Model
from .polarization_fields import without_fields
from .polarization_fit import BranchSearch
from .polarization_parts import (
    TARGETS,
    choose_polarization_targets,
    find_electrostatics,
    fit_potential,
    fit_response,
    leave_over,
    summarize,
)
from .polarization_prediction import (
    BATCH_ATOMS,
    RESPONSES,
    PolarizationPrediction,
    defined_properties,
)
from .polarization_state import PolarizationState
from .prediction import check_species


class PolarizationModel(PolarizationState, Model):
    """Energy of structures in an electric field, with all its derivatives.

    U(R, E) = U_0(R) - E . M(R) - E . alpha(R) . E / 2 - beta(R) : E E E / 6, with

    * U_0, the energy of a `SparsePotential`,
    * M = sum_i q_i R_i + d_i, whole charges q of the elements and atomic dipoles d that
      are tensors of order 1 of their surroundings,
    * alpha, a polarizability of order 0 and 2, by a `TensorModel`, and where they are
      fitted hyperpolarizabilities beta, symmetric and of order 1 and 3, by another.

    Forces, stress, polarization P = M / V and Born effective charges Z = dM / dR are
    derivatives of this one function: the sum of Z over the atoms is the total charge,
    and an atom that goes through a periodic cell carries the whole charge q. Any of
    energy, forces, stress, polarization, dipole (of open structures),
    born_effective_charges, polarizability and hyperpolarizability is fitted where a
    frame has it. Frames with an ``electric_field`` (V/Å) are those in this field.

    Parameters
    ----------
    descriptor : EquivariantPowerSpectrum or list of these, optional
        One for each term of d.
    covariance : EquivariantCovariance or list of these, optional
    n_sparse : int or list of int, optional
        Sparse points of each species, at the most.
    oxidation_states : dict of str to int, optional
        q by symbol. Where None, usual ones that make every structure neutral, the
        nearest to the mean Born charges, and 0 for open structures.
    quantum : float
        Charge of a quantum of polarization in e; 2 where all bands hold two electrons
        and ions have even charges.
    n_channels : int
        Channels of every order and species, at the most.
    selection : object with ``select(points, n_select)``, optional
        Chooses sparse points and channels; `FarthestPointSelection` where None.
    targets : list of str, optional
        What is fitted; all that the frames have where None.
    noises : dict of str to float, optional
        Standard deviations by target; what makes the targets most probable where one is
        missing.
    potential : SparsePotential, optional
        For U_0; cloned, the default where None.
    polarizability, hyperpolarizability : TensorModel, optional
        For alpha and beta; cloned, the default where None.
    electrostatic_width : float, optional
        Width in Å of Gaussian charges q and dipoles d whose electrostatic energy is a
        part of U_0, beside the potential; no such part where None.
    screening : float, "learned" or "local"
        Dielectric constant that divides this energy; the mean of the training frames by
        the polarizability where "learned". Where "local", one for every atom, by the
        polarizabilities of the elements around it.
    validation_fraction : float
        Largest share of the frames that is left out, one group at a time.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    oxidation_states_ : ndarray of shape (n_species,)
        q in e.
    dipoles_ : AtomicDipoles or None
        Kernels of d; None where neither moments nor Born charges were fitted.
    solution_ : Solution or DualSolution
        Posterior of their weights.
    potential_ : SparsePotential or None
    polarizability_, hyperpolarizability_ : TensorModel or None
    summary_ : dict

    References
    ----------
    Y. Li, A. Scandolo, Phys. Rev. B 103, 195147 (2021); S. Falletta et al., Nat.
    Commun. 16, 4031 (2025); A. Grisafi et al., Phys. Rev. Lett. 120, 036002 (2018).
    """

    responds_to = ("field", "displacement")
    reads_fields = True

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        oxidation_states=None,
        quantum=1.0,
        n_channels=400,
        selection=None,
        targets=None,
        noises=None,
        potential=None,
        polarizability=None,
        hyperpolarizability=None,
        electrostatic_width=None,
        screening=1.0,
        validation_fraction=1.0,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.oxidation_states = oxidation_states
        self.quantum = quantum
        self.n_channels = n_channels
        self.selection = selection
        self.targets = targets
        self.noises = noises
        self.potential = potential
        self.polarizability = polarizability
        self.hyperpolarizability = hyperpolarizability
        self.electrostatic_width = electrostatic_width
        self.screening = screening
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``.

        Parameters
        ----------
        frames : list of ase.Atoms
        y : None
            Not used: targets come from the frames.
        sample_weight : array-like of shape (n_frames,), optional
            Weight of each frame: its noise variances are divided by it.
        groups : array-like of shape (n_frames,), optional
            Names of groups of like frames, see `SparsePotential.fit`.

        Raises
        ------
        ValueError
            For targets that are missing or bad, oxidation states that do not sum to the
            total charge, branches that are not certain.
        """
        clock = Clock()
        frames = as_frames(frames)
        self._check(frames)
        weights = check_weights(sample_weight, len(frames))
        weighting = {"sample_weight": weights, "groups": groups}
        random_state = check_random_state(self.random_state)
        names = self.targets_
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        results = []
        self.dipoles_ = self.solution_ = None
        self.oxidation_states_ = np.zeros(len(self.species_))
        for name in RESPONSES:
            setattr(self, f"{name}_", fit_response(self, name, frames, weighting))
            clock.lap(name)
        in_fields = fields_of(frames) is not None
        if in_fields or {*names} - {*ENERGIES, *RESPONSES}:
            results.append(self._fit_dipoles(frames, weighting, random_state, clock))
        self._fit_energies(frames, weighting)
        clock.lap("energies")
        self.learn_range(frames, groups)
        self.summary_ = summarize(self, frames, results, clock)
        return self

    def _check(self, frames) -> None:
        """Check arguments and frames, and choose targets."""
        self.check_labelled(frames)
        check_fraction(self.validation_fraction)
        check_quantum(self.quantum)
        check_electrostatics(self.electrostatic_width, self.screening)
        self.targets_ = choose_polarization_targets(
            frames, self.targets, self.possible_targets
        )
        check_noises(self.noises or {}, self.targets_)

    #: Names of what can be fitted.
    possible_targets = (*TARGETS, *family("nonlinear responses"))

    #: Names of what it computes of Wannier centres.
    wannier_properties = ()

    def take_centers(self) -> None:
        """Read the charges of Wannier centres again, after a model was loaded."""

    def _center_charges(self):
        """Return charges of Wannier centres by element, None without any."""
        return

    def _fit_dipoles(self, frames, weighting: dict, random_state, clock: Clock):
        """Fit the atomic dipoles; return the result of the fit."""
        targets = PolarizationTargets.collect(frames, self.targets_)
        charges = self._center_charges()
        if charges is not None:
            targets.keep_centers(frames, self.species_, charges)
        self.oxidation_states_ = choose_oxidation_states(
            self.oxidation_states, frames, self.species_, targets.born_charges
        )
        targets.subtract_ions(frames, self.species_, self.oxidation_states_)
        used = [a for a, n in zip(frames, targets.count_rows(), strict=True) if n]
        self.dipoles_ = select_dipoles(self, used or frames, random_state)
        if charges is not None:
            self.dipoles_.restrict(self.species_[charges != 0.0])
        clock.lap("sparse points")
        problem = dipole_problem(self, frames, targets, charges, random_state)
        noises = {name: self._noise(name) for name in problem.names}
        search = BranchSearch(problem, noises, float(self.quantum))
        self.n_branch_rounds_ = search.run()
        clock.lap("branches")
        result = fit(
            problem,
            noises,
            **weighting,
            fraction=self.validation_fraction,
            random_state=random_state,
            lap=clock.lap,
        )
        self.solution_ = problem.posterior(result)
        for name, response in problem.fitted_responses(result).items():
            setattr(self, f"{name}_", response)
        if search.periodic.size:  # the model itself has to lie on the same branches
            search.check(search.fold(search.moment_rows() @ result.weights))
        return result

    def _fit_energies(self, frames, weighting: dict) -> None:
        """Fit the potential to what the electrostatic energy leaves."""
        energies = [name for name in self.targets_ if name in ENERGIES]
        self.electrostatics_ = None
        frames = without_fields(self, frames, energies) if energies else frames
        if energies and self.electrostatic_width is not None:
            self.electrostatics_ = find_electrostatics(self, frames)
            frames = leave_over(self, frames, energies)
        self.potential_ = fit_potential(self, frames, energies, weighting)

    def _local_electrostatics(self, polarizabilities):
        """Return the electrostatics of charges and dipoles with a local screening."""
        return LocallyScreened(
            float(self.electrostatic_width), self.species_, polarizabilities
        )

    def _electrostatics(self, screening: float):
        """Return the electrostatics of charges and dipoles with one screening."""
        return ChargesAndDipoles(float(self.electrostatic_width), screening)

    def _noise(self, name: str):
        """Return the noise that the user gives to a target, or "auto"."""
        noises = self.noises or {}
        if name == POLARIZATION and name not in noises:
            return noises.get("dipole", "auto")
        return noises.get(name, "auto")

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        check_is_fitted(self, "summary_")
        return [*defined_properties(self), *self.range_properties]

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter to those of an atom."""
        responses = [getattr(self, f"{name}_") for name in RESPONSES]
        parts = (self.potential_, self.dipoles_, *responses)
        return max(part.reach for part in parts if part is not None)

    @with_extrapolation
    def compute(self, frames, properties=None, field=None, displacement=None):
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of energy (eV), forces (eV/Å), stress (eV/Å^3, Voigt), polarization (M
            in e·Å, periodic frames), dipole (M in e·Å, open frames, from the origin),
            born_effective_charges (e, (n_atoms, 3, 3), moment before displacement),
            atomic_dipoles (e·Å), polarizability (Å^3, (3, 3)), dielectric_tensor (at
            fixed ions, (3, 3), periodic frames), hyperpolarizability (e·Å³/V², (3, 3,
            3)), those in the field. What was fitted and is defined for the frame where
            None.
        field : array-like of shape (3,), optional
            Electric field E in V/Å; where None, and without a displacement, the
            ``electric_field`` of each frame that has one. The stress is that at
            constant voltages E . a along the cell vectors a, which does not depend on
            branches.
        displacement : array-like of shape (3,), optional
            Electric displacement D / eps_0 in V/Å instead, of periodic frames; the
            energy is U_0 + (V / 8 pi k) E . eps . E, with E what D leaves, and the
            stress that at constant fluxes of D through the faces of the cell.

        Returns
        -------
        results : list of dict

        Raises
        ------
        ValueError
            For unknown species and properties, those a frame does not have, a field and
            a displacement.
        """
        check_is_fitted(self, "summary_")
        frames = as_frames(frames)
        check_structures(frames)
        check_species(frames, self.species_)
        field, displacement = check_fields(self, frames, field, displacement)
        if isinstance(properties, str):
            properties = [properties]
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                some = [frames[i] for i in group]
                fields = field
                if field is None and displacement is None and self.dipoles_ is not None:
                    fields = fields_of(some)
                results += PolarizationPrediction(
                    self, some, fields, displacement
                ).results(properties)
        return results

    def predict(self, frames) -> np.ndarray:
        """Return M of every frame in e·Å, (n_frames, 3); without dipoles, energies."""
        if self.dipoles_ is None:
            return np.array([r["energy"] for r in self.compute(frames, ["energy"])])
        return np.array(
            [
                self.compute(atoms, ["polarization" if atoms.pbc.all() else "dipole"])
                for atoms in as_frames(frames)
            ]
        )

    def score(self, frames, y=None) -> float:
        """Return R^2 of Born charges, of M where frames have none."""
        from sklearn.metrics import r2_score

        frames = as_frames(frames)
        name = BORN_CHARGES
        expected = [born_charges_of(atoms) for atoms in frames]
        if any(charges is None for charges in expected):
            moments = self.predict(frames)
            return r2_score([moment_of(atoms) for atoms in frames], moments)
        predicted = [result[name].ravel() for result in self.compute(frames, [name])]
        expected = [charges.ravel() for charges in expected]
        return r2_score(np.concatenate(expected), np.concatenate(predicted))
