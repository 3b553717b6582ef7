"""Changes of densities by point charges: a case of ``density.py``."""

import numpy as np
from density_metals import LARGEST_FITTED
from density_runs import find_densities, lode, peak_gb, soap, timed_fit

from lodekit.density.perturbations import point_charges as charges_of
from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.models import ElectronDensityModel
from lodekit.models.density_errors import judge_densities
from lodekit.regression.equivariant_covariance import EquivariantCovariance

WATER, SODIUM = "water_point_charges.npz", "sodium_point_charges.npz"
SOURCE = "made by: python examples/make_point_charges.py --output FOLDER"
#: Molecules that judge, and distances in Å that part them.
N_JUDGED, DISTANCES = 10, (2.0, 3.5, 7.5)


def fit(descriptors, powers, densities, n_sparse):
    """Return the fitted model, and processor seconds."""
    model = ElectronDensityModel(
        descriptors,
        [EquivariantCovariance(power) for power in powers],
        n_sparse,
        target="charge_response",
        n_channels=40,
    )
    model, _, processor = timed_fit(model, densities)
    return model, processor


def nearest(atoms):
    """Return the distance of a charge from the nearest atom in Å."""
    _, points = charges_of(atoms, "the frame")
    return np.linalg.norm(atoms.positions[:, None] - points, axis=2).min()


def errors_of(model, densities):
    """Return errors of changes, and of dipoles and energies in % of their size."""
    errors = judge_densities(model, densities)
    judged = {"n": len(densities), "response_percent": errors["response"]["rmse"]}
    sizes = judge_densities(Nothing(model), densities)
    for name in ("induced_dipole", "induction_energy"):
        judged[f"{name}_percent"] = 100 * errors[name]["rmse"] / sizes[name]["rmse"]
    return judged


class Nothing:
    """A model in which charges change nothing: its errors are the sizes of changes."""

    def __init__(self, model):
        self.model, self.is_response = model, True

    def squared_errors(self, densities, metrics=None):
        """Return those of the model; they are not looked at."""
        return self.model.squared_errors(densities, metrics=metrics)

    def densities(self, frames):
        """Return changes of zero."""
        predicted = self.model.densities(frames)
        predicted.responses = [0.0 * response for response in predicted.responses]
        return predicted


def point_charges(folder):
    """Changes of water and of sodium clusters by a charge at places not fitted."""
    water, note = find_densities(folder, [WATER], WATER, SOURCE)
    train = water.select(range(len(water) - N_JUDGED))
    test = water.select(range(len(train), len(water)))
    descriptor = EquivariantPowerSpectrum(soap(max_angular=4, max_radial=5))
    model, seconds = fit([descriptor], [2], train, 6)
    rows = {"water": {"seconds": seconds, "n_weights": model.summary_["rank"]}}
    rows["water"]["all"] = errors_of(model, test)
    distances = np.array([nearest(atoms) for atoms in test.frames])
    for low, high in zip(DISTANCES[:-1], DISTANCES[1:], strict=True):
        part = test.select(np.flatnonzero((distances >= low) & (distances < high)))
        rows["water"][f"{low:g} to {high:g} Å"] = errors_of(model, part)
    sodium, _ = find_densities(folder, [SODIUM], SODIUM, SOURCE)
    sizes = np.array([len(atoms) for atoms in sodium.frames])
    small = sodium.select(np.flatnonzero(sizes <= LARGEST_FITTED))
    density = soap(max_angular=3, max_radial=4, width=0.7, cutoff=6.0, smoothing=1.0)
    local, far = EquivariantPowerSpectrum(density), EquivariantPowerSpectrum(lode())
    for name, term, power in (("SOAP", local, 2), ("LODE, linear", far, 1)):
        model, processor = fit([term], [power], small, 10)
        row = {"seconds": processor, "n_weights": model.summary_["rank"]}
        for size in np.unique(sizes):
            some = sodium.select(np.flatnonzero(sizes == size))
            row[f"Na{size}"] = errors_of(model, some)
        rows[f"sodium, {name}"] = row
    return {
        "density_error_percent": rows["water"]["all"]["response_percent"],
        "seconds": seconds,
        "peak_gb": peak_gb(),
        "note": note,
        "rows": rows,
    }
