"""A page of tables and plots that opens in any browser, without a network."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lodekit._version import __version__
from lodekit.errors import ReportError
from lodekit.whole_files import check_writable, write_all

PAGE = "index.html"
_MARK = '<meta name="generator" content="lodekit">'
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PARTS = _TEMPLATES.get_template("parts.html.jinja").module


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
    sections : dict of str or Markup
        Content by heading, escaped unless it is marked as HTML; what is empty is left
        out.
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
    return _TEMPLATES.get_template("page.html.jinja").render(
        mark=Markup(_MARK),
        title=title,
        sections=sections,
        version=__version__,
        footnote=footnote,
    )


def image(name, data, caption=""):
    """Return a PNG image as a part of the page, with a line that says what is good."""
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return part("image", name, source, caption)


def part(macro, *arguments):
    """Return the text of a macro of the templates with some arguments."""
    return Markup(getattr(_PARTS, macro)(*arguments).strip())


def viewer(structures):
    """Return structures that a reader can turn, without a network.

    Parameters
    ----------
    structures : list of dict
        Each with a "title", an "anchor" that links lead to, its "size" (half its
        extent), "atoms" (position, colour and radius) and "edges" of its cell (two
        ends).
    """
    template = _TEMPLATES.get_template("viewer.html.jinja")
    return Markup(template.render(structures=structures))


def link(text, anchor):
    """Return a text that leads to a place on the page."""
    return Markup('<a href="#{}">{}</a>').format(anchor, text)


def table(headings, rows, numbers):
    """Return a table; ``numbers`` are the columns that are set to the right."""
    return part("table", headings, rows, numbers)


def fact_table(facts):
    """Return names and what is to say about them as a table; nothing for no facts."""
    return part("facts", facts)


def paragraph(text):
    """Return a paragraph of plain text."""
    return Markup("<p>{}</p>").format(text)


def structure_table(frames):
    """Return the contents of sets of structures, by name of the set."""
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
    return part("settings", settings)
