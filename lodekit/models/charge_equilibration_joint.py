"""Electronegativities learned from energies and forces, by Gauss-Newton steps."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.observables.energy import collect_targets
from lodekit.regression.normal_equations import Solution

from .charge_equilibration_batch import EquilibratedBatch
from .charge_equilibration_rows import EnergyExpansion
from .joint_fit import JointFit
from .noise import DEFAULT_NOISES


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

    def expand(some, weights):
        model.weights_ = weights
        return EnergyExpansion(model, EquilibratedBatch(model, some))

    fit = JointFit(
        model,
        frames,
        collect_targets(frames, targets),
        model.targets_,
        check_random_state(model.random_state),
    )
    start = np.concatenate([np.zeros(fit.n_rest), model.weights_])
    found = fit.minimise(expand, start, noises, np.arange(len(frames)))
    model.weights_ = found.weights[fit.n_rest :]
    own = np.asfortranarray(found.factor[fit.n_rest :, fit.n_rest :])
    model.solution_ = Solution(model.weights_, own)
    model.summary_ |= {"noises": noises, "n_steps": found.n_steps}
