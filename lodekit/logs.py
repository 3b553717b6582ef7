"""How much is told of long work: the logger ``lodekit``, and whether bars are shown.

Steps of a fit are messages of the level INFO. In Python, ``logging.basicConfig(
level="INFO", format="%(asctime)s %(message)s")`` shows them.
"""

import logging
import sys
from contextlib import contextmanager

LOG = logging.getLogger("lodekit")
_bars = True


def shows_bars() -> bool:
    """Return whether progress is shown."""
    return _bars


def be_quiet() -> None:
    """Show no progress from now on."""
    global _bars
    _bars = False


def be_verbose() -> None:
    """Write messages with the time of day to standard error from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)


@contextmanager
def as_before():
    """Leave after the block everything as it was before."""
    global _bars
    bars, level, handlers = _bars, LOG.level, list(LOG.handlers)
    try:
        yield
    finally:
        _bars = bars
        LOG.setLevel(level)
        LOG.handlers[:] = handlers
