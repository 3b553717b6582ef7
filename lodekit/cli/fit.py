"""``lodekit fit``: from structures with targets to a model file."""

import json
import time
from pathlib import Path

import click

from lodekit.errors import SettingsError

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
from .outputs import check_outputs
from .settings import SECTIONS, complete, merge, parse_assignments, read_settings_file
from .toml_text import format_toml

MODELS = tuple(KINDS)
_DEFAULTS = {"model": "potential", "output": "model.lodekit", "overwrite": False}


@click.command("fit", cls=SpreadCommand, short_help="Fit a model to structures.")
@click.argument("train", metavar="TRAIN.xyz", type=click.Path())
@click.option(
    "--output", "-o", type=click.Path(), help="Model file to write [model.lodekit]."
)
@click.option(
    "--model",
    type=click.Choice(MODELS),
    help="Kind of model: potential (energy, forces, stress), charges, dipole (charges "
    "and atomic dipoles from molecular dipoles), kqeq (charges that equilibrate and "
    "respond to fields), latent-charges (charges from energies and forces) "
    "[potential].",
)
@click.option(
    "--targets",
    multiple=True,
    type=NameList(ALL_TARGETS),
    metavar="TARGET...",
    help="What to fit: energy, forces, stress, for models of charges also charges, "
    "dipole, quadrupole, mep (potential at mep_points) [all that the file has of "
    "energy, forces and stress; charges, moments and mep for charges and kqeq; dipole "
    "for dipole].",
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
@click.option("--validation", type=click.Path(), help="Structures to judge the fit by.")
@click.option(
    "--validation-where",
    multiple=True,
    metavar="KEY=VALUE",
    help="Judge by these frames, of TRAIN.xyz when there is no other file.",
)
@click.option(
    "--weight-key",
    metavar="KEY",
    help="Info key that holds the weight of a frame, for --model potential.",
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
@file_options
@report_option
@threads_option
@overwrite_option
@common_options
def command(train, **options):
    """Fit a model to the structures of TRAIN.xyz and write it to one file.

    Settings are chosen from the data, printed, and kept in the model file. Change
    them with a settings file, with --set, or with the options below; lodekit info
    MODEL --settings prints them in the form of a settings file.
    """
    given, overrides = gather(options)
    with use_threads(given["run"].get("threads")):
        fit = Fit(train, given, overrides, options["as_json"], options["settings"])
        fit.run(options["dry_run"])


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
    if options["ignore"]:
        structures["ignore"] = list(options["ignore"])
    if options["partial"]:
        structures["partial"] = True
    run = {key: options[key] for key in SECTIONS["run"] if options[key] is not None}
    given = merge(given, {"structures": structures, "run": run})
    if options["targets"]:
        overrides = merge(overrides, {"fit": {"targets": flatten(options["targets"])}})
    if options["max_multipole"] is not None:
        order = {"max_multipole": options["max_multipole"]}
        overrides = merge(overrides, {"fit": order})
    given["run"] = merge(_DEFAULTS, given["run"])
    check_model(given["run"]["model"], given["structures"].get("weight_key"))
    return given, overrides


def check_model(model, weight_key):
    """Check the kind of model, and that it takes weights where there are any."""
    if model not in MODELS:
        raise SettingsError(f"run.model must be one of {', '.join(MODELS)}")
    if weight_key and not KINDS[model].takes_weights:
        takers = [name for name, kind in KINDS.items() if kind.takes_weights]
        raise SettingsError(
            f"--model {model} takes no weights of frames; leave --weight-key out, it "
            f"goes with --model {' or '.join(takers)}"
        )


class Fit:
    """One run of ``lodekit fit``."""

    def __init__(self, train, given, overrides, as_json, settings_file=None):
        self.train = train
        self.settings_file = settings_file
        self.given = given
        self.overrides = overrides
        self.as_json = as_json
        self.options = given["run"]
        self.reading = given["structures"]
        self.kind = KINDS[self.options["model"]]

    def run(self, dry_run):
        """Read, choose settings, fit, judge and write."""
        if not dry_run:
            self.check_destinations()
        frames = self.read(self.train, self.reading["where"])
        settings = self.choose_settings(frames)
        text = format_toml(self.record_settings(settings))
        if dry_run:
            self.show(text, self.record_settings(settings))
            return
        sets = {"training": frames}
        where = self.reading["validation_where"]
        if self.options.get("validation") or where:
            sets["validation"] = self.read_validation(frames, where)
        self.show(f"settings\n\n{text}\n")
        model, seconds = self.fit(frames, settings)
        self.save(model, settings, sets, seconds)

    def check_destinations(self):
        """Refuse now what would be refused after hours of fitting."""
        from lodekit.errors import ModelFileError

        options = self.options
        inputs = [self.train, options.get("validation"), self.settings_file]
        check_outputs(
            options["output"],
            ModelFileError,
            inputs,
            options.get("report"),
            options["overwrite"],
        )

    def read(self, path, where):
        """Read and check structures, and say what was read."""
        from lodekit.structures.contents import drop_key

        from .frames import read_frames

        frames = read_frames(path, self.reading["keys"], self.reading["units"], where)
        for key in self.reading.get("ignore", ()):
            drop_key(frames, key)
        n_atoms = sum(map(len, frames))
        self.show(f"read {len(frames)} structures, {n_atoms} atoms, from {path}")
        return frames

    def read_validation(self, train, where):
        """Read the structures to judge by, and check them before hours of fitting."""
        from lodekit.structures import get_target

        from .prediction import check_known

        path = self.options.get("validation", self.train)
        frames = self.read(path, where)
        known = {int(number) for atoms in train for number in atoms.numbers}
        is_charged = any(get_target(atoms, "total_charge") for atoms in train)
        check_known(frames, path, known, is_charged and self.kind.needs_total_charge)
        return frames

    def choose_settings(self, frames):
        """Return complete settings of the model."""
        from .targets import choose_targets, describe_sources
        from .unused import check_states, warn_of_unused_points

        asked = merge(self.given.get("fit", {}), self.overrides.get("fit", {}))
        partial = self.reading.get("partial", False)
        targets = choose_targets(frames, asked.get("targets"), self.kind, partial)
        check_states(frames, self.kind)
        self.show(f"targets: {describe_sources(frames, targets)}\n")
        defaults = self.kind.default_settings(frames, targets)
        settings = complete(defaults, self.given, self.overrides)
        settings = self.kind.check_settings(settings)
        settings["fit"]["targets"] = targets
        warn_of_unused_points(frames, settings, defaults)
        return settings

    def record_settings(self, settings):
        """Return the settings with the kind of model and how the file was read."""
        reading = {key: value for key, value in self.reading.items() if value}
        given = {"structures": reading} if reading else {}
        return {**given, "run": {"model": self.options["model"]}, **settings}

    def fit(self, frames, settings):
        """Return the fitted model and the seconds it took."""
        from .targets import frame_weights

        weights = frame_weights(frames, self.reading.get("weight_key"))
        model = self.kind.build(settings)
        start = time.perf_counter()
        arguments = {} if weights is None else {"sample_weight": weights}
        model.fit(frames, **arguments)
        return model, time.perf_counter() - start

    def save(self, model, settings, sets, seconds):
        """Judge the model, write it, and report."""
        from lodekit.analysis.errors import summarize
        from lodekit.model_file import save_model

        from .evaluation import compare_frames, held_out_summary

        targets = settings["fit"]["targets"]
        comparisons = {
            name: compare_frames(model, frames, targets, f"judging {name}")
            for name, frames in sets.items()
        }
        errors = {name: summarize(parts) for name, parts in comparisons.items()}
        held_out = held_out_summary(model.summary_)
        if held_out:
            errors = {
                "training": errors["training"],
                "held out": held_out,
                **errors,
            }
        record = {
            "training_file": Path(self.train).name,
            "settings": self.record_settings(settings),
            "errors": errors,
            "seconds": round(seconds, 3),
        }
        output, overwrite = self.options["output"], self.options["overwrite"]
        save_model(model, output, overwrite=overwrite, record=record)
        self.tell(model, record)
        self.show(
            f"wrote the model {output} ({Path(output).stat().st_size / 1e6:.1f} MB)"
        )
        if self.options.get("report"):
            self.write_report(model, record, sets, comparisons)

    def tell(self, model, record):
        """Print what came out of the fit."""
        from lodekit.analysis.tables import format_errors
        from lodekit.model_file import as_json

        from .evaluation import format_facts, model_facts

        self.show(
            f"{format_facts(model_facts(model.summary_))}\n\n"
            f"{format_errors(record['errors'])}\n"
        )
        if self.as_json:
            answer = {"model": str(self.options["output"]), **record}
            click.echo(json.dumps({**answer, "summary": as_json(model.summary_)}))

    def write_report(self, model, record, sets, comparisons):
        """Write the page about the fit."""
        from lodekit.analysis.report import write_report
        from lodekit.errors import ReportError

        from .evaluation import model_facts

        folder, output = self.options["report"], self.options["output"]
        try:
            write_report(
                folder,
                sets,
                comparisons,
                title=f"{Path(output).name}, fitted to {record['training_file']}",
                errors=record["errors"],
                facts=model_facts(model.summary_),
                settings=format_toml(record["settings"]),
                overwrite=self.options["overwrite"],
            )
        except ReportError as problem:
            raise ReportError(
                f"the model {output} is written, its report is not: {problem}"
            ) from None
        self.show(f"wrote the report {Path(folder) / 'index.html'}")

    def show(self, text, as_object=None):
        """Print text for people, or an object when one was asked for."""
        if not self.as_json:
            click.echo(text)
        elif as_object is not None:
            click.echo(json.dumps(as_object))
