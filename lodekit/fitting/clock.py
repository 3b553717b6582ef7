"""Seconds spent in the steps of a fit."""

from __future__ import annotations

import time

from lodekit.logs import LOG


class Clock:
    """Seconds spent in each step."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        """Add the time since the last lap to the step ``name``."""
        now = time.perf_counter()
        LOG.info("%s: %.2f s", name, now - self.last)
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self.last, 3)
        self.last = now
