"""Checks of what commands write, made before their work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def sums_path(model_path: str | Path) -> Path:
    """Return where the sums of the fit of a model are kept."""
    path = Path(model_path)
    return path.with_name(f"{path.name}.sums")


def check_outputs(
    file: str | Path | None,
    error: type[Exception],
    inputs: Sequence[str | Path | None],
    report: str | None = None,
    overwrite: bool | None = None,
) -> None:
    """Refuse now what would be refused after the work is done.

    Parameters
    ----------
    file : str or None
        The file that will be written, if there is one.
    error : type
        Class of the error to raise for it.
    inputs : list of (str or None)
        Files that are read.
    report : str, optional
        Folder of the report.
    overwrite : bool, optional
        Whether outputs may replace what exists.
    """
    from lodekit.analysis.page import check_report_folder
    from lodekit.whole_files import check_destination

    if file:
        read = [path for path in inputs if path]
        check_destination(file, bool(overwrite), error, read)
    if report:
        check_report_folder(report, bool(overwrite))
