"""Progress of long work: a bar on a terminal, a plain line elsewhere."""

from __future__ import annotations

import sys

from lodekit.logs import LOG, shows_bars

_n_open = 0


def progress_bar(items, description: str, show: bool, lines: bool = True):
    """Iterate over ``items`` (a sequence); show how far it went on standard error.

    ``lines`` are written where there is no terminal for a bar. Work that is a part of
    other work with a bar shows none.
    """
    global _n_open
    if not show or len(items) == 0 or not shows_bars() or _n_open:
        yield from items
        return
    _n_open += 1
    try:
        yield from shown(items, description, lines)
    finally:
        _n_open -= 1


def shown(items, description: str, lines: bool):
    """Iterate over ``items`` and show how far it went."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, leave=False)
        return
    for count, item in enumerate(items):
        is_next = count * 10 // len(items) != (count - 1) * 10 // len(items)
        if lines and is_next:
            print(f"{description}: {count}/{len(items)}", file=sys.stderr)  # noqa: T201
        yield item


def show_step(number: int, loss: float, errors: dict, units: dict) -> None:
    """Write a line about one step of an iteration to standard error.

    Parameters
    ----------
    number : int
    loss : float
    errors : dict of str to float
        Root mean square residual of every target.
    units : dict of str to str
    """
    parts = [
        f"{name} {error:.3g} {units.get(name, '')}" for name, error in errors.items()
    ]
    text = ", ".join([f"step {number}: loss {loss:.5g}", *parts])
    LOG.info(text)
    if shows_bars():
        print(text, file=sys.stderr)  # noqa: T201
