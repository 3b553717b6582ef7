"""``lodekit learning-curve``: errors of fits to more and more of the frames."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError, StructureError

from .fit_options import gather, model_options, refuse_densities
from .fit_run import FitRun
from .options import (
    SpreadCommand,
    common_options,
    dask_option,
    jobs_option,
    overwrite_option,
    threads_option,
    use_processes,
    use_threads,
)
from .outputs import check_outputs
from .sources import paths_of

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from lodekit.models.model import Model

    from .names_of_types import Options, Settings

#: Share of the frames that is kept to judge by where no others are named.
KEPT = 0.2


@click.command("learning-curve", cls=SpreadCommand)
@click.argument(
    "train", metavar="TRAIN.xyz...", type=click.Path(), nargs=-1, required=True
)
@click.option(
    "--sizes",
    multiple=True,
    type=click.IntRange(1),
    metavar="N...",
    help="Numbers of frames [a quarter, a half, and all, at least].",
)
@click.option(
    "--validation",
    multiple=True,
    type=click.Path(),
    metavar="FILE...",
    help="Structures to judge by [a fifth of the groups of like frames].",
)
@click.option(
    "--validation-where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Judge by these frames, of TRAIN.xyz when there is no other file.",
)
@click.option(
    "--plot",
    type=click.Path(),
    metavar="FILE",
    help="Picture of the curve, such as curve.png, curve.svg or curve.pdf.",
)
@model_options
@threads_option
@jobs_option
@dask_option
@overwrite_option
@common_options
def command(train: tuple[str, ...], **options: Any) -> None:
    """Fit to more and more frames of TRAIN.xyz, and show errors on other ones.

    Frames are drawn at random, smaller sets are parts of larger ones, and all fits have
    the settings that lodekit fit chooses for all frames. Errors that fall along a line
    in the plot go on falling with more frames; where they do not, other features, or
    better reference values, help more. Fits that are linear make the rows of all frames
    once, with the sparse points and the baseline of the largest set.
    """
    given, overrides = gather(options)
    refuse_densities(given, "learning-curve")
    processes = use_processes(options["jobs"], options["dask"])
    with use_threads(given["run"].get("threads")), processes:
        check_plot(options["plot"], train, options)
        run = FitRun(train, given, overrides, options["as_json"], options["settings"])
        draw(run, list(options["sizes"]), options)


def check_plot(path: str | None, train: tuple[str, ...], options: Options) -> None:
    """Refuse a plot that cannot be written, before the work."""
    if path is None:
        return
    suffixes = (".png", ".svg", ".pdf")
    if Path(path).suffix not in suffixes:
        raise SettingsError(
            f"--plot {path}: the name of a picture ends in {', '.join(suffixes)}"
        )
    inputs = [*paths_of(train), *paths_of(options["validation"])]
    check_outputs(path, SettingsError, inputs, overwrite=bool(options["overwrite"]))


def draw(run: FitRun, sizes: list[int], options: Options) -> None:
    """Fit, judge and show."""
    import numpy as np

    from lodekit.analysis.errors import summarize

    from .evaluation import compare_frames

    train, validation, groups = read_parts(run)
    settings = run.choose_settings(train)
    run.check_validation(settings, validation)
    sizes = check_sizes(sizes, len(train))
    order = nested_order(train)
    members = [np.sort(order[:size]) for size in sizes]
    curve = []
    fits = fit_to_members(run, train, settings, groups, members)
    for size, (model, seconds) in zip(sizes, fits, strict=True):
        name = f"judging {size} frames"
        targets = settings["fit"]["targets"]
        errors = summarize(compare_frames(model, validation, targets, name))
        rank = getattr(model, "weights_", np.zeros(0)).size or None
        point = {"n": size, "weights": rank, "seconds": round(seconds, 2)}
        curve.append({**point, "errors": errors})
    if options["plot"]:
        from lodekit.analysis.learning_curves import write_learning_curve

        write_learning_curve(options["plot"], curve)
    if options["as_json"]:
        click.echo(json.dumps({"curve": curve}))
    else:
        click.echo(format_curve(curve))
        if options["plot"]:
            click.echo(f"\nwrote {options['plot']}")


def fit_to_members(
    run: FitRun,
    train: list[Atoms],
    settings: Settings,
    groups: list[str] | None,
    members: list[np.ndarray],
) -> Iterator[tuple[Model, float]]:
    """Yield models fitted to more and more frames, and seconds.

    Linear fits share one pass over the rows of all frames, and seconds are those since
    the beginning; others are fits of their own.
    """
    import numpy as np

    from lodekit.models.curves import can_share_rows, fit_to_more

    model = run.kind.build(settings)
    if can_share_rows(model, settings["fit"]["targets"]):
        frames, own_groups = pick(train, groups, members[-1])
        places = [np.searchsorted(members[-1], indices) for indices in members]
        arguments = run.fit_arguments(frames, own_groups)
        yield from fit_to_more(model, frames, places, **arguments)
        return
    for indices in members:
        frames, own_groups = pick(train, groups, indices)
        yield run.fit_model(frames, settings, own_groups)


def pick(
    frames: list[Atoms], groups: list[str] | None, members: np.ndarray
) -> tuple[list[Atoms], list[str] | None]:
    """Return some frames, and their groups."""
    some = [frames[i] for i in members]
    return some, None if groups is None else [groups[i] for i in members]


def read_parts(run: FitRun) -> tuple[list[Atoms], list[Atoms], list[str] | None]:
    """Return frames to fit to and to judge by, and the groups of the former."""
    from lodekit.fitting.groups import split_frames

    frames = run.read(run.train, run.reading["where"])
    where = run.reading["validation_where"]
    groups = run.read_groups(frames)
    if run.validation_names() or where:
        return frames, run.read_validation(frames, where), groups
    try:
        train, kept = split_frames(frames, (1.0 - KEPT, KEPT), groups)
    except ValueError as problem:
        raise StructureError(
            f"no frames to judge by, name some with --validation: {problem}"
        ) from None
    run.show(f"{len(kept)} of them are kept to judge by")
    groups = None if groups is None else [groups[i] for i in train]
    return [frames[i] for i in train], [frames[i] for i in kept], groups


def check_sizes(sizes: list[int], n_frames: int) -> list[int]:
    """Return ascending numbers of frames."""
    if not sizes:
        sizes = [n_frames // 4, n_frames // 2, n_frames]
    too_many = [size for size in sizes if size > n_frames]
    if too_many:
        raise SettingsError(
            f"--sizes {too_many[0]}: there are {n_frames} frames to fit to"
        )
    return sorted({size for size in sizes if size})


def nested_order(frames: list[Atoms]) -> list[int]:
    """Return frames in random order, with every element among the first ones."""
    import numpy as np

    order = np.random.RandomState(0).permutation(len(frames)).tolist()
    first: list[int] = []
    seen: set[int] = set()
    for index in order:
        new = set(frames[index].numbers.tolist()) - seen
        if new:
            first.append(index)
            seen |= new
    chosen = set(first)
    return [*first, *(index for index in order if index not in chosen)]


def format_curve(curve: list[dict[str, Any]]) -> str:
    """Return a table of root mean square errors by number of frames."""
    from lodekit.analysis.tables import READABLE, format_table

    targets = list(curve[-1]["errors"])
    columns, factors = [], []
    for target in targets:
        unit, factor = READABLE[curve[-1]["errors"][target]["unit"]]
        columns.append(f"{target}, {unit}")
        factors.append(factor)
    rows = [
        [str(point["n"]), str(point["weights"] or ""), f"{point['seconds']:.1f}"]
        + [
            f"{factor * point['errors'][target]['rmse']:.4g}"
            for target, factor in zip(targets, factors, strict=True)
        ]
        for point in curve
    ]
    return format_table(["frames", "weights", "seconds", *columns], rows, n_words=0)
