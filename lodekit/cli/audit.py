"""``lodekit audit``: whether a model obeys physical laws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import LodekitError

from .options import (
    NameList,
    SpreadCommand,
    common_options,
    file_options,
    flatten,
    overwrite_option,
    reading,
    report_option,
    tell,
    threads_option,
    use_threads,
)
from .outputs import check_outputs

if TYPE_CHECKING:
    from ase import Atoms

    from .names_of_types import Options

CHECKS = (
    *("forces", "closed-loop", "stress"),
    *("translation", "rotation", "inversion", "permutation", "batches", "threads"),
    *("supercell", "copies", "fragments", "locality"),
    *("total-charge", "charge-locality", "chemical-potential", "frozen-charges"),
    *("field", "polarizability", "field-forces", "hysteresis"),
    *("born-sum", "born-derivative", "born-loop", "transported-charge"),
)


@click.command("audit", cls=SpreadCommand)
@click.argument("model_path", metavar="MODEL", type=click.Path())
@click.argument("path", metavar="FILE.xyz", type=click.Path())
@click.option(
    "--checks",
    multiple=True,
    type=NameList(CHECKS),
    metavar="NAME...",
    help=f"What to check, of {', '.join(CHECKS)} [all].",
)
@click.option(
    "--frames",
    "n_frames",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="N",
    help="How many structures to use, spread over the file.",
)
@file_options
@report_option
@threads_option
@overwrite_option
@common_options
def command(model_path: str, path: str, **options: Any) -> int:
    """Check whether MODEL obeys physical laws, on some structures of FILE.xyz.

    Forces against energies and around closed paths, symmetries, supercells, structures
    pulled apart, locality, sums and potentials of charges, response to a field, Born
    charges and the charges that ions carry.
    Reference values are not used. The exit status is 1 if a check fails.
    """
    with use_threads(options["threads"]):
        return audit(model_path, path, options)


def audit(model_path: str, path: str, options: Options) -> int:
    """Do what `command` says and return the exit status."""
    from lodekit.analysis.audit import audit_model, audit_object, format_results
    from lodekit.model_file import load_model

    from .frames import read_frames
    from .prediction import check_frames

    check_outputs(None, LodekitError, [], options["report"], options["overwrite"])
    model = load_model(model_path)
    frames = read_frames(path, **reading(options))
    check_frames(model, frames, path)
    chosen = spread_over(len(frames), options["n_frames"])
    frames = [frames[index] for index in chosen]
    checks = flatten(options["checks"]) or None
    results = audit_model(model, frames, checks=checks, progress=True)
    numbers = [index + 1 for index in chosen]
    answer = audit_object(results, numbers)
    if options["as_json"]:
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        click.echo(format_results(results, numbers))
    if options["report"]:
        write_page(model_path, path, results, frames, numbers, options)
    return 0 if answer["passed"] else 1


def write_page(
    model_path: str,
    path: str,
    results: list[Any],
    frames: list[Atoms],
    numbers: list[int],
    options: Options,
) -> None:
    """Write the report."""
    from lodekit.analysis.audit import write_audit_report

    from .evaluation import describe_model

    write_audit_report(
        options["report"],
        results,
        frames,
        numbers,
        title=f"Audit of {Path(model_path).name} with {Path(path).name}",
        **describe_model(model_path),
        overwrite=bool(options["overwrite"]),
    )
    tell(f"wrote the report {Path(options['report']) / 'index.html'}", options)


def spread_over(n_there: int, n_wanted: int) -> list[int]:
    """Return the indices of some of many frames, the first and the last among them.

    >>> spread_over(100, 3), spread_over(2, 3), spread_over(5, 1)
    ([0, 50, 99], [0, 1], [0])
    """
    n_chosen = min(n_there, n_wanted)
    step = (n_there - 1) / max(n_chosen - 1, 1)
    return [round(step * place) for place in range(n_chosen)]
