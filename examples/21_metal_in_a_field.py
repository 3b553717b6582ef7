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
from metals import draw_profiles, lode, soap

from lodekit.density import DensitySet
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance

EXAMPLES = pathlib.Path(__file__).resolve().parent
OUTPUT = EXAMPLES / "output"
LARGEST = 6  # atoms of the clusters that are fitted


def terms():
    """SOAP, and LODE in two terms: linear and squared."""
    far = lode()
    return {"SOAP": ([soap()], [2]), "LODE": ([far, far], [1, 2])}


def main():
    OUTPUT.mkdir(exist_ok=True)
    densities = DensitySet.load(EXAMPLES / "data" / "sodium_responses.npz")
    sizes = np.array([len(atoms) for atoms in densities.frames])
    train = densities.select(np.flatnonzero(sizes <= LARGEST))
    largest = densities.select(np.flatnonzero(sizes == sizes.max()))
    print(f"{len(train)} clusters of up to {LARGEST} atoms, {densities.basis}")
    models = {}
    for name, (descriptors, powers) in terms().items():
        covariances = [EquivariantCovariance(power) for power in powers]
        models[name] = ElectronDensityModel(
            descriptors, covariances, 40, target="response", n_channels=80
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
    path = OUTPUT / "21_metal_in_a_field.png"
    draw_profiles(path, largest, models, 0, 0.3, per_area=False)


def mean_polarizability(atoms):
    """Return a third of the trace of the polarizability of a calculation."""
    return np.trace(np.reshape(atoms.info["polarizability"], (3, 3))) / 3.0


if __name__ == "__main__":
    main()
