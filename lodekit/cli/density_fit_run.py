"""One run of ``lodekit fit --model density``: read, fit, judge, write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lodekit.errors import SettingsError

from .density_files import read_densities
from .fit_run import FitRun
from .settings import complete, merge
from .sources import join_names
from .targets import frame_weights

if TYPE_CHECKING:
    from lodekit.density.density_set import DensitySet
    from lodekit.models.model import Model

    from .names_of_types import Folds, Settings

#: Options that have no use for densities, and why.
REFUSED = {
    "folds": "errors on frames left out are printed by every fit",
    "resume": "sums of densities are not kept",
    "split": "give the densities to judge by with --validation or --validation-where",
    "report": "lodekit evaluate prints the errors of densities",
}


class DensityFitRun(FitRun):
    """One run of ``lodekit fit --model density``.

    Frames are those of a `DensitySet`, which goes where other kinds of models have a
    list of structures.
    """

    def run(self, dry_run: bool) -> None:
        """Refuse options without use, then do what other runs do."""
        for name, reason in REFUSED.items():
            if self.options.get(name):
                raise SettingsError(
                    f"--{name} has no use with --model density: {reason}"
                )
        if self.noise_by:
            raise SettingsError(
                "--model density takes no noises of frames; leave fit.noise_by out, or "
                "give weights with --weight-key"
            )
        for name in ("keys", "units"):
            if self.reading[name]:
                raise SettingsError(
                    f"--{name[:-1]} has no use with --model density: coefficients have "
                    "the units of their file"
                )
        super().run(dry_run)

    def read(
        self, path: str | Sequence[str], where: dict[str, str] | None
    ) -> DensitySet:
        """Read densities, and say what was read."""
        options = self.options
        densities = read_densities(
            path, options.get("structures"), options.get("aux_basis"), where
        )
        n_atoms = sum(map(len, densities.frames))
        name = join_names(path)
        self.show(f"read {len(densities)} densities, {n_atoms} atoms, from {name}")
        return densities

    def read_validation(
        self, train: DensitySet, where: dict[str, str] | None
    ) -> DensitySet:
        """Read the densities to judge by, and check that the model will know them."""
        from .prediction import check_known

        path = self.validation_names() or self.train
        densities, name = self.read(path, where), join_names(path)
        known = {int(number) for atoms in train.frames for number in atoms.numbers}
        check_known(densities.frames, name, known, False)
        if densities.basis != train.basis:
            raise SettingsError(
                f"{name}: is in the basis {densities.basis.name}, and those to fit in "
                f"{train.basis.name}; densities are judged in the basis they have"
            )
        return densities

    def choose_settings(self, frames: DensitySet) -> Settings:
        """Return complete settings of the model."""
        asked = merge(self.given.get("fit", {}), self.overrides.get("fit", {}))
        targets = asked.get("targets") or list(self.kind.default_targets)
        if len(targets) != 1 or targets[0] not in self.kind.targets:
            raise SettingsError(
                f"--model density is fitted to one of {' or '.join(self.kind.targets)},"
                f" got {' '.join(map(str, targets))}"
            )
        defaults = self.kind.default_settings(frames, targets)
        return self.kind.check_settings(complete(defaults, self.given, self.overrides))

    def read_groups(self, frames: DensitySet) -> list[str] | None:
        """Return the names of groups of like frames, None where no key has them."""
        return super().read_groups(frames.frames)

    def plan(self, frames: DensitySet, settings: Settings) -> None:
        """Say nothing: what densities take is not known before."""

    def fit(
        self, frames: DensitySet, settings: Settings, groups: list[str] | None = None
    ) -> tuple[Model, float]:
        """Return the fitted model and the seconds it took."""
        model = self.kind.build(settings)
        weights = frame_weights(frames.frames, self.reading.get("weight_key"))
        start = time.perf_counter()
        model.fit(frames, sample_weight=weights, groups=groups)
        return model, time.perf_counter() - start

    def save(
        self,
        model: Model,
        settings: Settings,
        sets: dict[str, DensitySet],
        seconds: float,
        folds: Folds | None = None,
    ) -> None:
        """Judge the model, and write it."""
        from lodekit.model_file import save_model
        from lodekit.models.density_errors import judge_densities

        errors = {
            name: judge_densities(model, densities) for name, densities in sets.items()
        }
        record = {
            "training_file": join_names([Path(name).name for name in self.train]),
            "settings": self.record_settings(settings),
            "errors": errors,
            "seconds": round(seconds, 3),
        }
        output = self.options["output"]
        save_model(model, output, overwrite=self.options["overwrite"], record=record)
        self.tell(model, record)
        self.show(
            f"wrote the model {output} ({Path(output).stat().st_size / 1e6:.1f} MB)"
        )
