"""A page about an audit, and the same as one object."""

from __future__ import annotations

import json
from dataclasses import asdict

from lodekit.analysis.page import (
    fact_table,
    image,
    settings_block,
    structure_table,
    table,
    write_page,
)

from .results import FAILED, CheckResult
from .table import HEADINGS, row_of

FIELDS = ("demand", "status", "tolerance", "unit", "note", "n_frames")
FOOTNOTE = (
    "Displacements, rotations and fields are the same every time. Reference values are "
    "not used."
)


def audit_object(results: list[CheckResult], numbers: list[int]) -> dict:
    """Return results for JSON.

    Parameters
    ----------
    results : list of CheckResult
    numbers : list of int
        What the structures are called.
    """
    return {
        "passed": all(result.status != FAILED for result in results),
        "frames": numbers,
        "checks": {result.name: _describe(result, numbers) for result in results},
    }


def _describe(result, numbers):
    described = {name: getattr(result, name) for name in FIELDS}
    return described | {
        "measured": result.measured if result.is_finite else None,
        "frame": None if result.frame is None else numbers[result.frame],
    }


def write_audit_report(
    folder,
    results: list[CheckResult],
    frames,
    numbers: list[int],
    *,
    title: str,
    facts: dict[str, str] | None = None,
    settings: str = "",
    overwrite: bool = False,
) -> None:
    """Write a page with the checks and plots, and the plots and numbers as files.

    Parameters
    ----------
    folder : str or Path
        Where to write ``index.html``, PNG files and ``audit.json``, which has the
        points of all curves, too.
    results : list of CheckResult
    frames : list of ase.Atoms
        The structures.
    numbers : list of int
        What they are called.
    title : str
        Heading of the page.
    facts : dict of str, optional
        What to say about the model.
    settings : str
        Settings of the model as TOML.
    overwrite : bool
        Write into a folder that holds something else, too; nothing else is removed.

    Raises
    ------
    ReportError
        If the folder may not be used, or cannot be made.
    """
    images = _draw(results, numbers)
    rows = [(*row_of(result), result.demand) for result in results]
    answer = audit_object(results, numbers)
    for result in results:
        answer["checks"][result.name]["curves"] = {
            numbers[index]: asdict(curve) for index, curve in result.curves.items()
        }
    sections = {
        "Checks": table((*HEADINGS, "demand"), rows, numbers=(2, 3)),
        **{heading: image(name, data) for name, heading, data in images},
        "Structures": structure_table({"audited": frames}),
        "Model": fact_table(facts or {}),
        "Settings": settings_block(settings),
    }
    files = {f"{name}.png": data for name, _, data in images}
    files["audit.json"] = json.dumps(answer, indent=1, ensure_ascii=False).encode()
    write_page(folder, title, sections, files, FOOTNOTE, overwrite)


def _draw(results, numbers):
    """Return name, heading and PNG bytes of every figure."""
    from lodekit.analysis.plots import png_bytes

    from .plots import curve_figure, overview_figure

    images = []
    overview = overview_figure(results)
    if overview is not None:
        images.append(("overview", "Measured against allowed", png_bytes(overview)))
    for result in results:
        if result.curves:
            figure = curve_figure(result, numbers)
            images.append((result.name, result.name.capitalize(), png_bytes(figure)))
    return images
