"""`ChargeEquilibrationModel`: kernel charge equilibration (kQEq)."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols
from sklearn.utils import check_random_state

from lodekit.fitting.element_search import fit_elements
from lodekit.fitting.environment_fit import EnvironmentFit
from lodekit.fitting.left_out import scale_of
from lodekit.fitting.problem import FitResult
from lodekit.observables.charges import check_total_charges
from lodekit.observables.fragments import check_fragments
from lodekit.physics.bonds import by_pair, read_bond_hardness
from lodekit.physics.elements import (
    read_electronegativities,
    read_hardness,
    read_widths,
)
from lodekit.physics.equilibrated import hardness_ranges
from lodekit.physics.equilibration import Equilibration, read_arrays
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.regression.environments import batches
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import as_frames

from .charge_checks import check_weights
from .charge_energy import ChargeEnergyModel, default_potential, remainders
from .charged_remainder import ChargedRemainder, check_powers
from .extrapolating import with_extrapolation
from .linear_charges import BATCH_ATOMS, energy_targets
from .sparse_potential import SparsePotential

#: What users call a hardness that surroundings change.
ENVIRONMENT = "environment"
ENERGY_STD = "electrostatic_energy_std"
#: What an equilibration gives besides charges, and which of it are derivatives.
FURTHER = {*family("equilibration"), ENERGY_STD}
GRADIENTS = {name for name in FURTHER if quantity(name).is_gradient}


class ChargeEquilibrationModel(ChargeEnergyModel):
    """Charges that minimise an energy, with electronegativities of the environments.

    U(q) = sum_i chi_i q_i + sum_i J_i q_i^2 / 2 + the Coulomb energy of Gaussian
    charges, at the total charge Q of the structure. The electronegativities are chi_i =
    S (x_0(species of i) + Phi_i w), with the mean stiffness S of the elements. The
    charges that minimise the energy are affine in the weights, q = -Abar chi + b Q, so
    that charges, dipoles and quadrupoles are fitted by linear least squares. They sum
    to Q whatever the weights are.

    Parameters
    ----------
    descriptor, covariance, n_sparse, selection
        As in `SparsePotential`, of the electronegativities.
    hardness : float, dict, "fit" or "environment", optional
        J by element in V/e, or a factor of k_e / r with covalent radii r; "fit" takes
        for every element what makes charges and moments most probable, "environment"
        lets the surroundings of an atom change that as they change electronegativities,
        where held-out frames are predicted better so. Where None, "fit" without
        energies among the targets, and 1 with them.
    widths : float, dict or "fit"
        Standard deviations of Gaussian charges by element in Å, or a factor of the
        covalent radius; "fit" as for the hardness.
    bond_hardness : float, dict or "fit", optional
        Charge flows over bonds that cost H p^2 / 2 of the charge p, with H in V/e for
        all pairs of elements or by pair, {"H-O": 5.0} (other pairs have no bonds); it
        grows to infinity at twice the sum of the covalent radii. "fit" as for the
        hardness. Charge flows from everywhere to everywhere where None.
    targets : list of str, optional
        What is fitted, of charges, dipole, quadrupole, energy, forces, stress. Where
        None, all charges and moments that the frames have; with a ``potential``,
        energies, forces and stress too.
    noises : dict of str to float, optional
        Standard deviation of the noise by target, in e, e·Å, e·Å², and for
        ``learn_from_energies`` eV/atom, eV/Å, eV/Å^3; what makes the targets most
        probable where one is missing.
    potential : SparsePotential, optional
        What describes energies, forces and stress less those of the charges; two SOAP
        terms where None and energies are among the targets.
    charge_powers : int
        Highest power of the equilibrated charges by which the kernels of the remainder
        are multiplied, as in 4G potentials: 0 for environments alone. Others need
        ``learn_from_energies=False``.
    learn_from_energies : bool
        Whether energies, forces and stress shape the electronegativities, together
        with what else is fitted, or alone, starting from Pauling's. If not, charges
        come first, and the remainder is fitted afterwards.
    accuracy : float
        Of Coulomb sums, see `CoulombInteraction`.
    validation_fraction : float
        Share of the frames that may be left out, see `SparsePotential`.
    random_state : int or numpy.random.RandomState
    progress : bool

    Attributes
    ----------
    species_ : ndarray of shape (n_species,)
    hardness_, widths_ : ndarray of shape (n_species,)
        In V/e and Å.
    hardness_amplitudes_ : ndarray of shape (n_terms,) or None
        Of the terms of ln J of environments, see `lodekit.physics.equilibrated`.
    bond_hardness_ : ndarray of shape (n_species, n_species) or None
        In V/e, infinite for pairs without bonds.
    has_fragments_ : bool
        Whether the frames had fragments with given charges.
    weights_ : ndarray of shape (rank,)
        Of electronegativities, then of the hardness of environments.
    std_scales_ : dict of str to float
        Calibration factors of standard deviations by target.
    potential_ : SparsePotential or None
        Fitted to what the charges leave of the energies.
    summary_ : dict

    References
    ----------
    C. G. Staacke et al., Mach. Learn.: Sci. Technol. 3, 015032 (2022).
    """

    conserves_charge = True
    linear_with_energies = True  # forces contain no derivatives of charges
    reach = np.inf  # charges depend on all atoms
    responds_to = ("field",)

    def __init__(
        self,
        descriptor=None,
        covariance=None,
        n_sparse=None,
        *,
        hardness=None,
        widths=0.7,
        bond_hardness=None,
        selection=None,
        targets=None,
        noises=None,
        potential=None,
        charge_powers=0,
        learn_from_energies=True,
        accuracy=1e-6,
        validation_fraction=1.0,
        random_state=0,
        progress=False,
    ):
        self.descriptor = descriptor
        self.covariance = covariance
        self.n_sparse = n_sparse
        self.hardness = hardness
        self.widths = widths
        self.bond_hardness = bond_hardness
        self.selection = selection
        self.targets = targets
        self.noises = noises
        self.potential = potential
        self.charge_powers = charge_powers
        self.learn_from_energies = learn_from_energies
        self.accuracy = accuracy
        self.validation_fraction = validation_fraction
        self.random_state = random_state
        self.progress = progress

    def fit(self, frames, y=None, sample_weight=None, groups=None):
        """Fit to the targets of ``frames``; see `LinearChargeModel.fit`."""
        frames = as_frames(frames)
        weighting = {"sample_weight": sample_weight, "groups": groups}
        self.has_fragments_ = check_fragments(frames)
        energies = energy_targets(frames, self.targets, self.potential)
        check_powers(self.charge_powers, energies, self.learn_from_energies)
        self.shaping_ = energies if self.learn_from_energies else []
        if set(self.targets or ["charges"]) <= set(ENERGIES):
            self._start_from_table(frames, groups)
        else:
            result = self._fit_charges(frames, **weighting)
            if self.hardness == ENVIRONMENT:
                self._fit_environments(frames, result, weighting)
        self.potential_ = None
        if self.shaping_:
            self._shape_charges(frames, energies, weighting)
        elif energies:
            self.potential_ = self._fit_remainder(frames, energies, weighting)
            self.summary_["potential"] = self.potential_.summary_
        self._share_features()
        self._add_to_summary(frames)
        return self

    def _add_to_summary(self, frames) -> None:
        """Tell people about hardness, widths and fragments."""
        symbols = [chemical_symbols[z] for z in self.species_]
        for name, part in (("hardness", self.hardness_), ("widths", self.widths_)):
            self.summary_[name] = dict(zip(symbols, part.tolist(), strict=True))
        if self.hardness_amplitudes_ is not None:
            groups = batches(frames, BATCH_ATOMS)
            solutions = [self.solve([frames[i] for i in group]) for group in groups]
            self.summary_["hardness_range"] = hardness_ranges(solutions)
        self.summary_["bond_hardness"] = by_pair(self.bond_hardness_, self.species_)
        self.summary_["has_fragments"] = self.has_fragments_

    def _fit_environments(self, frames, before: FitResult, weighting) -> None:
        """Let environments change the hardness, if that predicts left-out groups."""
        fitting = EnvironmentFit(
            self.response,
            before,
            frames,
            self._noises(),
            check_weights(weighting["sample_weight"], len(frames)),
            weighting["groups"],
            self.validation_fraction,
            self.progress,
        )
        result = fitting.run()
        if result.gain is not None:
            self.summary_["hardness_gain"] = result.gain
            if result.gain <= 1.0:
                return
        self.hardness_amplitudes_ = result.response.amplitudes
        self.learn(result.fit.solution, result.fit.std_scales)
        self.noises_, self.held_out_errors_ = result.fit.noises, result.fit.errors
        self.summary_ |= {**result.fit.summary(), "rank": self.rank}
        self.summary_["seconds"] |= {
            f"hardness: {name}": value for name, value in fitting.clock.seconds.items()
        }

    def _start_from_table(self, frames, groups) -> None:
        """Prepare for energies alone, with electronegativities of the elements."""
        if not self.learn_from_energies:
            raise ValueError(
                "charges are learned from charges, moments or a mep; to learn "
                "them from energies set learn_from_energies=True"
            )
        self.check_labelled(frames)
        self.targets_ = []
        self.is_charged_ = check_total_charges(frames)
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self._select(frames, check_random_state(self.random_state))
        self.weights_ = np.zeros(self.rank)
        elements = read_electronegativities(self.species_)
        scale = self.element_prior * self.response.stiffness
        self.weights_[: elements.size] = elements / scale
        self.learn_range(frames, groups)
        self.ensemble_ = None
        self.summary_ = {}

    def _fit_remainder(self, frames, names: list, weighting: dict):
        """Return a potential fitted to what the charges leave of energies."""
        if not self.charge_powers:
            return super()._fit_remainder(frames, names, weighting)
        potential = ChargedRemainder.like(
            self.potential or default_potential(), self.charge_powers
        )
        potential.set_params(targets=names)
        rest = remainders(frames, self._energy_parts(frames), names)
        return potential.fit(rest, self.solve, **weighting)

    def _select(self, frames, random_state) -> None:
        """Choose sparse points, and read or fit hardness and widths."""
        hardness = self.hardness
        if hardness is None:
            energies = energy_targets(frames, self.targets, self.potential)
            hardness = 1.0 if energies else "fit"
        arguments = {
            "hardness": "fit" if hardness == ENVIRONMENT else hardness,
            "widths": self.widths,
            "bond_hardness": self.bond_hardness,
        }
        fitted = [name for name, value in arguments.items() if value == "fit"]
        slopes = [name for name in self.targets_ if quantity(name).is_gradient]
        if fitted and len(slopes) == len(self.targets_):
            raise ValueError(
                "hardness and widths are fitted to charges or moments; energies"
                f"{' and '.join(['', *slopes])} alone need them given"
            )
        self.hardness_ = read_hardness(arguments["hardness"], self.species_)
        self.hardness_amplitudes_ = None
        self.widths_ = read_widths(self.widths, self.species_)
        self.bond_hardness_ = read_bond_hardness(self.bond_hardness, self.species_)
        self.accuracy_ = self.accuracy
        super()._select(frames, random_state)
        if fitted:
            best = fit_elements(
                self.response, fitted, self.targets_, frames, random_state
            )
            self.hardness_, self.widths_ = best.hardness, best.widths
            self.bond_hardness_ = best.bond_hardness

    @property
    def response(self) -> Equilibration:
        """The charge equilibration."""
        return Equilibration(
            self.latent_,
            self.species_,
            self.element_prior,
            self.hardness_,
            self.widths_,
            self.bond_hardness_,
            self.hardness_amplitudes_,
            self.accuracy_,
        )

    def solve(self, frames, field=None):
        """Return charges and energies of frames, with a field in V/Å."""
        return self.response.solve(frames, self.weights_, field=field)

    def _check_frames(self, frames) -> None:
        """Raise ``ValueError`` for bad frames, and for fragments that are missing."""
        super()._check_frames(frames)
        check_fragments(frames, self.has_fragments_)

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        return [*super().properties, *sorted(FURTHER)]

    @property
    def is_stationary(self) -> bool:
        """Whether charges minimise the whole energy: no remainder depends on them."""
        return not isinstance(self.potential_, ChargedRemainder)

    def _responses(self, solved) -> list:
        """Return the responses whose energies add up to that of structures.

        A remainder sees the charges without a field, so that the dipole of the charges
        stays the derivative of the energy.
        """
        if self.is_stationary:
            return super()._responses(solved)
        charged = solved if solved.field is None else self.solve(solved.frames)
        return [solved, self.potential_.solve(charged)]

    @with_extrapolation
    def compute(self, frames, properties=None, field=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            their standard deviations charges_std, dipole_std, quadrupole_std,
            electronegativities (V), hardnesses (V/e), chemical_potential (V), and the
            energy U at its minimum: electrostatic_energy (eV), electrostatic_energy_std
            (of the weights, to first order), electrostatic_forces (eV/Å),
            electrostatic_stress (eV/Å^3, Voigt, fully periodic frames only); where
            energies were fitted energy, forces and stress, and energy_std if these
            shaped the charges. Where None, charges, the dipole of open structures, and
            energy, forces and stress as far as fitted.
        field : array_like of shape (3,), optional
            Uniform field in V/Å, along directions that are not periodic. The energy of
            a charged structure in it counts from the origin.

        Raises
        ------
        ValueError
            For unknown species and properties, missing total charges, a field along a
            periodic direction.
        """
        return self._compute(frames, properties, field=field)

    def _measure(self, solved, names) -> list[dict]:
        """Return properties of a batch, those of the equilibration as well."""
        results, wanted = super()._measure(solved, names), set(names or ())
        further = [solved.further(index) for index in range(len(results))]
        if GRADIENTS & wanted:
            for values, atoms, part in zip(
                further, solved.frames, solved.parts(), strict=True
            ):
                values["electrostatic_forces"] = part.forces
                if atoms.pbc.all():
                    values["electrostatic_stress"] = part.stress(atoms)
        if ENERGY_STD in wanted:
            scale = scale_of(self.std_scales_, "charges")
            deviations = self.solution_.standard_deviations(solved.energy_rows())
            for values, deviation in zip(further, deviations, strict=True):
                values[ENERGY_STD] = scale * deviation
        for result, values in zip(results, further, strict=True):
            result.update({name: values[name] for name in values if name in wanted})
        return results

    def add_state(self, settings: dict, arrays: dict, store) -> None:
        """Add hardness, widths and accuracy."""
        settings["accuracy"] = self.accuracy_
        arrays |= self.response.get_arrays()

    def take_potential(self, stored: StoredModel):
        """Return the potential of the remainder, with or without charges."""
        kind = ChargedRemainder if stored.has("charge_means") else SparsePotential
        return kind.from_stored(stored)

    def take_state(self, stored: StoredModel) -> None:
        """Take what `add_state` added."""
        n_species = self.species_.size
        summary = StoredModel({"settings": self.summary_, "arrays": {}})
        self.has_fragments_ = summary.setting("has_fragments", bool)
        self.accuracy_ = stored.positive("accuracy", largest=0.1, least=1e-12)
        arrays = read_arrays(stored, n_species, len(self.latent_.kernels))
        self.hardness_, self.widths_, self.bond_hardness_ = arrays[:3]
        self.hardness_amplitudes_ = arrays[3]
