"""Figures of examples, which they write to ``examples/output``, for their pages."""

import shutil
import time
from pathlib import Path

from sphinx_gallery.scrapers import figure_rst

OUTPUT = Path(__file__).parents[2] / "examples" / "output"


class FigureScraper:
    """Takes the pictures that are newer than the last ones taken."""

    def __init__(self):
        self.last = time.time()

    def __repr__(self):
        """Return the same text in every build, so that pages are not made again."""
        return "FigureScraper"

    def __call__(self, block, block_vars, gallery_conf):
        """Return reStructuredText that shows the pictures of one block of code."""
        new = [
            path
            for path in sorted(OUTPUT.glob("*.png"))
            if path.stat().st_mtime > self.last
        ]
        names = []
        for path, name in zip(new, block_vars["image_path_iterator"], strict=False):
            shutil.copyfile(path, name)
            names.append(str(name))
        if new:
            self.last = max(path.stat().st_mtime for path in new)
        return figure_rst(names, gallery_conf["src_dir"])


def _get_sg_image_scraper():
    """Return the scraper; sphinx-gallery calls this."""
    return FigureScraper()
