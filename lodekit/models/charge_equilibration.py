"""`ChargeEquilibrationModel`: kernel charge equilibration (kQEq)."""

from __future__ import annotations

from functools import partial

import numpy as np
from ase.data import chemical_symbols
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from lodekit.electrostatics import ChargeEquilibration, fragment_constraints
from lodekit.observables.charges import (
    DEVIATIONS,
    PROPERTIES,
    AffineCharges,
    check_total_charges,
)
from lodekit.observables.fragments import (
    check_fragments,
    fragment_labels,
    given_charges,
)
from lodekit.regression.environments import batches
from lodekit.structures import check_structures, get_target
from lodekit.structures.batch import StructureBatch, as_frames
from lodekit.units import COULOMB_CONSTANT

from .charge_energy import (
    ENERGY_TARGETS,
    add_energies,
    add_remainder,
    energy_targets,
    fit_remainder,
    remainders,
)
from .charge_equilibration_atoms import (
    read_electronegativities,
    read_hardness,
    read_widths,
)
from .charge_equilibration_batch import EquilibratedBatch
from .charge_equilibration_bonds import (
    BondEquilibration,
    Bonds,
    by_pair,
    read_bond_hardness,
)
from .charge_equilibration_environments import EnvironmentHardness
from .charge_equilibration_hardness import fit_elements
from .charge_equilibration_rows import EnergyExpansion
from .charge_equilibration_state import EquilibrationState
from .charged_remainder import ChargedRemainder, check_powers
from .energy_fit import fit_energies
from .environment_fit import ENVIRONMENT, fit_environments
from .joint_fit import energy_spread
from .linear_charges import BATCH_ATOMS, LinearChargeModel

GRADIENTS = {"electrostatic_forces", "electrostatic_stress"}
ENERGY_STD = "electrostatic_energy_std"
OTHERS = {
    "electronegativities",
    "hardnesses",
    "chemical_potential",
    "electrostatic_energy",
    ENERGY_STD,
}


