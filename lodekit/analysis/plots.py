"""Figures of errors: parity, histograms, errors against size, calibration.

Functions named ``draw_`` draw on axes that are given; functions that end in ``_figure``
return a new figure. matplotlib is used without a display, and imported for
reports only.
"""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import (
    AutoLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

from lodekit.quantities import quantity

from .errors import Comparison, coverage, error_statistics, subtract_composition
from .tables import readable

#: Points of one set that are drawn at most; more are thinned out evenly.
MOST_POINTS = 30_000
#: Points of one set of which a density is drawn.
DENSE = 3000
COLORS = ("#2563eb", "#ea580c", "#16a34a", "#9333ea", "#0891b2")
_BACKGROUND = "#9ca3af"
PANEL = 3.9  # inches
#: Ratio of the ends of a logarithmic axis below which 2 and 5 are written as well.
FEW_DECADES = 50.0


def name_of(target):
    """Return how figures call a number of a target."""
    return quantity(target).label or f"{target} component"


def target_figure(target, comparisons, frames):
    """Return a figure of panels: parity, histogram, errors against size.

    Of several sets, a fourth one has the parity of the last set on its own range.

    Parameters
    ----------
    target : str
        A target that can be compared, such as "energy".
    comparisons : dict of Comparison
        Of this target by name of the set, such as "training" and "validation"; the
        first of several is drawn in grey behind the others.
    frames : dict of list of ase.Atoms
        The structures of each set.

    Returns
    -------
    figure : matplotlib.figure.Figure
        The figure.
    """
    if target == "energy":
        comparisons = _relative_energies(comparisons, frames)
    n_rows, n_columns = (2, 2) if len(comparisons) > 1 else (1, 3)
    shape = n_columns * PANEL, n_rows * PANEL
    figure = Figure(figsize=shape, layout="constrained")
    parity, histogram, size, *rest = figure.subplots(n_rows, n_columns).ravel()
    colors = set_colors(comparisons)
    draw_parity(parity, target, comparisons, colors)
    draw_error_histogram(histogram, comparisons, colors)
    draw_error_against_size(size, target, comparisons, colors)
    if rest:
        histogram.legend(frameon=False, fontsize=8)
        last = list(comparisons)[-1]
        draw_parity(rest[0], target, {last: comparisons[last]}, colors)
    return figure


def set_colors(names):
    """Return a colour for every set, grey for the first of several."""
    names = list(names)
    if len(names) == 1:
        return {names[0]: COLORS[0]}
    rest = {name: COLORS[place % len(COLORS)] for place, name in enumerate(names[1:])}
    return {names[0]: _BACKGROUND, **rest}


def draw_parity(axes, target, comparisons, colors):
    """Draw predicted against reference values, and the line of no error."""
    unit, factor = readable(next(iter(comparisons.values())).unit)
    low, high = (factor * limit for limit in _limits(comparisons))
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, zorder=3)
    for name, comparison in comparisons.items():
        if comparison.reference.size > DENSE:
            axes.hexbin(
                factor * comparison.reference,
                factor * comparison.predicted,
                gridsize=70,
                extent=(low, high, low, high),
                bins="log",
                mincnt=1,  # a single point is seen however many others there are
                linewidths=0,
                cmap=LinearSegmentedColormap.from_list(
                    name, [_lighter(colors[name]), _darker(colors[name])]
                ),
            )
            continue
        axes.scatter(
            factor * comparison.reference,
            factor * comparison.predicted,
            color=colors[name],
            **_point_style(comparison.reference.size) | {"alpha": 0.6},
        )
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set_xlabel(f"reference {name_of(target)} ({unit})", fontsize=8)
    axes.set_ylabel(f"predicted ({unit})", fontsize=8)
    _write_statistics(axes, comparisons)
    tidy(axes)


