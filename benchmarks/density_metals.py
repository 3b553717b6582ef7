"""Responses of metals: cases of ``density.py``."""

import numpy as np
from density_runs import find_densities, lode, peak_gb, soap, timed_fit

from lodekit.density.moments import dipoles_of
from lodekit.density.sites import Sites
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance
from lodekit.units import COULOMB_CONSTANT

SODIUM, SLABS = "sodium_responses.npz", "slab_responses.npz"
#: Atoms of the largest sodium cluster that is fitted.
LARGEST_FITTED = 6
#: Layers of the thickest slabs that are fitted.
MOST_LAYERS = 5
#: Strengths of which the best one for thicker slabs is chosen.
STRENGTHS = [1e-4, 1e-2, 1.0, 1e2, 1e4]


def metal_cases(density):
    """Return terms and powers of SOAP, of LODE, and of both together."""
    local, far = EquivariantPowerSpectrum(density), EquivariantPowerSpectrum(lode())
    steep = EquivariantPowerSpectrum(lode(exponent=3))
    mixed = EquivariantPowerSpectrum(density, lode())
    return {
        "SOAP": ([local], [2]),
        "LODE, linear": ([far], [1]),
        "LODE of 1/r^3, linear": ([steep], [1]),
        "density times potential, linear": ([mixed], [1]),
        "LODE, linear and squared": ([far, far], [1, 2]),
        "SOAP and LODE, all linear": ([local, far], [1, 1]),
        "SOAP and LODE": ([local, far, far], [2, 1, 2]),
    }


def fit_responses(terms, powers, train, **arguments):
    """Return the fitted model, and seconds."""
    covariances = [EquivariantCovariance(power) for power in powers]
    model = ElectronDensityModel(
        terms, covariances, 40, target="response", n_channels=80, **arguments
    )
    return timed_fit(model, train)[:2]


def strength_for_thicker(terms, powers, densities, layers):
    """Return the strength that is best for the thickest slabs of the training set.

    Slabs that are left out at random say how well a model interpolates, which takes
    hardly any regularisation; thicker ones say how well it extrapolates.
    """
    thinner = densities.select(np.flatnonzero(layers < MOST_LAYERS))
    thickest = densities.select(np.flatnonzero(layers == MOST_LAYERS))
    errors = {}
    for strength in STRENGTHS:
        arguments = {"strength": strength, "validation_fraction": 0.0}
        model, _ = fit_responses(terms, powers, thinner, **arguments)
        errors[strength] = model.density_error(thickest)
    return min(errors, key=errors.get)


def response(folder):
    """Changes of the density of sodium clusters in a field: small fit, large judge."""
    densities, note = find_densities(
        folder,
        [SODIUM],
        SODIUM,
        "made by: python examples/make_metal_densities.py --output FOLDER",
    )
    sizes = np.array([len(atoms) for atoms in densities.frames])
    train = densities.select(np.flatnonzero(sizes <= LARGEST_FITTED))
    density = soap(max_angular=3, max_radial=4, width=0.7, cutoff=6.0, smoothing=1.0)
    rows = {}
    for name, (terms, powers) in metal_cases(density).items():
        model, seconds = fit_responses(terms, powers, train)
        rows[name] = {"seconds": seconds, "n_weights": model.summary_["rank"]}
        for size in np.unique(sizes):
            own = densities.select(np.flatnonzero(sizes == size))
            errors = judge_densities(model, own)
            alpha = np.mean(
                [
                    np.trace(np.reshape(atoms.info["polarizability"], (3, 3))) / 3.0
                    for atoms in own.frames
                ]
            )
            rows[name][f"Na{size}"] = {
                "n": len(own),
                "response_percent": errors["response"]["rmse"],
                "polarizability_percent": 100.0
                * errors["polarizability"]["rmse"]
                / alpha,
            }
    best, largest = rows["LODE, linear and squared"], f"Na{sizes.max()}"
    return {
        "density_error_percent": best[largest]["response_percent"],
        "seconds": best["seconds"],
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }


def slabs(folder):
    """Changes of the density of slabs in a field along their normal."""
    densities, note = find_densities(
        folder,
        [SLABS],
        SLABS,
        "made by: python examples/make_slab_densities.py --output FOLDER",
    )
    layers = np.array([len(atoms) for atoms in densities.frames])
    train = densities.select(np.flatnonzero(layers <= MOST_LAYERS))
    density = soap(max_angular=3, max_radial=4, width=0.7, cutoff=6.0, smoothing=1.0)
    rows = {}
    for name, (terms, powers) in metal_cases(density).items():
        strength = strength_for_thicker(terms, powers, densities, layers)
        model, seconds = fit_responses(
            terms, powers, train, strength=strength, validation_fraction=0.0
        )
        rows[name] = {"seconds": seconds, "n_weights": model.summary_["rank"]}
        rows[name]["strength"] = strength
        for number in np.unique(layers):
            own = densities.select(np.flatnonzero(layers == number))
            found = moments_along_normal(own, model.predict(own.frames))
            wanted = moments_along_normal(own, own.responses)
            rows[name][f"{number} layers"] = {
                "n": len(own),
                "response_percent": model.density_error(own),
                "polarizability_percent": 100.0
                * float(np.sqrt(np.mean((found - wanted) ** 2)) / wanted.mean()),
            }
    best, thickest = rows["LODE, linear and squared"], f"{layers.max()} layers"
    return {
        "density_error_percent": best[thickest]["response_percent"],
        "seconds": best["seconds"],
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }


def moments_along_normal(densities, responses):
    """Return the polarizabilities of slabs along z, in Å³ for a cell."""
    values = []
    for atoms, response in zip(densities.frames, responses, strict=True):
        heights = dipoles_of(Sites.of_atoms(atoms, densities.basis))[:, 2]
        values.append(-COULOMB_CONSTANT * heights @ response[:, 2])
    return np.array(values)