class ChargeEquilibrationModel(
    EquilibrationState, EnvironmentHardness, LinearChargeModel
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
        ``learn_from_energies`` eV/atom, eV/Å, eV/Å^3; what predicts held-out frames
        best where one is missing.
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
        Share of the frames that chooses noises and calibrates standard deviations.
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
    weights_ : ndarray of shape (rank,)
        Of electronegativities, then of the hardness of environments.
    std_scale_ : float
        Calibration factor of standard deviations.
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
        validation_fraction=0.1,
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

    def fit(self, frames, y=None):
        """Fit to the targets of ``frames``; see `LinearChargeModel.fit`."""
        frames = as_frames(frames)
        has_fragments = check_fragments(frames)
        energies = energy_targets(frames, self.targets, self.potential)
        check_powers(self.charge_powers, energies, self.learn_from_energies)
        self.shaping_ = energies if self.learn_from_energies else []
        if set(self.targets or ["charges"]) <= set(ENERGY_TARGETS):
            self._start_from_table(frames)
        else:
            super().fit(frames)
            if self.hardness == ENVIRONMENT:
                fit_environments(self, frames)
        self.potential_ = None
        if self.shaping_:
            fit_energies(self, frames, energies, EnergyExpansion)
        elif energies:
            self.potential_ = self._fit_remainder(frames, energies)
            self.summary_["potential"] = self.potential_.summary_
        symbols = [chemical_symbols[z] for z in self.species_]
        for name in ("hardness", "widths"):
            values = getattr(self, f"{name}_").tolist()
            self.summary_[name] = dict(zip(symbols, values, strict=True))
        if self.hardness_amplitudes_ is not None:
            self.summary_["hardness_range"] = self.hardness_ranges(frames)
        self.summary_["bond_hardness"] = by_pair(self.bond_hardness_, self.species_)
        self.summary_["has_fragments"] = has_fragments
        return self

    def _check_frames(self, frames) -> None:
        """Raise ``ValueError`` for bad frames, and for fragments that are missing."""
        super()._check_frames(frames)
        check_fragments(frames, self.summary_["has_fragments"])

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        energies = () if self.potential_ is None else ENERGY_TARGETS
        if self.ensemble_ is not None:
            energies = (*energies, "energy_std")
        return [*energies, *super().properties, *sorted(GRADIENTS | OTHERS)]

    def _remainder(self, frames, together) -> list[dict]:
        """Return energy, forces and stress of the remainder of one batch.

        It sees the charges without a field, so that the dipole of the charges stays the
        derivative of the energy.
        """
        if self.is_stationary:
            return self.potential_.compute(frames)
        if together.field is not None:
            together = EquilibratedBatch(self, frames)
        return self.potential_.compute(together)

    @property
    def is_stationary(self) -> bool:
        """Whether charges minimise the whole energy: no remainder depends on them."""
        return not isinstance(self.potential_, ChargedRemainder)

    def _start_from_table(self, frames) -> None:
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
        self.ensemble_ = None
        self.summary_ = {}

    def _energy_parts(self, frames):
        """Yield the energy of the charges of every structure with its derivatives."""
        for group in batches(frames, BATCH_ATOMS):
            some = [frames[i] for i in group]
            yield from EquilibratedBatch(self, some).energy_parts()

    def _fit_remainder(self, frames, names: list):
        """Return a potential fitted to what the charges leave of energies."""
        parts = list(self._energy_parts(frames))
        if not self.charge_powers:
            return fit_remainder(self.potential, frames, parts, names)
        potential = ChargedRemainder.like(self.potential, self.charge_powers)
        potential.set_params(targets=names)
        rest = remainders(frames, parts, names)
        return potential.fit(rest, partial(EquilibratedBatch, self))

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
        if fitted and not self.targets_:
            raise ValueError(
                "hardness and widths are fitted to charges or moments; energies alone "
                "need them given"
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
        if self.hardness_amplitudes_ is not None:
            return self.linearised_charges(atoms, features)
        equilibration = self.equilibration(atoms)
        start = equilibration.start(*given_charges(atoms))
        columns = np.column_stack([features, equilibration.product(start)])
        moved = equilibration.respond(columns)
        return AffineCharges(moved[:, :-1], start + moved[:, -1])

    def compute(self, frames, properties=None, field=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            their standard deviations charges_std, dipole_std, quadrupole_std,
            electronegativities (V), hardnesses (V/e), chemical_potential (V), and the
            energy U at its minimum: electrostatic_energy (eV), electrostatic_forces
            (eV/Å),
            electrostatic_energy_std (of the weights, to first order),
            electrostatic_stress (eV/Å^3, Voigt, fully periodic frames only); where
            energies were fitted energy, forces and stress, and energy_std if these
            shaped the charges. Where None, charges, the
            dipole of open structures, and energy, forces and stress as far as fitted.
        field : array_like of shape (3,), optional
            Uniform field in V/Å, along directions that are not periodic. The energy of
            a charged structure in it counts from the origin.

        Raises
        ------
        ValueError
            For unknown species and properties, missing total charges, a field along a
            periodic direction.
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        self._check_frames(frames)
        names = self._check_properties(frames, properties)
        wanted = None if names is None else set(names)
        results = []
        for group in batches(frames, BATCH_ATOMS):
            results += self._compute_batch([frames[i] for i in group], wanted, field)
        return results

    def energies_of_charges(self, atoms, charges) -> np.ndarray:
        """Return energies of one structure with other charges than at the minimum.

        Parameters
        ----------
        atoms : ase.Atoms
        charges : ndarray of shape (n_sets, n_atoms)
            In e.

        Returns
        -------
        energies : ndarray of shape (n_sets,)
            In eV: U(q) and, where energies were fitted, the potential of the remainder.
        """
        (latents,) = self.compute(atoms, ["electronegativities", "hardnesses"])
        equilibration = self.equilibration(atoms, hardness=latents["hardnesses"])
        chi = latents["electronegativities"]
        start = equilibration.start(*given_charges(atoms))
        energies = [equilibration.energy(own, chi, start=start) for own in charges]
        if self.is_stationary:
            return add_remainder(energies, atoms, self.potential_)
        batch = StructureBatch.from_frames([atoms])
        return np.array(energies) + [
            self.potential_.energies(batch, own)[0] for own in charges
        ]

    def predict(self, frames) -> np.ndarray:
        """Return the first target, or total energies in eV where there is no other.

        See `LinearChargeModel.predict`.
        """
        if self.targets_:
            return super().predict(frames)
        results = self.compute(frames, ["energy"])
        return np.array([result["energy"] for result in results])

    def score(self, frames, y=None) -> float:
        """Return R^2 of the first target, or of energies per atom."""
        if self.targets_:
            return super().score(frames)
        sizes = np.array([len(atoms) for atoms in as_frames(frames)])
        expected = np.array([get_target(a, "energy") for a in as_frames(frames)])
        return r2_score(expected / sizes, self.predict(frames) / sizes)

    def _compute_batch(self, frames, wanted, field) -> list[dict]:
        """Predict frames that fit into memory together."""
        together = EquilibratedBatch(self, frames, field)
        results = []
        for index, (atoms, found) in enumerate(
            zip(frames, together.solutions, strict=True)
        ):
            default = {"charges"} if atoms.pbc.any() else {"charges", "dipole"}
            names = default if wanted is None else wanted
            result = {
                name: together.observed(index, name) for name in {*PROPERTIES} & names
            }
            result["electronegativities"] = together.chi[together.own(index)]
            result["hardnesses"] = together.hardness[together.own(index)]
            result["chemical_potential"] = float(found.chemical_potentials.mean())
            result["electrostatic_energy"] = found.energy
            results.append(result)
        if wanted and GRADIENTS & wanted:
            parts = together.energy_parts()
            for atoms, result, part in zip(frames, results, parts, strict=True):
                result["electrostatic_forces"] = part.forces
                if atoms.pbc.all():
                    result["electrostatic_stress"] = part.stress(atoms)
        if wanted and {*DEVIATIONS} & wanted:
            rows = self._affine(frames)
            for result, (atoms, affine) in zip(results, rows, strict=True):
                result.update(self._compute_one(atoms, affine, {*DEVIATIONS} & wanted))
        if wanted and ENERGY_STD in wanted:
            deviations = together.energy_deviations()
            for result, value in zip(results, deviations, strict=True):
                result[ENERGY_STD] = value
        kept = wanted or {*PROPERTIES, *ENERGY_TARGETS}
        if "energy_std" in kept:
            spreads = energy_spread(self, together)
            for result, spread in zip(results, spreads, strict=True):
                result["energy_std"] = spread
        if self.potential_ is not None and kept & {*ENERGY_TARGETS}:
            parts = list(together.energy_parts())
            rest = self._remainder(frames, together)
            add_energies(results, frames, parts, rest, kept)
        return [{name: r[name] for name in r if name in kept} for r in results]
