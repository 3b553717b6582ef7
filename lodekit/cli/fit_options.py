"""Options of every command that fits models, and what they say together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError, suggest

from .kinds import ALL_TARGETS, KINDS
from .options import NameList, file_options, flatten, parse_pairs, reading
from .settings import SECTIONS, merge, parse_assignments, read_settings_file

if TYPE_CHECKING:
    from .names_of_types import Options, Settings

MODELS = tuple(KINDS)
_DEFAULTS = {"model": "potential", "output": "model.lodekit", "overwrite": False}


@click.option(
    "--model",
    type=click.Choice(MODELS),
    help="Kind of model: potential (energy, forces, stress), charges, dipole (charges "
    "and atomic dipoles from molecular dipoles), kqeq (charges that equilibrate and "
    "respond to fields), latent-charges (charges from energies and forces), tensor "
    "(vectors, matrices and other tensors of structures or atoms), polarization "
    "(energy in an electric field: polarization, Born charges and polarizability as "
    "well as energies and forces), wannier (the same from centroids of Wannier "
    "centres), induced-dipoles (charges and dipoles that polarize each other, from "
    "dipoles and polarizabilities), born-charges (Born charges without a "
    "polarization), density (electron densities of a file of lodekit "
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
    "and density_charge_response (by point_charges of the frames) "
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
@file_options
def _carrier() -> None:
    """Carry the options of models."""


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is fitted to what."""
    params = getattr(command, "__click_params__", [])
    more = getattr(_carrier, "__click_params__")  # noqa: B009
    setattr(command, "__click_params__", [*params, *more])  # noqa: B010
    return command


def gather(options: Options) -> tuple[Settings, Settings]:
    """Return the settings of file and options, and the overrides of ``--set``.

    Options that have a key in the settings file, and ``--set`` for the sections of the
    command line, are merged into the first; ``--set`` for the model is the second.
    """
    settings = read_settings_file(options["settings"]) if options["settings"] else {}
    overrides = parse_assignments(options["assignments"])
    for section in SECTIONS:
        settings = merge(settings, {section: overrides.pop(section, {})})
    structures: Settings = {**reading(options)}
    where = parse_pairs(options.get("validation_where", ()), "--validation-where")
    structures["validation_where"] = where
    if options["weight_key"]:
        structures["weight_key"] = options["weight_key"]
    if options["group"]:
        structures["group"] = options["group"]
    if options["ignore"]:
        structures["ignore"] = list(options["ignore"])
    if options["partial"]:
        structures["partial"] = True
    run = {key: options[key] for key in SECTIONS["run"] if options.get(key) is not None}
    for name in ("validation", "split"):
        run[name] = list(options.get(name, ()))
        if not run[name]:
            del run[name]
    settings = merge(settings, {"structures": structures, "run": run})
    if options["targets"]:
        overrides = merge(overrides, {"fit": {"targets": flatten(options["targets"])}})
    if options["max_multipole"] is not None:
        order = {"max_multipole": options["max_multipole"]}
        overrides = merge(overrides, {"fit": order})
    settings["run"] = merge(_DEFAULTS, settings["run"])
    model = settings["run"]["model"]
    check_model(model)
    if model != "density":
        for name in ("structures", "aux_basis"):
            if settings["run"].get(name):
                raise SettingsError(
                    f"--{name.replace('_', '-')} goes with --model density only"
                )
    check_names(model, flatten(options["targets"]))
    return settings, overrides


def refuse_densities(given: Settings, name: str) -> None:
    """Refuse a command that is about other models."""
    if given["run"]["model"] == "density":
        raise SettingsError(f"lodekit {name} is not for --model density")


def check_names(model: str, targets: list[str]) -> None:
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


def check_model(model: str) -> None:
    """Check the kind of model."""
    if model not in MODELS:
        raise SettingsError(f"run.model must be one of {', '.join(MODELS)}")
