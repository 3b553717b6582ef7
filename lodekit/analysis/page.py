"""A page of tables and plots that opens in any browser, without a network."""

from __future__ import annotations

import base64
import html
from pathlib import Path

from lodekit._version import __version__
from lodekit.errors import ReportError
from lodekit.whole_files import check_writable, write_all

PAGE = "index.html"
_MARK = '<meta name="generator" content="lodekit">'
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 1180px;
  margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
.facts td { overflow-wrap: anywhere; }
th, td { padding: 0.2em 0.8em; border-bottom: 1px solid #e5e7eb; text-align: left; }
th.number, td.number { text-align: right; white-space: nowrap; }
.facts td, .facts th { vertical-align: top; font-weight: normal; }
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
        If the folder holds anything else and ``overwrite`` is false, is a file, or
        nothing can be written there.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ReportError(f"{folder}: this is a file, choose another folder")
    _check_place(folder.resolve())
    if overwrite or not folder.exists() or not any(folder.iterdir()):
        return
    page = folder / PAGE
    if not (page.is_file() and _MARK in page.read_text(errors="replace")):
        raise ReportError(
            f"{folder}: the folder holds something that is not a report of lodekit; "
            "choose another one or overwrite it with --overwrite (in Python, "
            "overwrite=True)"
        )


def _check_place(folder):
    """Check that a report can be written into a folder, or the folder be made."""
    missing = folder / PAGE
    while not missing.parent.exists():
        missing = missing.parent
    if not missing.parent.is_dir():
        raise ReportError(f"{folder}: cannot be made (Not a directory)")
    check_writable(missing, ReportError)


def write_page(folder, title, sections, files, footnote="", overwrite=False):
    """Write a page, and files beside it.

    Parameters
    ----------
    folder : str or Path
        See `check_report_folder`.
    title : str
        Heading of the page.
    sections : dict of str
        Content in HTML by heading; what is empty is left out.
    files : dict of bytes
        Contents by name.
    footnote : str
        Last sentences of the page.
    overwrite : bool
        Write into a folder that holds something else, too; nothing else is removed.

    Raises
    ------
    ReportError
        If the folder may not be used or made, or a file cannot be written; files that
        were there stay as they were.
    """
    check_report_folder(folder, overwrite)
    folder = Path(folder)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ReportError(f"{folder}: cannot be made ({problem.strerror})") from None
    page = page_text(title, sections, footnote).encode()
    contents = {folder / name: content for name, content in files.items()}
    try:
        write_all({**contents, folder / PAGE: page}, ReportError)
    except BaseException:
        if is_new:
            folder.rmdir()
        raise


def page_text(title, sections, footnote=""):
    """Return a page in HTML."""
    title = html.escape(title)
    body = "\n".join(
        f"<h2>{html.escape(heading)}</h2>\n{content}"
        for heading, content in sections.items()
        if content
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_MARK}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n{body}\n"
        f"<footer>lodekit {__version__}. {html.escape(footnote)}</footer>\n"
        "</body>\n</html>\n"
    )


def image(name, data, caption=""):
    """Return a PNG image as a part of the page, with a line that says what is good."""
    code = base64.b64encode(data).decode()
    text = html.escape(caption)
    below = f"<figcaption>{text}</figcaption>" if text else ""
    source = f"data:image/png;base64,{code}"
    alt = html.escape(f"{name}. {caption}" if caption else name, quote=True)
    return f'<figure><img alt="{alt}" src="{source}">{below}</figure>'


def table(headings, rows, numbers):
    """Return a table; ``numbers`` are the columns that are set to the right."""
    lines = [_row(headings, "th", numbers), *(_row(row, "td", numbers) for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _row(cells, tag, numbers):
    inside = ""
    for place, cell in enumerate(cells):
        kind = ' class="number"' if place in numbers else ""
        inside += f"<{tag}{kind}>{html.escape(cell)}</{tag}>"
    return f"<tr>{inside}</tr>"


def fact_table(facts):
    """Return names and what is to say about them as a table; nothing for no facts."""
    lines = [
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>"
        for name, text in facts.items()
    ]
    return '<table class="facts">\n' + "\n".join(lines) + "\n</table>" if lines else ""


def structure_table(frames):
    """Return what there is in sets of structures, by name of the set."""
    facts = {}
    for name, structures in frames.items():
        sizes = [len(structure) for structure in structures]
        symbols = sorted({s for structure in structures for s in structure.symbols})
        periodic = sum(bool(structure.pbc.all()) for structure in structures)
        facts[name] = (
            f"{len(structures)} frames, {min(sizes)} to {max(sizes)} atoms, "
            f"{sum(sizes)} in all; {', '.join(symbols)}; {periodic} fully periodic"
        )
    return fact_table(facts)


def settings_block(settings):
    """Return settings as TOML word for word; nothing for no settings."""
    return f"<pre>{html.escape(settings)}</pre>" if settings else ""
