import numpy as np
import pytest
from ase import Atoms
from crystals import random_rotation
from wigner import wigner_matrix

from lodekit.errors import StructureError
from lodekit.observables.tensors import (
    SYMMETRIC,
    cartesian_parts,
    collect_tensor,
    describe_tensor,
    read_tensor,
)


def symmetric_cubic(rng, n=4):
    tensors = rng.normal(size=(n, 3, 3, 3))
    axes = [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)]
    return sum(tensors.transpose(0, *(a + 1 for a in own)) for own in axes)


def symmetric(rng, n=4):
    tensors = rng.normal(size=(n, 3, 3))
    return tensors + tensors.swapaxes(1, 2)


def symmetric_in_two(rng, n=8):
    """Tensors that are symmetric in the last two indices, such as piezoelectric ones.

    They have no pseudoscalar part, which is antisymmetric in all indices.
    """
    tensors = rng.normal(size=(n, 3, 3, 3))
    return tensors + tensors.swapaxes(2, 3)


def symmetric_pairs(rng, n=8):
    """Tensors with the symmetry of elastic constants."""
    tensors = rng.normal(size=(n, 3, 3, 3, 3))
    tensors = tensors + tensors.swapaxes(1, 2)
    tensors = tensors + tensors.swapaxes(3, 4)
    return tensors + tensors.transpose(0, 3, 4, 1, 2)


def drawn(kind):
    rng = np.random.default_rng(0)
    return {
        "scalar": rng.normal(size=(4, 1)),
        "vector": rng.normal(size=(4, 3)),
        "symmetric matrix": symmetric(rng),
        "six components": symmetric(rng).reshape(4, 9)[:, [0, 4, 8, 5, 2, 1]],
        "matrix": rng.normal(size=(4, 3, 3)),
        "rank 3": symmetric_cubic(rng),
        "rank 3, two indices": symmetric_in_two(rng),
        "rank 4": symmetric_pairs(rng),
    }[kind]


PARTS = {
    "scalar": [(0, 1)],
    "vector": [(1, 1)],
    "symmetric matrix": [(0, 1), (2, 1)],
    "six components": [(0, 1), (2, 1)],
    "matrix": [(0, 1), (1, -1), (2, 1)],
    "rank 3": [(1, 1), (3, 1)],
    # 18 independent numbers, and 21
    "rank 3, two indices": [(1, 1), (1, 1), (2, -1), (3, 1)],
    "rank 4": [(0, 1), (0, 1), (2, 1), (2, 1), (4, 1)],
}
kinds = pytest.mark.parametrize("kind", PARTS)


@kinds
def test_parts_add_up_to_the_tensor(kind):
    values = drawn(kind)
    tensor = describe_tensor("t", values)
    assert [part[:2] for part in tensor.parts] == PARTS[kind]
    values = values.reshape(len(values), -1)
    total = sum(
        tensor.part(index, values) @ matrix.T
        for index, (_, _, matrix) in enumerate(tensor.parts)
    )
    np.testing.assert_allclose(total, values, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_components", [1, 3, 9, 27, 81])
def test_parts_of_all_components_are_an_orthonormal_basis(n_components):
    parts = cartesian_parts(n_components).values()
    matrix = np.concatenate([own for part in parts for own in part], axis=1)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(n_components), atol=1e-12)


@pytest.mark.parametrize("is_proper", [True, False])
@kinds
def test_parts_turn_by_wigner_matrices(kind, is_proper):
    rotation = random_rotation() if is_proper else -random_rotation()
    values = drawn(kind)
    turned = values
    if kind == "six components":
        places = [0, 4, 8, 5, 2, 1]
        full = np.zeros((4, 9))
        full[:, places] = values
        full[:, [0, 4, 8, 7, 6, 3]] = values
        turned = np.einsum("ab,nbc,dc->nad", rotation, full.reshape(4, 3, 3), rotation)
        turned = turned.reshape(4, 9)[:, places]
    elif kind != "scalar":
        for axis in range(1, values.ndim):
            turned = np.moveaxis(
                np.tensordot(turned, rotation, axes=(axis, 1)), -1, axis
            )
    tensor = describe_tensor("t", values)
    for index, (order, sigma, _) in enumerate(tensor.parts):
        matrix = wigner_matrix(order, rotation) * (1 if is_proper else sigma)
        before = tensor.part(index, values.reshape(len(values), -1))
        after = tensor.part(index, turned.reshape(len(values), -1))
        np.testing.assert_allclose(after, before @ matrix.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "rank"), [("symmetric matrix", 2), ("rank 3", 3)])
