"""Figures of examples, which they write to ``examples/output``, for their pages."""

import builtins
import shutil
import time
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

#: Pictures of earlier runs are older.
STARTED = time.time()
OUTPUT = Path(__file__).parents[2] / "examples" / "output"


def tell_file(gallery_conf, name):
    """Give the next script a ``__file__``, which sphinx-gallery does not."""
    builtins.__file__ = str(OUTPUT.parent / Path(name).name)


class FigureScraper:
    """Takes the pictures whose names begin with the number of an example."""

    def __init__(self):
        self.taken = {}

    def __repr__(self):
        """Return the same text in every build, so that pages are not made again."""
        return "FigureScraper"

    def __call__(self, block, block_vars, gallery_conf):
        """Return reStructuredText that shows the new pictures of one block of code."""
        number = Path(block_vars["src_file"]).name[:2]
        names = []
        for path in sorted(OUTPUT.glob(f"{number}_*.png")):
            changed = path.stat().st_mtime
            if changed < STARTED or self.taken.get(path) == changed:
                continue
            self.taken[path] = changed
            name = next(block_vars["image_path_iterator"])
            shutil.copyfile(path, name)
            names.append(str(name))
        return figure_rst(names, gallery_conf["src_dir"])


def _get_sg_image_scraper():
    """Return the scraper; sphinx-gallery calls this."""
    return FigureScraper()
