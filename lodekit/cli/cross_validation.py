"""Cross-validation over groups of like frames: ``lodekit fit --folds``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

    from .names_of_types import Folds


def cross_validate(
    fit: Callable[..., Any],
    frames: list[Atoms],
    targets: list[str],
    n_folds: int,
    groups: list[str] | None = None,
) -> Folds:
    """Return the errors of fits without a share of the groups each, on this share.

    Parameters
    ----------
    fit : callable
        ``fit(frames, groups)`` returns a fitted model.
    frames : list of ase.Atoms
    targets : list of str
    n_folds : int
    groups : list of str, optional
        Names of groups of like frames; found from the frames where None.

    Returns
    -------
    folds : list of dict
        By fold, error statistics by target, see `lodekit.analysis.errors.summarize`.

    Raises
    ------
    SettingsError
        If there are fewer groups than folds that others can stand in for.
    """
    from sklearn.model_selection import GroupKFold

    from lodekit.analysis.errors import summarize
    from lodekit.errors import SettingsError
    from lodekit.fitting.groups import can_be_left_out, find_groups

    from .evaluation import compare_frames

    numbers = find_groups(frames, groups)
    leavable = can_be_left_out(frames, numbers)
    if leavable.size < n_folds:
        raise SettingsError(
            f"--folds {n_folds} needs as many groups of like frames that others can "
            f"stand in for, there are {leavable.size}; ask for fewer folds, or name "
            "groups with --group"
        )
    places = np.flatnonzero(np.isin(numbers, leavable))
    splitter = GroupKFold(n_folds, shuffle=True, random_state=0)
    folds = []
    for number, (_, chosen) in enumerate(
        splitter.split(places, groups=numbers[places]), start=1
    ):
        kept = places[chosen]
        others = np.setdiff1d(np.arange(len(frames)), kept)
        model = fit([frames[i] for i in others], numbers[others].tolist())
        held_out = [frames[i] for i in kept]
        name = f"judging fold {number}"
        folds.append(summarize(compare_frames(model, held_out, targets, name)))
    return folds


def format_folds(folds: Folds) -> str:
    """Return a table of root mean square errors: every fold, their mean and spread."""
    from lodekit.analysis.tables import READABLE, format_table

    targets = list(dict.fromkeys(name for fold in folds for name in fold))
    columns, rows = [], []
    for target in targets:
        unit, factor = READABLE[next(f for f in folds if target in f)[target]["unit"]]
        errors = [factor * fold[target]["rmse"] for fold in folds if target in fold]
        columns.append(f"{target}, {unit}")
        rows.append(
            [f"{error:.4g}" for error in errors]
            + [""] * (len(folds) - len(errors))
            + [f"{np.mean(errors):.4g} +- {np.std(errors, ddof=1):.2g}"]
        )
    names = [*(f"fold {n}" for n in range(1, len(folds) + 1)), "mean"]
    lines = [list(line) for line in zip(names, *rows, strict=True)]
    return format_table(["RMSE", *columns], lines, n_words=1)
