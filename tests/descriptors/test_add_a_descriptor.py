import pathlib
import re

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, triclinic
from finite_differences import central_differences, displaced, strained
from reference import orthonormal_orbitals, real_harmonics

from lodekit.structures.batch import StructureBatch

ROOT = pathlib.Path(__file__).resolve().parents[2]
SPECIES = np.array([1, 8])


@pytest.fixture(scope="module")
def names():
    """What the code of docs/descriptors.md defines."""
    text = (ROOT / "docs" / "descriptors.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    names = {}
    exec(compile(code, "descriptors.md", "exec"), names)
    return names


def evaluate(descriptor, atoms):
    return descriptor.evaluate(StructureBatch.from_frames([atoms]), SPECIES)


def test_documented_coefficients_are_sums_over_points(names):
    atoms = cluster(4)
    expansion = names["points"].expand(StructureBatch.from_frames([atoms]), SPECIES)
    values = expansion.coefficients.reshape(4, 16, 2, 5)
    expected = np.zeros((16, 2, 5))
    for neighbor in range(1, 4):
        vector = atoms.positions[neighbor] - atoms.positions[0]
        r = np.linalg.norm(vector)
        assert r < 4.0
        smooth = 1.0 if r < 3.0 else 0.5 * (1.0 + np.cos(np.pi * (r - 3.0)))
        radial = smooth * orthonormal_orbitals(4, 4.0, np.array([r]))
        channel = np.searchsorted(SPECIES, atoms.numbers[neighbor])
        harmonics = real_harmonics(3, vector[None])[0]
        expected[:, channel] += harmonics[:, None] * np.repeat(radial, 16, 0)
    np.testing.assert_allclose(values[0], expected, rtol=0, atol=1e-8)


def test_documented_descriptor_has_gradients(names):
    descriptor, atoms = names["descriptor"], triclinic(3, (1, 8))
    state = evaluate(descriptor, atoms)
    adjoint = np.random.default_rng(0).normal(size=state.features.shape)
    positions, strain = state.reverse(adjoint)

    def scalar(frame):
        return (evaluate(descriptor, frame).features * adjoint).sum()

    numerical = central_differences(
        lambda r: scalar(displaced(atoms, r)), atoms.positions
    )
    scale = abs(numerical).max()
    np.testing.assert_allclose(positions, numerical, rtol=0, atol=1e-7 * scale)
    numerical = central_differences(
        lambda e: scalar(strained(atoms, e)), np.zeros((3, 3))
    )
    scale = abs(numerical).max()
    np.testing.assert_allclose(strain[0], numerical, rtol=0, atol=1e-7 * scale)


def test_documented_descriptor_of_one_atom_is_nothing(names):
    assert not evaluate(names["descriptor"], Atoms("O")).features.any()
