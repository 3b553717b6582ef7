"""One run of ``lodekit fit``: read, choose settings, fit, judge, write."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lodekit.errors import SettingsError, StructureError

from .evaluation import check_judged
from .kinds import KINDS
from .outputs import check_outputs, sums_path
from .resuming import resumable_fit
from .settings import complete, merge
from .sources import join_names, paths_of
from .unused import warn

if TYPE_CHECKING:
    from ase import Atoms

    from lodekit.analysis.errors import Comparison
    from lodekit.models.model import Model

    from .names_of_types import Folds, Settings


class FitRun:
    """One run of ``lodekit fit``."""

    def __init__(
        self,
        train: str | Sequence[str],
        given: Settings,
        overrides: Settings,
        as_json: bool,
        settings_file: str | None = None,
    ) -> None:
        self.train = [train] if isinstance(train, str) else list(train)
        self.settings_file = settings_file
        self.given = given
        self.overrides = overrides
        self.as_json = as_json
        self.options = given["run"]
        self.reading = given["structures"]
        self.sums: Any = None
        self.kind = KINDS[self.options["model"]]
        # of frames, not of the model
        parts = [
            (table.get("fit") or {}).pop("noise_by", {}) for table in (given, overrides)
        ]
        self.noise_by = merge(*parts)

    def run(self, dry_run: bool) -> None:
        """Read, choose settings, fit, judge and write."""
        from lodekit.fitting.sums import kept_sums

        from .toml_text import format_toml

        if not dry_run:
            self.check_destinations()
        frames = self.read(self.train, self.reading["where"])
        names = self.read_groups(frames)
        parts, frames, groups = self.split(frames, names, dry_run)
        settings = self.choose_settings(frames)
        text = format_toml(self.record_settings(settings))
        if dry_run:
            self.show(text, self.record_settings(settings))
            return
        sets = {"training": frames, **parts}
        where = self.reading["validation_where"]
        if self.options.get("validation") or where:
            sets["validation"] = self.read_validation(frames, where)
        self.check_validation(settings, sets.get("validation"))
        self.show(f"settings\n\n{text}\n")
        self.plan(frames, settings)
        self.check_sums(settings)
        folds = self.cross_validate(frames, settings, groups)
        with kept_sums() as sums:
            model, seconds = self.fit(frames, settings, groups)
        self.sums = sums if self.options.get("keep_sums") else None
        self.save(model, settings, sets, seconds, folds)

    def plan(self, frames: list[Atoms], settings: Settings) -> None:
        """Say what the fit takes, and refuse one that the memory does not hold."""
        from .plan import check_plan, describe_plan, make_plan

        plan = make_plan(self, frames, settings)
        check_plan(plan)
        self.show(f"{describe_plan(plan)}\n")

    def split(
        self, frames: list[Atoms], groups: list[str] | None, dry_run: bool
    ) -> tuple[dict[str, list[Atoms]], list[Atoms], list[str] | None]:
        """Return other parts to judge by, the training frames and their groups."""
        shares = self.options.get("split")
        if not shares:
            return {}, frames, groups
        from .split import split_and_write

        if self.options.get("validation") or self.reading["validation_where"]:
            raise SettingsError(
                "--split makes the frames to judge by, leave out --validation and "
                "--validation-where"
            )
        stem = None if dry_run else Path(self.options["output"]).with_suffix("")
        overwrite = self.options["overwrite"]
        parts, lines = split_and_write(frames, shares, groups, stem, overwrite)
        self.show("\n".join(lines))
        chosen = parts["train"]
        groups = None if groups is None else [groups[i] for i in chosen]
        validation = [frames[i] for i in parts["validation"]]
        return {"validation": validation}, [frames[i] for i in chosen], groups

    def check_destinations(self) -> None:
        """Refuse now what would be refused after hours of fitting."""
        from lodekit.errors import ModelFileError

        options = self.options
        names = [*self.train, *self.validation_names()]
        inputs = [*paths_of(names), self.settings_file]
        if options.get("split"):
            from .split import part_paths

            stem = Path(options["output"]).with_suffix("")
            for path in part_paths(stem, options["split"]).values():
                check_outputs(
                    path, StructureError, inputs, overwrite=options["overwrite"]
                )
        check_outputs(
            options["output"],
            ModelFileError,
            inputs,
            options.get("report"),
            options["overwrite"],
        )

    def read(
        self, path: str | Sequence[str], where: dict[str, str] | None
    ) -> list[Atoms]:
        """Read and check structures, and say what was read."""
        from lodekit.structures.contents import drop_key

        from .frames import read_frames

        frames = read_frames(path, self.reading["keys"], self.reading["units"], where)
        for key in self.reading.get("ignore", ()):
            drop_key(frames, key)
        n_atoms = sum(map(len, frames))
        name = join_names(path)
        self.show(f"read {len(frames)} structures, {n_atoms} atoms, from {name}")
        return frames

    def read_validation(
        self, train: list[Atoms], where: dict[str, str] | None
    ) -> list[Atoms]:
        """Read the structures to judge by, and check them before hours of fitting."""
        from lodekit.structures import get_target

        from .prediction import check_known

        path = self.validation_names() or self.train
        frames = self.read(path, where)
        known = {int(number) for atoms in train for number in atoms.numbers}
        is_charged = any(get_target(atoms, "total_charge") for atoms in train)
        is_charged = is_charged and self.kind.needs_total_charge
        check_known(frames, join_names(path), known, is_charged)
        return frames

    def check_validation(self, settings: Settings, frames: Any) -> None:
        """Refuse structures to judge by that the model cannot know."""
        if frames is not None:
            check_judged(self.kind.build(settings), frames)

    def validation_names(self) -> list[str]:
        """Return the files to judge by, none where there are no others."""
        names = self.options.get("validation") or []
        return [names] if isinstance(names, str) else list(names)

    def choose_settings(self, frames: list[Atoms]) -> Settings:
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

    def record_settings(self, settings: Settings) -> Settings:
        """Return the settings with the kind of model and how the file was read."""
        reading = {key: value for key, value in self.reading.items() if value}
        given = {"structures": reading} if reading else {}
        record = {**given, "run": {"model": self.options["model"]}, **settings}
        if self.noise_by:
            record["fit"] = {**record["fit"], "noise_by": self.noise_by}
        return record

    def read_groups(self, frames: list[Atoms]) -> list[str] | None:
        """Return the names of groups of like frames, None where no key has them."""
        from lodekit.structures.contents import info_value

        key = self.reading.get("group")
        if key is None:
            return None
        names = [info_value(frame, key) for frame in frames]
        missing = [number for number, name in enumerate(names, 1) if name is None]
        if missing:
            raise StructureError(
                f"frame {missing[0]} has nothing under the key {key!r} of --group; "
                "lodekit info lists the keys of a file"
            )
        return [str(name) for name in names]

    def cross_validate(
        self, frames: list[Atoms], settings: Settings, groups: list[str] | None
    ) -> Folds | None:
        """Return the errors of every fold, None where no folds are asked for."""
        n_folds = self.options.get("folds")
        if not n_folds:
            return None
        from .cross_validation import cross_validate, format_folds

        folds = cross_validate(
            lambda some, numbers: self.fit(some, settings, numbers)[0],
            frames,
            settings["fit"]["targets"],
            n_folds,
            groups,
        )
        self.show(f"{format_folds(folds)}\n")
        return folds

    def fit(
        self, frames: list[Atoms], settings: Settings, groups: list[str] | None = None
    ) -> tuple[Model, float]:
        """Return the fitted model and the seconds it took; sums are kept."""
        resume = bool(self.options.get("resume"))
        with resumable_fit(self.options["output"], len(frames), resume):
            return self.fit_model(frames, settings, groups)

    def fit_model(
        self, frames: list[Atoms], settings: Settings, groups: list[str] | None = None
    ) -> tuple[Model, float]:
        """Return the fitted model and the seconds it took."""
        model = self.kind.build(settings)
        arguments = self.fit_arguments(frames, groups)
        start = time.perf_counter()
        model.fit(frames, **arguments)
        return model, time.perf_counter() - start

    def fit_arguments(
        self, frames: list[Atoms], groups: list[str] | None
    ) -> dict[str, Any]:
        """Return further arguments of ``model.fit``."""
        from .targets import frame_weights

        weights = frame_weights(frames, self.reading.get("weight_key"), self.noise_by)
        arguments = {} if weights is None else {"sample_weight": weights}
        return {"groups": groups, **arguments}

    def save(
        self,
        model: Model,
        settings: Settings,
        sets: dict[str, list[Atoms]],
        seconds: float,
        folds: Folds | None = None,
    ) -> None:
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
            first = next(iter(errors))
            errors = {first: errors[first], "held out": held_out, **errors}
        record = {
            "training_file": self.training_name(),
            "settings": self.record_settings(settings),
            "errors": errors,
            "seconds": round(seconds, 3),
        }
        if folds is not None:
            record["folds"] = folds
        output, overwrite = self.options["output"], self.options["overwrite"]
        save_model(model, output, overwrite=overwrite, record=record)
        self.tell(model, record)
        self.show(
            f"wrote the model {output} ({Path(output).stat().st_size / 1e6:.1f} MB)"
        )
        if self.sums is not None:
            self.save_sums()
        if self.options.get("report"):
            self.write_report(model, record, sets, comparisons)

    def training_name(self) -> str:
        """Return the names of the files that are fitted to."""
        return join_names([Path(name).name for name in self.train])

    def check_sums(self, settings: Settings) -> None:
        """Refuse to keep sums of a model that cannot be updated."""
        if not self.options.get("keep_sums"):
            return
        from lodekit.errors import CheckpointError
        from lodekit.models.updates import check_updatable

        check_updatable(self.kind.build(settings), settings["fit"]["targets"])
        path = sums_path(self.options["output"])
        check_outputs(path, CheckpointError, [], overwrite=self.options["overwrite"])

    def save_sums(self) -> None:
        """Write the sums of the fit beside the model."""
        from lodekit.analysis.provenance import hash_of

        output = self.options["output"]
        path = sums_path(output)
        self.sums.save(path, hash_of(output))
        self.show(
            f"wrote the sums {path} ({path.stat().st_size / 1e6:.1f} MB), to which "
            "--update adds frames"
        )

    def tell(self, model: Model, record: dict[str, Any]) -> None:
        """Print what came out of the fit."""
        from lodekit.analysis.tables import format_errors
        from lodekit.model_file import as_json

        from .evaluation import describe_outliers, format_facts, model_facts

        for line in describe_outliers(model.summary_):
            warn(line)
        self.show(
            f"{format_facts(model_facts(model.summary_))}\n\n"
            f"{format_errors(record['errors'])}\n"
        )
        if self.as_json:
            answer = {"model": str(self.options["output"]), **record}
            click.echo(json.dumps({**answer, "summary": as_json(model.summary_)}))

    def write_report(
        self,
        model: Model,
        record: dict[str, Any],
        sets: dict[str, list[Atoms]],
        comparisons: dict[str, dict[str, Comparison]],
    ) -> None:
        """Write the page about the fit."""
        from lodekit.analysis.provenance import describe_run
        from lodekit.analysis.report import write_report
        from lodekit.errors import ReportError

        from .evaluation import model_facts
        from .toml_text import format_toml

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
                run=describe_run([output, *paths_of(self.train)]),
                overwrite=self.options["overwrite"],
            )
        except ReportError as problem:
            raise ReportError(
                f"the model {output} is written, its report is not: {problem}"
            ) from None
        self.show(f"wrote the report {Path(folder) / 'index.html'}")

    def show(self, text: str, as_object: Settings | None = None) -> None:
        """Print text for people, or an object when one was asked for."""
        if not self.as_json:
            click.echo(text)
        elif as_object is not None:
            click.echo(json.dumps(as_object))
