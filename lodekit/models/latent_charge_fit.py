"""The fit of latent charges: where it starts, and which sign the charges have."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from lodekit.fitting.fit import FitResult
from lodekit.regression.environments import batches

from .charge_equilibration_atoms import PAULING
from .energy_fit import EnergyFit
from .joint_fit import JointFit
from .latent_charge_batch import LatentBatch
from .latent_charge_start import START_ATOMS, find_start
from .linear_charges import BATCH_ATOMS


class LatentProblem(JointFit):
    """Rows of latent charges and a remainder, and where their fit starts."""

    def start(self, noises: dict) -> np.ndarray:
        """Return the solution of a convex problem in a few directions.

        From evenly spread frames of about `START_ATOMS` atoms.
        """
        n_atoms = sum(len(atoms) for atoms in self.frames)
        every = max(1, n_atoms // START_ATOMS)
        chosen = np.arange(0, len(self.frames), every)
        return find_start(self, self.model, noises, chosen)


class LatentFit(EnergyFit):
    """One fit of a `LatentChargeModel`, which gets what was learned."""

    def turn(self, result: FitResult) -> None:
        """Give charges the sign of the convention, in place, where none is learned."""
        if self.model.targets_ or self.model.is_charged_:
            return
        n_rest = self.problem.n_rest
        self.model.weights_ = result.weights[n_rest:]
        frames = self.problem.frames
        charges = np.concatenate(list(self.charges(frames)))
        numbers = np.concatenate([atoms.numbers for atoms in frames])
        scale = electronegativities(self.model.species_)
        scale = scale[np.searchsorted(self.model.species_, numbers)]
        order = -charges @ scale
        if abs(order) < 1e-9 * (np.abs(charges) @ scale):
            order = charges[np.argmax(np.abs(charges) > 0.0)]
        if order < 0.0:
            result.weights[n_rest:] *= -1.0
            result.solution.factor[n_rest:, :n_rest] *= -1.0

    def charges(self, frames):
        """Yield the charges of every structure."""
        for group in batches(frames, BATCH_ATOMS):
            yield from LatentBatch(self.model, [frames[i] for i in group]).charges


def electronegativities(species: np.ndarray) -> np.ndarray:
    """Return Pauling's electronegativities, their mean for unknown elements."""
    known = [PAULING.get(chemical_symbols[z], np.nan) for z in species]
    return np.nan_to_num(known, nan=np.nanmean([*known, PAULING["C"]]))
