"""A page about a model's errors that opens in any browser, without a network."""

import base64
import html
import json
from pathlib import Path

from lodekit._version import __version__
from lodekit.errors import ReportError
from lodekit.whole_files import written_whole

from .errors import UNITS, summarize_by_element
from .tables import HEADINGS, error_rows

PAGE = "index.html"
_MARK = '<meta name="generator" content="lodekit">'
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; }
th, td { padding: 0.2em 0.8em; border-bottom: 1px solid #e5e7eb; text-align: right; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
.facts td, .facts th { text-align: left; vertical-align: top; font-weight: normal; }
.facts th { color: #6b7280; }
img { max-width: 100%; } pre { background: #f3f4f6; padding: 1em; overflow-x: auto; }
figure { margin: 1em 0; } figcaption, footer { color: #6b7280; font-size: 0.9em; }
"""


def check_report_folder(folder, overwrite=False):
    """Check that a report may be written into a folder.

    Allowed are a folder that does not exist yet, an empty one, and one that holds a
    report of lodekit, which is replaced.

    Raises
    ------
    ReportError
        If the folder holds anything else and ``overwrite`` is false, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ReportError(f"{folder}: this is a file, choose another folder")
    if overwrite or not folder.exists() or not any(folder.iterdir()):
        return
    page = folder / PAGE
    if not (page.is_file() and _MARK in page.read_text(errors="replace")):
        raise ReportError(
            f"{folder}: the folder holds something that is not a report of lodekit; "
            "choose another one or overwrite it"
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
    overwrite : bool
        Write into a folder that holds something else, too; nothing else is removed.
    """
    check_report_folder(folder, overwrite)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ReportError(f"{folder}: cannot be made ({problem.strerror})") from None
    images = draw_images(frames, comparisons)
    elements = {
        f"{name}, {symbol}": summary
        for name, parts in comparisons.items()
        for symbol, summary in summarize_by_element(parts).items()
    }
    numbers = {"errors": errors, "groups": groups or {}, "elements": elements}
    sections = {
        "Errors": _error_table(errors),
        **{heading: _image(name, data) for name, heading, data in images},
        "Errors by group": _error_table(groups) if groups else "",
        "Errors by element": _error_table(elements) if elements else "",
        "Structures": _structure_table(frames),
        "Model": _fact_table(facts) if facts else "",
        "Settings": f"<pre>{html.escape(settings)}</pre>" if settings else "",
    }
    files = {f"{name}.png": data for name, _, data in images}
    files["errors.json"] = json.dumps(numbers, indent=1, ensure_ascii=False).encode()
    if settings:
        files["settings.toml"] = f"{settings}\n".encode()
    files[PAGE] = _page(title, sections).encode()
    for name, content in files.items():
        with written_whole(folder / name, ReportError) as file:
            file.write(content)


def draw_images(frames, comparisons):
    """Return name, heading and PNG bytes of every figure of a report."""
    from .plots import calibration_figure, png_bytes, target_figure

    images = []
    for target in UNITS:
        parts = {
            name: own[target] for name, own in comparisons.items() if target in own
        }
        if parts:
            figure = target_figure(target, parts, frames)
            images.append((target, target.capitalize(), png_bytes(figure)))
    for name, own in comparisons.items():
        figure = calibration_figure(own)
        if figure is not None:
            heading = f"Standard deviations against errors, {name}"
            images.append((f"calibration_{_plain(name)}", heading, png_bytes(figure)))
    return images


def _plain(name):
    return "".join(letter if letter.isalnum() else "_" for letter in name)


def _page(title, sections):
    title = html.escape(title)
    body = "\n".join(
        f"<h2>{html.escape(heading)}</h2>\n{content}"
        for heading, content in sections.items()
        if content
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_MARK}\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n{body}\n"
        f"<footer>lodekit {__version__}. Energies per atom. n counts frames for "
        "energies, atoms for charges, and components for vectors and tensors; max is "
        "the largest absolute error.</footer>\n</body>\n</html>\n"
    )


def _image(name, data):
    code = base64.b64encode(data).decode()
    return f'<figure><img alt="{name}" src="data:image/png;base64,{code}"></figure>'


def _error_table(summaries):
    lines = [_row(HEADINGS, "th"), *(_row(row, "td") for row in error_rows(summaries))]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _row(cells, tag):
    inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
    return f"<tr>{inside}</tr>"


def _fact_table(facts):
    lines = [
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in facts.items()
    ]
    return '<table class="facts">\n' + "\n".join(lines) + "\n</table>"


def _structure_table(frames):
    facts = {}
    for name, structures in frames.items():
        sizes = [len(structure) for structure in structures]
        symbols = sorted({s for structure in structures for s in structure.symbols})
        periodic = sum(bool(structure.pbc.all()) for structure in structures)
        facts[name] = (
            f"{len(structures)} frames, {min(sizes)} to {max(sizes)} atoms, "
            f"{sum(sizes)} in all; {', '.join(symbols)}; {periodic} fully periodic"
        )
    return _fact_table(facts)
