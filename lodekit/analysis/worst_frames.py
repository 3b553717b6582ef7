"""The frames with the largest errors: a table, and pictures of them."""

import warnings

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.visualize.plot import plot_atoms
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from .page import link
from .tables import readable

#: How many frames are shown, and how many of them stand in one row.
N_WORST, N_COLUMNS = 10, 5
#: Largest structure of which a picture is drawn.
MOST_ATOMS = 2000


def find_worst(comparisons, target):
    """Return the frames with the largest errors of a target, the worst first.

    Parameters
    ----------
    comparisons : dict of dict of Comparison
        By set and target.
    target : str

    Returns
    -------
    worst : list of (str, int, float)
        Set, index of the frame and its root mean square error, in the unit of the
        target.
    """
    worst = []
    for name, by_target in comparisons.items():
        if target not in by_target:
            continue
        comparison = by_target[target]
        squares = np.bincount(comparison.frame, comparison.errors**2)
        counts = np.bincount(comparison.frame)
        there = np.flatnonzero(counts)
        errors = np.sqrt(squares[there] / counts[there])
        worst += [
            (name, int(frame), float(error))
            for frame, error in zip(there, errors, strict=True)
        ]
    return sorted(worst, key=lambda one: -one[2])[:N_WORST]


def worst_rows(frames, comparisons, target):
    """Return headings and cells of a table of the worst frames.

    Other targets of the same frames stand beside; frames count from 1, and are links to
    their picture that turns.
    """
    others = dict.fromkeys(
        name for by_target in comparisons.values() for name in by_target
    )
    others = [name for name in others if name != target]
    headings = ["set", "frame", "atoms", "formula"]
    headings += [_heading(comparisons, name) for name in (target, *others)]
    rows = []
    for name, index, error in find_worst(comparisons, target):
        atoms = frames[name][index]
        number = str(index + 1)
        if len(atoms) <= MOST_ATOMS:
            number = link(number, anchor_of(name, index))
        cells = [name, number, str(len(atoms)), atoms.get_chemical_formula()]
        cells.append(_number(comparisons[name][target].unit, error))
        for other in others:
            comparison = comparisons[name].get(other)
            in_frame = None if comparison is None else comparison.frame == index
            is_there = in_frame is not None and in_frame.any()
            errors = comparison.errors[in_frame] if is_there else None
            size = np.sqrt(np.mean(errors**2)) if is_there else None
            cells.append("" if size is None else _number(comparison.unit, size))
        rows.append(cells)
    return headings, rows


def worst_figure(frames, comparisons, target):
    """Return a figure of the worst frames, None where they are too large."""
    worst = find_worst(comparisons, target)
    worst = [one for one in worst if len(frames[one[0]][one[1]]) <= MOST_ATOMS]
    if not worst:
        return None
    n_rows = -(-len(worst) // N_COLUMNS)
    figure = Figure(figsize=(11.7, 2.4 * n_rows), layout="constrained")
    panels = figure.subplots(n_rows, N_COLUMNS, squeeze=False).ravel()
    for axes, (name, index, _) in zip(panels, worst, strict=False):
        atoms = frames[name][index].copy()
        atoms.calc = None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of constraints that cannot be drawn
            plot_atoms(atoms, axes, rotation="10x,-10y")
        axes.set_title(f"{name} {index + 1}", fontsize=8)
    for axes in panels:
        axes.set_axis_off()
    return figure


def worst_structures(frames, comparisons, target):
    """Return the worst frames for `lodekit.analysis.page.viewer`."""
    structures = []
    for name, index, error in find_worst(comparisons, target):
        atoms = frames[name][index]
        if len(atoms) > MOST_ATOMS:
            continue
        unit = readable(comparisons[name][target].unit)[0]
        value = _number(comparisons[name][target].unit, error)
        corners = (
            unit_cube() @ atoms.cell.array if atoms.pbc.any() else np.zeros((0, 3))
        )
        middle = atoms.positions.mean(axis=0)
        reach = np.concatenate([atoms.positions, corners]) - middle
        structures.append(
            {
                "title": f"{name}, frame {index + 1}: {target} {value} {unit}",
                "anchor": anchor_of(name, index),
                "size": round(float(np.linalg.norm(reach, axis=1).max()) + 1.0, 3),
                "atoms": [
                    [
                        np.round(place - middle, 3).tolist(),
                        to_hex(jmol_colors[z]),
                        radius,
                    ]
                    for place, z, radius in zip(
                        atoms.positions,
                        atoms.numbers,
                        np.round(0.6 * covalent_radii[atoms.numbers], 2).tolist(),
                        strict=True,
                    )
                ],
                "edges": cell_edges(corners - middle) if len(corners) else [],
            }
        )
    return structures


def anchor_of(name, index):
    """Return the name of the place on the page where a frame of a set is shown."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in name)
    return f"frame-{plain}-{index + 1}"


def unit_cube():
    """Return the corners of the unit cube, (8, 3)."""
    return np.array(list(np.ndindex(2, 2, 2)), float)


def cell_edges(corners):
    """Return the ends of the twelve edges of a cell with these corners (8, 3)."""
    cube = unit_cube()
    return [
        [np.round(corners[a], 3).tolist(), np.round(corners[b], 3).tolist()]
        for a in range(8)
        for b in range(a + 1, 8)
        if np.abs(cube[a] - cube[b]).sum() == 1.0
    ]


def _heading(comparisons, target):
    unit = next(
        by_target[target].unit
        for by_target in comparisons.values()
        if target in by_target
    )
    return f"{target}, {readable(unit)[0]}"


def _number(unit, value):
    return f"{readable(unit)[1] * value:.4g}"
