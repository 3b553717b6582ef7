"""Figures of an audit: measured values over their tolerances, and curves."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lodekit.analysis.plots import COLORS, PANEL, tidy

from .results import FAILED, NOT_APPLICABLE, PASSED, CheckResult

#: Ratios beyond these are drawn there.
LIMITS = (1e-8, 1e8)
VERDICTS = {PASSED: "#16a34a", FAILED: "#dc2626"}
#: Sizes below this part of the largest are drawn there: a logarithm has no zero.
FLOOR = 1e-16
#: Structures that are told apart by colours.
MOST_NAMED = len(COLORS)


def overview_figure(results: list[CheckResult]) -> Figure | None:
    """Return a figure of measured values over tolerances; None for nothing."""
    judged = [result for result in results if result.status != NOT_APPLICABLE]
    if not judged:
        return None
    figure = Figure(figsize=(2 * PANEL, 0.8 + 0.25 * len(judged)), layout="constrained")
    axes = figure.subplots()
    for row, result in enumerate(judged):
        ratio = result.measured / result.tolerance
        # values that are no numbers are the worst
        place = np.clip(np.nan_to_num(ratio, nan=np.inf), *LIMITS)
        color = VERDICTS[result.status]
        axes.plot([LIMITS[0], place], [row, row], color=color, linewidth=1.2)
        axes.plot(place, row, "o", color=color)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(judged)), [result.name for result in judged])
    axes.set_ylim(len(judged) - 0.5, -0.5)
    axes.set_xlabel("measured over the most that passes", fontsize=8)
    tidy(axes)
    return figure


def curve_figure(result: CheckResult, numbers: list[int]) -> Figure:
    """Return a figure of the curves of a check, one for every structure.

    Parameters
    ----------
    result : CheckResult
        With curves.
    numbers : list of int
        What the structures are called.
    """
    figure = Figure(figsize=(1.5 * PANEL, PANEL), layout="constrained")
    axes = figure.subplots()
    top = max(max(curve.y) for curve in result.curves.values()) or 1.0
    for place, (index, curve) in enumerate(result.curves.items()):
        axes.plot(
            curve.x,
            np.maximum(curve.y, FLOOR * top),
            "o-" if curve.is_line else "o",
            markersize=3,
            linewidth=0.6,
            color=COLORS[place % MOST_NAMED],
            label=f"frame {numbers[index]}",
        )
    axes.set(xscale="log", yscale="log")
    axes.set_xlabel(curve.x_label, fontsize=8)
    axes.set_ylabel(curve.y_label, fontsize=8)
    if len(result.curves) <= MOST_NAMED:
        axes.legend(frameon=False, fontsize=8)
    tidy(axes)
    return figure
