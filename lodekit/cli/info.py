"""``lodekit info``: what a file of a model, densities or structures holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError

from .options import SpreadCommand, common_options, file_options, reading

if TYPE_CHECKING:
    from .names_of_types import Options, Settings


@click.command("info", cls=SpreadCommand)
@click.argument("path", metavar="FILE", type=click.Path())
@click.option(
    "--settings",
    is_flag=True,
    help="Print the settings of a model as a file for lodekit fit --settings.",
)
@file_options
@common_options
def command(path: str, **options: Any) -> None:
    """Describe a model, densities, or the structures and targets of a file."""
    from lodekit.model_file import is_model_file

    if is_model_file(path) and not options["settings"] and holds_densities(path):
        describe_densities(path, options)
        return
    # A file that is no model has no settings, and reading it as one says so.
    if is_model_file(path) or options["settings"]:
        describe_model(path, options)
    else:
        describe_structures(path, options)


def holds_densities(path: str) -> bool:
    """Return whether a zip file is one of densities; imported late, it takes time."""
    from lodekit.density.density_set import is_density_file

    return is_density_file(path)


def describe_model(path: str, options: Options) -> None:
    """Print what a model file says about itself."""
    from lodekit.model_file import read_header

    from .toml_text import format_toml

    header = read_header(path)
    record = header["record"]
    settings = record.get("settings", {})
    if options["settings"]:
        if not settings:
            raise SettingsError(
                f"{path}: the model was fitted in Python, not by lodekit fit, and has "
                "no settings to print"
            )
        click.echo(
            json.dumps(settings) if options["as_json"] else format_toml(settings)
        )
        return
    if options["as_json"]:
        answer = {
            key: header[key] for key in ("class", "format", "lodekit", "conventions")
        }
        answer["summary"] = header["settings"].get("summary", {})
        click.echo(json.dumps({**answer, **record}, ensure_ascii=False))
        return
    show_model(path, header, settings)


def show_model(path: str, header: dict[str, Any], settings: Settings) -> None:
    """Print a model for people."""
    from lodekit.analysis.tables import format_errors

    from .evaluation import format_facts, model_facts
    from .toml_text import format_toml

    record = header["record"]
    units = ", ".join(header["conventions"]["units"].values())
    facts = {
        "model": f"{header['class']}, {Path(path).stat().st_size / 1e6:.1f} MB",
        "written by": f"lodekit {header['lodekit']}, format {header['format']}",
        "units": units,
    }
    if "training_file" in record:
        facts["fitted to"] = record["training_file"]
    click.echo(format_facts(facts | model_facts(header["settings"]["summary"])))
    if record.get("errors"):
        click.echo(f"\n{format_errors(record['errors'])}")
    if settings:
        click.echo(f"\nsettings\n\n{format_toml(settings)}")


#: Responses of a file of densities in words.
RESPONSES = {
    None: "none",
    "field": "to a field along x, y and z",
    "charges": "to the point charges of each frame",
}


def describe_densities(path: str, options: Options) -> None:
    """Print what a file of densities holds, and how good the expansions are."""
    import numpy as np

    from lodekit.density import DensitySet
    from lodekit.structures import get_target

    from .evaluation import format_facts

    densities = DensitySet.load(path)
    errors = []
    for index, atoms in enumerate(densities.frames):
        dipole = get_target(atoms, "dipole")
        if dipole is not None and densities.basis.is_known and not atoms.pbc.any():
            errors.append(densities.density(index).dipole() - dipole)
    answer = {
        "frames": len(densities),
        "basis": densities.basis.name,
        "functions": densities.basis.describe(),
        "responses": densities.perturbation,
        "dipole_rmse": float(np.sqrt(np.mean(np.square(errors)))) if errors else None,
        **densities.record,
    }
    if options["as_json"]:
        click.echo(json.dumps(answer, ensure_ascii=False))
        return
    facts = {
        "densities": f"{len(densities)} frames",
        "basis": f"{answer['basis']}: {answer['functions']}",
        "responses": RESPONSES[densities.perturbation],
    }
    if errors:
        facts["dipoles"] = (
            f"{answer['dipole_rmse']:.2g} e·Å from those of the calculation (RMS of "
            "components): the error of the expansion"
        )
    made = densities.record.get("calculation", {})
    facts |= {key.replace("_", " "): str(value) for key, value in made.items()}
    click.echo(format_facts(facts))


def describe_structures(path: str, options: Options) -> None:
    """Print the audit of a structure file."""
    from lodekit.observables.branches import describe_branches
    from lodekit.structures import audit_structures, format_audit

    from .frames import read_frames

    frames = read_frames(path, **reading(options), check=False)
    report = audit_structures(frames)
    branches = describe_branches(frames)
    if options["as_json"]:
        more = {"polarization": branches} if branches else {}
        click.echo(json.dumps({**report, **more}, ensure_ascii=False))
        return
    click.echo(format_audit(report))
    if branches:
        ranges = ", ".join(f"{low} to {high}" for low, high in branches["branches"])
        click.echo(
            f"\npolarization of {branches['n']} frames: known up to quanta of "
            f"{branches['least_quantum']:.4g} to {branches['largest_quantum']:.4g} "
            f"e·Å; {ranges} quanta from the first frame along the cell vectors"
        )
