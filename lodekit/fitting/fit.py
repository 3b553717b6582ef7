"""The one fit: rows of targets to weights, noises, and errors on groups left out.

A model hands over a problem, which makes rows around weights; what is learned comes
back as a `FitResult`. Nothing of the model is touched.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.regression.dual_equations import DualEquations
from lodekit.regression.gauss_newton import minimise
from lodekit.regression.normal_equations import (
    NormalEquations,
    QrEquations,
    Solution,
    weighted_sums,
)

from .assembly import assemble
from .checkpoint import next_stage
from .groups import can_be_left_out, find_groups
from .left_out import KeptGroups, LeftOut
from .nested import current_nested, fit_nested
from .noises import (
    CONDITION,
    columns_of,
    free_noises,
    most_probable_noises,
    read_noises,
    scale_noises,
)
from .outliers import find_outliers
from .planning import stop_if_planned
from .problem import FitResult
from .progress import show_step
from .shared_rows import assemble_shared, n_shares
from .sums import FitSums, keep
from .weighted import WeightedProblem

#: Times that a fit is made because frames need a noise of their own, and the factor by
#: which the variance of one has to change for that.
MAX_ROUNDS, LEAST_CHANGE = 4, 4.0


def fit(
    problem,
    given: dict,
    *,
    groups=None,
    sample_weight=None,
    fraction: float = 1.0,
    random_state=None,
    lap=None,
) -> FitResult:
    """Fit the weights of a problem to all of its frames.

    Noises that are not given, and the amplitudes of kernels, are those that make the
    targets most probable, scaled by what predicts groups of like frames best that are
    left out. These give errors and the calibration of standard deviations as well.

    Parameters
    ----------
    problem : Problem
    given : dict of str to float or "auto"
        Noise of every target.
    groups : array-like of shape (n_frames,), optional
        Names of groups of like frames, see `find_groups`.
    sample_weight : ndarray of shape (n_frames,), optional
        Of frames: noise variances are divided by it.
    fraction : float
        Share of the frames that may be left out, one group at a time.
    random_state : int or numpy.random.RandomState
        Draws the groups that are left out where not all of them are affordable.
    lap : callable, optional
        Called with the name of every step when it is done.

    Raises
    ------
    numpy.linalg.LinAlgError
        If given noises are too small for the digits of the rows.
    """
    if sample_weight is not None:
        problem = WeightedProblem(problem, sample_weight)
    seed = int(check_random_state(random_state).randint(2**31 - 1))
    fitting = Fitting(problem, given, groups, fraction, seed, lap or ignore)
    stop_if_planned(fitting)
    nested = current_nested()
    if nested is not None and fitting.is_linear and problem.solver != "qr":
        return fit_nested(fitting, nested)
    return fitting.run()


def fit_more(problem, sums: FitSums, *, sample_weight=None, **options) -> FitResult:
    """Fit to the frames of a problem and to those in sums, which grow by them.

    Noises are those of the sums, and nothing is chosen again. Errors are those on
    groups of the new frames.

    Parameters
    ----------
    problem : Problem
        Of the new frames, linear, with the weights of the sums.
    sums : FitSums
    sample_weight : ndarray of shape (n_frames,), optional
    **options
        ``groups``, ``fraction``, ``random_state`` and ``lap`` of `fit`.
    """
    if list(problem.names) != list(sums.noises) or problem.rank != sums.equations.rank:
        raise ValueError("these sums belong to another model")
    problem.kernels, problem.sums = [], sums.equations
    return fit(problem, sums.noises, sample_weight=sample_weight, **options)


def ignore(name: str) -> None:
    """Do nothing."""


class Fitting:
    """The state of one fit; see `fit`."""

    def __init__(self, problem, given, groups, fraction: float, seed: int, lap):
        self.problem, self.given, self.lap = problem, given, lap
        self.fraction, self.seed = fraction, seed
        self.free = free_noises(problem.names, given)
        self.groups = find_groups(problem.frames, groups)
        self.kernels = problem.kernels
        self.is_linear = problem.n_linear is None
        self.weights, self.n_steps = np.zeros(problem.rank), 0
        self.stage = next_stage(problem)
        #: sums of frames that are not those of the problem, see `fit_more`
        self.before = getattr(problem, "sums", None)
        self.take_frames(np.arange(len(problem.frames)))

    def take_frames(self, frames: np.ndarray) -> None:
        """Fit to frames of the problem with these numbers, ascending."""
        some = [self.problem.frames[i] for i in frames]
        self.everything = frames
        self.leavable = can_be_left_out(some, self.groups[frames])
        #: by target, what multiplies the noise variance of every frame's rows
        self.own_noise = {
            name: np.ones(len(self.problem.frames)) for name in self.problem.names
        }

    def run(self, assembled=None) -> FitResult:
        """Fit, and fit again where frames turn out to need a noise of their own.

        Parameters
        ----------
        assembled : tuple, optional
            Equations of all rows, and `KeptGroups`, of a linear problem.
        """
        start = read_noises(self.problem.names, self.given)
        if not self.is_linear:
            self.weights = self.first_weights(start)
            self.lap("start")
        for number in range(MAX_ROUNDS):
            if assembled is None or not self.is_linear:
                assembled = self.prepare(start)
            result, left_out = self.fit_once(start, *assembled)
            result.outliers = [
                outlier
                for outlier in find_outliers(left_out, result.noises, result.std_scales)
                if outlier.target in self.free
            ]
            if number + 1 == MAX_ROUNDS or not self.give_noise(result.outliers):
                break
            if self.is_linear:
                assembled[1].weigh_again(self.own_noise, assembled[0])
        keep(self.problem, assembled[0], result.noises)
        return result

    def give_noise(self, outliers: list) -> bool:
        """Give frames a noise of their own; return whether any changes by a lot."""
        before = self.own_noise
        after = {name: np.ones_like(noises) for name, noises in before.items()}
        for outlier in outliers:
            factor = (outlier.error / outlier.usual) ** 2
            after[outlier.target][outlier.frame] = factor
        ratios = [after[name] / noises for name, noises in before.items()]
        changes = np.abs(np.log(ratios)).max(initial=0.0) > np.log(LEAST_CHANGE)
        if changes:
            self.own_noise = after
        return bool(changes)

    def prepare(self, start: dict) -> tuple:
        """Return the equations of all rows, and rows of groups to be left out."""
        if not self.is_linear:
            self.descend(start)
        kept = self.kept_groups()
        equations = self.assemble(kept, self.everything)
        if self.before is not None:
            self.before.merge(equations)
            equations = self.before
        self.lap("rows")
        return equations, kept

    def fit_once(self, start: dict, equations, kept) -> tuple[FitResult, LeftOut]:
        """Fit to all frames, and leave out what can be left out."""
        noises = self.choose(equations, kept, start)
        self.lap("noises")
        if self.is_linear:
            solution = equations.solve(noises)
            self.weights = solution.weights
        else:
            solution = self.descend(noises)
            kept = self.keep_rows()
        self.lap("solution")
        left_out = kept.leave_out(solution, noises)
        self.lap("left out")
        result = FitResult(
            weights=self.weights,
            solution=solution,
            noises=noises,
            std_scales=left_out.scales(),
            errors=left_out.errors(),
            n_rows=equations.n_rows(),
            n_groups=len(np.unique(self.groups[self.everything])),
            n_left_out=len(kept.chosen),
            n_steps=self.n_steps,
        )
        return result, left_out

    def choose(self, equations, kept: KeptGroups, start: dict) -> dict:
        """Return the noises; kernels, equations and kept rows get their amplitudes."""
        problem = self.problem
        columns = columns_of(self.kernels, problem.first_column)
        if isinstance(equations, QrEquations) or not (self.free or columns):
            return start
        noises, amplitudes = most_probable_noises(equations, start, self.free, columns)
        scales = np.ones(problem.rank)
        for kernel, part, amplitude in zip(
            self.kernels, columns, amplitudes, strict=True
        ):
            kernel.amplify(amplitude)
            scales[part] = amplitude
        equations.scale(scales)
        kept.scale(scales)
        return scale_noises(equations, kept, noises, self.free)

    def rows(self, frames: np.ndarray):
        """Yield name, rows and weights around the present weights."""
        for name, rows, weights in self.problem.rows(self.weights, frames):
            yield name, rows, weights / self.own_noise[name][rows.frames]

    def first_weights(self, start: dict) -> np.ndarray:
        """Return the weights to start from, or where an interrupted fit was."""
        known = self.stage.kept if self.stage else None
        if known is None:
            return self.problem.start(start)
        return known[1]["weights"]

    def assemble(self, kept: KeptGroups, frames: np.ndarray):
        """Return equations with the rows of frames; those to be left out are kept."""
        count = 1
        if self.is_linear and isinstance(self.equations(), NormalEquations):
            count = n_shares(len(frames))
        if count > 1:
            return assemble_shared(self, kept, frames, count)
        return assemble(self, kept, frames)

    def keep_rows(self) -> KeptGroups:
        """Return the rows of groups to be left out alone."""
        kept = self.kept_groups()
        for name, rows, weights in self.rows(kept.frames):
            if name != CONDITION:
                kept.add(name, rows, weights)
        return kept

    def kept_groups(self) -> KeptGroups:
        """Return groups to be left out, without rows; the same every time."""
        problem = self.problem
        arguments = self.groups, self.leavable, problem.n_rows, problem.rank
        kept = KeptGroups(*arguments, self.fraction, self.seed)
        kept.ignore(self.own_noise)
        return kept

    def equations(self):
        """Return equations without rows: of rows where there are fewer than weights."""
        problem = self.problem
        if problem.solver == "qr":
            noises = read_noises(problem.names, self.given)
            return QrEquations(problem.rank, noises)
        n_rows = problem.n_rows[self.everything].sum()
        is_short = n_rows < problem.rank and self.before is None
        if self.is_linear and is_short:
            return DualEquations(problem.rank)
        return NormalEquations(problem.rank, problem.names)

    def descend(self, noises: dict) -> Solution:
        """Take Gauss-Newton steps; return the posterior linearised at their end."""
        problem = self.problem

        def linearise(weights):
            self.weights = weights
            equations, squares = self.equations(), dict.fromkeys(problem.names, 0.0)
            for name, rows, row_weights in self.rows(self.everything):
                equations.add(name, rows.matrix, rows.values, row_weights)
                residuals = rows.values - rows.matrix @ weights
                squares[name] += float(residuals**2 @ row_weights)
            loss = sum(squares[name] / noises[name] ** 2 for name in squares)
            loss = float(loss + weights @ weights)
            self.n_steps += 1
            if problem.progress:
                n_rows = equations.n_rows()
                errors = {n: np.sqrt(s / n_rows[n]) for n, s in squares.items() if s}
                show_step(self.n_steps, loss, errors, problem.units)
            if self.stage and self.stage.is_due():
                self.stage.keep({"n_done": len(problem.frames)}, {"weights": weights})
            return *weighted_sums(equations.grams, noises), loss

        problem.forget()
        minimum = minimise(linearise, self.weights, problem.n_linear)
        self.weights = minimum.weights
        return Solution(minimum.weights, minimum.factor)
