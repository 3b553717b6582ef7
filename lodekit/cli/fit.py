"""``lodekit fit``: from structures with targets to a model file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError

from .density_files import aux_basis_option, structures_option
from .density_fit_run import DensityFitRun
from .fit_options import gather, model_options
from .fit_run import FitRun
from .options import (
    SpreadCommand,
    common_options,
    dask_option,
    jobs_option,
    overwrite_option,
    report_option,
    threads_option,
    use_processes,
    use_threads,
)
from .update_run import UpdateRun

if TYPE_CHECKING:
    from .names_of_types import Options

#: Options that --update takes from the model.
FIXED = (
    *("model", "settings", "assignments", "targets", "max_multipole", "split"),
    *("folds", "resume", "partial", "dry_run", "structures", "aux_basis"),
)


@click.command("fit", cls=SpreadCommand)
@click.argument(
    "train", metavar="TRAIN.xyz...", type=click.Path(), nargs=-1, required=True
)
@click.option(
    "--output", "-o", type=click.Path(), help="Model file to write [model.lodekit]."
)
@click.option(
    "--validation",
    multiple=True,
    type=click.Path(),
    metavar="FILE...",
    help="Structures to judge the fit by.",
)
@click.option(
    "--split",
    multiple=True,
    type=float,
    metavar="SHARE...",
    help="Share of the frames to fit to, to judge by and, where there is a third one, "
    "to keep for later, such as 0.8 0.1 0.1. Groups of like frames stay together, and "
    "the parts are written to OUTPUT.train.xyz, OUTPUT.validation.xyz and "
    "OUTPUT.test.xyz.",
)
@click.option(
    "--validation-where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Judge by these frames, of TRAIN.xyz when there is no other file.",
)
@click.option(
    "--folds",
    type=click.IntRange(2),
    metavar="N",
    help="Fit N times without an N-th of the groups first, and print the errors on "
    "these with their spread.",
)
@click.option(
    "--resume",
    is_flag=True,
    default=None,
    help="Go on with a fit that was interrupted, from the sums in OUTPUT.partial.",
)
@click.option(
    "--keep-sums",
    is_flag=True,
    default=None,
    help="Keep the sums of the fit in OUTPUT.sums, to which --update adds frames.",
)
@click.option(
    "--update",
    type=click.Path(),
    metavar="MODEL",
    help="Fit MODEL to the frames of TRAIN.xyz as well, with the sums in MODEL.sums: "
    "the same weights as of a fit to all frames, without making the old rows again. "
    "Settings, sparse points and noises stay. OUTPUT is MODEL when left out.",
)
@click.option(
    "--dry-run", is_flag=True, help="Read, print the complete settings, and stop."
)
@structures_option
@aux_basis_option
@model_options
@report_option
@threads_option
@jobs_option
@dask_option
@overwrite_option
@common_options
def command(train: tuple[str, ...], **options: Any) -> None:
    """Fit a model to the structures of TRAIN.xyz and write it to one file.

    There may be several files, patterns in quotes ('run?.xyz'), and parts of files
    as in ASE (water.xyz@:100).

    Settings are chosen from the data, printed, and kept in the model file. Change
    them with a settings file, with --set, or with the options below; lodekit info
    MODEL --settings prints them in the form of a settings file.
    """
    if options["update"] and not options["output"]:
        options["output"] = options["update"]
    given, overrides = gather(options)
    processes = use_processes(options["jobs"], options["dask"])
    with use_threads(given["run"].get("threads")), processes:
        as_json, settings_file = options["as_json"], options["settings"]
        if options["update"]:
            refuse(options)
            UpdateRun(options["update"], train, given, as_json).run()
            return
        kind = DensityFitRun if given["run"]["model"] == "density" else FitRun
        run = kind(train, given, overrides, as_json, settings_file)
        run.run(options["dry_run"])


def refuse(options: Options) -> None:
    """Refuse options that contradict --update, which keeps what was fitted."""
    for name in FIXED:
        if options[name]:
            shown = "set" if name == "assignments" else name.replace("_", "-")
            raise SettingsError(
                f"--{shown} does not go with --update, which keeps the settings of the "
                "model"
            )
