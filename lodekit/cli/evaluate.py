"""``lodekit evaluate``: errors of a model on structures with reference values."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError, StructureError, StructureFileError

from .density_files import aux_basis_option, is_density_source, structures_option
from .density_results import evaluate_densities
from .kinds import ALL_TARGETS
from .options import (
    NameList,
    SpreadCommand,
    common_options,
    dask_option,
    file_options,
    flatten,
    jobs_option,
    overwrite_option,
    reading,
    report_option,
    strict_option,
    tell,
    threads_option,
    use_processes,
    use_threads,
)
from .outputs import check_outputs
from .sources import paths_of

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.analysis.errors import Comparison
    from lodekit.fitting.training_range import Extrapolation

    from .names_of_types import Options


@click.command("evaluate", cls=SpreadCommand)
@click.argument("model_path", metavar="MODEL", type=click.Path())
@click.argument("path", metavar="FILE.xyz", type=click.Path())
@click.option(
    "--targets",
    multiple=True,
    type=NameList(ALL_TARGETS),
    metavar="TARGET...",
    help="What to compare: energy, forces, stress, charges, dipole, quadrupole, mep "
    "[all that the file has and the model computes].",
)
@click.option(
    "--by",
    metavar="KEY",
    help='Show groups of frames with the same value of an info key, or "element".',
)
@click.option(
    "--std", is_flag=True, help="Compare standard deviations with errors, too."
)
@click.option(
    "--predictions",
    type=click.Path(),
    metavar="OUT.xyz",
    help="Write the structures with the predictions.",
)
@click.option(
    "--grid",
    type=click.FloatRange(min=0.0, min_open=True),
    metavar="Å",
    help="Compare densities on a grid of this spacing, too.",
)
@click.option(
    "--plane",
    type=click.Path(),
    metavar="OUT.png",
    help="Draw the density with the largest error, and this error, in the plane of its "
    "atoms.",
)
@click.option(
    "--chemiscope",
    type=click.Path(),
    metavar="OUT.json.gz",
    help="Write structures with their errors for the viewer chemiscope.org.",
)
@structures_option
@aux_basis_option
@file_options
@report_option
@strict_option
@threads_option
@jobs_option
@dask_option
@overwrite_option
@common_options
def command(model_path: str, path: str, **options: Any) -> None:
    """Compare the predictions of MODEL with the targets in FILE.xyz."""
    processes = use_processes(options["jobs"], options["dask"])
    with use_threads(options["threads"]), processes:
        evaluate(model_path, path, options)


def evaluate(model_path: str, path: str, options: Options) -> None:
    """Run `command`."""
    from lodekit.analysis.errors import compare, summarize
    from lodekit.model_file import load_model

    from .evaluation import atomic_tensors, present_targets, wanted_properties
    from .frames import read_frames
    from .prediction import check_frames, compute_in_chunks
    from .range_watch import RangeWatch

    check_outputs(
        options["predictions"],
        StructureFileError,
        [model_path, *paths_of(path)],
        options["report"],
        options["overwrite"],
    )
    check_chemiscope(options, [model_path, *paths_of(path)])
    model = load_model(model_path)
    if is_density_source(path):
        evaluate_densities(model, model_path, path, options)
        return
    for name in ("grid", "plane", "structures", "aux_basis"):
        if options[name]:
            raise SettingsError(f"--{name.replace('_', '-')} is for densities")
    frames = read_frames(path, **reading(options))
    asked = flatten(options["targets"])
    targets = present_targets(model, frames, asked, path)
    check_frames(model, frames, path)
    model.check_labelled(frames)
    labels = label_frames(frames, options["by"], path)
    properties = wanted_properties(model, targets, options["std"])
    if options["report"]:  # deviations of forces take time
        cheap = [name for name in targets if name != "forces"]
        properties += wanted_properties(model, cheap, std=True)
    properties = list(dict.fromkeys(properties))
    results = compute_in_chunks(model, frames, properties, "evaluating")
    comparisons = compare(frames, results, targets)
    check_comparisons(comparisons, path)
    errors = {Path(path).name: summarize(comparisons)}
    groups = group_errors(comparisons, labels, options["by"])
    watch = RangeWatch(model, path)
    extrapolations = watch.look(frames)
    show(errors, groups, comparisons, options, watch.summary())
    if options["report"]:
        write_page(model_path, path, frames, comparisons, errors, groups, options)
    if options["predictions"]:
        write_predictions(frames, results, atomic_tensors(model), options)
    if options["chemiscope"]:
        write_viewer(frames, comparisons, extrapolations, path, options)
    watch.finish(options["strict"])


def check_chemiscope(options: Options, inputs: Sequence[str | Path | None]) -> None:
    """Refuse a file for chemiscope that cannot be written, before the work."""
    path = options["chemiscope"]
    if path and not path.endswith((".json", ".json.gz")):
        raise StructureError(
            f"--chemiscope {path}: the name ends in .json or .json.gz, as chemiscope "
            "wants it"
        )
    overwrite = options["overwrite"]
    check_outputs(path, StructureFileError, inputs, overwrite=overwrite)


def write_viewer(
    frames: list[Atoms],
    comparisons: dict[str, Comparison],
    extrapolations: list[Extrapolation],
    path: str,
    options: Options,
) -> None:
    """Write the file for chemiscope."""
    from lodekit.analysis.chemiscope_file import chemiscope_dataset, write_chemiscope

    values = [extrapolation.values for extrapolation in extrapolations]
    output = Path(options["chemiscope"])
    name = f"errors on {Path(path).name}"
    write_chemiscope(output, chemiscope_dataset(frames, comparisons, values, name))
    tell(f"wrote {output}; open it at chemiscope.org", options)


def check_comparisons(comparisons: dict[str, Comparison], path: str) -> None:
    """Check that there is something to compare; warn of predictions among references.

    Columns of extended XYZ have eight decimals.
    """
    import numpy as np

    if not comparisons:
        raise StructureError(
            f"{path}: nothing can be compared: stress is defined for fully periodic "
            "frames only, moments and mep for open ones"
        )
    same = [
        name
        for name, comparison in comparisons.items()
        if np.abs(comparison.errors).max() < 1e-8 and comparison.reference.any()
    ]
    if same:
        warnings.warn(
            f"{path}: {' and '.join(same)} equal the predictions to the last digit: "
            "these may be predictions of this model, not reference values",
            stacklevel=2,
        )


def label_frames(frames: list[Atoms], key: str | None, path: str) -> list[str] | None:
    """Return the group of each frame, or None when there are none."""
    from lodekit.structures.contents import info_value

    if key is None or (key == "element" and key not in frames[0].info):
        return None
    values = [info_value(frame, key) for frame in frames]
    missing = [n for n, value in enumerate(values, start=1) if value is None]
    if missing:
        keys = sorted({k for frame in frames for k in frame.info} - {"target_keys"})
        raise StructureError(
            f"{path}: frame {missing[0]} has no {key!r} to group by; frames have "
            f"{', '.join(keys) or 'no info keys'}"
        )
    return [str(value) for value in values]


def group_errors(
    comparisons: dict[str, Comparison], labels: list[str] | None, key: str | None
) -> dict[str, dict] | None:
    """Return the errors of every group by target, or None when there are no groups."""
    from lodekit.analysis.errors import summarize_by_element, summarize_by_group

    if key is None:
        return None
    if labels is None:
        return summarize_by_element(comparisons)
    return summarize_by_group(comparisons, labels)


def show(
    errors: dict[str, dict[str, Any]],
    groups: dict[str, dict] | None,
    comparisons: dict[str, Comparison],
    options: Options,
    extrapolation: dict[str, Any] | None,
) -> None:
    """Print the errors as one object or as tables."""
    from lodekit.analysis.errors import coverage
    from lodekit.analysis.tables import format_errors

    within = {
        target: {
            f"{level:.0f}": fraction for level, fraction in coverage(comparison).items()
        }
        for target, comparison in comparisons.items()
        if comparison.std is not None and options["std"]
    }
    if options["as_json"]:
        (answer,) = errors.values()
        extra = {"groups": groups, "within_std": within}
        extra["extrapolation"] = extrapolation
        answer = {**answer, **{key: value for key, value in extra.items() if value}}
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    click.echo(format_errors(errors))
    if groups:
        click.echo(f"\nby {options['by']}\n{format_errors(groups)}")
    for target, fractions in within.items():
        parts = [
            f"{100 * f:.0f} % within {level} std" for level, f in fractions.items()
        ]
        click.echo(f"{target} errors: {', '.join(parts)}")


def write_page(
    model_path: str,
    path: str,
    frames: list[Atoms],
    comparisons: dict[str, Comparison],
    errors: dict[str, dict[str, Any]],
    groups: dict[str, dict] | None,
    options: Options,
) -> None:
    """Write the report."""
    from lodekit.analysis.provenance import describe_run
    from lodekit.analysis.report import write_report

    from .evaluation import describe_model

    (name,) = errors
    write_report(
        options["report"],
        {name: frames},
        {name: comparisons},
        title=f"{Path(model_path).name} on {name}",
        errors=errors,
        groups=groups,
        run=describe_run([model_path, *paths_of(path)]),
        **describe_model(model_path),
        overwrite=bool(options["overwrite"]),
    )
    tell(f"wrote the report {Path(options['report']) / 'index.html'}", options)


def write_predictions(
    frames: list[Atoms],
    results: list[dict[str, Any]],
    per_atom: Collection[str],
    options: Options,
) -> None:
    """Write the structures with the predictions."""
    from lodekit.structures import write_structures

    from .annotation import add_predictions

    for structure, result in zip(frames, results, strict=True):
        add_predictions(structure, result, per_atom=per_atom)
    path = options["predictions"]
    write_structures(path, frames, overwrite=bool(options["overwrite"]))
    tell(f"wrote {len(frames)} structures with predictions to {path}", options)
