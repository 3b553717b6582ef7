"""One channel on a mesh against the general sums with two channels."""

import numpy as np
import pytest

from lodekit.numerics.mesh import Mesh

CELL = np.array([[7.0, 0.0, 0.0], [1.5, 8.0, 0.0], [-1.0, 2.0, 9.0]])


@pytest.fixture(scope="module")
def mesh():
    positions = np.random.default_rng(0).uniform(-10.0, 20.0, (60, 3))
    return Mesh(positions, CELL, 2.0, 0.9, 6)


def test_charges_are_spread_as_one_of_two_channels(mesh):
    values = np.random.default_rng(1).normal(size=(1, 60, 2))
    both = mesh.transform(values)
    for channel in range(2):
        alone = mesh.transform(values[:, :, [channel]])
        assert alone[:, 0] == pytest.approx(both[:, channel], abs=1e-12)


@pytest.mark.parametrize("degree", [0, 1])
def test_potentials_are_interpolated_as_one_of_two_channels(mesh, degree):
    rng = np.random.default_rng(2)
    parts = rng.normal(size=(2, len(mesh.k_vectors), 2))
    spectra = parts[0] + 1j * parts[1]
    both = mesh.evaluate(spectra, degree)
    some = rng.permutation(60)[:17]
    for channel in range(2):
        own = np.ascontiguousarray(spectra[:, [channel]])
        alone = mesh.evaluate(own, degree)
        scale = np.abs(both).max()
        assert alone[..., 0] == pytest.approx(both[..., channel], abs=1e-12 * scale)
        chosen = mesh.interpolate(mesh.fields(own), some, degree)
        assert np.array_equal(chosen, alone[:, some])
