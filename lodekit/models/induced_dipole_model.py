"""`InducedDipoleModel`: atoms with charges and dipoles that polarize each other."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.clock import Clock
from lodekit.observables.charges import check_total_charges
from lodekit.observables.oxidation_states import choose_oxidation_states
from lodekit.observables.polarization import PolarizationTargets
from lodekit.physics.induced_dipole_latents import InducedBatch, InducedLatents
from lodekit.quantities import ENERGIES
from lodekit.regression.environments import batches
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.structures import check_structures, get_target
from lodekit.structures.batch import as_frames
from lodekit.terms.tensors import build_tensor_terms, choose_tensor_terms, induced_terms
from lodekit.threads import threads_for

from .charge_checks import (
    check_fraction,
    check_noises,
    check_quantum,
    check_thole,
    check_vector,
    check_weights,
)
from .charge_energy import remainders
from .extrapolating import with_extrapolation
from .induced_dipole_fit import (
    DIPOLE,
    POLARIZABILITY,
    InducedFit,
    InducedProblem,
    reference_polarizabilities,
)
from .induced_dipole_prediction import (
    defined_properties,
    predict_batch,
    wanted_properties,
)
from .induced_dipole_state import InducedDipoleState
from .model import Model
from .polarization_parts import TARGETS, choose_polarization_targets, fit_potential
from .prediction import check_species

#: Atoms whose features are held at once.
BATCH_ATOMS = 500


class InducedDipoleModel(InducedDipoleState, Model):
    """Charges, permanent dipoles and polarizabilities of atoms that feel each other.

    All three depend on the surroundings of an atom; dipoles mu = mu_0 + a (E + E_q + T
    mu) follow from them self-consistently, and with them the dipole and polarizability
    of the structure, its Born charges, and an electrostatic energy that they make
    least. Dipoles, polarizations, Born charges and polarizabilities are fitted by
    Gauss-Newton steps with exact derivatives; a potential is then fitted to what the
    electrostatic energy leaves of energies, forces and stress.

    Charges that depend on the surroundings have no polarization in a periodic
    structure. Where periodic structures have polarizations or Born charges that are
    fitted, charges are whole ones of the elements, as in `PolarizationModel`.

    Parameters
    ----------
    descriptor : EquivariantPowerSpectrum or list of these, optional
        One for each term of all latents.
    covariance : EquivariantCovariance or list of these, optional
    n_sparse : int or list of int, optional
        Sparse points of each species, at the most.
    n_channels : int
        Channels of every order and species, at the most.
    selection : object with ``select(points, n_select)``, optional
    oxidation_states : dict of str to int, optional
        Whole charges by symbol, which are not learned then; found where None and the
        targets need them.
    quantum : float
        Charge of a quantum of polarization in e.
    thole : float, optional
        Factor of Thole's damping (0.39 is usual) of near atoms, which are Gaussians
        where None.
    targets : list of str, optional
        Of energy, forces, stress, dipole (open structures), polarization (periodic
        ones), born_effective_charges and polarizability; all that the frames have where
        None.
    noises : dict of str to float, optional
    potential : SparsePotential, optional
        For what the electrostatic energy leaves; cloned, the default where None.
    validation_fraction : float
        Largest share of the frames that is left out, one group at a time.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    latents_ : InducedLatents
    solution_ : Solution
        Posterior of their weights, linearised.
    potential_ : SparsePotential or None
    summary_ : dict

    References
    ----------
    J. Applequist, J. R. Carl, K.-K. Fung, J. Am. Chem. Soc. 94, 2952 (1972); A. Gao, R.
    C. Remsing, Nat. Commun. 13, 1572 (2022).
    """

    responds_to = ("field",)
    possible_targets = TARGETS

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        n_channels=300,
        selection=None,
        oxidation_states=None,
        quantum=1.0,
        thole=None,
        targets=None,
        noises=None,
        potential=None,
        validation_fraction=1.0,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.n_channels = n_channels
        self.selection = selection
        self.oxidation_states = oxidation_states
        self.quantum = quantum
        self.thole = thole
        self.targets = targets
        self.noises = noises
        self.potential = potential
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
            For targets that are missing, arguments out of range, periodic structures
            with a net charge, oxidation states that do not sum to the total charge,
            branches that are not certain.
        """
        clock = Clock()
        frames = as_frames(frames)
        self.check_labelled(frames)
        check_fraction(self.validation_fraction)
        check_quantum(self.quantum)
        check_thole(self.thole)
        check_total_charges(frames)
        weights = check_weights(sample_weight, len(frames))
        weighting = {"sample_weight": weights, "groups": groups}
        random_state = check_random_state(self.random_state)
        self.targets_ = choose_polarization_targets(
            frames, self.targets, self.possible_targets
        )
        check_noises(self.noises or {}, self.targets_)
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        electric = [name for name in self.targets_ if name not in ENERGIES]
        targets = PolarizationTargets.collect(frames, electric)
        whole = self._whole_charges(frames, targets)
        self.latents_ = self._select(frames, random_state, whole)
        clock.lap("sparse points")
        noises = {name: (self.noises or {}).get(name, "auto") for name in electric}
        arguments = {
            **weighting,
            "fraction": self.validation_fraction,
            "random_state": random_state,
            "lap": clock.lap,
        }
        search = InducedFit(self.latents_, self.quantum, self.progress)
        result = search.run(frames, electric, targets, noises, arguments)
        self.solution_ = result.solution
        self.solution_.weights = result.weights
        energies = [name for name in self.targets_ if name in ENERGIES]
        rest = remainders(frames, self._parts(frames), energies) if energies else frames
        self.potential_ = fit_potential(self, rest, energies, weighting)
        clock.lap("energies")
        self.learn_range(frames, groups)
        self.summary_ = self._summary(frames, result, clock)
        return self

    def _whole_charges(self, frames, targets: PolarizationTargets):
        """Return whole charges by element, None where charges are learned."""
        if self.oxidation_states is None and not targets.carry_charge(frames):
            return None
        return choose_oxidation_states(
            self.oxidation_states, frames, self.species_, targets.born_charges
        )

    def _select(self, frames, random_state, whole_charges) -> InducedLatents:
        """Choose channels and sparse points of both orders."""
        keys = [(0, 1), (1, 1)]
        terms = choose_tensor_terms(
            self,
            frames,
            keys,
            random_state,
            default=lambda _: build_tensor_terms({"terms": induced_terms()}),
        )
        kernels = {
            key: [
                EquivariantKernel(
                    *key, descriptor, invariants, covariance, self.species_
                ).select(
                    frames,
                    n_sparse,
                    selection=self.selection,
                    random_state=random_state,
                )
                for descriptor, invariants, covariance, n_sparse in terms
            ]
            for key in keys
        }
        reference = reference_polarizabilities(frames, self.species_)
        return InducedLatents(
            self.species_, kernels, reference, whole_charges, self.thole
        )

    def _parts(self, frames) -> list:
        """Return the electrostatic energies of frames with their derivatives."""
        parts = []
        for group in batches(frames, BATCH_ATOMS):
            some = [frames[i] for i in group]
            batch = InducedBatch(self.latents_, self.solution_.weights, some)
            solved = [batch.solve(index) for index in range(len(group))]
            parts += batch.energy_parts(solved)
        return parts

    def _summary(self, frames, result, clock: Clock) -> dict:
        """Return facts about the fit for people."""
        summary = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "targets": self.targets_,
            "rank": self.latents_.rank,
            **result.summary(),
            "units": InducedProblem.units,
        }
        if self.potential_ is not None:
            summary["potential"] = dict(self.potential_.summary_)
        summary["seconds"] = clock.seconds
        return summary

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        check_is_fitted(self, "summary_")
        return [*defined_properties(self), *self.range_properties]

    @property
    def reach(self) -> float:
        """Distance in Å beyond which atoms do not matter: they polarize each other."""
        return np.inf

    @with_extrapolation
    def compute(self, frames, properties=None, field=None):
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of energy (eV), forces (eV/Å), stress (eV/Å^3), dipole or polarization
            (M in e·Å), born_effective_charges (e, moment before displacement; both of
            periodic frames with whole charges only),
            atomic_dipoles (e·Å, permanent and induced), polarizability (Å^3),
            dielectric_tensor, charges (e). What is defined but for Born charges where
            None.
        field : array-like of shape (3,), optional
            In V/Å.

        Returns
        -------
        results : list of dict

        Raises
        ------
        ValueError
            For unknown species and properties, those a frame does not have.
        """
        check_is_fitted(self, "summary_")
        frames = as_frames(frames)
        check_structures(frames)
        check_species(frames, self.species_)
        field = None if field is None else check_vector("field", field)
        wanted = wanted_properties(self, frames, properties, field)
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                some = [frames[i] for i in group]
                results += predict_batch(self, some, [wanted[i] for i in group], field)
        return results

    def predict(self, frames) -> np.ndarray:
        """Return M of every frame in e·Å, (n_frames, 3)."""
        frames = as_frames(frames)
        names = ["polarization" if atoms.pbc.all() else DIPOLE for atoms in frames]
        pairs = zip(frames, names, strict=True)
        return np.array([self.compute(atoms, [n])[0][n] for atoms, n in pairs])

    def score(self, frames, y=None) -> float:
        """Return R^2 of the polarizabilities, all components together."""
        frames = as_frames(frames)
        expected = [get_target(atoms, POLARIZABILITY) for atoms in frames]
        results = self.compute(frames, [POLARIZABILITY])
        predicted = [result[POLARIZABILITY] for result in results]
        return r2_score(np.ravel(expected), np.ravel(predicted))
