"""Charges and a short-ranged remainder fitted together to energies and forces.

The energy of charges is not linear in their weights, what they leave over is linear in
those of a short-ranged latent: Gauss-Newton steps find both at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.base import clone

from lodekit.fitting.fit import FitResult
from lodekit.fitting.kept_rows import KeptRows
from lodekit.fitting.progress import progress_bar
from lodekit.observables.charges import row_counts, target_rows
from lodekit.observables.energy import build_rows, row_owners
from lodekit.observables.rows import Rows
from lodekit.quantities import UNITS
from lodekit.regression.baseline import count_species
from lodekit.regression.ensembles import Ensemble
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent, point_features
from lodekit.regression.normal_equations import NormalEquations, weighted_sums
from lodekit.structures.batch import StructureBatch
from lodekit.terms.choice import choose_terms

from .charge_energy import default_potential
from .prediction import Predictor
from .sparse_potential import ROW_ATOMS, ROW_BYTES

#: Prior standard deviation in eV of what an element adds to the composition's energy.
ELEMENT_ENERGY = 10.0
#: What of a potential describes the remainder; progress bars are the model's.
REMAINDER_ARGUMENTS = ("descriptor", "covariance", "n_sparse", "selection", "progress")


@dataclass
class Linearised:
    """Sums of rows around some weights.

    Attributes
    ----------
    weights : ndarray of shape (rank,)
    equations : NormalEquations
    squares : dict of str to float
        Sum of the squared residuals of every target, in the units of its rows.
    """

    weights: np.ndarray
    equations: NormalEquations
    squares: dict

    def weigh(self, noises: dict) -> tuple[np.ndarray, np.ndarray, float]:
        """Return A, the right-hand side and the loss for `minimise`."""
        loss = float(self.weights @ self.weights)
        loss += sum(self.squares[name] / noises[name] ** 2 for name in self.squares)
        return *weighted_sums(self.equations.grams, noises), loss


class JointFit:
    """Weights of elements, of a short-ranged remainder and of charges, in this order.

    A `lodekit.fitting.fit.Problem`. What the charges contribute is told by an
    expansion around the weights of a model, ``expansion(model, frames, keep)``: an
    object with a method for each of energy, forces and stress that returns rows (n,
    n_weights) and values around these weights of the charges, and ``linear(index,
    name)``, the `AffineCharges` of one structure for a linear target. It may
    ``keep(name, make)`` what does not depend on weights.

    Parameters
    ----------
    model : LinearChargeModel
        With its species.
    frames : list of ase.Atoms
    targets : EnergyTargets
        Energies, forces, stress.
    linear : list of str
        Charges, moments, total charges that are fitted with them.
    expansion : callable
    random_state : numpy.random.RandomState

    Attributes
    ----------
    rest : Latent
        The short-ranged remainder.
    baseline : ndarray of shape (n_species,)
        Energies of the elements in eV that are taken away first.
    n_rest : int
        Weights before those of the charges.
    """

    first_column, kernels, solver = 0, (), "cholesky"
    units = UNITS

    def __init__(self, model, frames, targets, linear, expansion, random_state):
        self.model = model
        self.frames = frames
        self.expansion = expansion
        self.progress = model.progress
        self.targets = targets
        self.names = [*linear, *targets.names]
        self.linear = linear
        self.counts = count_species(frames, model.species_)
        self.baseline = targets.subtract_baseline(frames, model.species_)
        self.given = model.potential or default_potential()
        check_remainder(self.given)
        terms = choose_terms(
            frames, self.given.descriptor, self.given.covariance, self.given.n_sparse
        )
        self.rest = Latent.select(
            frames,
            progress_bar(terms, "sparse points of the remainder", model.progress),
            model.species_,
            selection=self.given.selection,
            random_state=random_state,
        )
        self.n_rest = self.n_linear = model.species_.size + self.rest.rank
        self.rank = self.n_rest + model.rank
        counts = [[row_counts([a], name) for name in linear] for a in frames]
        self.n_rows = targets.count_rows(frames)
        self.n_rows = self.n_rows + np.array(counts, int).sum(axis=1)
        self.kept = KeptRows()

    def start(self, noises: dict) -> np.ndarray:
        """Return the weights to start from: the charges have those of the model."""
        return np.concatenate([np.zeros(self.n_rest), self.model.weights_])

    def content(self):
        """Yield targets and sparse points."""
        yield from self.targets.arrays()
        yield from point_features([*self.rest.kernels, *self.model.kernels])

    def forget(self) -> None:
        """Drop rows that are kept from step to step."""
        self.kept.clear()

    def expand(self, frames, weights, keep):
        """Return what charges contribute around some weights."""
        self.model.weights_ = weights
        return self.expansion(self.model, frames, keep)

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and their weights (1) of frames, batch by batch."""
        return self.rows_of(self.expand, weights, frames)

    def linearise(self, expand, weights: np.ndarray, chosen) -> Linearised:
        """Return the sums of rows around some weights."""
        equations = NormalEquations(weights.size, self.names)
        squares = dict.fromkeys(self.names, 0.0)
        for name, rows, _ in self.rows_of(expand, weights, chosen):
            equations.add(name, rows.matrix, rows.values)
            residuals = rows.values - rows.matrix @ weights
            squares[name] += float(residuals @ residuals)
        return Linearised(weights, equations, squares)

    def rows_of(self, expand, weights: np.ndarray, chosen):
        """Yield name, rows and their weights (1) of frames, batch by batch.

        ``expand(frames, weights, keep)`` returns the expansion. Rows are linear in all
        weights, the values such that residuals at the ``weights`` are those of the
        model itself.
        """
        n_atoms = max(1, min(ROW_ATOMS, int(ROW_BYTES / (24.0 * weights.size))))
        groups = list(batches([self.frames[i] for i in chosen], n_atoms))
        for group in progress_bar(groups, "rows", self.progress, lines=False):
            indices = np.asarray(chosen)[group]
            for name, rows in self.batch_rows(expand, weights[self.n_rest :], indices):
                yield name, rows, np.ones(len(rows.values))

    def batch_rows(self, expand, weights: np.ndarray, indices):
        """Yield name and rows of frames that fit into memory together."""
        frames = [self.frames[i] for i in indices]
        keep = self.kept.of(tuple(indices))
        expansion = expand(frames, weights, keep)
        for place, (index, atoms) in enumerate(zip(indices, frames, strict=True)):
            charges_of = partial(expansion.linear, place)
            for name, own in target_rows(atoms, charges_of, self.linear, index):
                none = np.zeros((len(own.values), self.n_rest))
                yield name, Rows(np.hstack([none, own.matrix]), own.values, own.frames)
        short = partial(self.short_rows, frames, self.targets.subset(indices))
        for name, rows in keep("remainder", short).items():
            elements = np.zeros((len(rows.values), self.model.species_.size))
            if name == "energy":
                counts = self.counts[indices[rows.frames]]
                elements = ELEMENT_ENERGY * counts / counts.sum(axis=1)[:, None]
            own, values = getattr(expansion, name)()
            known = np.isin(row_owners(frames, name), rows.frames)
            own, values = own[known], values[known]
            values = rows.values - values + own @ weights
            matrix = np.hstack([elements, rows.matrix, own])
            yield name, Rows(matrix, values, indices[rows.frames])

    def short_rows(self, frames, targets) -> dict[str, Rows]:
        """Return the rows of the remainder by target."""
        return build_rows(
            self.rest.kernels, StructureBatch.from_frames(frames), targets
        )

    def potential(self, result: FitResult, ensemble, summary: dict):
        """Return the remainder as a fitted `SparsePotential`.

        Parameters
        ----------
        ensemble : ndarray of shape (rank, n_members)
            Deviations of all weights.
        """
        potential = clone(self.given)
        n_species = self.model.species_.size
        own = slice(n_species, self.n_rest)
        potential.species_ = self.model.species_
        potential.kernels_ = self.rest.kernels
        potential.weights_ = result.weights[own]
        potential.baseline_ = (
            self.baseline + ELEMENT_ENERGY * result.weights[:n_species]
        )
        potential.ensemble_ = np.ascontiguousarray(ensemble[own])
        potential.coefficients_ = self.rest.coefficients(potential.weights_)
        potential.std_scales_ = result.std_scales
        potential.summary_ = {**summary, "rank": self.rest.rank}
        potential.noises_ = summary["noises"]
        return potential


