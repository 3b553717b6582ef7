"""Cells far smaller than a bond, in which there may be no k-vector at all."""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from labelled_structures import lode, soap

from lodekit.models import SparsePotential
from lodekit.regression import PolynomialCovariance
from lodekit.structures.batch import StructureBatch

SPECIES = np.array([1, 8])


def crystal(length, pbc=True):
    cell = length * np.array([[1.0, 0.0, 0.0], [0.3, 1.0, 0.0], [0.0, 0.1, 1.2]])
    return Atoms(
        "HO", np.array([[0.1, 0.2, 0.0], [0.6, 0.5, 0.7]]) @ cell, cell=cell, pbc=pbc
    )


@pytest.mark.parametrize("descriptor", [soap(), lode()], ids=["soap", "lode"])
@pytest.mark.parametrize("length", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("pbc", [True, (True, True, False)])
def test_cells_and_their_multiples_have_the_same_features(descriptor, length, pbc):
    atoms = crystal(length, pbc)
    larger = atoms * (3, 3, 3 if atoms.pbc.all() else 1)
    batch = StructureBatch.from_frames([atoms, larger])
    features = descriptor.evaluate(batch, SPECIES).features
    expected = np.tile(features[:2], (len(larger) // 2, 1))
    # in the smallest cells the potential is even, and its features are rounding errors
    scale = max(np.abs(features).max(), 1e-3)
    np.testing.assert_allclose(features[2:], expected, rtol=0, atol=1e-5 * scale)


@pytest.mark.filterwarnings("ignore:in . of 3 frames the closest atoms")
def test_models_can_be_fitted_to_cells_of_half_an_angstrom():
    frames = []
    for length in (0.5, 0.9, 3.0):
        atoms = crystal(length)
        results = {
            "energy": -length,
            "forces": np.array([[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]]),
            "stress": np.array([0.1, 0.2, 0.3, 0.0, 0.0, 0.1]),
        }
        atoms.calc = SinglePointCalculator(atoms, **results)
        frames.append(atoms)
    model = SparsePotential(
        lode(),
        PolynomialCovariance(2, "mean"),
        n_sparse=4,
        energy_noise=1e-2,
        force_noise=0.1,
        stress_noise=0.1,
        validation_fraction=0.0,
    ).fit(frames)
    for result in model.compute(frames, ["energy", "forces", "stress", "forces_std"]):
        for values in result.values():
            assert np.isfinite(values).all()
