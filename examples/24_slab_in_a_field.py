"""Slabs of aluminium in a field: thin ones are fitted, thick ones predicted
=========================================================================

    python examples/24_slab_in_a_field.py

Reads changes of electron densities of aluminium slabs in a field along their normal,
made by ``make_slab_densities.py`` with Quantum ESPRESSO, fits `ElectronDensityModel` to
slabs of two to five layers, and predicts thicker ones: with SOAP, the density of
neighbours within 6 Å, and with LODE, the potential of all atoms. The strength of the
prior is the one that is best for five layers when two to four are fitted. Prints errors
of the changes, and of the polarizability along the normal. Draws the density that is
induced in the thickest slab, averaged over planes, to ``examples/output``.
"""

import pathlib

import numpy as np
from matplotlib.figure import Figure

from lodekit.density import DensitySet, ElectronDensity, Grid
from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.descriptors import (
    EquivariantPowerSpectrum,
    LodeSphericalExpansion,
    SphericalExpansion,
)
from lodekit.models import ElectronDensityModel
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.units import COULOMB_CONSTANT

EXAMPLES = pathlib.Path(__file__).resolve().parent
OUTPUT = EXAMPLES / "output"
MOST_LAYERS = 5  # of the slabs that are fitted
STRENGTHS = (1e-2, 1e2)


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
    return EquivariantPowerSpectrum(density), EquivariantCovariance(zeta=2)


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
    return EquivariantPowerSpectrum(potential), EquivariantCovariance(zeta=1)


def fit(term, densities, strength):
    """Fit a model of responses with one term."""
    model = ElectronDensityModel(
        *term,
        20,
        target="response",
        n_channels=40,
        strength=strength,
        validation_fraction=0.0,
    )
    return model.fit(densities)


def polarizabilities(densities, responses):
    """Return polarizabilities along the normal, in Å³ for a cell of the surface."""
    values = []
    for atoms, response in zip(densities.frames, responses, strict=True):
        heights = dipoles_of(Sites.of_atoms(atoms, densities.basis))[:, 2]
        values.append(-COULOMB_CONSTANT * heights @ response[:, 2])
    return np.array(values)


def main():
    OUTPUT.mkdir(exist_ok=True)
    densities = DensitySet.load(EXAMPLES / "data" / "slab_responses.npz")
    layers = np.array([len(atoms) for atoms in densities.frames])

    def slabs(is_chosen):
        return densities.select(np.flatnonzero(is_chosen))

    train = slabs(layers <= MOST_LAYERS)
    print(f"{len(train)} slabs of up to {MOST_LAYERS} layers, {densities.basis}")
    models = {}
    for name, term in {"SOAP": soap(), "LODE": lode()}.items():
        errors = [
            fit(term, slabs(layers < MOST_LAYERS), strength).density_error(
                slabs(layers == MOST_LAYERS)
            )
            for strength in STRENGTHS
        ]
        strength = STRENGTHS[int(np.argmin(errors))]
        models[name] = fit(term, train, strength)
        for number in np.unique(layers):
            some = slabs(layers == number)
            predicted = polarizabilities(some, models[name].predict(some.frames))
            expected = polarizabilities(some, some.responses)
            off = np.sqrt(np.mean((predicted - expected) ** 2)) / expected.mean()
            kind = "fitted" if number <= MOST_LAYERS else "not seen"
            print(
                f"{name} {number:2d} layers {kind:8s} response "
                f"{models[name].density_error(some):6.2f} %, polarizability "
                f"{100.0 * off:6.2f} %"
            )
    draw(slabs(layers == layers.max()), models)


def draw(densities, models):
    """Draw the induced density along the normal."""
    atoms, basis = densities.frames[0], densities.basis
    grid = Grid.of(atoms, 0.2)
    curves = {"calculated": densities.responses[0]}
    curves |= {name: model.predict(atoms)[0] for name, model in models.items()}
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    heights = grid.origin[2] + grid.steps[2, 2] * np.arange(grid.shape[2])
    for name, changes in curves.items():
        density = ElectronDensity(atoms, basis, changes[:, 2], np.zeros(len(atoms)))
        profile = density.on_grid(grid).mean(axis=(0, 1))
        style = {"color": "black"} if name == "calculated" else {"linestyle": "--"}
        axes.plot(heights, profile, label=name, **style)
    axes.plot(atoms.positions[:, 2], np.zeros(len(atoms)), "o", label="layers")
    axes.set(xlabel="z, Å", ylabel="electrons per Å³ and V/Å")
    axes.legend()
    figure.savefig(OUTPUT / "24_slab_in_a_field.png", dpi=120)
    print(f"wrote {OUTPUT / '24_slab_in_a_field.png'}")


if __name__ == "__main__":
    main()
