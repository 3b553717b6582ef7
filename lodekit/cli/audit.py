"""``lodekit audit``: whether a model obeys physical laws."""

import json

import click

from .options import (
    NameList,
    SpreadCommand,
    common_options,
    file_options,
    flatten,
    reading,
    threads_option,
    use_threads,
)

CHECKS = (
    *("forces", "closed-loop", "stress"),
    *("translation", "rotation", "inversion", "permutation", "batches", "threads"),
    *("supercell", "copies", "fragments", "locality"),
    *("total-charge", "charge-locality", "chemical-potential", "frozen-charges"),
    *("field", "polarizability"),
)


@click.command("audit", cls=SpreadCommand, short_help="Check physical laws of a model.")
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
@threads_option
@common_options
def command(model_path, path, **options):
    """Check whether MODEL obeys physical laws, on some structures of FILE.xyz.

    Forces against energies and around closed paths, symmetries, supercells, structures
    pulled apart, locality, sums and potentials of charges, response to a field.
    Reference values are not used. The exit status is 1 if a check fails.
    """
    with use_threads(options["threads"]):
        return audit(model_path, path, options)


def audit(model_path, path, options):
    """Do what `command` says and return the exit status."""
    from lodekit.analysis.audit import audit_model, format_results
    from lodekit.model_file import load_model

    from .prediction import check_frames, read_frames

    model = load_model(model_path)
    frames = read_frames(path, **reading(options))
    check_frames(model, frames, path)
    chosen = spread_over(len(frames), options["n_frames"])
    results = audit_model(
        model,
        [frames[index] for index in chosen],
        checks=flatten(options["checks"]) or None,
        progress=True,
    )
    numbers = [index + 1 for index in chosen]
    passed = all(result.status != "fail" for result in results)
    if options["as_json"]:
        answer = {
            "passed": passed,
            "frames": numbers,
            "checks": {result.name: describe(result, numbers) for result in results},
        }
        click.echo(json.dumps(answer, ensure_ascii=False))
    else:
        click.echo(format_results(results, numbers))
    return 0 if passed else 1


def spread_over(n_there, n_wanted):
    """Return the indices of some of many frames, the first and the last among them.

    >>> spread_over(100, 3), spread_over(2, 3), spread_over(5, 1)
    ([0, 50, 99], [0, 1], [0])
    """
    n_chosen = min(n_there, n_wanted)
    step = (n_there - 1) / max(n_chosen - 1, 1)
    return [round(step * place) for place in range(n_chosen)]


def describe(result, numbers):
    """Return a result for JSON, with the number of its frame in the file."""
    fields = ("demand", "status", "tolerance", "unit", "note", "n_frames")
    described = {name: getattr(result, name) for name in fields}
    return described | {
        "measured": result.measured if result.is_finite else None,
        "frame": None if result.frame is None else numbers[result.frame],
    }
