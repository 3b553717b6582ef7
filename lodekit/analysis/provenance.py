"""The provenance of a report: date, command, versions, and hashes of files."""

import hashlib
import platform
import shlex
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lodekit._version import __version__

#: Packages whose versions results may depend on.
PACKAGES = ("numpy", "scipy", "numba", "ase")


def describe_run(files) -> dict[str, str]:
    """Return facts about this run by name.

    Parameters
    ----------
    files : iterable of str or Path
        What was read or written; those that are there are named with their hashes.
    """
    versions = [f"lodekit {__version__}", f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
    facts = {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "command": command,
        "versions": ", ".join(versions),
    }
    for path in dict.fromkeys(map(str, files)):
        if Path(path).is_file():
            facts[Path(path).name] = f"SHA-256 {hash_of(path)}"
    return facts


def hash_of(path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
