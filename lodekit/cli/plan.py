"""``lodekit plan``: weights, memory and time of a fit before they are spent."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError

from .fit_options import gather, model_options, refuse_densities
from .fit_run import FitRun
from .options import SpreadCommand, common_options, threads_option, use_threads

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.fitting.plan import Plan

    from .names_of_types import Settings


@click.command("plan", cls=SpreadCommand)
@click.argument(
    "train", metavar="TRAIN.xyz...", type=click.Path(), nargs=-1, required=True
)
@model_options
@threads_option
@common_options
def command(train: tuple[str, ...], **options: Any) -> int:
    """Say how many weights a fit to TRAIN.xyz has, and what memory and time it takes.

    Arguments are those of lodekit fit. Some rows are made and some products are timed,
    for a few seconds. The exit status is 1 if the memory does not suffice.
    """
    given, overrides = gather(options)
    refuse_densities(given, "plan")
    with use_threads(given["run"].get("threads")):
        run = FitRun(train, given, overrides, options["as_json"], options["settings"])
        frames = run.read(run.train, run.reading["where"])
        settings = run.choose_settings(frames)
        plan = make_plan(run, frames, settings, timed=True)
    if options["as_json"]:
        answer = {**vars(plan), "fits": plan.fits}
        click.echo(json.dumps(answer))
    else:
        click.echo(describe_plan(plan))
    return 0 if plan.fits else 1


def make_plan(
    run: FitRun, frames: list[Atoms], settings: Settings, timed: bool = False
) -> Plan:
    """Return the plan of a fit.

    Parameters
    ----------
    run : FitRun
    frames : list of ase.Atoms
    settings : dict
        Complete ones.
    timed : bool
        Whether to measure how long rows take.
    """
    from lodekit.fitting.plan import (
        COMPILED_BYTES,
        Plan,
        available_memory,
        memory_of,
        resident_memory,
    )

    counts = dict(Counter(symbol for frame in frames for symbol in frame.symbols))
    terms, points, left_out = [], {}, []
    for name, n_sparse, zeta, descriptor in all_terms(run, frames, settings):
        if descriptor is None:
            left_out.append(name)
            continue
        counts_of_term, size = term_size(n_sparse, zeta, counts, frames, descriptor)
        points[name] = counts_of_term
        terms.append((sum(counts_of_term.values()), *size))
    n_weights = sum(n_points for n_points, *_ in terms) + len(counts)
    n_rows = count_rows(run, frames, settings)
    resident = resident_memory() + COMPILED_BYTES
    plan = Plan(n_weights, n_rows, points, resident=resident)
    plan.memory = resident + memory_of(n_weights, n_rows, terms)
    plan.available, plan.left_out = available_memory(), left_out
    if timed and plan.fits:
        from .trial import time_fit

        plan.seconds = time_fit(run, frames, settings, plan)
        plan.memory = resident + memory_of(plan.n_weights, n_rows, terms)
    return plan


def all_terms(
    run: FitRun, frames: list[Atoms], settings: Settings
) -> Iterator[tuple[str, int, int, Any]]:
    """Yield name, sparse points, zeta and descriptor of the terms of all latents.

    The descriptor is None where the data have no charges for the sources of a term.
    """
    from lodekit.terms.choice import choose_terms

    model = run.kind.build(settings)
    parts = [("", settings["terms"], model)]
    if "potential" in settings:
        parts.append(("potential.", settings["potential"]["terms"], model.potential))
    for prefix, terms, part in parts:
        descriptors = getattr(part, "descriptor", None)
        covariances = getattr(part, "covariance", None) or []
        if not isinstance(descriptors, (list, tuple)):  # terms are not known before
            continue
        for number, (name, term) in enumerate(terms.items()):
            descriptor, n_sparse = descriptors[number], term["n_sparse"]
            zeta = term.get("zeta", 2)
            if hasattr(descriptor, "n_features"):  # not a tensor: data decide on it
                arguments = [descriptor], [covariances[number]], [n_sparse]
                chosen = choose_terms(frames, *arguments, predict=True)
                ((descriptor, _, n_sparse),) = chosen or [(None, None, 0)]
            yield prefix + name, n_sparse, zeta, descriptor


def term_size(
    n_sparse: int,
    zeta: int,
    counts: dict[str, int],
    frames: list[Atoms],
    descriptor: Any,
) -> tuple[dict[str, int], tuple[int, int]]:
    """Return the points of a term by element, its features and its coefficients."""
    import numpy as np

    from lodekit.fitting.plan import count_points

    species = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
    if hasattr(descriptor, "n_features"):
        n_features = descriptor.n_features(species)
        shapes = descriptor.coefficient_shapes(species)
        n_coefficients = sum(int(np.prod(shape)) for shape in shapes)
    else:  # of tensors: channels are chosen among products
        n_features = n_coefficients = 500
    points = count_points(counts, n_sparse, n_features, zeta)
    return points, (n_features, n_coefficients)


def count_rows(run: FitRun, frames: list[Atoms], settings: Settings) -> dict[str, int]:
    """Return the number of rows of every target."""
    from lodekit.observables.tensors import read_tensor

    rows = {}
    for name in settings["fit"]["targets"]:
        values = [read_tensor(frame, name) for frame in frames]
        rows[name] = int(sum(value.size for value in values if value is not None))
    return rows


def describe_plan(plan: Plan) -> str:
    """Return the plan as lines."""
    rows = ", ".join(f"{name} {count}" for name, count in plan.n_rows.items())
    points = [
        f"{name} {', '.join(f'{n} of {symbol}' for symbol, n in counts.items())}"
        for name, counts in plan.points.items()
    ]
    bound = "" if plan.is_counted else " at the most"
    lines = [
        f"weights      {plan.n_weights}{bound} ({'; '.join(points)})",
        f"rows         {rows}",
        f"memory       {plan.memory / 1e9:.1f} GB of {plan.available / 1e9:.1f} GB",
    ]
    if plan.left_out:
        lines.append(
            f"left out     terms {', '.join(plan.left_out)}: these structures have no "
            "charges that their sources could carry"
        )
    if plan.seconds is not None:
        lines.append(f"time         {plan.seconds:.0f} s")
    if not plan.fits:
        lines.append(refusal(plan))
    return "\n".join(lines)


def refusal(plan: Plan) -> str:
    """Return advice for a fit whose memory does not suffice."""
    return (
        f"a fit with {plan.n_weights} weights takes {plan.memory / 1e9:.1f} GB, and "
        f"{plan.available / 1e9:.1f} GB are free; set fewer sparse points, such as "
        + " ".join(
            f"--set terms.{name}.n_sparse={max(counts_of_term.values()) // 2}"
            for name, counts_of_term in plan.points.items()
            if "." not in name
        )
    )


def check_plan(plan: Plan) -> None:
    """Raise an error where the memory does not suffice."""
    if not plan.fits:
        raise SettingsError(refusal(plan))
