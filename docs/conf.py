"""Sphinx configuration."""

from lodekit import __version__

project = "lodekit"
author = "the lodekit developers"
copyright = "2026, the lodekit developers"  # noqa: A001
release = __version__
extensions = ["myst_parser"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_theme = "furo"
html_title = f"lodekit {release}"
exclude_patterns = ["_build"]
