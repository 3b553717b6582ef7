"""Settings as TOML text, written by tomlkit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomlkit

from .settings import PARTS

if TYPE_CHECKING:
    from .names_of_types import Settings

#: Sections whose dictionaries are sections.
_PARENTS = (
    *((), ("terms",)),
    *((part, *rest) for part in PARTS for rest in ((), ("terms",))),
)


def format_toml(settings: Settings) -> str:
    """Return nested dictionaries as TOML.

    TOML has no word for None: it is the text "none", which settings files may say, too.
    Dictionaries become sections on the first level and in ``terms`` and parts of the
    model, and inline tables elsewhere.

    >>> print(format_toml({"fit": {"targets": ["energy"], "energy_noise": 1e-3}}))
    [fit]
    targets = ["energy"]
    energy_noise = 0.001
    """
    document = tomlkit.document()
    _fill(document, settings, ())
    return tomlkit.dumps(document).strip()


def _fill(table: Any, settings: Settings, path: tuple[str, ...]) -> None:
    """Put settings into a table of tomlkit: values first, then sections."""
    sections = {}
    for key, value in settings.items():
        if isinstance(value, dict) and path in _PARENTS:
            sections[str(key)] = value
        else:
            table.add(str(key), _plain(value))
    for key, values in sections.items():
        has_values = not values or not all(isinstance(v, dict) for v in values.values())
        section = tomlkit.table(not (has_values or (*path, key) not in _PARENTS))
        _fill(section, values, (*path, key))
        table.add(key, section)


def _plain(value: Any) -> Any:
    """Return a value that TOML can hold."""
    if value is None:
        return "none"
    if isinstance(value, dict):
        inline = tomlkit.inline_table()
        inline.update({str(key): _plain(item) for key, item in value.items()})
        return inline
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (bool, str, int, float)):
        return value
    raise TypeError(f"TOML cannot hold {value!r}")
