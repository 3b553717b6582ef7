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
from metals import draw_profiles, lode, soap

from lodekit.density import DensitySet
from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.models import ElectronDensityModel
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.units import COULOMB_CONSTANT

EXAMPLES = pathlib.Path(__file__).resolve().parent
OUTPUT = EXAMPLES / "output"
MOST_LAYERS = 5  # of the slabs that are fitted
STRENGTHS = (1e-2, 1e2)


def fit(descriptor, power, densities, strength):
    """Fit a model of responses with one term."""
    model = ElectronDensityModel(
        descriptor,
        EquivariantCovariance(power),
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
    for name, term in {"SOAP": (soap(), 2), "LODE": (lode(), 1)}.items():
        errors = [
            fit(*term, slabs(layers < MOST_LAYERS), strength).density_error(
                slabs(layers == MOST_LAYERS)
            )
            for strength in STRENGTHS
        ]
        strength = STRENGTHS[int(np.argmin(errors))]
        models[name] = fit(*term, train, strength)
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
    path = OUTPUT / "24_slab_in_a_field.png"
    draw_profiles(path, slabs(layers == layers.max()), models, 2, 0.2, per_area=True)


if __name__ == "__main__":
    main()
