"""Errors of cases of `benchmarks/polarization.py` on frames that were kept."""

import numpy as np

from lodekit.observables.branches import fold, polarization_quanta
from lodekit.observables.polarization import BORN_CHARGES, moment_of
from lodekit.structures import TARGETS, get_target

N_FOLDS = 5


def folds(frames, n_folds):
    """Yield frames that are fitted and kept, every fifth one kept."""
    for first in range(n_folds):
        kept = frames[first::N_FOLDS]
        yield [atoms for atoms in frames if all(atoms is not k for k in kept)], kept


def root(values):
    """Return the root mean square of arrays."""
    return float(np.sqrt(np.mean(np.concatenate([np.ravel(v) for v in values]) ** 2)))


def judge(model, kept, errors):
    """Append the errors of a model on kept frames, by name."""
    results = model.compute(kept)
    for atoms, result in zip(kept, results, strict=True):
        for name, value in result.items():
            if name == "polarization" and moment_of(atoms) is not None:
                quanta = polarization_quanta(atoms)
                folding = fold([moment_of(atoms)], [value], [quanta])
                errors.setdefault(name, []).append(folding.residuals)
                errors.setdefault("quantum", []).append(folding.shares)
            elif name in TARGETS:
                expected = get_target(atoms, name)
                if expected is not None:
                    difference = np.asarray(value - expected)
                    errors.setdefault(name, []).append(difference)
                    errors.setdefault(f"spread of {name}", []).append(expected)


def report(errors):
    """Return numbers by name."""
    found = {}
    if BORN_CHARGES in errors:
        found["born_charges_rmse"] = root(errors[BORN_CHARGES])
    if "polarizability" in errors:
        scale = root(errors["spread of polarizability"])
        found["polarizability_percent"] = 100.0 * root(errors["polarizability"]) / scale
    if "forces" in errors:
        found["forces_rmse"] = 1e3 * root(errors["forces"])
    if "polarization" in errors:
        found["polarization_rmse"] = root(errors["polarization"])
        found["largest_share_of_half_a_quantum"] = float(
            np.max(np.concatenate(errors["quantum"]))
        )
    return found
