"""``lodekit predict``: from a model and structures to structures with predictions."""

import json

import click

from .options import (
    NameList,
    SpreadCommand,
    common_options,
    file_options,
    flatten,
    overwrite_option,
    reading,
    threads_option,
    use_threads,
)


@click.command("predict", cls=SpreadCommand, short_help="Predict structures.")
@click.argument("model_path", metavar="MODEL", type=click.Path())
@click.argument("path", metavar="FILE.xyz", type=click.Path())
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(),
    metavar="OUT.xyz",
    help="File to write.",
)
@click.option(
    "--properties",
    multiple=True,
    type=NameList(),
    metavar="NAME...",
    help="What to predict, such as energy, forces, stress, energies (of atoms), "
    "charges, dipole, quadrupole, mep, atomic_dipoles, atomic_quadrupoles, "
    "electronegativities, hardnesses, and with _std their standard deviations [what "
    "the model has of energy, forces, stress, charges, dipole, quadrupole and, at "
    "mep_points of the file, mep].",
)
@click.option("--std", is_flag=True, help="Add standard deviations.")
@click.option(
    "--field",
    nargs=3,
    type=float,
    metavar="X Y Z",
    help="Uniform electric field in V/Å, for models that respond to one.",
)
@click.option(
    "--prefix",
    default="",
    metavar="TEXT",
    help="Write predictions under names that begin with TEXT and leave everything in "
    "the file as it is, instead of moving reference values to REF_ names.",
)
@file_options
@threads_option
@overwrite_option
@common_options
def command(model_path, path, **options):
    """Predict the structures of FILE.xyz and write them with the predictions.

    Predictions get the names that ASE uses (energy, forces, stress, charges, dipole),
    in eV, Å and e. Reference values that the file has under these names move to
    REF_energy and so on; all other keys and columns stay. Stress is written for fully
    periodic frames, moments for open ones, the mep where a frame has `mep_points`.
    """
    with use_threads(options["threads"]):
        predict(model_path, path, options)


def predict(model_path, path, options):
    """Do what `command` says."""
    import numpy as np

    from lodekit.analysis.errors import UNITS
    from lodekit.errors import StructureFileError
    from lodekit.model_file import load_model
    from lodekit.observables.moments import check_points
    from lodekit.structures import write_structures
    from lodekit.whole_files import check_destination

    from .annotation import add_predictions
    from .evaluation import check_properties, wanted_properties
    from .prediction import check_frames, compute_in_chunks, read_frames

    output = options["output"]
    check_destination(output, bool(options["overwrite"]), StructureFileError)
    model = load_model(model_path)
    asked = flatten(options["properties"])
    check_properties(model, asked)
    properties = wanted_properties(
        model,
        asked or [name for name in UNITS if name in model.properties],
        options["std"],
    )
    field = options["field"]
    frames = read_frames(path, **reading(options))
    check_frames(model, frames, path)
    if "mep" in (asked or ()):
        check_points(frames)
    results = compute_in_chunks(model, frames, properties, field=field)
    for structure, result in zip(frames, results, strict=True):
        add_predictions(structure, result, options["prefix"])
        if field:
            structure.info["field"] = np.array(field)
    write_structures(output, frames, overwrite=bool(options["overwrite"]))
    if options["as_json"]:
        answer = {"output": str(output), "n": len(frames), "properties": properties}
        click.echo(json.dumps(answer))
    else:
        click.echo(f"wrote {len(frames)} structures with predictions to {output}")