def check_remainder(potential) -> None:
    """Raise ``ValueError`` for arguments that are of no use in a joint fit."""
    defaults = type(potential)().get_params(deep=False)
    for name, value in potential.get_params(deep=False).items():
        if name not in REMAINDER_ARGUMENTS and value != defaults[name]:
            raise ValueError(
                f"{name} of the potential has no use where charges and remainder are "
                "one fit: arguments of the model hold for both"
            )


def energy_spread(model, together) -> list[float]:
    """Return standard deviations of energies in eV: those of the ensemble.

    Parameters
    ----------
    model : LinearChargeModel
        Fitted to energies.
    together : object
        A batch of structures, with the features of the charges (``states``),
        ``scales`` (n_atoms,): what the energy changes by with the latent of an atom,
        and ``further_effects`` of weights that are not those of this latent.
    """
    n_species = model.species_.size
    predictor = Predictor(model.potential_)
    ensemble, batch = model.potential_.ensemble_, together.batch
    states = predictor.evaluate(batch)
    members = Ensemble(predictor.latent, ensemble, batch, states).values()
    kinds = np.searchsorted(model.species_, together.batch.species)
    members += ELEMENT_ENERGY * model.ensemble_[:n_species][kinds]
    own = model.ensemble_[n_species:]
    moved = model.element_prior * own[:n_species][kinds]
    rows = model.latent_.rows(together.batch, together.states)
    latents, others = np.split(own[n_species:], [rows.shape[1]])
    moved += rows @ latents
    members += together.scales[:, None] * moved
    if len(others):  # of atomic moments, or of the hardness of environments
        members += together.further_effects() @ others
    first = together.batch.first_atom[:-1]
    totals = np.add.reduceat(members, first, axis=0)
    return [float(spread) for spread in predictor.spread(totals, "energy")]
