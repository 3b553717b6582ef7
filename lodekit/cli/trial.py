"""Times of a fit before it is made.

Fits of one linear problem are made as far as their rows: sparse points are chosen, the
number of weights is known, and rows of some frames are timed. Of others, small fits to
n_1 and n_2 frames with R_1 and R_2 weights determine what a fit takes beside the
algebra of its equations, a + n (c_0 + c_1 R). The algebra follows from the speed of
products, see `lodekit.fitting.plan`.
"""

from __future__ import annotations

import copy
import time
import warnings
from typing import TYPE_CHECKING

from .learning_curve import nested_order

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.fitting.plan import Plan
    from lodekit.models.model import Model

    from .fit_run import FitRun
    from .names_of_types import Settings

#: Atoms of the smaller set, about, how many times larger the other one is, and sparse
#: points of every element and term.
FEW_ATOMS, FACTOR, POINTS = 120, 3, (15, 60)
#: Steps of a fit whose time follows from its number of weights.
ALGEBRA = ("noises", "solution", "left out", "posterior")


def time_fit(
    run: FitRun, frames: list[Atoms], settings: Settings, plan: Plan
) -> float | None:
    """Return the seconds of a fit, None where small fits cannot be made.

    Parameters
    ----------
    run : FitRun
    frames : list of ase.Atoms
    settings : dict
        Complete ones.
    plan : Plan
        With its numbers of weights and rows; the former become those of the fit where
        it is one linear problem.
    """
    from numpy.linalg import LinAlgError

    from lodekit.logs import as_before, be_quiet

    model = run.kind.build(settings)
    is_single = has_one_fit(model, settings["fit"]["targets"])
    order = nested_order(frames)
    few, more = (sorted(order[:count]) for count in numbers_of_frames(frames, order))
    with as_before(), warnings.catch_warnings():
        be_quiet()
        warnings.simplefilter("ignore")
        try:
            seconds = time_single(model, frames, few, plan) if is_single else None
            if seconds is not None:
                return seconds
            return time_several(run, frames, (few, more), settings, plan)
        except (ValueError, LinAlgError):
            return None


def has_one_fit(model: Model, targets: list[str]) -> bool:
    """Return whether a model is one problem, which may be linear."""
    from lodekit.models import SparsePotential
    from lodekit.models.linear_charges import LinearChargeModel
    from lodekit.quantities import ENERGIES

    if isinstance(model, LinearChargeModel):
        return not set(targets) & set(ENERGIES)
    return isinstance(model, SparsePotential)


def time_single(
    model: Model, frames: list[Atoms], few: list[int], plan: Plan
) -> float | None:
    """Return the seconds of a fit that is one linear problem; weights are counted.

    None where it is not linear.
    """
    import numpy as np

    from lodekit.fitting.plan import seconds_of, speed_of_products
    from lodekit.fitting.planning import reach

    model.progress = False
    start = time.perf_counter()
    fitting = reach(model, frames)
    first = time.perf_counter() - start
    plan.n_weights, plan.is_counted = fitting.problem.rank, True
    if not fitting.is_linear:
        return None
    per_row = np.inf
    for _ in range(2):  # compiled first
        start = time.perf_counter()
        n_rows = sum(len(rows.values) for _, rows, _ in fitting.rows(np.array(few)))
        per_row = min(per_row, (time.perf_counter() - start) / max(n_rows, 1))
    speed = speed_of_products()
    return first + seconds_of(plan.n_weights, plan.n_rows, per_row, speed)


def time_several(
    run: FitRun,
    frames: list[Atoms],
    sets: tuple[list[int], list[int]],
    settings: Settings,
    plan: Plan,
) -> float:
    """Return the seconds of several fits, or of steps, by small ones."""
    from lodekit.fitting.plan import seconds_of, speed_of_products

    few, more = sets
    small = time_small(run, frames, few, settings, POINTS[0])  # compiled
    small = time_small(run, frames, few, settings, POINTS[0])
    wide = time_small(run, frames, few, settings, POINTS[1])
    large = time_small(run, frames, more, settings, POINTS[1])
    per_frame = (large[1] - wide[1]) / max(len(more) - len(few), 1)
    per_weight = (wide[1] - small[1]) / max(wide[0] - small[0], 1) / len(few)
    per_frame, per_weight = max(per_frame, 0.0), max(per_weight, 0.0)
    first = max(wide[1] - len(few) * per_frame, 0.0)
    making = per_frame + per_weight * (plan.n_weights - wide[0])
    algebra = seconds_of(plan.n_weights, plan.n_rows, 0.0, speed_of_products())
    return first + len(frames) * making + algebra


def numbers_of_frames(frames: list[Atoms], order: list[int]) -> tuple[int, int]:
    """Return how many frames of an order the two sets have."""
    count, n_atoms = 0, 0
    while count < len(order) and (n_atoms < FEW_ATOMS or count < 4):
        n_atoms += len(frames[order[count]])
        count += 1
    few = min(count, max(1, len(order) // 2))
    return few, min(FACTOR * few, len(order))


def time_small(
    run: FitRun, frames: list[Atoms], members: list[int], settings: Settings, size: int
) -> tuple[int, float]:
    """Return the weights of a small fit, and its seconds beside the algebra."""
    small = copy.deepcopy(settings)
    for terms in (small["terms"], small.get("potential", {}).get("terms", {})):
        for term in terms.values():
            term["n_sparse"] = min(size, term["n_sparse"])
    model = run.kind.build(small)
    model.progress = False
    start = time.perf_counter()
    model.fit([frames[i] for i in members])
    seconds = time.perf_counter() - start
    laps = model.summary_["seconds"]
    return model.summary_["rank"], seconds - sum(
        laps.get(name, 0.0) for name in ALGEBRA
    )
