"""Settings as TOML text; Python reads TOML but does not write it."""

import json
import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: Sections whose dictionaries are sections.
_PARENTS = (
    *((), ("terms",), ("potential",), ("potential", "terms")),
    *(("polarizability",), ("polarizability", "terms")),
)


def format_toml(settings):
    """Return nested dictionaries as TOML.

    TOML has no word for None: it is the text "none", which settings files may say, too.
    Dictionaries become sections on the first level and in ``terms`` and parts of the
    model, and inline tables elsewhere.

    >>> print(format_toml({"fit": {"targets": ["energy"], "energy_noise": 1e-3}}))
    [fit]
    targets = ["energy"]
    energy_noise = 0.001
    """
    return "\n\n".join(_sections(settings, ()))


def _sections(table, path):
    plain = {key: value for key, value in table.items() if not _is_section(value, path)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if path and (lines or not table):
        lines.insert(0, f"[{'.'.join(map(_key, path))}]")
    sections = ["\n".join(lines)] if lines else []
    for key, value in table.items():
        if _is_section(value, path):
            sections += _sections(value, (*path, key))
    return sections


def _is_section(value, path):
    return isinstance(value, dict) and path in _PARENTS


def _key(key):
    key = str(key)
    return key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)


def _value(value):
    if value is None:
        return '"none"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_key(key)} = {_value(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    raise TypeError(f"TOML cannot hold {value!r}")
