"""Terms and pictures that the examples of metals in a field share."""

import numpy as np
from matplotlib.figure import Figure

from lodekit.density import ElectronDensity, Grid
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    SphericalExpansion,
)


def soap():
    """The density of neighbours within 6 Å."""
    density = SphericalExpansion(
        cutoff={"radius": 6.0, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
        density={"type": "Gaussian", "width": 0.7},
        basis={
            "type": "TensorProduct",
            "max_angular": 3,
            "radial": {"type": "Gto", "max_radial": 4},
        },
    )
    return EquivariantPowerSpectrum(density)


def lode():
    """The potential of all atoms."""
    potential = LodeSphericalExpansion(
        density={"type": "SmearedPowerLaw", "smearing": 1.2, "exponent": 1},
        basis={
            "type": "TensorProduct",
            "max_angular": 3,
            "radial": {"type": "Gto", "max_radial": 2, "radius": 3.0},
        },
    )
    return EquivariantPowerSpectrum(potential)


def draw_profiles(path, densities, models, axis, spacing, *, per_area):
    """Draw what a field along an axis induces in the first structure, along this axis.

    Calculated and predicted; summed over the planes at right angles, or averaged over
    the cell of a slab.
    """
    atoms, basis = densities.frames[0], densities.basis
    grid = Grid.of(atoms, spacing)
    curves = {"calculated": densities.responses[0]}
    curves |= {name: model.predict(atoms)[0] for name, model in models.items()}
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = np.linalg.norm(grid.steps, axis=1)
    places = grid.origin[axis] + steps[axis] * np.arange(grid.shape[axis])
    others = tuple(other for other in range(3) if other != axis)
    for name, changes in curves.items():
        change = ElectronDensity(atoms, basis, changes[:, axis], np.zeros(len(atoms)))
        profile = change.on_grid(grid).mean(axis=others)
        if not per_area:
            profile *= np.prod([grid.shape[k] * steps[k] for k in others])
        style = {"color": "black"} if name == "calculated" else {"linestyle": "--"}
        axes.plot(places, profile, label=name, **style)
    axes.plot(atoms.positions[:, axis], np.zeros(len(atoms)), "o", label="atoms")
    limit = 2.0 * abs(axes.lines[0].get_ydata()).max()
    unit = "electrons per Å³ and V/Å" if per_area else "electrons per Å and V/Å"
    axes.set(xlabel=f"{'xyz'[axis]}, Å", ylabel=unit, ylim=(-limit, limit))
    axes.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path}")
