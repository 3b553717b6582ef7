"""A report about a model's errors: tables and plots."""

import json

from markupsafe import Markup

from lodekit.quantities import UNITS

from .errors import summarize_by_element
from .page import (
    fact_table,
    image,
    paragraph,
    settings_block,
    structure_table,
    table,
    viewer,
    write_page,
)
from .tables import HEADINGS, error_rows

CAPTION = (
    "Predicted against reference: points on the line are exact; of several sets, the "
    "last one stands alone as well. Errors: a narrow peak at zero, the same for all "
    "sets. Errors against size: those that grow with the value miss rare structures."
)
CALIBRATION = (
    "Good deviations have errors along the line: 68 % of them within one deviation, 95 "
    "% within two."
)
FACTS = (
    "Condition: below 1e12 nothing is lost to rounding. Effective rank: weights that "
    "the data determine; far below the number of weights, fewer sparse points do. Std "
    "scales near 1: deviations were right as they came."
)
FOOTNOTE = (
    "Energies per atom. n counts frames for energies, atoms for charges, and "
    "components for vectors and tensors; max is the largest absolute error."
)


def write_report(
    folder,
    frames,
    comparisons,
    *,
    title,
    errors,
    groups=None,
    facts=None,
    settings="",
    run=None,
    overwrite=False,
):
    """Write a page with tables and plots, and the plots and numbers as files.

    Parameters
    ----------
    folder : str or Path
        Where to write ``index.html``, PNG files, ``errors.json`` and, if there are
        settings, ``settings.toml``.
    frames : dict of list of ase.Atoms
        Structures of each set that was judged, such as "training" and "validation".
    comparisons : dict of dict of Comparison
        By set and target.
    title : str
        Heading of the page.
    errors : dict of dict
        Statistics by set and target, as in `tables.error_rows`.
    groups : dict of dict, optional
        Statistics by group and target.
    facts : dict of str, optional
        What to say about the model.
    settings : str
        Settings as TOML.
    run : dict of str, optional
        How the report was made, see `lodekit.analysis.provenance`.
    overwrite : bool
        Write into a folder that holds something else, too; nothing else is removed.
    """
    images = draw_images(frames, comparisons)
    elements = {
        f"{name}, {symbol}": summary
        for name, parts in comparisons.items()
        for symbol, summary in summarize_by_element(parts).items()
    }
    numbers = {"errors": errors, "groups": groups or {}, "elements": elements}
    sections = {
        "Errors": _error_table(errors),
        **{
            heading: image(heading, data, caption)
            for _, heading, data, caption in images
        },
        "Worst frames": _worst_frames(frames, comparisons),
        "Errors by group": _error_table(groups) if groups else "",
        "Errors by element": _error_table(elements) if elements else "",
        "Structures": structure_table(frames),
        "Model": fact_table(facts or {}) + (paragraph(FACTS) if facts else ""),
        "Run": fact_table(run or {}),
        "Settings": settings_block(settings),
    }
    files = {f"{name}.png": data for name, _, data, _ in images}
    files["errors.json"] = json.dumps(numbers, indent=1, ensure_ascii=False).encode()
    if settings:
        files["settings.toml"] = f"{settings}\n".encode()
    write_page(folder, title, sections, files, FOOTNOTE, overwrite)


def draw_images(frames, comparisons):
    """Return name, heading, PNG bytes and caption of every figure of a report."""
    from .plots import calibration_figure, png_bytes, target_figure

    images = []
    compared = dict.fromkeys(
        name for by_target in comparisons.values() for name in by_target
    )
    # in the order of the table, tensors of other names at the end
    for target in [*UNITS, *(name for name in compared if name not in UNITS)]:
        parts = {
            name: by_target[target]
            for name, by_target in comparisons.items()
            if target in by_target
        }
        if parts:
            figure = target_figure(target, parts, frames)
            heading, data = target.capitalize(), png_bytes(figure)
            images.append((_plain(target), heading, data, CAPTION))
    for name, by_target in comparisons.items():
        figure = calibration_figure(by_target)
        if figure is not None:
            heading = f"Standard deviations against errors, {name}"
            own_name = f"calibration_{_plain(name)}"
            images.append((own_name, heading, png_bytes(figure), CALIBRATION))
    return images


def _worst_frames(frames, comparisons):
    """Return a table and pictures of the frames with the largest errors."""
    from .plots import png_bytes
    from .worst_frames import worst_figure, worst_rows, worst_structures

    targets = {name for by_target in comparisons.values() for name in by_target}
    target = next((name for name in ("forces", "energy") if name in targets), None)
    if target is None and targets:
        target = sorted(targets)[0]
    if target is None:
        return ""
    headings, rows = worst_rows(frames, comparisons, target)
    shown = table(headings, rows, {1, 2, *range(4, len(headings))})
    figure = worst_figure(frames, comparisons, target)
    if figure is None:
        return shown
    caption = (
        f"The frames with the largest errors of {target}, by set and number; numbers "
        "in the table lead to what turns below."
    )
    shown_frames = ", ".join(f"{row[0]} {Markup(row[1]).striptags()}" for row in rows)
    name = f"Pictures of the worst frames: {shown_frames}"
    picture = image(name, png_bytes(figure, 100), caption)
    return shown + picture + viewer(worst_structures(frames, comparisons, target))


def _plain(name):
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _error_table(summaries):
    rows = error_rows(summaries)
    return table(HEADINGS, rows, range(3, len(HEADINGS)))
