"""Structures with charges and energies, and models of both, for tests."""

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from drawn_charges import N_POINTS
from labelled_structures import open_frames, periodic_frames, soap

from lodekit.models import ChargeModel, SparsePotential
from lodekit.regression import PolynomialCovariance

WIDTH = 0.8


def with_charges(frames, total):
    """Give frames charges by their distances, and a total charge."""
    for atoms in frames:
        distances = atoms.get_all_distances(mic=bool(atoms.pbc.any()))
        charges = np.exp(-distances).sum(axis=1) * np.where(atoms.numbers == 1, 1, -1)
        charges += (total - charges.sum()) / len(atoms)
        atoms.info["total_charge"] = total
        results = {**atoms.calc.results, "charges": charges}
        atoms.calc = SinglePointCalculator(atoms, **results)
    return frames


FRAMES = {
    "open": with_charges(open_frames(12), -1.0),
    "periodic": with_charges(periodic_frames(12), 1.0),
}


def make(learn=False, **arguments):
    rest = SparsePotential(soap(), PolynomialCovariance(2), N_POINTS)
    if not learn:
        rest.set_params(validation_fraction=0.0)
    return ChargeModel(
        soap(),
        PolynomialCovariance(2),
        N_POINTS,
        potential=rest,
        charge_width=WIDTH,
        validation_fraction=0.0,
        learn_from_energies=learn,
        **{"max_multipole": 0, **arguments},
    )


def charges_of(model, frames):
    results = model.compute(frames, ["charges"])
    return np.concatenate([result["charges"] for result in results])


def energies(model, frames):
    return np.array([r["energy"] for r in model.compute(frames, ["energy"])])