def draw_error_histogram(axes, comparisons, colors):
    """Draw the distribution of errors of every set as a density."""
    unit, factor = readable(next(iter(comparisons.values())).unit)
    sizes = np.concatenate([np.abs(c.errors) for c in comparisons.values()])
    edge = factor * max(np.quantile(sizes, 0.995), 1e-12)
    n_smallest = min(c.errors.size for c in comparisons.values())
    # An odd number of bins, so that one of them is centred at zero.
    bins = np.linspace(-edge, edge, (int(np.clip(n_smallest**0.5, 10, 80)) | 1) + 1)
    for name, comparison in comparisons.items():
        errors = np.clip(factor * comparison.errors, -edge, edge)
        style = {"bins": bins, "density": True, "color": colors[name]}
        axes.hist(errors, histtype="stepfilled", alpha=0.35, **style)
        axes.hist(errors, histtype="step", linewidth=1.2, label=name, **style)
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_xlim(-edge, edge)
    axes.set_yticks([])
    axes.set_xlabel(f"error ({unit})", fontsize=8)
    axes.set_ylabel("density", fontsize=8)
    tidy(axes)


def draw_error_against_size(axes, target, comparisons, colors):
    """Draw absolute errors against the size of the reference, with a running RMSE."""
    unit, factor = readable(next(iter(comparisons.values())).unit)
    floors = []
    for name, comparison in comparisons.items():
        size, error = _sizes_and_errors(target, comparison)
        error = factor * np.maximum(error, 1e-9)
        chosen = _thinned(size.size)
        scale = 1.0 if target == "forces" else factor
        axes.scatter(
            scale * size[chosen],
            error[chosen],
            color=colors[name],
            **_point_style(chosen.size),
        )
        centres, rmse = running_rmse(size, error)
        line = {"color": _darker(colors[name]), "markersize": 4}
        axes.plot(scale * centres, rmse, "o-", **line)
        floors.append(np.quantile(error, 0.003))
    axes.set_yscale("log")
    axes.set_ylim(bottom=min(floors))
    if target == "forces":
        axes.set_xscale("log")
    per_atom = "|F|" if target == "forces" else name_of(target)
    reference_unit = "eV/Å" if target == "forces" else unit
    axes.set_xlabel(f"reference {per_atom} ({reference_unit})", fontsize=8)
    axes.set_ylabel(f"absolute error ({unit}), line: RMSE", fontsize=8)
    tidy(axes)


def calibration_figure(comparisons):
    """Return a figure of errors against predicted standard deviations.

    Parameters
    ----------
    comparisons : dict of Comparison
        By target; those without standard deviations are left out.

    Returns
    -------
    figure : Figure or None
        One panel for each target; None when there is nothing to draw.
    """
    known = {name: c for name, c in comparisons.items() if c.std is not None}
    if not known:
        return None
    figure = Figure(figsize=(len(known) * PANEL, PANEL), layout="constrained")
    panels = figure.subplots(1, len(known), squeeze=False)[0]
    for axes, (target, comparison) in zip(panels, known.items(), strict=True):
        draw_calibration(axes, target, comparison)
    return figure


def draw_calibration(axes, target, comparison):
    """Draw absolute errors and binned RMSE against predicted standard deviations."""
    unit, factor = readable(comparison.unit)
    std = factor * np.maximum(comparison.std, 1e-12)
    error = factor * np.maximum(np.abs(comparison.errors), 1e-9)
    chosen = _thinned(std.size)
    axes.scatter(
        std[chosen],
        error[chosen],
        color=COLORS[0],
        **_point_style(chosen.size),
    )
    centres, rmse = running_rmse(std, error)
    axes.plot(centres, rmse, "o-", color=COLORS[1], markersize=4, label="binned RMSE")
    line = np.array([std.min(), std.max()])
    axes.plot(line, line, color="black", linewidth=0.8, label="RMSE = deviation")
    axes.set(xscale="log", yscale="log")
    axes.set_ylim(bottom=max(error.min(), 1e-3 * rmse.max()))
    axes.set_xlabel(f"predicted standard deviation of {target} ({unit})", fontsize=8)
    axes.set_ylabel(f"absolute error ({unit})", fontsize=8)
    within = coverage(comparison)
    text = "\n".join(f"{100 * f:.0f} % within {k:.0f} std" for k, f in within.items())
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=8)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    tidy(axes)


