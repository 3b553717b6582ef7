"""``lodekit fit``: from structures with targets to a model file."""

import click

from lodekit.errors import SettingsError, suggest

from .density_files import aux_basis_option, structures_option
from .density_fit_run import DensityFitRun
from .fit_run import FitRun
from .kinds import ALL_TARGETS, KINDS
from .options import (
    NameList,
    SpreadCommand,
    common_options,
    file_options,
    flatten,
    overwrite_option,
    parse_pairs,
    reading,
    report_option,
    threads_option,
    use_threads,
)
from .settings import SECTIONS, merge, parse_assignments, read_settings_file

MODELS = tuple(KINDS)
_DEFAULTS = {"model": "potential", "output": "model.lodekit", "overwrite": False}


@click.command("fit", cls=SpreadCommand, short_help="Fit a model to structures.")
@click.argument(
    "train", metavar="TRAIN.xyz...", type=click.Path(), nargs=-1, required=True
)
@click.option(
    "--output", "-o", type=click.Path(), help="Model file to write [model.lodekit]."
)
@click.option(
    "--model",
    type=click.Choice(MODELS),
    help="Kind of model: potential (energy, forces, stress), charges, dipole (charges "
    "and atomic dipoles from molecular dipoles), kqeq (charges that equilibrate and "
    "respond to fields), latent-charges (charges from energies and forces), tensor "
    "(vectors, matrices and other tensors of structures or atoms), polarization "
    "(energy in an electric field: polarization, Born charges and polarizability as "
    "well as energies and forces), density (electron densities of a file of lodekit "
    "density-fit) [potential].",
)
@click.option(
    "--targets",
    multiple=True,
    type=NameList(),
    metavar="TARGET...",
    help="What to fit: energy, forces, stress, for models of charges also charges, "
    "dipole, quadrupole, mep (potential at mep_points), for tensor any tensor of the "
    "file, such as polarizability, for polarization also polarization and "
    "born_effective_charges, for density density_response (its change in a field) "
    "[all that the file has of energy, forces and stress; "
    "charges, moments and mep for charges and kqeq; dipole for dipole; dipole and "
    "polarizability for tensor; all of them for polarization; density_coefficients "
    "for density].",
)
@click.option(
    "--max-multipole",
    type=click.IntRange(0, 2),
    help="Atomic moments beside the charges of --model charges and dipole: dipoles "
    "(1), and quadrupoles (2) [1 for dipole, and for charges fitted together with what "
    "they should explain].",
)
@click.option("--settings", type=click.Path(), help="Settings file (TOML).")
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="A.B=C",
    help="Change one setting, such as fit.energy_noise=1e-3, terms.soap.cutoff=6, "
    "terms.lode=none, or fit.baseline=isolated-atoms (energies of the elements: those "
    "of single atoms, or {H = -13.6, O = -2041.3}; least squares on the composition "
    "when left out).",
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
    "--weight-key",
    metavar="KEY",
    help="Info key that holds the weight of a frame: its noise variances are divided "
    "by it.",
)
@click.option(
    "--group",
    metavar="KEY",
    help="Info key that names groups of like frames, which are left out together "
    "[groups are found: same molecules, copies, neighbours in a trajectory].",
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
    "--partial",
    is_flag=True,
    default=None,
    help="Fit targets that three of four frames or more lack, too, where they are.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="KEY",
    help="Leave a key or column of the file aside, as if it were not there.",
)
@click.option(
    "--dry-run", is_flag=True, help="Read, print the complete settings, and stop."
)
@structures_option
@aux_basis_option
@file_options
@report_option
@threads_option
@overwrite_option
@common_options
def command(train, **options):
    """Fit a model to the structures of TRAIN.xyz and write it to one file.

    There may be several files, patterns in quotes ('runs/*.xyz'), and parts of files
    as in ASE (water.xyz@:100).

    Settings are chosen from the data, printed, and kept in the model file. Change
    them with a settings file, with --set, or with the options below; lodekit info
    MODEL --settings prints them in the form of a settings file.
    """
    given, overrides = gather(options)
    with use_threads(given["run"].get("threads")):
        as_json, settings_file = options["as_json"], options["settings"]
        kind = DensityFitRun if given["run"]["model"] == "density" else FitRun
        run = kind(train, given, overrides, as_json, settings_file)
        run.run(options["dry_run"])


def gather(options):
    """Return the settings of file and options, and the overrides of ``--set``.

    Options that have a key in the settings file, and ``--set`` for the sections of the
    command line, are merged into the first; ``--set`` for the model is the second.
    """
    given = read_settings_file(options["settings"]) if options["settings"] else {}
    overrides = parse_assignments(options["assignments"])
    for section in SECTIONS:
        given = merge(given, {section: overrides.pop(section, {})})
    structures = reading(options)
    where = parse_pairs(options["validation_where"], "--validation-where")
    structures["validation_where"] = where
    if options["weight_key"]:
        structures["weight_key"] = options["weight_key"]
    if options["group"]:
        structures["group"] = options["group"]
    if options["ignore"]:
        structures["ignore"] = list(options["ignore"])
    if options["partial"]:
        structures["partial"] = True
    run = {key: options[key] for key in SECTIONS["run"] if options[key] is not None}
    for name in ("validation", "split"):
        run[name] = list(options[name])
        if not run[name]:
            del run[name]
    given = merge(given, {"structures": structures, "run": run})
    if options["targets"]:
        overrides = merge(overrides, {"fit": {"targets": flatten(options["targets"])}})
    if options["max_multipole"] is not None:
        order = {"max_multipole": options["max_multipole"]}
        overrides = merge(overrides, {"fit": order})
    given["run"] = merge(_DEFAULTS, given["run"])
    model = given["run"]["model"]
    check_model(model)
    if model != "density":
        for name in ("structures", "aux_basis"):
            if given["run"].get(name):
                raise SettingsError(
                    f"--{name.replace('_', '-')} goes with --model density only"
                )
    check_names(model, flatten(options["targets"]))
    return given, overrides


def check_names(model, targets):
    """Check that targets have a name that some kind of model knows.

    Tensors have the name that they have in the file.
    """
    for name in targets if KINDS[model].targets else ():
        if name not in ALL_TARGETS:
            raise click.BadParameter(
                f"{name!r} is not one of {', '.join(ALL_TARGETS)}"
                + suggest(name, ALL_TARGETS),
                param_hint="'--targets'",
            )


def check_model(model):
    """Check the kind of model."""
    if model not in MODELS:
        raise SettingsError(f"run.model must be one of {', '.join(MODELS)}")
