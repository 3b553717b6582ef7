"""`ChargeEquilibrationModel`: kernel charge equilibration (kQEq)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from ase.data import chemical_symbols
from sklearn.utils import check_random_state

from lodekit.electrostatics import ChargeEquilibration, fragment_constraints
from lodekit.observables.charges import (
    AffineCharges,
    check_total_charges,
)
from lodekit.observables.fragments import (
    check_fragments,
    fragment_labels,
    given_charges,
)
from lodekit.quantities import ENERGIES, quantity
from lodekit.regression.environments import batches
from lodekit.structures import check_structures
from lodekit.structures.batch import as_frames
from lodekit.units import COULOMB_CONSTANT

from .charge_energy import (
    energy_targets,
    fit_remainder,
    remainders,
    share_features,
)
from .charge_equilibration_atoms import (
    read_electronegativities,
    read_hardness,
    read_widths,
)
from .charge_equilibration_batch import EquilibratedBatch, EquilibratedDipoles
from .charge_equilibration_bonds import (
    BondEquilibration,
    Bonds,
    by_pair,
    read_bond_hardness,
)
from .charge_equilibration_environments import EnvironmentHardness
from .charge_equilibration_hardness import fit_elements
from .charge_equilibration_prediction import EquilibratedPredictions
from .charge_equilibration_rows import EnergyExpansion
from .charge_equilibration_state import EquilibrationState
from .charged_remainder import ChargedRemainder, check_powers
from .energy_fit import fit_energies
from .environment_fit import ENVIRONMENT, fit_environments
from .linear_charges import BATCH_ATOMS


class ChargeEquilibrationModel(
    EquilibrationState, EnvironmentHardness, EquilibratedPredictions
):
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
        Of the terms of ln J of environments, see `EnvironmentHardness`.
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
    #: Forces contain no derivatives of charges, which are at a minimum.
    linear_with_energies = True
    #: Charges depend on all atoms.
    reach = np.inf

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
            super().fit(frames, **weighting)
            if self.hardness == ENVIRONMENT:
                fit_environments(self, frames, **weighting)
        self.potential_ = None
        if self.shaping_:
            fit_energies(self, frames, energies, EnergyExpansion, **weighting)
        elif energies:
            self.potential_ = self._fit_remainder(frames, energies, weighting)
            self.summary_["potential"] = self.potential_.summary_
        share_features(self)
        symbols = [chemical_symbols[z] for z in self.species_]
        for name in ("hardness", "widths"):
            values = getattr(self, f"{name}_").tolist()
            self.summary_[name] = dict(zip(symbols, values, strict=True))
        if self.hardness_amplitudes_ is not None:
            self.summary_["hardness_range"] = self.hardness_ranges(frames)
        self.summary_["bond_hardness"] = by_pair(self.bond_hardness_, self.species_)
        self.summary_["has_fragments"] = self.has_fragments_
        return self

    def _start_from_table(self, frames, groups) -> None:
        """Prepare for energies alone, with electronegativities of the elements."""
        if not self.learn_from_energies:
            raise ValueError(
                "charges are learned from charges, moments or a mep; to learn "
                "them from energies set learn_from_energies=True"
            )
        check_structures(frames)
        self.targets_ = []
        self.is_charged_ = check_total_charges(frames)
        self.species_ = np.unique(np.concatenate([a.numbers for a in frames]))
        self._select(frames, check_random_state(self.random_state))
        self.weights_ = np.zeros(self.rank)
        elements = read_electronegativities(self.species_)
        self.weights_[: elements.size] = elements / self.element_prior / self.stiffness
        self.learn_range(frames, groups)
        self.ensemble_ = None
        self.summary_ = {}

    def _energy_parts(self, frames):
        """Yield the energy of the charges of every structure with its derivatives."""
        for group in batches(frames, BATCH_ATOMS):
            some = [frames[i] for i in group]
            yield from EquilibratedBatch(self, some).energy_parts()

    def _fit_remainder(self, frames, names: list, weighting: dict):
        """Return a potential fitted to what the charges leave of energies."""
        parts = list(self._energy_parts(frames))
        if not self.charge_powers:
            return fit_remainder(self.potential, frames, parts, names, **weighting)
        potential = ChargedRemainder.like(self.potential, self.charge_powers)
        potential.set_params(targets=names)
        rest = remainders(frames, parts, names)
        return potential.fit(rest, partial(EquilibratedBatch, self), **weighting)

    def _select(self, frames, random_state) -> None:
        """Choose sparse points, and read or fit hardness and widths."""
        hardness = self.hardness
        if hardness is None:
            energies = energy_targets(frames, self.targets, self.potential)
            hardness = 1.0 if energies else "fit"
        given = {
            "hardness": "fit" if hardness == ENVIRONMENT else hardness,
            "widths": self.widths,
            "bond_hardness": self.bond_hardness,
        }
        fitted = [name for name, value in given.items() if value == "fit"]
        slopes = [name for name in self.targets_ if quantity(name).is_gradient]
        if fitted and len(slopes) == len(self.targets_):
            raise ValueError(
                "hardness and widths are fitted to charges or moments; energies"
                f"{' and '.join(['', *slopes])} alone need them given"
            )
        if slopes and (hardness == ENVIRONMENT or self.bond_hardness is not None):
            raise ValueError(
                f"{slopes[0]} can be fitted where the hardness is that of elements and "
                "there are no bonds; other models predict it"
            )
        self.hardness_ = read_hardness(given["hardness"], self.species_)
        self.hardness_amplitudes_ = None
        self.widths_ = read_widths(self.widths, self.species_)
        self.bond_hardness_ = read_bond_hardness(self.bond_hardness, self.species_)
        self.accuracy_ = self.accuracy
        super()._select(frames, random_state)
        if fitted:
            fit_elements(self, fitted, frames, random_state)

    @property
    def stiffness(self) -> float:
        """What a charge costs in V/e, the mean over elements: the scale of chi.

        With it, the weights have a unit prior whatever the hardness is.
        """
        return float(np.mean(self.hardness_ + self.self_interaction))

    @property
    def self_interaction(self) -> np.ndarray:
        """That of Gaussian charges by element in V/e, (n_species,)."""
        return COULOMB_CONSTANT / (np.sqrt(np.pi) * self.widths_)

    def feature_rows(self, batch, states) -> np.ndarray:
        """Return the features of electronegativities in V, (n_atoms, rank)."""
        return super().feature_rows(batch, states) * self.stiffness

    def equilibration(self, atoms, coulomb=None, hardness=None) -> ChargeEquilibration:
        """Return the charge equilibration of one structure.

        ``coulomb`` is its Coulomb matrix, and ``hardness`` (n_atoms,) in V/e that of
        its atoms, where these are known.
        """
        kinds = np.searchsorted(self.species_, atoms.numbers)
        arguments = (
            atoms.positions,
            atoms.cell[:],
            atoms.pbc,
            self.hardness_of(atoms) if hardness is None else hardness,
            self.widths_[kinds],
        )
        labels = fragment_labels(atoms)
        given = None if labels is None else fragment_constraints(labels)
        options = {
            "constraints": given,
            "accuracy": self.accuracy_,
            "coulomb": coulomb,
        }
        if self.bond_hardness_ is None:
            return ChargeEquilibration(*arguments, **options)
        bonds = Bonds.find(atoms, self.species_, self.bond_hardness_, labels)
        return BondEquilibration(*arguments, bonds, **options)

    def _charges(self, atoms, features: np.ndarray) -> AffineCharges:
        """Return q = -Abar Phi w + b Q, or what is next to it for `rank` weights."""
        moved = EquilibratedDipoles(self, atoms)
        if self.hardness_amplitudes_ is not None:
            return replace(self.linearised_charges(atoms, features), moved=moved)
        equilibration = self.equilibration(atoms)
        start = equilibration.start(*given_charges(atoms))
        columns = np.column_stack([features, equilibration.product(start)])
        changed = equilibration.respond(columns)
        return AffineCharges(changed[:, :-1], start + changed[:, -1], moved=moved)
