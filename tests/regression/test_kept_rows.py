"""Rows that do not change between steps, and the memory for them."""

import numpy as np

from lodekit.observables.rows import Rows
from lodekit.regression import kept_rows
from lodekit.regression.kept_rows import KeptRows


def test_rows_are_made_once_as_far_as_memory_allows(monkeypatch):
    monkeypatch.setattr(kept_rows, "KEPT_BYTES", 100 * 8)
    kept, made = KeptRows(), []

    def make(size):
        made.append(size)
        return np.zeros(size)

    keep, other = kept.of((0, 1)), kept.of((2,))
    assert keep("a", lambda: make(60)) is keep("a", lambda: make(60))
    # 40 numbers are left: neither array fits any more after the first of 30
    rows = {"energy": Rows(np.zeros((5, 6)), np.zeros(5), np.zeros(5))}
    assert other("a", lambda: rows) is other("a", lambda: {})
    keep("b", lambda: make(20))
    keep("b", lambda: make(20))
    assert made == [60, 20, 20]
    kept.clear()
    keep("b", lambda: make(20))
    keep("b", lambda: make(20))
    assert made == [60, 20, 20, 20]


def test_a_list_takes_the_memory_of_its_members(monkeypatch):
    monkeypatch.setattr(kept_rows, "KEPT_BYTES", 100 * 8)
    keep = KeptRows().of((0,))

    def make():
        return [np.zeros(30), np.zeros(30)]

    assert keep("a", make) is keep("a", make)
    assert keep("b", make) is not keep("b", make)
