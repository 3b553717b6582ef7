"""`InducedDipoleModel`: atoms with charges and dipoles that polarize each other."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.observables.charges import check_total_charges
from lodekit.observables.polarization import BORN_CHARGES
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.regression.environments import batches
from lodekit.regression.equivariant_kernel import EquivariantKernel
from lodekit.structures import check_structures, frame_name, get_target
from lodekit.structures.batch import as_frames
from lodekit.terms.tensors import build_tensor_terms, choose_tensor_terms, induced_terms
from lodekit.threads import threads_for
from lodekit.units import FOUR_PI

from .charge_checks import check_fraction, check_noises, check_stress, check_weights
from .charge_energy import remainders
from .extrapolating import with_extrapolation
from .induced_dipole_fit import (
    DIPOLE,
    POLARIZABILITY,
    InducedProblem,
    reference_polarizabilities,
)
from .induced_dipole_latents import InducedBatch, InducedLatents
from .induced_dipole_state import InducedDipoleState
from .model import Model
from .polarization_parts import choose_polarization_targets, fit_potential
from .polarization_prediction import check_vector
from .prediction import check_species

#: Atoms whose features are held at once.
BATCH_ATOMS = 500
#: V/Å; forces are quadratic in the field, so that differences are exact.
FIELD = 0.1


class InducedDipoleModel(InducedDipoleState, Model):
    """Charges, permanent dipoles and polarizabilities of atoms that feel each other.

    All three depend on the surroundings of an atom; dipoles mu = mu_0 + a (E + E_q + T
    mu) follow from them self-consistently, and with them the dipole and polarizability
    of the structure, its Born charges, and an electrostatic energy that they make
    least. Dipoles and polarizabilities are fitted by Gauss-Newton steps with exact
    derivatives; a potential is then fitted to what the electrostatic energy leaves of
    energies, forces and stress.

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
    targets : list of str, optional
        Of energy, forces, stress, dipole (open structures) and polarizability; all that
        the frames have where None.
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
    possible_targets = (*ENERGIES, *family("tensors"))

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        n_channels=300,
        selection=None,
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
            with a net charge.
        """
        clock = Clock()
        frames = as_frames(frames)
        check_structures(frames)
        check_fraction(self.validation_fraction)
        check_total_charges(frames)
        weights = check_weights(sample_weight, len(frames))
        weighting = {"sample_weight": weights, "groups": groups}
        random_state = check_random_state(self.random_state)
        self.targets_ = choose_polarization_targets(
            frames, self.targets, self.possible_targets
        )
        check_noises(self.noises or {}, self.targets_)
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self.latents_ = self._select(frames, random_state)
        clock.lap("sparse points")
        electric = [name for name in self.targets_ if name not in ENERGIES]
        problem = InducedProblem(frames, electric, self.latents_, self.progress)
        given = {name: (self.noises or {}).get(name, "auto") for name in electric}
        result = fit(
            problem,
            given,
            **weighting,
            fraction=self.validation_fraction,
            random_state=random_state,
            lap=clock.lap,
        )
        self.solution_ = result.solution
        self.solution_.weights = result.weights
        energies = [name for name in self.targets_ if name in ENERGIES]
        rest = remainders(frames, self._parts(frames), energies) if energies else frames
        self.potential_ = fit_potential(self, rest, energies, weighting)
        clock.lap("energies")
        self.learn_range(frames, groups)
        self.summary_ = self._summary(frames, result, clock)
        return self

    def _select(self, frames, random_state) -> InducedLatents:
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
                    *key, own, invariants, covariance, self.species_
                ).select(
                    frames,
                    n_sparse,
                    selection=self.selection,
                    random_state=random_state,
                )
                for own, invariants, covariance, n_sparse in terms
            ]
            for key in keys
        }
        reference = reference_polarizabilities(frames, self.species_)
        return InducedLatents(self.species_, kernels, reference)

    def _parts(self, frames) -> list:
        """Return the electrostatic energies of frames with their derivatives."""
        parts = []
        for group in batches(frames, BATCH_ATOMS):
            batch = self._batch([frames[i] for i in group])
            solved = [batch.solve(index) for index in range(len(group))]
            parts += batch.energy_parts(solved)
        return parts

    def _batch(self, frames, field=None) -> InducedBatch:
        return InducedBatch(self.latents_, self.solution_.weights, frames, field)

    def _summary(self, frames, result, clock: Clock) -> dict:
        """Return what people may want to know."""
        own = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "targets": self.targets_,
            "rank": self.latents_.rank,
            **result.summary(),
            "units": InducedProblem.units,
        }
        if self.potential_ is not None:
            own["potential"] = dict(self.potential_.summary_)
        own["seconds"] = clock.seconds
        return own

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        check_is_fitted(self, "summary_")
        energies = ENERGIES if self.potential_ is not None else ()
        names = (*family("dipoles"), *family("responses"), "charges")
        return [*energies, *names, *self.range_properties]

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
            (M in e·Å), born_effective_charges (e, moment before displacement),
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
        wanted = self._wanted(frames, properties)
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                some = [frames[i] for i in group]
                results += self._compute(some, [wanted[i] for i in group], field)
        return results

    def _wanted(self, frames, properties) -> list[list[str]]:
        """Return the names of what is computed of every frame."""
        if isinstance(properties, str):
            properties = [properties]
        if properties is None:
            known = [name for name in self.properties if name != BORN_CHARGES]
            known = [name for name in known if name not in self.range_properties]
            return [[n for n in known if quantity(n).fits(a.pbc)] for a in frames]
        check_stress(frames, properties)
        for name in properties:
            if name not in self.properties:
                raise ValueError(
                    f"properties must be among {self.properties}, got '{name}'"
                )
            for index, atoms in enumerate(frames):
                if not quantity(name).fits(atoms.pbc):
                    raise ValueError(
                        f"{name} is not defined for {frame_name(index)}, whose pbc is "
                        f"{atoms.pbc.tolist()}"
                    )
        return [list(properties)] * len(frames)

    def _compute(self, frames, wanted: list, field) -> list[dict]:
        """Predict frames that fit into memory together."""
        every = set().union(*wanted)
        batch = self._batch(frames, field)
        systems = [batch.system(index) for index in range(len(frames))]
        solved = [batch.solve(index, own) for index, own in enumerate(systems)]
        parts = batch.energy_parts(solved) if every & {*ENERGIES} else []
        born = self._born_charges(frames, field) if BORN_CHARGES in every else []
        results = []
        for index, (atoms, names) in enumerate(zip(frames, wanted, strict=True)):
            own, found = batch.own(index), {}
            energies = [name for name in ENERGIES if name in names]
            if energies:
                found = self.potential_.compute([atoms], energies)[0]
                part = parts[index]
                more = {"energy": part.energy, "forces": part.forces}
                if "stress" in energies:
                    more["stress"] = part.stress(atoms)
                found = {name: found[name] + more[name] for name in energies}
            found["charges"] = batch.charges[own]
            found["atomic_dipoles"] = solved[index].dipoles
            found["dipole"] = found["polarization"] = solved[index].moment
            if {*family("responses")} & {*names}:
                total = systems[index].susceptibility()
                found[POLARIZABILITY] = total
                if atoms.pbc.all():
                    scale = FOUR_PI / atoms.get_volume()
                    found["dielectric_tensor"] = np.eye(3) + scale * total
            if born:
                found[BORN_CHARGES] = born[index]
            results.append({name: found[name] for name in names})
        return results

    def _born_charges(self, frames, field) -> list[np.ndarray]:
        """Return Z_i,ab = dF_i,b / dE_a: forces are quadratic in the field."""
        field = np.zeros(3) if field is None else field
        sides = []
        for axis in FIELD * np.eye(3):
            ends = []
            for sign in (1.0, -1.0):
                batch = self._batch(frames, field + sign * axis)
                solved = [batch.solve(index) for index in range(len(frames))]
                ends.append([own.forces for own in batch.energy_parts(solved)])
            pairs = zip(*ends, strict=True)
            sides.append([(more - less) / (2.0 * FIELD) for more, less in pairs])
        return [np.stack(own, axis=1) for own in zip(*sides, strict=True)]

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
        found = [own[POLARIZABILITY] for own in self.compute(frames, [POLARIZABILITY])]
        return r2_score(np.ravel(expected), np.ravel(found))
