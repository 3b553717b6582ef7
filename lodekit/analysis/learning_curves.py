"""Errors by the number of frames, as a picture."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lodekit.whole_files import written_whole

from .plots import COLORS, PANEL
from .tables import readable


def learning_curve_figure(curve):
    """Return a figure with a panel for every target.

    Parameters
    ----------
    curve : list of dict
        By size: "n" frames and "errors", statistics by target as
        `lodekit.analysis.errors.summarize` returns them.
    """
    targets = list(curve[-1]["errors"])
    figure = Figure(figsize=(PANEL * len(targets), PANEL), layout="constrained")
    panels = figure.subplots(1, len(targets), squeeze=False)[0]
    sizes = [point["n"] for point in curve]
    for axes, target, color in zip(panels, targets, COLORS * 3, strict=False):
        unit, factor = readable(curve[-1]["errors"][target]["unit"])
        errors = [factor * point["errors"][target]["rmse"] for point in curve]
        axes.loglog(sizes, errors, "o-", color=color)
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.minorticks_off()
        axes.set_xlabel("frames fitted")
        axes.set_ylabel(f"RMSE of {target}, {unit}")
        axes.grid(alpha=0.3)
    return figure


def write_learning_curve(path, curve) -> None:
    """Draw a curve into a file whose suffix says the format."""
    figure = learning_curve_figure(curve)
    FigureCanvasAgg(figure)
    path = Path(path)
    with written_whole(path, OSError) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=150)
