"""``lodekit select``: which structures to calculate next, or to fit to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError, StructureFileError

from .options import (
    SpreadCommand,
    common_options,
    file_options,
    overwrite_option,
    reading,
    tell,
    threads_option,
    use_threads,
)
from .outputs import check_outputs
from .sources import paths_of

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms

    from .names_of_types import Options

WAYS = ("farthest", "extrapolation", "std")


@click.command("select", cls=SpreadCommand)
@click.argument("paths", metavar="FILE.xyz...", nargs=-1, required=True)
@click.option(
    "--number",
    "-n",
    required=True,
    type=click.IntRange(1),
    metavar="N",
    help="How many structures to pick, at the most.",
)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(),
    metavar="OUT.xyz",
    help="File for the structures that are picked.",
)
@click.option(
    "--by",
    type=click.Choice(WAYS),
    help="Structures unlike each other (farthest), far from the training data of a "
    "model (extrapolation), or of which it is unsure (std) [farthest, with a model "
    "extrapolation].",
)
@click.option(
    "--model",
    "model_path",
    type=click.Path(),
    metavar="MODEL",
    help="Model whose extrapolation or standard deviation decides.",
)
@click.option(
    "--known",
    multiple=True,
    type=click.Path(),
    metavar="FILE...",
    help="Structures that there are already: farthest ones are far from them, too.",
)
@click.option(
    "--rest",
    type=click.Path(),
    metavar="REST.xyz",
    help="File for the structures that are not picked.",
)
@file_options
@threads_option
@overwrite_option
@common_options
def command(paths: tuple[str, ...], **options: Any) -> None:
    """Pick structures of FILE.xyz, the most useful ones first.

    Of neighbours in a trajectory, which are all alike, one is picked. The structures
    are written as they were read, with the number of the frame as `frame`.
    """
    with use_threads(options["threads"]):
        select(paths, {**options, "paths": paths})


def select(paths: tuple[str, ...], options: Options) -> None:
    """Do what `command` says."""
    from lodekit.structures import write_structures

    from .frames import read_frames

    way = options["by"] or ("extrapolation" if options["model_path"] else "farthest")
    if (way == "farthest") == bool(options["model_path"]):
        raise SettingsError(
            "--by farthest takes no --model, --by extrapolation and --by std need one"
        )
    inputs = [*paths_of(paths), *paths_of(options["known"])]
    inputs += [options["model_path"]] if options["model_path"] else []
    overwrite = bool(options["overwrite"])
    for path in (options["output"], options["rest"]):
        check_outputs(path, StructureFileError, inputs, overwrite=overwrite)
    frames = read_frames(paths, **reading(options))
    chosen, scores = choose(frames, way, options)
    for index in chosen:
        frames[index].info["frame"] = int(index) + 1
    picked = [frames[index] for index in chosen]
    write_structures(options["output"], picked, overwrite=overwrite)
    if options["rest"]:
        others = set(range(len(frames))) - set(chosen.tolist())
        rest = [frames[index] for index in sorted(others)]
        if rest:
            write_structures(options["rest"], rest, overwrite=overwrite)
    numbers = [int(index) + 1 for index in chosen]
    if options["as_json"]:
        answer = {"output": options["output"], "by": way, "frames": numbers}
        answer["scores"] = None if scores is None else [scores[i] for i in chosen]
        click.echo(json.dumps(answer))
        return
    tell(
        f"wrote {len(picked)} of {len(frames)} structures to {options['output']}",
        options,
    )
    if scores is not None:
        least, largest = scores[chosen[-1]], scores[chosen[0]]
        what = "extrapolation" if way == "extrapolation" else "standard deviation"
        unit = "" if way == "extrapolation" else " eV/atom"
        tell(f"{what}: {largest:.3g} to {least:.3g}{unit}", options)


def choose(
    frames: list[Atoms], way: str, options: Options
) -> tuple[np.ndarray, list[float] | None]:
    """Return the indices of frames, and the scores of all where there are any."""
    from lodekit.fitting.selecting import select_farthest, select_largest

    number = options["number"]
    if way == "farthest":
        from .frames import read_frames

        known = read_frames(options["known"]) if options["known"] else []
        return select_farthest(frames, number, known), None
    scores = score(frames, way, options)
    return select_largest(frames, scores, number), scores


def score(frames: list[Atoms], way: str, options: Options) -> list[float]:
    """Return the extrapolation of the farthest atom, or the deviation per atom."""
    from lodekit.model_file import load_model

    from .prediction import check_frames, compute_in_chunks
    from .sources import join_names

    model = load_model(options["model_path"])
    check_frames(model, frames, join_names(options["paths"]))
    name = "extrapolation" if way == "extrapolation" else "energy_std"
    if name not in model.properties:
        raise SettingsError(
            f"this {type(model).__name__} has no {name}; pick by another way, or fit "
            "it again"
        )
    results = compute_in_chunks(model, frames, [name], "judging")
    if way == "extrapolation":
        return [float(result[name].max()) for result in results]
    return [
        float(result[name]) / len(atoms)
        for result, atoms in zip(results, frames, strict=True)
    ]
