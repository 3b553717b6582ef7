"""Charges and a remainder fitted to energies: noises, calibration, and the steps."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.observables.charges import UNITS as CHARGE_UNITS
from lodekit.observables.energy import UNITS as ENERGY_UNITS
from lodekit.observables.energy import collect_targets
from lodekit.regression.gauss_newton import Minimum
from lodekit.regression.normal_equations import Solution, solve_normal_equations

from .clock import Clock
from .joint_fit import JointFit
from .noise import DEFAULT_NOISES, calibrate, choose_noises, held_out_errors
from .prediction import draw_ensemble
from .sparse_potential import HELD_OUT_BYTES


class EnergyFit:
    """One fit of a model whose charges have an energy; it gets what was learned.

    The charges start from the weights that the model has.

    Parameters
    ----------
    model : LinearChargeModel
        With sparse points and weights.
    fit : JointFit
    expansion : callable
        ``expansion(model, frames, keep)``: what charges contribute around the weights
        of the model, see `JointFit`.
    random_state : numpy.random.RandomState
    clock : Clock
    """

    def __init__(self, model, fit: JointFit, expansion, random_state, clock: Clock):
        self.model = model
        self.fit = fit
        self.expansion = expansion
        self.random_state = random_state
        self.clock = clock
        given = model.noises or {}
        self.given = {name: given.get(name, "auto") for name in fit.names}

    def expand(self, frames, weights, keep):
        """Return what charges contribute around some weights."""
        self.model.weights_ = weights
        return self.expansion(self.model, frames, keep)

    def start(self, noises: dict, train: np.ndarray) -> np.ndarray:
        """Return the weights to start from, of remainder and charges."""
        return np.concatenate([np.zeros(self.fit.n_rest), self.model.weights_])

    def turn(self, found: Minimum) -> None:
        """Choose among weights of the same loss, in place."""

    def run(self) -> None:
        """Start, choose noises on held-out frames, calibrate, and fit to all frames."""
        train, held_out = self.split()
        noises = {
            name: DEFAULT_NOISES[name] if noise == "auto" else float(noise)
            for name, noise in self.given.items()
        }
        weights = self.start(noises, train)
        self.clock.lap("start")
        n_steps, std_scale, errors = 0, 1.0, {}
        if len(held_out):
            found = self.fit.minimise(self.expand, weights, noises, train)
            n_steps, weights = found.n_steps, found.weights
            kept = list(self.fit.rows(self.expand, weights, held_out))
            grams = self.fit.linearise(self.expand, weights, train).equations.grams
            noises = choose_noises(grams, kept, self.given, self.model.progress)
            solution = solve_normal_equations(grams, noises)
            std_scale = calibrate(solution, kept)
            errors = held_out_errors(solution, kept)
            self.clock.lap("noises")
        everything = np.sort(np.concatenate([train, held_out]))
        found = self.fit.minimise(self.expand, weights, noises, everything)
        self.clock.lap("steps")
        self.turn(found)
        self.finish(found, noises, std_scale)
        self.model.summary_ |= {
            "n_steps": n_steps + found.n_steps,
            "n_held_out": len(held_out),
            "held_out_errors": errors,
        }

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return indices of frames to fit first, and of those that choose noises."""
        frames = self.fit.frames
        n_held_out = int(round(self.model.validation_fraction * len(frames)))
        rank = self.fit.n_rest + self.model.rank
        n_rows = np.mean([1 + 3 * len(atoms) for atoms in frames])
        n_held_out = min(
            n_held_out, len(frames) - 1, int(HELD_OUT_BYTES / (8.0 * rank * n_rows))
        )
        if n_held_out < 2:
            n_held_out = 0
        order = self.random_state.permutation(len(frames))
        return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])

    def finish(self, found, noises: dict, std_scale: float) -> None:
        """Give the model its weights, posterior, remainder and summary."""
        model, n_rest = self.model, self.fit.n_rest
        own = np.asfortranarray(found.factor[n_rest:, n_rest:])
        model.learn(Solution(found.weights[n_rest:], own), std_scale)
        solution = Solution(found.weights, found.factor)
        ensemble = draw_ensemble(solution, model.n_ensemble, self.random_state)
        n_species = model.species_.size
        model.ensemble_ = np.concatenate([ensemble[:n_species], ensemble[n_rest:]])
        model.summary_ = {
            "n_structures": len(self.fit.frames),
            "species": model.species_.tolist(),
            "is_charged": model.is_charged_,
            "n_sparse": count_points(model.latent_),
            "rank": found.weights.size,
            "effective_rank": solution.effective_rank,
            "condition_number": solution.condition_number,
            "noises": noises,
            "std_scale": std_scale,
            "units": {**ENERGY_UNITS, **CHARGE_UNITS},
            "seconds": self.clock.seconds,
        }
        model.potential_ = self.fit.potential(
            found, ensemble, std_scale, dict(model.summary_)
        )
        self.clock.lap("posterior")


def count_points(latent) -> list[dict]:
    """Return the number of sparse points by term and species."""
    return [
        {str(z): len(points.features) for z, points in kernel.points.items()}
        for kernel in latent.kernels
    ]


def fit_energies(model, frames, names, expansion) -> None:
    """Let energies, forces and stress shape the charges of a model.

    Parameters
    ----------
    model : LinearChargeModel
        With weights to start from; weights, posterior, remainder and summary are
        replaced.
    frames : list of ase.Atoms
    names : list of {"energy", "forces", "stress"}
    expansion : callable
        See `EnergyFit`.
    """
    clock = Clock()
    linear = list(model._noises()) if model.targets_ else []
    random_state = check_random_state(model.random_state)
    fit = JointFit(model, frames, collect_targets(frames, names), linear, random_state)
    clock.lap("sparse points")
    EnergyFit(model, fit, expansion, random_state, clock).run()
