"""``lodekit predict``: from a model and structures to structures with predictions."""

import json

import click

from .kinds import ALL_TARGETS, computed_properties
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

PROPERTIES = (*ALL_TARGETS, "energies", "atomic_dipoles")
DEVIATIONS = {
    "energy": "energy_std",
    "forces": "forces_std",
    "energies": "energies_std",
    "charges": "charges_std",
    "dipole": "dipole_std",
    "quadrupole": "quadrupole_std",
}
KNOWN = (*PROPERTIES, *DEVIATIONS.values())


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
    type=NameList(KNOWN),
    metavar="NAME...",
    help=f"What to predict: {', '.join(KNOWN)} [energy, forces and stress, charges, "
    "dipole: what the model has].",
)
@click.option("--std", is_flag=True, help="Add standard deviations.")
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
    periodic frames, dipoles for open ones.
    """
    with use_threads(options["threads"]):
        predict(model_path, path, options)


def predict(model_path, path, options):
    """Do what `command` says."""
    from lodekit.errors import StructureFileError
    from lodekit.model_file import load_model
    from lodekit.structures import write_structures
    from lodekit.whole_files import check_destination

    from .annotation import add_predictions
    from .prediction import check_species, compute_in_chunks, read_frames

    output = options["output"]
    check_destination(output, bool(options["overwrite"]), StructureFileError)
    model = load_model(model_path)
    properties = flatten(options["properties"])
    if not properties:
        computed = computed_properties(model)
        properties = [name for name in computed if name != "quadrupole"]
    if options["std"]:
        added = [DEVIATIONS[name] for name in properties if name in DEVIATIONS]
        properties = list(dict.fromkeys([*properties, *added]))
    frames = read_frames(path, **reading(options))
    check_species(model, frames, path)
    results = compute_in_chunks(model, frames, properties)
    for structure, result in zip(frames, results, strict=True):
        add_predictions(structure, result, options["prefix"])
    write_structures(output, frames, overwrite=bool(options["overwrite"]))
    if options["as_json"]:
        answer = {"output": str(output), "n": len(frames), "properties": properties}
        click.echo(json.dumps(answer))
    else:
        click.echo(f"wrote {len(frames)} structures with predictions to {output}")
