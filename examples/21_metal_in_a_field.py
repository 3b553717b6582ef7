"""Sodium clusters in a field: what a metal does is not local, and LODE knows it
=============================================================================

    python examples/21_metal_in_a_field.py

Reads changes of electron densities of sodium clusters in a uniform field, made by
``make_metal_densities.py``, fits `ElectronDensityModel` to clusters of two to six
atoms, and predicts clusters of eight: with SOAP, the density of neighbours within 6 Å,
and with LODE, the potential of all atoms, linear and squared. Prints errors of the
changes and of polarizabilities. Draws the induced density of one cluster along the
field, as it is and as both models have it, to ``examples/output``.
"""

import pathlib

import numpy as np
from matplotlib.figure import Figure

from lodekit.density import DensitySet, ElectronDensity, Grid
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    SphericalExpansion,
)
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance

EXAMPLES = pathlib.Path(__file__).resolve().parent
OUTPUT = EXAMPLES / "output"
LARGEST = 6  # atoms of the clusters that are fitted


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
    return [EquivariantPowerSpectrum(density)], [EquivariantCovariance(zeta=2)]


def lode():
    """The potential of all atoms, in two terms: linear and squared."""
    potential = LodeSphericalExpansion(
        density={"type": "SmearedPowerLaw", "smearing": 1.2, "exponent": 1},
        basis={
            "type": "TensorProduct",
            "max_angular": 3,
            "radial": {"type": "Gto", "max_radial": 2, "radius": 3.0},
        },
    )
    far = EquivariantPowerSpectrum(potential)
    return [far, far], [EquivariantCovariance(zeta) for zeta in (1, 2)]


def main():
    OUTPUT.mkdir(exist_ok=True)
    densities = DensitySet.load(EXAMPLES / "data" / "sodium_responses.npz")
    sizes = np.array([len(atoms) for atoms in densities.frames])
    train = densities.select(np.flatnonzero(sizes <= LARGEST))
    largest = densities.select(np.flatnonzero(sizes == sizes.max()))
    print(f"{len(train)} clusters of up to {LARGEST} atoms, {densities.basis}")
    models = {}
    for name, (terms, covariances) in {"SOAP": soap(), "LODE": lode()}.items():
        models[name] = ElectronDensityModel(
            terms, covariances, 40, target="response", n_channels=80
        ).fit(train)
        for size in np.unique(sizes):
            own = densities.select(np.flatnonzero(sizes == size))
            errors = judge_densities(models[name], own)
            alpha = np.mean([mean_polarizability(atoms) for atoms in own.frames])
            off = 100.0 * errors["polarizability"]["rmse"] / alpha
            kind = "fitted" if size <= LARGEST else "not seen"
            print(
                f"{name} Na{size:<2d} {kind:8s} response "
                f"{errors['response']['rmse']:7.2f} %, polarizability {off:6.2f} %"
            )
    draw(largest, models)


def mean_polarizability(atoms):
    """Return a third of the trace of the polarizability of a calculation."""
    return np.trace(np.reshape(atoms.info["polarizability"], (3, 3))) / 3.0


def draw(densities, models):
    """Draw the density that a field along x induces, summed over planes."""
    atoms, basis = densities.frames[0], densities.basis
    grid = Grid.of(atoms, 0.3)
    curves = {"calculated": densities.responses[0]}
    curves |= {name: model.predict(atoms)[0] for name, model in models.items()}
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, changes in curves.items():
        nothing = np.zeros(len(atoms))
        density = ElectronDensity(atoms, basis, changes[:, 0], nothing)
        values = density.on_grid(grid)
        spacing = np.linalg.norm(grid.steps, axis=1)
        x = grid.origin[0] + spacing[0] * np.arange(values.shape[0])
        profile = values.sum(axis=(1, 2)) * spacing[1] * spacing[2]
        style = {"color": "black"} if name == "calculated" else {"linestyle": "--"}
        axes.plot(x, profile, label=name, **style)
    axes.plot(atoms.positions[:, 0], np.zeros(len(atoms)), "o", label="atoms")
    limit = 2.0 * abs(axes.lines[0].get_ydata()).max()
    axes.set(
        xlabel="x, Å", ylabel="electrons per Å and V/Å along x", ylim=(-limit, limit)
    )
    axes.legend()
    figure.savefig(OUTPUT / "21_metal_in_a_field.png", dpi=120)
    print(f"wrote {OUTPUT / '21_metal_in_a_field.png'}")


if __name__ == "__main__":
    main()
