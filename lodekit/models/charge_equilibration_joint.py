"""Electronegativities learned from energies and forces, by Gauss-Newton steps.

What charges leave over is linear in the weights of a short-ranged latent, which are
found together with those of the electronegativities.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.observables.charges import charge_rows
from lodekit.observables.energy import build_rows, collect_targets
from lodekit.regression.baseline import count_species, fit_composition
from lodekit.regression.environments import batches
from lodekit.regression.gauss_newton import minimise
from lodekit.regression.latent import Latent
from lodekit.regression.normal_equations import (
    NormalEquations,
    Solution,
    weighted_sums,
)

from .charge_energy import default_potential
from .charge_equilibration_batch import EquilibratedBatch
from .charge_equilibration_rows import EnergyExpansion
from .noise import DEFAULT_NOISES
from .potential_state import choose_terms
from .sparse_potential import ROW_ATOMS

#: Prior standard deviation in eV of what an element adds to the composition's energy.
ELEMENT_ENERGY = 10.0


def fit_jointly(model, frames, targets) -> None:
    """Let energies, forces and stress shape the electronegativities of a model.

    Parameters
    ----------
    model : ChargeEquilibrationModel
        With weights to start from; weights, posterior and summary are replaced.
    frames : list of ase.Atoms
    targets : list of {"energy", "forces", "stress"}

    Raises
    ------
    ValueError
        Without any target.
    """
    if not targets:
        raise ValueError(
            "learn_from_energies needs energy, forces or stress among the targets"
        )
    given = model.noises or {}
    noises = dict(model.summary_["noises"])
    noises |= {name: float(given.get(name, DEFAULT_NOISES[name])) for name in targets}
    random_state = check_random_state(model.random_state)
    fit = JointFit(model, frames, targets, noises, random_state)
    model.solution_, n_steps = fit.run()
    model.weights_ = model.solution_.weights
    model.summary_ |= {"noises": noises, "n_steps": n_steps}


class JointFit:
    """Weights of electronegativities and of a short-ranged remainder together.

    Parameters
    ----------
    model : ChargeEquilibrationModel
        With weights to start from; they are replaced.
    frames : list of ase.Atoms
    targets : list of {"energy", "forces", "stress"}
    noises : dict of str to float
        Of these targets and the model's charges and moments.
    random_state : numpy.random.RandomState
    """

    def __init__(self, model, frames, targets, noises, random_state):
        self.model = model
        self.frames = frames
        self.noises = noises
        self.targets = collect_targets(frames, targets)
        self.counts = count_species(frames, model.species_)
        if "energy" in self.targets.values:
            energies = np.array(self.targets.values["energy"])
            baseline = fit_composition(self.counts, energies)
            self.targets.values["energy"] = list(energies - self.counts @ baseline)
        given = model.potential or default_potential()
        terms = choose_terms(frames, given.descriptor, given.covariance, given.n_sparse)
        self.rest = Latent.select(
            frames,
            terms,
            model.species_,
            selection=given.selection,
            random_state=random_state,
        )
        self.n_rest = model.species_.size + self.rest.rank

    def run(self) -> tuple[Solution, int]:
        """Return the posterior of the electronegativities, and the number of steps."""
        start = np.concatenate([np.zeros(self.n_rest), self.model.weights_])
        found = minimise(self.linearise, start)
        self.model.weights_ = found.weights[self.n_rest :]
        own = np.asfortranarray(found.factor[self.n_rest :, self.n_rest :])
        return Solution(self.model.weights_, own), found.n_steps

    def linearise(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the normal equations at some weights (lower triangle), and the loss.

        The loss is the sum of squared residuals over noises, plus that of the weights.
        """
        self.model.weights_ = weights[self.n_rest :]
        equations = NormalEquations(weights.size, self.noises)
        loss = float(weights @ weights)
        for group in batches(self.frames, ROW_ATOMS):
            for name, rows, values in self.rows(group):
                equations.add(name, rows, values)
                residuals = values - rows @ weights
                loss += float(residuals @ residuals) / self.noises[name] ** 2
        return *weighted_sums(equations.grams, self.noises), loss

    def rows(self, group):
        """Yield name, rows and values of frames that fit into memory together.

        Rows are linear in all weights around those of the model, the values such that
        residuals are those of the model itself.
        """
        frames = [self.frames[i] for i in group]
        together = EquilibratedBatch(self.model, frames)
        expansion = EnergyExpansion(self.model, together)
        for index, atoms in enumerate(frames):
            for name in self.model.targets_:
                rows = charge_rows(atoms, expansion.charges[index], name, group[index])
                none = np.zeros((len(rows.values), self.n_rest))
                yield name, np.hstack([none, rows.matrix]), rows.values
        short = build_rows(
            self.rest.kernels, together.batch, self.targets.subset(group)
        )
        for name, rows in short.items():
            elements = np.zeros((len(rows.values), self.model.species_.size))
            if name == "energy":
                counts = self.counts[group]
                elements = ELEMENT_ENERGY * counts / counts.sum(axis=1)[:, None]
            own, values = getattr(expansion, name)()
            values = rows.values - values + own @ self.model.weights_
            yield name, np.hstack([elements, rows.matrix, own]), values
