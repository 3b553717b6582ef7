"""The fit of latent charges: start, noises, calibration, and the final steps."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from lodekit.observables.charges import UNITS as CHARGE_UNITS
from lodekit.observables.energy import UNITS as ENERGY_UNITS
from lodekit.regression.environments import batches
from lodekit.regression.gauss_newton import Minimum
from lodekit.regression.normal_equations import Solution, solve_normal_equations

from .charge_equilibration_atoms import PAULING
from .clock import Clock
from .joint_fit import JointFit
from .latent_charge_batch import LatentBatch, LatentExpansion
from .latent_charge_start import START_ATOMS, find_start
from .linear_charges import BATCH_ATOMS
from .noise import DEFAULT_NOISES, calibrate, choose_noises, held_out_errors
from .prediction import draw_ensemble
from .sparse_potential import HELD_OUT_BYTES


class LatentFit:
    """One fit of a `LatentChargeModel`, which gets what was learned.

    Parameters
    ----------
    model : LatentChargeModel
        With sparse points.
    fit : JointFit
    random_state : numpy.random.RandomState
    clock : Clock
    """

    def __init__(self, model, fit: JointFit, random_state, clock: Clock):
        self.model = model
        self.fit = fit
        self.random_state = random_state
        self.clock = clock
        given = model.noises or {}
        self.given = {name: given.get(name, "auto") for name in fit.names}

    def expand(self, frames, weights) -> LatentExpansion:
        """Return what charges contribute around some weights."""
        self.model.weights_ = weights
        return LatentExpansion(self.model, frames)

    def run(self) -> None:
        """Start, choose noises on held-out frames, calibrate, and fit to all frames."""
        train, held_out = self.split()
        noises = {
            name: DEFAULT_NOISES[name] if noise == "auto" else float(noise)
            for name, noise in self.given.items()
        }
        weights = find_start(self.fit, self.model, noises, self.some(train))
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

    def some(self, chosen: np.ndarray) -> np.ndarray:
        """Return evenly spread frames of about `START_ATOMS` atoms."""
        n_atoms = sum(len(self.fit.frames[i]) for i in chosen)
        return chosen[:: max(1, n_atoms // START_ATOMS)]

    def turn(self, found: Minimum) -> None:
        """Give charges the sign of the convention, in place, where none is learned."""
        if self.model.targets_ or self.model.is_charged_:
            return
        n_rest = self.fit.n_rest
        self.model.weights_ = found.weights[n_rest:]
        frames = self.fit.frames
        charges = np.concatenate(list(self.charges(frames)))
        numbers = np.concatenate([atoms.numbers for atoms in frames])
        scale = electronegativities(self.model.species_)
        scale = scale[np.searchsorted(self.model.species_, numbers)]
        order = -charges @ scale
        if abs(order) < 1e-9 * (np.abs(charges) @ scale):
            order = charges[np.argmax(np.abs(charges) > 0.0)]
        if order < 0.0:
            found.weights[n_rest:] *= -1.0
            found.factor[n_rest:, :n_rest] *= -1.0

    def charges(self, frames):
        """Yield the charges of every structure."""
        for group in batches(frames, BATCH_ATOMS):
            yield from LatentBatch(self.model, [frames[i] for i in group]).charges

    def finish(self, found, noises: dict, std_scale: float) -> None:
        """Give the model its weights, posterior, remainder and summary."""
        model, n_rest = self.model, self.fit.n_rest
        model.weights_ = found.weights[n_rest:]
        own = np.asfortranarray(found.factor[n_rest:, n_rest:])
        model.solution_ = Solution(model.weights_, own)
        model.std_scale_ = std_scale
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


def electronegativities(species: np.ndarray) -> np.ndarray:
    """Return Pauling's electronegativities, their mean for unknown elements."""
    known = [PAULING.get(chemical_symbols[z], np.nan) for z in species]
    return np.nan_to_num(known, nan=np.nanmean([*known, PAULING["C"]]))
