"""The fit of charges whose hardness depends on environments.

Charges are affine in the weights w of electronegativities, but not in those of the
hardness, v. The fit begins where hardness is by element, v = 0; rows that are
linearised there say how large h may be, the amplitudes and noises that make the targets
most probable. Damped Gauss-Newton steps find v, with the best w there are for every v.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
from sklearn.utils import check_random_state

from lodekit.electrostatics.equilibration import DENSE_ATOMS
from lodekit.observables.charges import charge_rows, row_counts
from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.environments import batches
from lodekit.regression.gauss_newton import descend
from lodekit.regression.normal_equations import NormalEquations
from lodekit.regression.row_steps import point_of
from lodekit.structures.batch import StructureBatch

from .amplitudes import amplify, columns_of
from .clock import Clock
from .kept_rows import KeptRows
from .linear_charges import BATCH_ATOMS
from .noise import calibrate, held_out_errors
from .progress import progress_bar

#: What users call a hardness of this kind.
ENVIRONMENT = "environment"
#: Prior standard deviation of each term of x that the search starts from.
SPREAD = 0.2
TINY = 1e-12


def fit_environments(model, frames) -> None:
    """Let the environments change the hardness of a model that was fitted without.

    Parameters
    ----------
    model : ChargeEquilibrationModel
        With weights for the hardness of the elements; weights, posterior and summary
        are replaced.
    frames : list of ase.Atoms
    """
    EnvironmentFit(model, frames).run()


class EnvironmentFit:
    """One fit of a model; it gets what was learned.

    Parameters
    ----------
    model : ChargeEquilibrationModel
    frames : list of ase.Atoms
    """

    def __init__(self, model, frames):
        self.model = model
        self.frames = frames
        self.noises = model._noises()
        self.clock = Clock()
        self.kept = KeptRows()
        self.n_steps = 0

    def run(self) -> None:
        """Choose amplitudes and noises, calibrate, and fit to all frames.

        The hardness stays that of elements where held-out frames are predicted no
        better by that of environments.
        """
        model = self.model
        before = model.solution_, model.std_scale_
        train, held_out = self.split()
        model.hardness_amplitudes_ = self.start_amplitudes(train)
        n_more = model.hardness_scales.size
        start = np.append(model.weights_, np.zeros(n_more))
        model.weights_ = self.eliminate(start, model.summary_["noises"], train)
        by_element = self.errors(held_out)
        self.clock.lap("start")
        # what v will explain is noise at first
        first = {
            name: max(noise, by_element.get(name, 0.0))
            for name, noise in model.summary_["noises"].items()
        }
        noises = self.choose(train, held_out, first)
        self.descend(noises, train)
        noises = self.choose(train, held_out, self.noises)
        std_scale, errors = 1.0, {}
        if len(held_out):
            equations = self.descend(noises, train)
            std_scale = calibrate(equations.solve(noises), list(self.rows(held_out)))
            errors = self.errors(held_out)
            ratios = [errors[name] / (by_element[name] + TINY) for name in errors]
            model.summary_["hardness_gain"] = float(
                1.0 / np.exp(np.mean(np.log(ratios)))
            )
            if model.summary_["hardness_gain"] <= 1.0:
                model.hardness_amplitudes_ = None
                model.learn(*before)
                return
        everything = np.sort(np.concatenate([train, held_out]))
        equations = self.descend(noises, everything)
        self.finish(equations, noises, std_scale, errors)

    def errors(self, held_out) -> dict:
        """Return the RMSE of every target on held-out frames."""
        return held_out_errors(
            SimpleNamespace(weights=self.model.weights_), list(self.rows(held_out))
        )

    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Return indices of frames to fit first, and of those held out."""
        n_held_out = self.model.summary_["n_held_out"]
        random_state = check_random_state(self.model.random_state)
        order = random_state.permutation(len(self.frames))
        return np.sort(order[n_held_out:]), np.sort(order[:n_held_out])

    def start_amplitudes(self, chosen) -> np.ndarray:
        """Return a with which every term of x has the deviation `SPREAD`."""
        squares, n_atoms = 0.0, 0
        for _, features in self.features(chosen):
            own = features[:, self.model.species_.size :] / self.model.stiffness
            squares = squares + (own**2).sum(axis=0)
            n_atoms += len(own)
        columns = columns_of(self.model.kernels, 0)
        means = np.array([squares[own].sum() for own in columns]) / n_atoms
        return SPREAD / np.sqrt(np.maximum(means, TINY))

    def choose(self, train, held_out, given: dict) -> dict:
        """Return the noises, and change amplitudes, that are most probable.

        Around the present weights, with one factor for all amplitudes; h stays what it
        is there.
        """
        model = self.model
        prior = HardnessPrior(model)
        equations, kept = self.linearise(train), list(self.rows(held_out))
        before = model.hardness_scales
        first = model.n_linear + model.species_.size
        noises = amplify([prior], first, given, equations, kept)
        model.weights_[model.n_linear :] *= before / model.hardness_scales
        self.clock.lap("amplitudes")
        return noises

    def descend(self, noises: dict, chosen):
        """Take steps from the weights of the model; return the equations at the end."""

        def point_at(weights):
            self.model.weights_ = self.eliminate(weights, noises, chosen)
            return point_of(self.linearise(chosen), noises, self.model.weights_)

        point, n_steps = descend(point_at, self.model.weights_)
        self.n_steps += n_steps
        self.clock.lap("steps")
        self.model.weights_ = point.weights
        return self.linearise(chosen)

    def eliminate(self, weights, noises: dict, chosen) -> np.ndarray:
        """Return weights with the best w there are for their v.

        Stiff atoms with large electronegativities have the same charges as softer ones:
        steps of both at once would follow a bent valley.
        """
        self.model.weights_ = weights
        n_linear = self.model.n_linear
        equations = self.equations(n_linear, chosen)
        for name, own, ones in self.rows(chosen):
            values = own.values - own.matrix[:, n_linear:] @ weights[n_linear:]
            equations.add(name, own.matrix[:, :n_linear], values, ones)
        return np.append(equations.solve(noises).weights, weights[n_linear:])

    def linearise(self, chosen):
        """Return the equations of rows around the weights of the model."""
        equations = self.equations(self.model.rank, chosen)
        for name, own, ones in self.rows(chosen):
            equations.add(name, own.matrix, own.values, ones)
        return equations

    def equations(self, rank: int, chosen):
        """Return equations without rows, of the kind that is faster."""
        frames = [self.frames[i] for i in chosen]
        few = sum(row_counts(frames, name) for name in self.noises) < rank
        return DualEquations(rank) if few else NormalEquations(rank, self.noises)

    def rows(self, chosen):
        """Yield name, rows and their weights (1) around the weights of the model."""
        for index, features in self.features(chosen):
            atoms = self.frames[index]
            charges = self.model.linearised_charges(
                atoms, features, self.coulomb(index)
            )
            for name in self.noises:
                own = charge_rows(atoms, charges, name, index)
                yield name, own, np.ones(len(own.values))

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

    def finish(self, equations, noises: dict, std_scale: float, errors: dict) -> None:
        """Give the model its posterior and summary."""
        model = self.model
        solution = equations.solve(noises)
        solution.weights = model.weights_
        model.learn(solution, std_scale)
        model.summary_ |= {
            "rank": model.rank,
            "effective_rank": solution.effective_rank,
            "condition_number": solution.condition_number,
            "noises": noises,
            "std_scale": std_scale,
            "held_out_errors": errors,
            "n_steps": self.n_steps,
        }
        self.clock.lap("posterior")
        model.summary_["seconds"] |= {
            f"hardness: {name}": value for name, value in self.clock.seconds.items()
        }


class HardnessPrior:
    """All terms of x, with what `amplify` asks of a kernel."""

    def __init__(self, model):
        self.model, self.rank = model, model.latent_.rank

    def amplify(self, factor: float) -> None:
        """Multiply the amplitudes of the terms."""
        self.model.hardness_amplitudes_ *= factor
