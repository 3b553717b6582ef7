"""Energies of models with charges: those of the charges, and a remainder beside them.

Charges have an energy by their response; the remainder of the reference energies,
forces and stress is what a short-ranged `SparsePotential` describes. Both are fitted at
once, so that energies shape the charges, or one after the other.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from sklearn.base import clone
from sklearn.utils import check_random_state

from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import fit
from lodekit.fitting.joint_fit import ELEMENT_ENERGY, JointFit
from lodekit.fitting.problem import FitResult
from lodekit.fitting.progress import progress_bar
from lodekit.observables.charges import total_charge
from lodekit.observables.energy import collect_targets
from lodekit.observables.fragments import CHARGES, LABELS
from lodekit.physics.energies import AtomicEnergies, add_energies
from lodekit.quantities import ENERGIES, UNITS
from lodekit.regression import FarthestPointSelection
from lodekit.regression.ensembles import Ensemble
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent, count_points
from lodekit.regression.normal_equations import Solution
from lodekit.structures import get_target
from lodekit.terms.choice import choose_terms
from lodekit.terms.tables import build_terms, remainder_terms

from .charge_checks import check_weights, is_number
from .energy_estimator import energy_score
from .linear_charges import BATCH_ATOMS, LinearChargeModel
from .prediction import Predictor
from .sparse_potential import SparsePotential

#: What of a potential describes the remainder; progress bars are the model's.
REMAINDER_ARGUMENTS = ("descriptor", "covariance", "n_sparse", "selection", "progress")


class ChargeEnergyModel(LinearChargeModel):
    """Base of models whose charges have an energy.

    Attributes
    ----------
    potential_ : SparsePotential or None
        The remainder, where energies were fitted.
    ensemble_ : ndarray of shape (n_species + rank, n_members) or None
        Deviations of energies of elements and of weights, where energies shaped the
        charges.
    """

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        energies = () if self.potential_ is None else ENERGIES
        if self.ensemble_ is not None:
            energies = (*energies, "energy_std")
        return [*energies, *super().properties]

    def _fit_energies(
        self,
        frames,
        targets,
        linear: list,
        *,
        start,
        random_state,
        clock,
        weighting,
        kind=JointFit,
    ) -> None:
        """Let energies, forces and stress shape the charges, in one fit of all.

        Parameters
        ----------
        frames : list of ase.Atoms
        targets : EnergyTargets
        linear : list of str
            Targets and conditions that are linear in the charges.
        start : ndarray of shape (rank,)
            Weights of the charges.
        random_state : numpy.random.RandomState
        clock : Clock
        weighting : dict
            ``sample_weight`` and ``groups`` of `lodekit.fitting.fit.fit`.
        kind : type of JointFit
        """
        potential = self.potential or default_potential()
        check_remainder(potential)
        terms = choose_terms(
            frames, potential.descriptor, potential.covariance, potential.n_sparse
        )
        rest = Latent.select(
            frames,
            progress_bar(terms, "sparse points of the remainder", self.progress),
            self.species_,
            selection=potential.selection,
            random_state=random_state,
        )
        parts = frames, targets, linear, rest, self.species_, self.progress
        problem = kind(self.response, start, *parts)
        clock.lap("sparse points")
        result = fit(
            problem,
            self.noises or {},
            **weighting,
            fraction=self.validation_fraction,
            random_state=random_state,
            lap=clock.lap,
        )
        self._turn(problem, result)
        n_rest, n_species = problem.n_rest, self.species_.size
        solution = result.solution
        factor = np.asfortranarray(solution.factor[n_rest:, n_rest:])
        self.learn(Solution(result.weights[n_rest:], factor), result.std_scales)
        self.noises_, self.held_out_errors_ = result.noises, result.errors
        ensemble = solution.draw(self.n_ensemble, random_state)
        self.ensemble_ = np.concatenate([ensemble[:n_species], ensemble[n_rest:]])
        self.summary_ = {
            "n_structures": len(frames),
            "species": self.species_.tolist(),
            "is_charged": self.is_charged_,
            "n_sparse": count_points(self.latent_.kernels),
            "rank": result.weights.size,
            **result.summary(),
            "units": UNITS,
            "seconds": clock.seconds,
        }
        columns = slice(n_species, n_rest)
        self.potential_ = SparsePotential.learned(
            potential,
            self.species_,
            rest,
            baseline=problem.baseline + ELEMENT_ENERGY * result.weights[:n_species],
            weights=result.weights[columns],
            ensemble=np.ascontiguousarray(ensemble[columns]),
            std_scales=result.std_scales,
            noises=result.noises,
            summary={**self.summary_, "rank": rest.rank},
        )
        clock.lap("posterior")

    def _turn(self, problem: JointFit, result: FitResult) -> None:
        """Choose among weights of the same loss, in place."""

    def _shape_charges(self, frames, names: list, weighting: dict) -> None:
        """Let energies shape charges that were fitted to what else there is."""
        self._fit_energies(
            frames,
            collect_targets(frames, names),
            list(self._noises()) if self.targets_ else [],
            start=self.weights_,
            random_state=check_random_state(self.random_state),
            clock=Clock(),
            weighting={
                **weighting,
                "sample_weight": check_weights(weighting["sample_weight"], len(frames)),
            },
        )

    def _energy_parts(self, frames):
        """Yield the energy of the charges of every structure with its derivatives."""
        for group in batches(frames, BATCH_ATOMS):
            yield from self.solve([frames[i] for i in group]).parts()

    def _fit_remainder(self, frames, names: list, weighting: dict):
        """Return a potential fitted to what the charges leave of energies."""
        potential = clone(self.potential or default_potential())
        potential.knows_range = False
        rest = remainders(frames, self._energy_parts(frames), names)
        return potential.set_params(targets=list(names)).fit(rest, **weighting)

    def _responses(self, solved) -> list:
        """Return the responses whose energies add up to that of structures."""
        rest = self.potential_
        if rest is None:
            return [solved]
        latent = Latent(rest.kernels_)
        parts = rest.species_, rest.baseline_, rest.weights_
        return [solved, AtomicEnergies(latent, *parts, solved)]

    def _measure(self, solved, names) -> list[dict]:
        """Return properties of a batch, energies as well where there are any."""
        results = super()._measure(solved, names)
        wanted = set(ENERGIES if names is None else names)
        if self.potential_ is None:
            return results
        if "energy_std" in wanted:
            spreads = self._energy_spread(solved)
            for result, spread in zip(results, spreads, strict=True):
                result["energy_std"] = float(spread)
        if wanted & {*ENERGIES}:
            add_energies(results, self._responses(solved), wanted & {*ENERGIES})
        return results

    @property
    def predicts_energies(self) -> bool:
        """Whether energies are what users ask for first: nothing else was fitted."""
        return not self.targets_

    def predict(self, frames) -> np.ndarray:
        """Return the first target, see `LinearChargeModel.predict`, or energies in eV.

        Energies (n_frames,) where charges are learned from them alone.
        """
        if not self.predicts_energies:
            return super().predict(frames)
        return np.array([r["energy"] for r in self.compute(frames, ["energy"])])

    def score(self, frames, y=None) -> float:
        """Return R^2 of the first target, or of energies; see `energy_score`."""
        if not self.predicts_energies:
            return super().score(frames)
        return energy_score(self, self.potential_, frames, y)

    def _energy_spread(self, solved) -> np.ndarray:
        """Return standard deviations of energies in eV: those of the ensemble."""
        predictor, batch = Predictor(self.potential_), solved.batch
        states = predictor.latent.evaluate(batch, solved.cache)
        ensemble = self.potential_.ensemble_
        members = Ensemble(predictor.latent, ensemble, batch, states).values()
        elements, others = np.split(self.ensemble_, [self.species_.size])
        kinds = np.searchsorted(self.species_, batch.species)
        members += ELEMENT_ENERGY * elements[kinds] + solved.effects @ others
        totals = np.add.reduceat(members, batch.first_atom[:-1], axis=0)
        return predictor.spread(totals, "energy")

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
            In eV, of the charges and where energies were fitted, of the remainder.
        """
        responses = self._responses(self.solve([atoms]))
        energies = [sum(one.energy_of(0, q) for one in responses) for q in charges]
        return np.array(energies)


