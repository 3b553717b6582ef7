"""Names of the types of what commands hand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

#: Values of the options of a command by name, as click has parsed them.
Options: TypeAlias = Mapping[str, Any]
#: Sections of settings: tables of keys and values as TOML has them, which are nested.
Settings: TypeAlias = dict[str, Any]
#: Errors of every fold of a cross-validation, by target.
Folds: TypeAlias = list[dict[str, dict[str, Any]]]
