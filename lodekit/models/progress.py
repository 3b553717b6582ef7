"""Progress of long work: a bar on a terminal, a plain line elsewhere."""

from __future__ import annotations

import sys


def progress_bar(items, description: str, show: bool):
    """Iterate over ``items`` (a sequence); show how far it went on standard error."""
    if not show or len(items) == 0:
        yield from items
        return
    if sys.stderr.isatty():
        from tqdm import tqdm

        yield from tqdm(items, desc=description, leave=False)
        return
    for count, item in enumerate(items):
        if count * 10 // len(items) != (count - 1) * 10 // len(items):
            print(f"{description}: {count}/{len(items)}", file=sys.stderr)  # noqa: T201
        yield item
