"""Charges and a remainder fitted to energies: what a model learns from them."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.fitting.clock import Clock
from lodekit.fitting.fit import FitResult, fit
from lodekit.observables.energy import collect_targets
from lodekit.quantities import UNITS
from lodekit.regression.latent import count_points
from lodekit.regression.normal_equations import Solution

from .charge_checks import check_weights
from .joint_fit import JointFit


class EnergyFit:
    """One fit of a model whose charges have an energy; it gets what was learned.

    The charges start from the weights that the model has.

    Parameters
    ----------
    model : LinearChargeModel
        With sparse points and weights.
    problem : JointFit
    random_state : numpy.random.RandomState
    clock : Clock
    """

    def __init__(self, model, problem: JointFit, random_state, clock: Clock):
        self.model = model
        self.problem = problem
        self.random_state = random_state
        self.clock = clock

    def turn(self, result: FitResult) -> None:
        """Choose among weights of the same loss, in place."""

    def run(self, **weighting) -> None:
        """Fit to all frames, and give the model its weights, posterior and summary.

        ``weighting`` are ``sample_weight`` and ``groups`` of `lodekit.fitting.fit.fit`.
        """
        model, problem = self.model, self.problem
        result = fit(
            problem,
            model.noises or {},
            **weighting,
            fraction=model.validation_fraction,
            random_state=self.random_state,
            lap=self.clock.lap,
        )
        self.turn(result)
        n_rest, n_species = problem.n_rest, model.species_.size
        solution = result.solution
        factor = np.asfortranarray(solution.factor[n_rest:, n_rest:])
        model.learn(Solution(result.weights[n_rest:], factor), result.std_scales)
        model.noises_, model.held_out_errors_ = result.noises, result.errors
        ensemble = solution.draw(model.n_ensemble, self.random_state)
        model.ensemble_ = np.concatenate([ensemble[:n_species], ensemble[n_rest:]])
        summary = {
            "n_structures": len(problem.frames),
            "species": model.species_.tolist(),
            "is_charged": model.is_charged_,
            "n_sparse": count_points(model.latent_.kernels),
            "rank": result.weights.size,
            **result.summary(),
            "units": UNITS,
            "seconds": self.clock.seconds,
        }
        model.summary_ = summary
        model.potential_ = problem.potential(result, ensemble, dict(summary))
        self.clock.lap("posterior")


def fit_energies(
    model, frames, names, expansion, sample_weight=None, groups=None
) -> None:
    """Let energies, forces and stress shape the charges of a model.

    Parameters
    ----------
    model : LinearChargeModel
        With weights to start from; weights, posterior, remainder and summary are
        replaced.
    frames : list of ase.Atoms
    names : list of {"energy", "forces", "stress"}
    expansion : callable
        ``expansion(model, frames, keep)``: what charges contribute around the weights
        of the model, see `JointFit`.
    sample_weight, groups : array-like of shape (n_frames,), optional
    """
    clock = Clock()
    linear = list(model._noises()) if model.targets_ else []
    random_state = check_random_state(model.random_state)
    targets = collect_targets(frames, names)
    problem = JointFit(model, frames, targets, linear, expansion, random_state)
    clock.lap("sparse points")
    weights = check_weights(sample_weight, len(frames))
    fitting = EnergyFit(model, problem, random_state, clock)
    fitting.run(sample_weight=weights, groups=groups)