def check_width(width) -> float:
    """Return the width of Gaussian charges in Å.

    Raises
    ------
    ValueError
        If it is no length.
    """
    if not (is_number(width) and 0 <= width < np.inf):
        raise ValueError(f"charge_width must be a length in Å, got {width!r}")
    return float(width)


def default_potential():
    """Return the potential of a remainder where the user names none."""
    terms = build_terms({"terms": remainder_terms()})
    descriptors, covariances, sizes = zip(*terms, strict=True)
    return SparsePotential(
        list(descriptors),
        list(covariances),
        list(sizes),
        selection=FarthestPointSelection(),
    )


def check_remainder(potential) -> None:
    """Raise ``ValueError`` for arguments that are of no use in a joint fit."""
    defaults = type(potential)().get_params(deep=False)
    for name, value in potential.get_params(deep=False).items():
        if name not in REMAINDER_ARGUMENTS and value != defaults[name]:
            raise ValueError(
                f"{name} of the potential has no use where charges and remainder are "
                "one fit: arguments of the model hold for both"
            )


def remainders(frames, parts, targets) -> list:
    """Return structures with what the charges leave of their targets.

    Parameters
    ----------
    frames : list of ase.Atoms
    parts : iterable of EnergyParts
    targets : list of str
        Of `ENERGIES`.
    """
    references = collect_targets(frames, targets).values
    rest = []
    for index, (atoms, part) in enumerate(zip(frames, parts, strict=True)):
        of_charges = {
            "energy": part.energy,
            "forces": part.forces,
            "stress": part.stress(atoms) if atoms.pbc.all() else None,
        }
        results = {
            name: values[index] - of_charges[name]
            for name, values in references.items()
            if values[index] is not None
        }
        remainder = without_targets(atoms)
        remainder.calc = SinglePointCalculator(remainder, **results)
        rest.append(remainder)
    return rest


def without_targets(atoms):
    """Return a structure with the charges that are given to it, and no targets."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if get_target(atoms, "total_charge") is not None:
        bare.info["total_charge"] = total_charge(atoms)
    if LABELS in atoms.arrays:
        bare.set_array(LABELS, atoms.arrays[LABELS])
    if CHARGES in atoms.info:
        bare.info[CHARGES] = atoms.info[CHARGES]
    return bare
