"""Structures whose charges are draws of the process that a charge model fits."""

import numpy as np
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import cluster, soap

from lodekit.models import ChargeModel
from lodekit.regression import PolynomialCovariance

N_POINTS = 6


def small(cls=ChargeModel, **arguments):
    """A model that fits in no time."""
    arguments = {"validation_fraction": 0.0, **arguments}
    return cls(soap(), PolynomialCovariance(2), N_POINTS, **arguments)


def clusters(n_frames=30, n_atoms=4, seed=0, numbers=(1, 8)):
    return [cluster(n_atoms, numbers, seed=seed + i) for i in range(n_frames)]


def label(atoms, charges, noise=0.0, rng=None):
    """Set charges and the moments that follow from them, in e and Å."""
    charges = np.asarray(charges, dtype=float)
    dipole = charges @ atoms.positions
    if noise:
        dipole = dipole + noise * rng.normal(size=3)
    atoms.info["total_charge"] = float(charges.sum())
    atoms.info["quadrupole"] = np.einsum(
        "i,ia,ib->ab", charges, atoms.positions, atoms.positions
    )
    atoms.calc = SinglePointCalculator(atoms, charges=charges, dipole=dipole)
    return atoms


def prior(frames, **arguments):
    """A model with sparse points of ``frames``, amplitudes of 1 and no posterior."""
    bare = [label(atoms.copy(), np.zeros(len(atoms))) for atoms in frames]
    model = small(targets=["charges"], noises={"charges": 1.0}, **arguments).fit(bare)
    model._select(bare, np.random.RandomState(0))  # amplitudes as before the fit
    del model.solution_
    return model


def draw(model, frames, weights, noise=0.0, seed=0):
    """Copies of ``frames`` labelled with the charges of ``weights``; dipoles noisy."""
    rng = np.random.default_rng(seed)
    return [
        label(atoms.copy(), charges.values(weights), noise, rng)
        for atoms, charges in model._affine(frames)
    ]


def moderate(model, seed):
    """Weights as the prior's, and charges of elements of 0.3 e only."""
    weights = np.random.default_rng(seed).normal(size=model.rank)
    weights[: model.species_.size] *= 0.3 / model.element_prior
    return weights


def charges_of(frames):
    return np.concatenate([atoms.calc.results["charges"] for atoms in frames])
