"""One run of ``lodekit fit --update``: new frames for a fitted model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lodekit.errors import CheckpointError

from .fit_run import FitRun
from .outputs import check_outputs, sums_path
from .settings import merge
from .sources import join_names, paths_of

if TYPE_CHECKING:
    from .names_of_types import Settings

#: How a file is read where nothing else is said.
PLAIN: dict[str, dict] = {"keys": {}, "units": {}, "where": {}, "validation_where": {}}


class UpdateRun(FitRun):
    """One run of ``lodekit fit --update``.

    Parameters
    ----------
    model_path : str
        The model to fit to more frames, with its sums beside it.
    train, given, as_json
        See `FitRun`; settings are those of the model.
    """

    def __init__(
        self, model_path: str, train: Sequence[str], given: Settings, as_json: bool
    ) -> None:
        from lodekit.model_file import read_header

        record = read_header(model_path)["record"]
        self.model_path, self.old_record = model_path, record
        settings = record.get("settings")
        if settings is None:
            raise CheckpointError(
                f"{model_path}: lodekit fit did not write this model, and there are no "
                "sums of it"
            )
        known = {name: settings.get(name, {}) for name in ("structures", "run")}
        # which frames of the first file were fitted says nothing about this one
        reading = {**known["structures"], "where": {}, "validation_where": {}}
        asked = {name: value for name, value in given["structures"].items() if value}
        run = merge(given["run"], known["run"])
        super().__init__(
            train,
            {"structures": {**PLAIN, **reading, **asked}, "run": run},
            {},
            as_json,
        )
        self.settings = settings

    def run(self, dry_run: bool = False) -> None:
        """Read, add the rows of the new frames, judge and write."""
        from lodekit.analysis.provenance import hash_of
        from lodekit.fitting.sums import KeptSums
        from lodekit.model_file import load_model
        from lodekit.models.updates import check_updatable, update_model

        from .prediction import check_frames
        from .targets import frame_weights

        model = load_model(self.model_path)
        check_updatable(model)
        model.progress = True
        self.check_outputs()
        sums = KeptSums.load(sums_path(self.model_path), hash_of(self.model_path))
        frames = self.read(self.train, self.reading.get("where", {}))
        check_frames(model, frames, join_names(self.train))
        groups = self.read_groups(frames)
        sets = {"new frames": frames}
        where = self.reading.get("validation_where")
        if self.validation_names() or where:
            sets["validation"] = self.read_validation(frames, where)
        noise_by = self.settings["fit"].get("noise_by", {})
        weights = frame_weights(frames, self.reading.get("weight_key"), noise_by)
        start = time.perf_counter()
        update_model(model, frames, sums, groups=groups, weights=weights)
        self.sums = sums
        self.save(model, self.settings, sets, time.perf_counter() - start)

    def check_outputs(self) -> None:
        """Refuse now what would be refused after the work."""
        output, overwrite = self.options["output"], self.options["overwrite"]
        inputs = [*paths_of(self.train), *paths_of(self.validation_names())]
        report = self.options.get("report")
        check_outputs(output, CheckpointError, inputs, report, overwrite)
        check_outputs(sums_path(output), CheckpointError, inputs, None, overwrite)

    def training_name(self) -> str:
        """Return the names of all files that the model was fitted to."""
        return f"{self.old_record['training_file']}, {super().training_name()}"

    def record_settings(self, settings: Settings) -> Settings:
        """Return the settings of the model as they were."""
        return settings
