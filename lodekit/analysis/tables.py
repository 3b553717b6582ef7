"""Error statistics as tables for people."""

#: Unit in which people read errors, and the factor to it.
READABLE = {
    "eV/atom": ("meV/atom", 1e3),
    "eV/Å": ("meV/Å", 1e3),
    "eV/Å^3": ("meV/Å^3", 1e3),
    "e": ("me", 1e3),
    "e·Å": ("e·Å", 1.0),
    "e·Å²": ("e·Å²", 1.0),
    "V": ("mV", 1e3),
}
HEADINGS = ("", "target", "unit", "n", "RMSE", "MAE", "max", "R2")


def readable(unit):
    """Return the unit in which people read errors, and the factor to it.

    >>> readable("eV/atom"), readable("Å³")
    (('meV/atom', 1000.0), ('Å³', 1.0))
    """
    return READABLE.get(unit, (unit, 1.0))


def error_rows(summaries):
    """Return error statistics as cells of a table.

    Parameters
    ----------
    summaries : dict of dict
        Statistics by name of a set (or group) and by target, each with "rmse" and
        "unit" and as many of the others of `errors.error_statistics` as are known.

    Returns
    -------
    rows : list of tuple of str
        Cells in the order of `HEADINGS`.
    """
    rows = []
    for name, summary in summaries.items():
        for target, numbers in summary.items():
            unit, factor = readable(numbers["unit"])
            errors = [
                "" if numbers.get(key) is None else f"{factor * numbers[key]:.4g}"
                for key in ("rmse", "mae", "max")
            ]
            r2 = numbers.get("r2")
            rows.append(
                (
                    name,
                    target,
                    unit,
                    str(numbers.get("n", "")),
                    *errors,
                    "" if r2 is None else f"{r2:.6f}",
                )
            )
            name = ""  # written once for all targets
    return rows


def format_table(headings, rows, n_words=3):
    """Return a table as text, words to the left and numbers to the right.

    Parameters
    ----------
    headings : sequence of str
        First line; columns without cells are left out.
    rows : list of sequence of str
        The cells.
    n_words : int
        Number of columns that hold words.
    """
    columns = list(zip(headings, *rows, strict=True))
    lines = [[] for _ in range(len(rows) + 1)]
    for place, column in enumerate(columns):
        if not any(column[1:]):
            continue
        width = max(map(len, column))
        for line, cell in zip(lines, column, strict=True):
            line.append(cell.ljust(width) if place < n_words else cell.rjust(width))
    return "\n".join("  ".join(line).rstrip() for line in lines)


def format_errors(summaries):
    """Return a table of error statistics; see `error_rows`."""
    return format_table(HEADINGS, error_rows(summaries))