def running_rmse(size, error, n_bins=12):
    """Return mean size and root mean square error in bins of equal counts."""
    order = np.argsort(size, kind="stable")
    n_bins = int(np.clip(size.size // 20, 1, n_bins))
    bins = np.array_split(order, n_bins)
    centres = np.array([size[members].mean() for members in bins])
    return centres, np.array(
        [np.sqrt(np.mean(error[members] ** 2)) for members in bins]
    )


def png_bytes(figure, dpi=150):
    """Return a figure as the bytes of a PNG image."""
    buffer = io.BytesIO()
    figure.set_dpi(dpi)
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _relative_energies(comparisons, frames):
    """Take one composition fit, that of all sets together, away from every set."""
    parts = list(comparisons.values())
    structures = [
        frames[name][index]
        for name, comparison in comparisons.items()
        for index in comparison.frame
    ]
    joined = Comparison(
        "energy",
        np.concatenate([part.reference for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        np.arange(len(structures)),
    )
    relative = subtract_composition(structures, joined)
    ends = np.cumsum([part.reference.size for part in parts])
    return {
        name: relative.subset(slice(end - part.reference.size, end))
        for (name, part), end in zip(comparisons.items(), ends, strict=True)
    }


def _sizes_and_errors(target, comparison):
    """Return sizes and absolute errors; those of forces are lengths of vectors."""
    if target == "forces":
        return (
            np.maximum(
                np.linalg.norm(comparison.reference.reshape(-1, 3), axis=1), 1e-3
            ),
            np.linalg.norm(comparison.errors.reshape(-1, 3), axis=1),
        )
    return comparison.reference, np.abs(comparison.errors)


def _limits(comparisons):
    values = np.concatenate(
        [np.concatenate([c.reference, c.predicted]) for c in comparisons.values()]
    )
    low, high = values.min(), values.max()
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _thinned(size):
    """Return evenly spread indices of the points to draw."""
    return np.arange(0, size, max(1, -(-size // MOST_POINTS)))


def _point_style(n_points):
    """Return smaller and fainter points for more of them."""
    return {
        "s": float(np.clip(300 / max(n_points, 1) ** 0.5, 3, 16)),
        "alpha": float(np.clip(15 / max(n_points, 1) ** 0.5, 0.08, 0.8)),
        "linewidths": 0,
        "rasterized": True,
    }


def _write_statistics(axes, comparisons):
    lines = []
    for name, comparison in comparisons.items():
        numbers = error_statistics(comparison)
        unit, factor = readable(numbers["unit"])
        lines.append(f"{name}: RMSE {factor * numbers['rmse']:.3g} {unit}")
    text = "\n".join(lines)
    axes.text(0.03, 0.97, text, transform=axes.transAxes, va="top", fontsize=8)


def _lighter(color):
    """Return a colour that is nearly white."""
    return tuple(0.2 * part + 0.8 for part in to_rgb(color))


def _darker(color):
    """Return a colour with half the light, for lines over points of that colour."""
    return tuple(0.5 * part for part in to_rgb(color))


def tidy(axes):
    """Make ticks small and few, and leave out the frame above and to the right."""
    for axis in (axes.xaxis, axes.yaxis):
        if isinstance(axis.get_major_locator(), AutoLocator):
            axis.set_major_locator(MaxNLocator(5))
        elif axis.get_scale() == "log":
            low, high = axis.get_view_interval()
            few = high < FEW_DECADES * low
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def loop_figure(loop):
    """Return a figure of polarization against field.

    Parameters
    ----------
    loop : PolarizationLoop
    """
    figure = Figure(figsize=(PANEL, PANEL), layout="constrained")
    axes = figure.subplots()
    fields = np.append(loop.fields, loop.fields[0])
    values = np.append(loop.polarizations, loop.polarizations[0])
    axes.plot(fields, values, color=COLORS[0])
    axes.set(xlabel="field (V/Å)", ylabel="polarization (e/Å²)")
    tidy(axes)
    return figure
