"""Densities that ``predict`` writes and ``evaluate`` judges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lodekit.errors import DensityFileError, SettingsError
from lodekit.whole_files import check_destination, written_whole

from .density_files import read_densities
from .frames import read_frames
from .options import reading, tell
from .outputs import check_outputs
from .prediction import check_frames, progress

if TYPE_CHECKING:
    from lodekit.density.density_set import DensitySet
    from lodekit.models.model import Model

    from .names_of_types import Options

#: What names of cube files of densities, and of their changes, end in.
ENDS = {None: ("",), "charges": ("_change",), "field": ("_x", "_y", "_z")}


def writes_densities(options: Options) -> bool:
    """Return whether coefficients or cubes are asked for instead of structures."""
    return (
        options["cubes"] is not None or Path(options["output"] or "").suffix == ".npz"
    )


def check_density_model(model: Model, model_path: str) -> None:
    """Check that a model is one of densities."""
    from lodekit.models import ElectronDensityModel

    if not isinstance(model, ElectronDensityModel):
        raise SettingsError(
            f"{model_path}: is a {type(model).__name__}; coefficients and cubes are of "
            "models of densities, lodekit fit --model density"
        )


def predict_densities(model_path: str, path: str, options: Options) -> None:
    """Write the densities of the structures of a file: coefficients and cubes."""
    from lodekit.model_file import load_model

    from .range_watch import RangeWatch

    output = options["output"]
    for name in ("properties", "std", "field", "prefix"):
        if options[name]:
            raise SettingsError(
                f"--{name} has no use for a file of densities; write structures, "
                "-o OUT.xyz, for properties"
            )
    check_outputs(
        output, DensityFileError, [model_path, path], overwrite=options["overwrite"]
    )
    model = load_model(model_path)
    check_density_model(model, model_path)
    frames = read_frames(path, **reading(options))
    check_frames(model, frames, path)
    watch = RangeWatch(model, path)
    watch.look(frames)
    densities = model.densities(frames)
    densities.record = {"predicted_by": Path(model_path).name}
    if output is not None:
        densities.save(output, overwrite=bool(options["overwrite"]))
    cubes = write_cubes(densities, options) if options["cubes"] else []
    if options["as_json"]:
        answer = {"output": output, "n": len(frames), "cubes": cubes}
        if watch.numbers:
            answer["extrapolation"] = watch.summary()
        click.echo(json.dumps(answer))
    if output is not None:
        tell(f"wrote {len(frames)} predicted densities to {output}", options)
    if cubes:
        tell(f"wrote {len(cubes)} cube files to {options['cubes']}", options)
    watch.finish(options["strict"])


def write_cubes(densities: DensitySet, options: Options) -> list[str]:
    """Write a cube file for every density; return their names."""
    folder = Path(options["cubes"])
    names = [
        f"density_{number}{end}.cube"
        for number in range(1, len(densities) + 1)
        for end in ENDS[densities.perturbation]
    ]
    there = [name for name in names if (folder / name).exists()]
    if there and not options["overwrite"]:
        raise DensityFileError(
            f"{folder / there[0]}: exists already; choose another folder or --overwrite"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with progress(len(names), "cubes") as advance:
        for place, name in enumerate(names):
            index, axis = divmod(place, len(ENDS[densities.perturbation]))
            is_change = densities.perturbation is not None
            density = (
                densities.change(index, axis) if is_change else densities.density(index)
            )
            cube = density.cube(spacing=options["spacing"])
            cube.write(folder / name, overwrite=bool(options["overwrite"]))
            advance(1)
    return names


def evaluate_densities(
    model: Model, model_path: str, path: str, options: Options
) -> None:
    """Print the errors of a model on densities of a file or a folder."""
    from lodekit.analysis.tables import format_errors
    from lodekit.models.density_errors import judge_densities

    from .range_watch import RangeWatch

    check_density_model(model, model_path)
    for name in ("targets", "by", "std", "predictions", "report"):
        if options[name]:
            raise SettingsError(f"--{name} has no use with a file of densities")
    densities = read_densities(
        path, options["structures"], options["aux_basis"], reading(options)["where"]
    )
    check_frames(model, densities.frames, path)
    if densities.basis != model.basis_:
        raise SettingsError(
            f"{path}: is in the basis {densities.basis.name} "
            f"({densities.basis.describe()}), and the model in {model.basis_.name} "
            f"({model.basis_.describe()})"
        )
    if options["plane"]:
        check_destination(options["plane"], options["overwrite"], DensityFileError)
    watch = RangeWatch(model, path)
    watch.look(densities.frames)
    errors = judge_densities(model, densities, options["grid"])
    if options["as_json"]:
        extra = {"extrapolation": watch.summary()} if watch.numbers else {}
        click.echo(json.dumps({**errors, **extra}, ensure_ascii=False))
    tell(format_errors({Path(path).name: errors}), options)
    if options["plane"]:
        name = draw_worst(model, densities, options["plane"])
        tell(f"wrote {options['plane']} of {name}", options)
    watch.finish(options["strict"])


def draw_worst(model: Model, densities: DensitySet, path: str) -> str:
    """Draw the density with the largest error on a plane; return its frame's name.

    Of a response, what the charges or a field along the first known axis change.
    """
    from lodekit.analysis.density_planes import density_difference_figure
    from lodekit.structures import frame_name

    index = int(model.squared_errors(densities)["errors"].argmax())
    predicted = model.densities([densities.frames[index]])
    calculated, other = (
        one.change(place, densities.axes[0])
        if model.is_response
        else one.density(place)
        for one, place in ((densities, index), (predicted, 0))
    )
    figure = density_difference_figure(calculated, other)
    with written_whole(Path(path), DensityFileError) as file:
        figure.savefig(file, dpi=150, format="png")
    return frame_name(index)