def test_directions_of_symmetric_tensors_are_known(kind, rank):
    tensor = describe_tensor("t", drawn(kind))
    assert tensor.keys == list(SYMMETRIC[rank])
    for own, known in zip(tensor.directions, SYMMETRIC[rank].values(), strict=True):
        assert abs(np.dot(own, known)) == pytest.approx(1.0, abs=1e-12)


def test_pseudotensors_have_the_other_sigma():
    tensor = describe_tensor("t", drawn("vector"), is_pseudo=True)
    assert tensor.keys == [(1, -1)]
    with pytest.raises(ValueError, match="t has a pseudoscalar part"):
        describe_tensor("t", drawn("scalar"), is_pseudo=True)
    with pytest.raises(ValueError, match="t has a pseudoscalar part"):
        describe_tensor("t", drawn("scalar"), ["t"], is_pseudo=True)


def test_the_trace_is_the_part_of_order_zero():
    values = drawn("symmetric matrix")
    tensor = describe_tensor("t", values)
    found = tensor.part(0, values.reshape(4, 9))[:, 0]
    expected = np.einsum("naa->n", values) / np.sqrt(3.0)
    # C(1 m 1 m; 0 0) = -1 / sqrt(3)
    np.testing.assert_allclose(found, -expected, rtol=1e-12)


def test_parts_that_all_tensors_lack_are_left_out():
    values = drawn("symmetric matrix")
    values = values - np.einsum("naa->n", values)[:, None, None] * np.eye(3) / 3.0
    tensor = describe_tensor("t", values + 1e-6 * drawn("matrix"))
    assert [part[:2] for part in tensor.parts] == [(2, 1)]


def test_spherical_tensors_are_their_own_part():
    values = np.random.default_rng(1).normal(size=(4, 7))
    tensor = describe_tensor("t", values, spherical=["t"])
    assert [part[:2] for part in tensor.parts] == [(3, 1)]
    np.testing.assert_allclose(tensor.part(0, values), values, atol=1e-14)


@pytest.mark.parametrize(
    ("values", "spherical", "message"),
    [
        (np.ones((2, 5)), [], "t has 5 components; .* named among `spherical`"),
        (np.ones((2, 4)), ["t"], r"has 2 l \+ 1 components, t has 4"),
        (np.zeros((2, 3)), [], "t is zero in all structures"),
        (
            np.random.default_rng(2).normal(size=(2, 27)),
            [],
            "t has a pseudoscalar part",
        ),
    ],
)
def test_other_tensors_are_refused(values, spherical, message):
    with pytest.raises(ValueError, match=message):
        describe_tensor("t", values, spherical)


def test_tensors_are_read_from_wherever_they_are():
    atoms = Atoms("OH", positions=[[0, 0, 0], [0, 0, 1]])
    atoms.info["polarizability"] = np.arange(9.0)
    atoms.info["other"] = [1, 2, 3]
    atoms.arrays["moments"] = np.ones((2, 3))
    expected = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(read_tensor(atoms, "polarizability"), expected)
    np.testing.assert_array_equal(read_tensor(atoms, "other"), [1.0, 2.0, 3.0])
    values, per_atom = collect_tensor([atoms, atoms], "moments")
    assert per_atom
    assert [value.shape for value in values] == [(2, 3), (2, 3)]
    values, per_atom = collect_tensor([atoms], "other")
    assert not per_atom
    assert values[0].shape == (1, 3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "frame 2 .* has no other"),
        ("text", "frame 2.*: other must be finite numbers, got 'text'"),
        ([1.0, np.nan, 2.0], "frame 2.*: other must be finite numbers"),
        ([1.0, 2.0], r"frame 2.*: other has shape \(2,\), and \(3,\) in frame 1"),
    ],
)
def test_bad_tensors_are_refused_in_one_line(value, message):
    frames = [Atoms("O", info={"other": [1.0, 2.0, 3.0]}), Atoms("O")]
    if value is not None:
        frames[1].info["other"] = value
    with pytest.raises(StructureError, match=message):
        collect_tensor(frames, "other")
