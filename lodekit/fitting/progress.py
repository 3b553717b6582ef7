"""Progress of long work: a bar on a terminal, a plain line elsewhere."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lodekit.logs import LOG, shows_bars

_n_open = 0
#: Seconds between two looks at what other processes have done.
LOOK_SECONDS = 0.2


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


@contextmanager
def shared_bar(
    n_items: int, description: str, n_processes: int, show: bool
) -> Iterator[Path | None]:
    """Show how far several processes have gone with what they share.

    Yields a file in which every process counts its items, see `count_item`; None where
    nothing is shown. Processes of other machines do not reach it, and show nothing.
    """
    if not show or n_items == 0:
        yield None
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "counts"
        np.zeros(n_processes, np.int64).tofile(path)
        ended = threading.Event()

        def follow():
            for number in progress_bar(range(n_items), description, show):
                while np.fromfile(path, np.int64).sum() <= number:
                    if ended.wait(LOOK_SECONDS):
                        return

        watcher = threading.Thread(target=follow)
        watcher.start()
        try:
            yield path
        finally:
            ended.set()
            watcher.join()


def count_item(path: Path | None, process: int) -> None:
    """Count one more item of a process of `shared_bar`, where its file is there."""
    if path is None or not path.exists():
        return
    counts = np.memmap(path, np.int64, "r+")
    counts[process] += 1
    counts.flush()


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
