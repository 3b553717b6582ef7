"""The fit of charges whose hardness depends on environments.

Charges are affine in the weights w of electronegativities, but not in those of the
hardness, v. The fit begins where hardness is by element, v = 0; rows that are
linearised there say how large h may be, the amplitudes and noises that make the targets
most probable. Damped Gauss-Newton steps find v, with the best w there are for every v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lodekit.observables.charges import charge_rows, present_targets, row_counts
from lodekit.physics.equilibration import Equilibration
from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.environments import batches
from lodekit.regression.gauss_newton import descend
from lodekit.regression.kept_rows import KeptRows
from lodekit.regression.normal_equations import NormalEquations
from lodekit.regression.row_steps import point_of

from .clock import Clock
from .fit import FitResult
from .groups import can_be_left_out, find_groups
from .left_out import KeptGroups, LeftOut
from .noises import (
    CONDITION,
    columns_of,
    free_noises,
    most_probable_noises,
    read_noises,
)
from .progress import progress_bar

#: Atoms whose features are made at once.
BATCH_ATOMS = 1000
#: Prior standard deviation of each term of x that the search starts from.
SPREAD = 0.2
TINY = 1e-12
#: Factor between amplitudes that are tried, how often, and the gain of the logarithm of
#: errors that is worth it.
RAISE, MAX_RAISES, LEAST_GAIN = 10.0**0.5, 4, 0.01


@dataclass
class EnvironmentResult:
    """The result of an `EnvironmentFit`.

    Attributes
    ----------
    response : Equilibration
        With amplitudes.
    fit : FitResult
    gain : float or None
        Errors of groups left out with the hardness of elements over those with that of
        environments; None where nothing is left out.
    """

    response: Equilibration
    fit: FitResult
    gain: float | None


@dataclass
class Place:
    """Where the fit is: amplitudes of x, and weights of chi and x."""

    response: Equilibration
    weights: np.ndarray

    @property
    def n_linear(self) -> int:
        """Number of weights of the electronegativities."""
        return self.response.n_linear

    def scaled(self, factor: float) -> Place:
        """Return the place with other amplitudes and the same h."""
        amplitudes = factor * self.response.amplitudes
        weights = self.weights.copy()
        weights[self.n_linear + self.response.species.size :] /= factor
        return Place(replace(self.response, amplitudes=amplitudes), weights)

    def to(self, weights: np.ndarray) -> Place:
        """Return the place with other weights."""
        return Place(self.response, weights)


class EnvironmentFit:
    """One fit.

    Parameters
    ----------
    response : Equilibration
        With the hardness of elements.
    before : FitResult
        Of the fit with it: weights, noises, and errors of groups left out.
    frames : list of ase.Atoms
    noises : dict of str to float or "auto"
        Noise of every target.
    sample_weight : ndarray of shape (n_frames,)
        Noise variances of a frame are divided by its weight.
    groups : array-like of shape (n_frames,), optional
        Names of groups of like frames.
    fraction : float
        Share of the frames that may be left out.
    progress : bool
    """

    def __init__(
        self,
        response,
        before: FitResult,
        frames,
        noises,
        sample_weight,
        groups=None,
        fraction: float = 1.0,
        progress: bool = False,
    ):
        self.by_element, self.before = response, before
        self.frames, self.asked, self.sample_weight = frames, noises, sample_weight
        self.groups = find_groups(frames, groups)
        self.fraction, self.progress = fraction, progress
        self.noises = read_noises(noises, noises)
        self.clock = Clock()
        self.kept = KeptRows()
        self.n_steps = 0

    def run(self) -> EnvironmentResult:
        """Choose amplitudes and noises, and fit."""
        errors_before = self.before.errors
        response = replace(self.by_element, amplitudes=self.start_amplitudes())
        n_more = response.rank - response.n_linear
        start = np.append(self.before.weights, np.zeros(n_more))
        place = self.eliminate(Place(response, start), self.before.noises)
        self.clock.lap("start")
        # the part that v will explain is noise at first
        first = {
            name: max(noise, errors_before.get(name, 0.0))
            for name, noise in self.before.noises.items()
        }
        noises, place = self.choose(place, first, [])
        place = self.descend(place, noises)
        free = free_noises(self.asked, self.asked)
        noises, place = self.choose(place, self.noises, free)
        place, solution, left_out = self.raise_amplitudes(place, noises)
        errors, gain = left_out.errors(), None
        if errors_before:
            ratios = [
                (errors[n] + TINY) / (errors_before[n] + TINY) for n in errors_before
            ]
            gain = float(np.exp(-np.mean(np.log(ratios))))
        solution.weights = place.weights
        self.clock.lap("posterior")
        result = replace(
            self.before,
            weights=place.weights,
            solution=solution,
            noises=noises,
            std_scales=left_out.scales(),
            errors=errors,
            n_steps=self.n_steps,
        )
        return EnvironmentResult(place.response, result, gain)

    def start_amplitudes(self) -> np.ndarray:
        """Return a with which every term of x has the deviation `SPREAD`."""
        squares, n_atoms = 0.0, 0
        start = Place(self.by_element, self.before.weights)
        for _, solved in self.solutions(start, self.everything):
            environments = solved.states[0].features.rows
            squares = squares + (environments**2).sum(axis=0)
            n_atoms += len(environments)
        columns = columns_of(self.by_element.kernels, 0)
        means = np.array([squares[part].sum() for part in columns]) / n_atoms
        return SPREAD / np.sqrt(np.maximum(means, TINY))

    @property
    def everything(self) -> np.ndarray:
        """Indices of all frames."""
        return np.arange(len(self.frames))

    def choose(self, place: Place, start: dict, free: list) -> tuple[dict, Place]:
        """Return noises, and the place with amplitudes, that are most probable.

        Around the place, with one factor for all amplitudes; h stays what it is there.

        Parameters
        ----------
        place : Place
        start : dict of str to float
            Noises to start from.
        free : list of str
            Names of noises that are varied.
        """
        first = place.n_linear + place.response.species.size
        columns = [slice(first, place.response.rank)]
        noises, (factor,) = most_probable_noises(
            self.linearise(place), start, free, columns
        )
        self.clock.lap("amplitudes")
        return noises, place.scaled(factor)

    def raise_amplitudes(self, place: Place, noises: dict) -> tuple:
        """Take steps with larger amplitudes as long as left-out groups gain by them.

        Rows that are linearised where the hardness varies too little say that it should
        vary little.

        Returns
        -------
        place : Place
        solution : Solution or DualSolution
        left_out : LeftOut
        """
        best, least = None, np.inf
        for _ in range(MAX_RAISES):
            place = self.descend(place, noises)
            solution = self.linearise(place).solve(noises)
            left_out = self.leave_out(place, solution, noises)
            errors = list(left_out.errors().values())
            loss = np.mean(np.log(np.add(errors, TINY))) if errors else -np.inf
            if loss > least - LEAST_GAIN:
                break
            best, least = (place, solution, left_out), loss
            if not errors:
                break
            place = place.scaled(RAISE)
        return best

    def leave_out(self, place: Place, solution, noises: dict) -> LeftOut:
        """Leave groups out, with rows around the place."""
        n_rows = [
            sum(row_counts([atoms], name) for name in self.noises)
            for atoms in self.frames
        ]
        kept = KeptGroups(
            self.groups,
            can_be_left_out(self.frames, self.groups),
            np.array(n_rows),
            place.response.rank,
            self.fraction,
        )
        for name, rows, ones in self.rows(place, kept.frames):
            if name != CONDITION:
                kept.add(name, rows, ones)
        return kept.leave_out(solution, noises)

    def descend(self, place: Place, noises: dict) -> Place:
        """Take steps from a place; return where they end."""

        def point_at(weights):
            best = self.eliminate(place.to(weights), noises)
            return point_of(self.linearise(best), noises, best.weights)

        point, n_steps = descend(point_at, place.weights)
        self.n_steps += n_steps
        self.clock.lap("steps")
        return place.to(point.weights)

    def eliminate(self, place: Place, noises: dict) -> Place:
        """Return the place with the best w there are for its v.

        Stiff atoms with large electronegativities have the same charges as softer ones:
        steps of both at once would follow a bent valley.
        """
        n_linear = place.n_linear
        stiff = place.weights[n_linear:]
        equations = self.equations(n_linear)
        for name, part, ones in self.rows(place, self.everything):
            values = part.values - part.matrix[:, n_linear:] @ stiff
            equations.add(name, part.matrix[:, :n_linear], values, ones)
        return place.to(np.append(equations.solve(noises).weights, stiff))

    def linearise(self, place: Place):
        """Return the equations of rows around a place."""
        equations = self.equations(place.response.rank)
        for name, part, ones in self.rows(place, self.everything):
            equations.add(name, part.matrix, part.values, ones)
        return equations

    def equations(self, rank: int):
        """Return equations without rows, of the kind that is faster."""
        few = sum(row_counts(self.frames, name) for name in self.noises) < rank
        return DualEquations(rank) if few else NormalEquations(rank, self.noises)

    def rows(self, place: Place, chosen):
        """Yield name, rows and their weights around a place."""
        for indices, solved in self.solutions(place, chosen):
            for number, index in enumerate(indices):
                atoms, charges = self.frames[index], solved.affine(number)
                for name in present_targets(atoms, self.noises):
                    rows = charge_rows(atoms, charges, name, index)
                    weight = self.sample_weight[index]
                    yield name, rows, np.full(len(rows.values), weight)

    def solutions(self, place: Place, chosen):
        """Yield indices of frames, and their charges at a place."""
        groups = list(batches([self.frames[i] for i in chosen], BATCH_ATOMS))
        for group in progress_bar(groups, "rows", self.progress):
            indices = np.asarray(chosen)[group]
            keep = self.kept.of(tuple(indices))
            frames = [self.frames[i] for i in indices]
            yield indices, place.response.solve(frames, place.weights, keep)
