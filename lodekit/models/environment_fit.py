"""The fit of charges whose hardness depends on environments.

Charges are affine in the weights w of electronegativities, but not in those of the
hardness, v. The fit begins where hardness is by element, v = 0; rows that are
linearised there say how large h may be, the amplitudes and noises that make the targets
most probable. Damped Gauss-Newton steps find v, with the best w there are for every v.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from lodekit.electrostatics.equilibration import DENSE_ATOMS
from lodekit.fitting.clock import Clock
from lodekit.fitting.groups import can_be_left_out, find_groups
from lodekit.fitting.kept_rows import KeptRows
from lodekit.fitting.left_out import KeptGroups
from lodekit.fitting.noises import (
    CONDITION,
    columns_of,
    free_noises,
    most_probable_noises,
    read_noises,
)
from lodekit.fitting.progress import progress_bar
from lodekit.observables.charges import charge_rows, present_targets, row_counts
from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.environments import batches
from lodekit.regression.gauss_newton import descend
from lodekit.regression.normal_equations import NormalEquations
from lodekit.regression.row_steps import point_of
from lodekit.structures.batch import StructureBatch

from .charge_checks import check_weights
from .linear_charges import BATCH_ATOMS

#: What users call a hardness of this kind.
ENVIRONMENT = "environment"
#: Prior standard deviation of each term of x that the search starts from.
SPREAD = 0.2
TINY = 1e-12
#: Factor between amplitudes that are tried, how often, and the gain of the logarithm of
#: errors that is worth it.
RAISE, MAX_RAISES, LEAST_GAIN = 10.0**0.5, 4, 0.01


def fit_environments(model, frames, sample_weight=None, groups=None) -> None:
    """Let the environments change the hardness of a model that was fitted without.

    Parameters
    ----------
    model : ChargeEquilibrationModel
        With weights for the hardness of the elements; weights, posterior and summary
        are replaced.
    frames : list of ase.Atoms
    sample_weight, groups : array-like of shape (n_frames,), optional
    """
    EnvironmentFit(model, frames, sample_weight, groups).run()


class EnvironmentFit:
    """One fit of a model; it gets what was learned.

    Parameters
    ----------
    model : ChargeEquilibrationModel
    frames : list of ase.Atoms
    sample_weight : array-like of shape (n_frames,), optional
        Noise variances of a frame are divided by its weight.
    groups : array-like of shape (n_frames,), optional
        Names of groups of like frames.
    """

    def __init__(self, model, frames, sample_weight=None, groups=None):
        self.weights = check_weights(sample_weight, len(frames))
        self.model = model
        self.frames = frames
        self.groups = find_groups(frames, groups)
        self.given = model._noises()
        self.noises = read_noises(self.given, self.given)
        self.clock = Clock()
        self.kept = KeptRows()
        self.n_steps = 0

    def run(self) -> None:
        """Choose amplitudes and noises, and fit.

        The hardness stays that of elements where groups of frames that are left out
        are predicted no better by that of environments.
        """
        model = self.model
        before = model.solution_, model.std_scales_
        by_element = model.held_out_errors_
        model.hardness_amplitudes_ = self.start_amplitudes()
        n_more = model.hardness_scales.size
        start = np.append(model.weights_, np.zeros(n_more))
        model.weights_ = self.eliminate(start, model.noises_)
        self.clock.lap("start")
        # what v will explain is noise at first
        first = {
            name: max(noise, by_element.get(name, 0.0))
            for name, noise in model.noises_.items()
        }
        noises = self.choose(first, [])
        self.descend(noises)
        noises = self.choose(self.noises, free_noises(self.given, self.given))
        solution, left_out = self.raise_amplitudes(noises)
        errors = left_out.errors()
        if by_element:
            ratios = [(errors[n] + TINY) / (by_element[n] + TINY) for n in by_element]
            gain = float(np.exp(-np.mean(np.log(ratios))))
            model.summary_["hardness_gain"] = gain
            if gain <= 1.0:
                model.hardness_amplitudes_ = None
                model.learn(*before)
                return
        self.finish(solution, noises, left_out)

    def start_amplitudes(self) -> np.ndarray:
        """Return a with which every term of x has the deviation `SPREAD`."""
        squares, n_atoms = 0.0, 0
        for _, features in self.features(self.everything):
            environments = features[:, self.model.species_.size :]
            environments = environments / self.model.stiffness
            squares = squares + (environments**2).sum(axis=0)
            n_atoms += len(environments)
        columns = columns_of(self.model.kernels, 0)
        means = np.array([squares[own].sum() for own in columns]) / n_atoms
        return SPREAD / np.sqrt(np.maximum(means, TINY))

    @property
    def everything(self) -> np.ndarray:
        """Indices of all frames."""
        return np.arange(len(self.frames))

    def choose(self, start: dict, free: list) -> dict:
        """Return the noises, and change amplitudes, that are most probable.

        Around the present weights, with one factor for all amplitudes; h stays what it
        is there.

        Parameters
        ----------
        start : dict of str to float
            Noises to start from.
        free : list of str
            Names of noises that are varied.
        """
        model = self.model
        first = model.n_linear + model.species_.size
        columns = [slice(first, model.rank)]
        noises, (factor,) = most_probable_noises(self.linearise(), start, free, columns)
        before = model.hardness_scales
        model.hardness_amplitudes_ *= factor
        model.weights_[model.n_linear :] *= before / model.hardness_scales
        self.clock.lap("amplitudes")
        return noises

    def raise_amplitudes(self, noises: dict) -> tuple:
        """Take steps with larger amplitudes as long as left-out groups gain by them.

        Rows that are linearised where the hardness varies too little say that it should
        vary little.

        Returns
        -------
        solution : Solution or DualSolution
        left_out : LeftOut
        """
        model, best, least = self.model, None, np.inf
        for _ in range(MAX_RAISES):
            solution = self.descend(noises).solve(noises)
            left_out = self.keep_rows().leave_out(solution, noises)
            errors = list(left_out.errors().values())
            loss = np.mean(np.log(np.add(errors, TINY))) if errors else -np.inf
            if loss > least - LEAST_GAIN:
                break
            least = loss
            best = solution, left_out, model.weights_, model.hardness_amplitudes_
            if not errors:
                break
            before = model.hardness_scales
            model.hardness_amplitudes_ = model.hardness_amplitudes_ * RAISE
            changed = model.weights_.copy()
            changed[model.n_linear :] *= before / model.hardness_scales
            model.weights_ = changed
        *results, model.weights_, model.hardness_amplitudes_ = best
        return tuple(results)

    def keep_rows(self) -> KeptGroups:
        """Return rows of groups to be left out, around the present weights."""
        n_rows = [
            sum(row_counts([atoms], name) for name in self.noises)
            for atoms in self.frames
        ]
        kept = KeptGroups(
            self.groups,
            can_be_left_out(self.frames, self.groups),
            np.array(n_rows),
            self.model.rank,
            self.model.validation_fraction,
        )
        for name, rows, ones in self.rows(kept.frames):
            if name != CONDITION:
                kept.add(name, rows, ones)
        return kept

    def descend(self, noises: dict):
        """Take steps from the weights of the model; return the equations at the end."""

        def point_at(weights):
            self.model.weights_ = self.eliminate(weights, noises)
            return point_of(self.linearise(), noises, self.model.weights_)

        point, n_steps = descend(point_at, self.model.weights_)
        self.n_steps += n_steps
        self.clock.lap("steps")
        self.model.weights_ = point.weights
        return self.linearise()

    def eliminate(self, weights, noises: dict) -> np.ndarray:
        """Return weights with the best w there are for their v.

        Stiff atoms with large electronegativities have the same charges as softer ones:
        steps of both at once would follow a bent valley.
        """
        self.model.weights_ = weights
        n_linear = self.model.n_linear
        equations = self.equations(n_linear)
        for name, own, ones in self.rows(self.everything):
            values = own.values - own.matrix[:, n_linear:] @ weights[n_linear:]
            equations.add(name, own.matrix[:, :n_linear], values, ones)
        return np.append(equations.solve(noises).weights, weights[n_linear:])

    def linearise(self):
        """Return the equations of rows around the weights of the model."""
        equations = self.equations(self.model.rank)
        for name, own, ones in self.rows(self.everything):
            equations.add(name, own.matrix, own.values, ones)
        return equations

    def equations(self, rank: int):
        """Return equations without rows, of the kind that is faster."""
        few = sum(row_counts(self.frames, name) for name in self.noises) < rank
        return DualEquations(rank) if few else NormalEquations(rank, self.noises)

    def rows(self, chosen):
        """Yield name, rows and their weights around the weights of the model."""
        for index, features in self.features(chosen):
            atoms = self.frames[index]
            charges = self.model.linearised_charges(
                atoms, features, self.coulomb(index)
            )
            for name in present_targets(atoms, self.noises):
                own = charge_rows(atoms, charges, name, index)
                yield name, own, np.full(len(own.values), self.weights[index])

    def coulomb(self, index: int) -> np.ndarray | None:
        """Return the Coulomb matrix of one frame, None where it has too many atoms."""
        atoms = self.frames[index]
        if len(atoms) > DENSE_ATOMS:
            return None

        def make():
            return self.model.equilibration(atoms).interaction.dense()

        return self.kept.get((index,), "Coulomb matrix", make)

    def features(self, chosen):
        """Yield the index of every frame with Phi in V, (n_atoms, n_linear)."""
        groups = list(batches([self.frames[i] for i in chosen], BATCH_ATOMS))
        for group in progress_bar(groups, "rows", self.model.progress):
            indices = np.asarray(chosen)[group]
            batch = StructureBatch.from_frames([self.frames[i] for i in indices])
            keep = self.kept.of(tuple(indices))
            rows = keep("features", partial(self.make_features, batch))
            yield from zip(indices, np.split(rows, batch.first_atom[1:-1]), strict=True)

    def make_features(self, batch) -> np.ndarray:
        """Return Phi of a batch in V, (n_atoms, n_linear)."""
        return self.model.feature_rows(batch, self.model.latent_.evaluate(batch))

    def finish(self, solution, noises: dict, left_out) -> None:
        """Give the model its posterior and summary."""
        model = self.model
        solution.weights = model.weights_
        model.learn(solution, left_out.scales())
        model.noises_, model.held_out_errors_ = noises, left_out.errors()
        model.summary_ |= {
            "rank": model.rank,
            "effective_rank": solution.effective_rank,
            "condition_number": solution.condition_number,
            "noises": noises,
            "std_scales": model.std_scales_,
            "held_out_errors": model.held_out_errors_,
            "n_steps": self.n_steps,
        }
        self.clock.lap("posterior")
        model.summary_["seconds"] |= {
            f"hardness: {name}": value for name, value in self.clock.seconds.items()
        }
