"""Settings of ``lodekit fit`` from a TOML file, ``--set`` and the other options.

Later sources win: defaults chosen from the data, the settings file, ``--set``, the
options with names of their own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lodekit.errors import SettingsError, suggest
from lodekit.quantities import family

if TYPE_CHECKING:
    from .names_of_types import Settings

#: Keys of the sections that the command line itself reads; the others belong to the
#: model.
SECTIONS = {
    "structures": (
        *("keys", "units", "where", "validation_where", "weight_key"),
        *("group", "ignore", "partial"),
    ),
    "run": (
        *("model", "output", "validation", "split", "folds", "report", "threads"),
        *("overwrite", "resume", "keep_sums", "structures", "aux_basis"),
    ),
}
#: Sections of parts of a model, which have the sections of one.
PARTS = ("potential", *family("field responses"))
_MODEL_SECTIONS = ("fit", "terms", *PARTS)
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.+/-]*")


def read_settings_file(path: str) -> Settings:
    """Return the settings of a TOML file.

    Raises
    ------
    SettingsError
        If it cannot be read, is no TOML, or has a section that does not exist.
    """
    try:
        settings = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise SettingsError(f"{path}: cannot be read ({problem.strerror})") from None
    except ValueError as problem:  # of the decoder and of the TOML parser
        raise SettingsError(f"{path}: this is not TOML: {problem}") from None
    try:
        settings = read_none(settings)
        check_sections(settings)
    except SettingsError as problem:
        raise SettingsError(f"{path}: {problem}") from None
    return settings


def parse_assignments(assignments: Sequence[str]) -> Settings:
    """Return ``--set section.key=value`` options as nested settings.

    Values are TOML; a plain word is a text.

    >>> parse_assignments(["fit.energy_noise=1e-3", "terms.soap.n_sparse=500"])
    {'fit': {'energy_noise': 0.001}, 'terms': {'soap': {'n_sparse': 500}}}
    """
    settings: dict = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        path = name.strip().split(".")
        if not separator or len(path) < 2 or not all(path):
            raise SettingsError(
                "--set is written section.key=value, such as fit.energy_noise=1e-3, "
                f"got {assignment!r}{_section_hint(path[0])}"
            )
        table = settings
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise SettingsError(f"--set {assignment}: {part!r} is set to a value")
        table[path[-1]] = _parse_value(assignment, text.strip())
    settings = read_none(settings)
    check_sections(settings)
    return settings


def read_none(settings: Any) -> Any:
    """Return settings in which the text "none" is what it says.

    TOML has no word for it. A term that is none is left out, as one that is false.

    >>> read_none({"fit": {"hardness": "none"}, "terms": {"lode": "none"}})
    {'fit': {'hardness': None}, 'terms': {'lode': False}}
    """
    if not isinstance(settings, dict):
        return settings
    read = dict(settings)
    for section, empty in (("fit", None), ("terms", False)):
        if isinstance(read.get(section), dict):
            read[section] = {
                key: empty if value == "none" else value
                for key, value in read[section].items()
            }
    for part in PARTS:
        if part in read:
            read[part] = read_none(read[part])
    return read


def _parse_value(assignment: str, text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if _WORD.fullmatch(text):
            return text
        raise SettingsError(
            f"--set {assignment}: {text!r} is not a value of TOML, such as 1e-3, "
            "'text' or [1, 2]"
        ) from None


def _section_hint(name: str) -> str:
    """Return where a key, or a term, belongs that was written without its section."""
    from lodekit.settings.potential import FIT
    from lodekit.terms.tables import LODE, SOAP, default_term_names

    for section, keys in (("fit", FIT), ("terms.soap", SOAP), ("terms.lode", LODE)):
        if name in keys:
            return f" (did you mean '{section}.{name}'?)"
    return f" (did you mean 'terms.{name}'?)" if name in default_term_names() else ""


def check_sections(settings: Settings) -> None:
    """Check the sections, and the keys of those that the command line reads."""
    known = [*SECTIONS, *_MODEL_SECTIONS]
    for section, table in settings.items():
        if section not in known:
            what = f"section [{section}]{_section_hint(section)}"
            raise SettingsError(unknown(what, section, known))
        if not isinstance(table, dict):
            raise SettingsError(f"{section!r} is a section with keys, not a value")
        for key in table if section in SECTIONS else ():
            if key not in SECTIONS[section]:
                what = f"key {key!r} in [{section}]"
                raise SettingsError(unknown(what, key, SECTIONS[section]))
    check_terms(settings)
    for part in PARTS:
        for section, table in settings.get(part, {}).items():
            if not isinstance(table, dict):
                raise SettingsError(
                    f"{part}.{section} is a section with keys, not a value"
                )
        check_terms(settings.get(part, {}))


def check_terms(settings: Settings) -> None:
    """Check that every term is a section, or left out: false, or the word "none"."""
    terms = settings.get("terms", {})
    for name, term in terms.items():
        if isinstance(term, str) and term.lower() == "none":
            terms[name] = term = False
        if not isinstance(term, dict) and term is not False:
            raise SettingsError(
                f"terms.{name} is a section with keys, or false to leave it out"
            )


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """Return a message about a name that does not exist, with the nearest that does."""
    return f"unknown {what}{suggest(name, known)}; known: {', '.join(known)}"


def merge(base: Settings, changes: Settings) -> Settings:
    """Return ``base`` with ``changes`` in it, section by section.

    >>> merge({"fit": {"a": 1, "b": 2}}, {"fit": {"b": 3}})
    {'fit': {'a': 1, 'b': 3}}
    """
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            value = merge(merged[key], value)
        merged[key] = value
    return merged


def complete(defaults: Settings, from_file: Settings, overrides: Settings) -> Settings:
    """Return the settings of a model: defaults, then the file, then ``--set``.

    Terms that a file names take the place of the default ones; a default term of the
    same name, and of the same type, fills in what the file leaves out. A term that is
    set to false is left out. The sections of `PARTS` are such settings once more.

    Parameters
    ----------
    defaults : dict
        Of the kind of model.
    from_file : dict
        From `read_settings_file`, or empty.
    overrides : dict
        From `parse_assignments`.

    Returns
    -------
    settings : dict
        Sections "fit", "terms" and those of parts, to be checked by the model.
    """
    fit = merge(defaults.get("fit", {}), from_file.get("fit", {}))
    terms = defaults.get("terms", {})
    if from_file.get("terms"):
        terms = {
            name: _fill(terms.get(name, {}), given)
            for name, given in from_file["terms"].items()
        }
    changes = overrides.get("terms", {})
    for name, change in changes.items():
        if name not in terms and "type" not in (change or {}):
            raise SettingsError(unknown(f"term {name!r}", name, list(terms)))
    terms = merge(terms, changes)
    terms = {name: term for name, term in terms.items() if term is not False}
    settings = {"fit": merge(fit, overrides.get("fit", {})), "terms": terms}
    for part in PARTS:
        rest = [given.get(part) for given in (defaults, from_file, overrides)]
        if any(given is not None for given in rest):
            settings[part] = complete(*(given or {} for given in rest))
    return settings


def _fill(default: Any, given: Any) -> Any:
    if given is False or given.get("type", default.get("type")) != default.get("type"):
        return given
    return merge(default, given)
