"""Rows that are the same at every step of a fit, kept as far as memory allows."""

from __future__ import annotations

from functools import partial

#: Memory for rows that are kept.
KEPT_BYTES = 2e9


class KeptRows:
    """Arrays that are made once for a batch of structures."""

    def __init__(self):
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.kept: dict = {}
        self.left = KEPT_BYTES

    def of(self, batch: tuple):
        """Return ``keep(name, make)`` for one batch."""
        return partial(self.get, batch)

    def get(self, batch: tuple, name: str, make):
        """Return the result of ``make()``, or its earlier result.

        What has ``nbytes`` such as an array, a list of these, or `Rows` by target.
        """
        key = (batch, name)
        if key in self.kept:
            return self.kept[key]
        made = make()
        parts = made if isinstance(made, list) else [made]
        if isinstance(made, dict):
            parts = [rows.matrix for rows in made.values()]
        n_bytes = sum(part.nbytes for part in parts if part is not None)
        if n_bytes <= self.left:
            self.left -= n_bytes
            self.kept[key] = made
        return made


def make_anew(name: str, make):
    """Return the result of ``make()``: nothing is kept."""
    return make()
