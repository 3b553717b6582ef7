"""Equations in blocks against products of whole rows, written down naively."""

import numpy as np
import pytest

from lodekit.regression.block_equations import BlockEquations
from lodekit.regression.block_iterations import BlockIterations
from lodekit.regression.block_layout import BlockLayout, StructureRows

#: Numbers of channels and features of every block, and its number of components.
SHAPES = {"a": (3, 4), "b": (2, 5), "c": (1, 3)}
COMPONENTS = {"a": 1, "b": 3, "c": 5}
#: Atoms that have the blocks, by composition.
COMPOSITIONS = [{"a": 2, "b": 1}, {"a": 1, "b": 2, "c": 2}]


def draw_rows(rng, atoms, n=3):
    places, features, start = {}, {}, 0
    for key, n_atoms in atoms.items():
        n_channels, rank = SHAPES[key]
        shape = n_atoms, n_channels, COMPONENTS[key]
        places[key] = start + np.arange(np.prod(shape)).reshape(shape)
        start += places[key].size
        features[key] = rng.normal(size=(n, n_atoms, COMPONENTS[key], rank))
    roots = rng.normal(size=(n, start, start)) / start**0.5
    metrics = roots @ roots.swapaxes(1, 2) + 0.2 * np.eye(start)
    return StructureRows(places, features, metrics, rng.normal(size=(n, start)))


def whole_rows(layout, rows):
    """Psi of every structure, (n, n_functions, n_weights)."""
    whole = np.zeros((*rows.values.shape, layout.size))
    for key, places in rows.places.items():
        start, (_, rank) = layout.slices[key].start, layout.shapes[key]
        for atom, channel, component in np.ndindex(places.shape):
            columns = slice(start + channel * rank, start + (channel + 1) * rank)
            row = places[atom, channel, component]
            whole[:, row, columns] = rows.features[key][:, atom, component]
    return whole


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    layout = BlockLayout(SHAPES)
    precisions = {key: rng.uniform(0.5, 2.0, n) for key, (n, _) in SHAPES.items()}
    rows = [draw_rows(rng, atoms) for atoms in COMPOSITIONS]
    whole = [whole_rows(layout, own) for own in rows]
    pairs = list(zip(whole, rows, strict=True))
    matrix = sum(np.einsum("afu,afg,agv->uv", x, r.metrics, x) for x, r in pairs)
    moment = sum(np.einsum("afu,afg,ag->u", x, r.metrics, r.values) for x, r in pairs)
    return layout, precisions, rows, matrix, moment


def solution(problem, strength):
    layout, precisions, _, matrix, moment = problem
    prior = np.diag(strength * layout.per_channel(precisions))
    return np.linalg.solve(matrix + prior, moment)


def added(kind, problem):
    layout, precisions, rows, *_ = problem
    equations = kind(layout, precisions)
    for own in rows:
        equations.add(own)
    return equations


def test_blocks_are_products_of_whole_rows(problem):
    equations = added(BlockEquations, problem)
    upper = np.triu(equations.matrix)
    np.testing.assert_allclose(upper, np.triu(problem[3]), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(equations.moment, problem[4], rtol=1e-12, atol=1e-12)
    found = equations.solve(1e-2)
    np.testing.assert_allclose(found, solution(problem, 1e-2), rtol=1e-9, atol=1e-12)


def test_structures_may_come_in_small_parts(problem, monkeypatch):
    whole = added(BlockEquations, problem).matrix
    monkeypatch.setattr("lodekit.regression.block_equations.LARGEST_PART", 1)
    parts = added(BlockEquations, problem).matrix
    np.testing.assert_allclose(parts, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("strength", [1e-3, 1e-1, 3.0])
def test_one_factorisation_serves_all_strengths(problem, strength):
    path = added(BlockEquations, problem).path(1e-1)
    found = path.weights(strength)
    np.testing.assert_allclose(found, solution(problem, strength), rtol=1e-7, atol=1e-9)


def test_conjugate_gradients_end_at_the_same_weights(problem):
    equations = added(BlockIterations, problem)
    found = equations.solve(1e-2)
    np.testing.assert_allclose(found, solution(problem, 1e-2), atol=1e-4)
    n_steps = equations.n_steps
    again = equations.solve(1e-2, found)
    np.testing.assert_allclose(again, found, atol=1e-4)
    assert equations.n_steps <= n_steps + 1


def test_conjugate_gradients_need_one_step_without_coupling(problem):
    """The preconditioner is exact where the metric couples no atoms, one metric."""
    layout, precisions, rows, *_ = problem
    equations = BlockIterations(layout, precisions)
    for own in rows:
        metrics = np.zeros_like(own.metrics)
        for places in own.places.values():
            channels = places.shape[1]
            block = np.eye(channels) + 0.3 * np.ones((channels, channels))
            for atom, component in np.ndindex(places.shape[0], places.shape[2]):
                where = places[atom, :, component]
                metrics[:, where[:, None], where] = block
        equations.add(StructureRows(own.places, own.features, metrics, own.values))
    equations.solve(1e-2)
    assert equations.n_steps == 1


def test_weights_are_split_and_joined():
    layout = BlockLayout(SHAPES)
    weights = np.arange(float(layout.size))
    np.testing.assert_array_equal(layout.join(layout.split(weights)), weights)
    only = layout.join({"b": np.ones((2, 5))})
    assert only.sum() == 10.0
    assert only[layout.slices["b"]].all()


def test_variances_are_exact_without_coupling(problem):
    layout, precisions, rows, *_ = problem
    equations = BlockEquations(layout, precisions)
    for own in rows:
        metrics = np.zeros_like(own.metrics)
        for places in own.places.values():
            channels = places.shape[1]
            block = np.eye(channels) + 0.3 * np.ones((channels, channels))
            for atom, component in np.ndindex(places.shape[0], places.shape[2]):
                where = places[atom, :, component]
                metrics[:, where[:, None], where] = block
        equations.add(StructureRows(own.places, own.features, metrics, own.values))
    matrix = np.triu(equations.matrix) + np.triu(equations.matrix, 1).T
    matrix += np.diag(0.3 * equations.precisions)
    vector = np.random.default_rng(0).normal(size=layout.size)
    expected = vector @ np.linalg.solve(matrix, vector)
    factors, parts = equations.posterior.factorize(), layout.split(vector)
    found = sum(factors[key].variance(parts[key], 0.3) for key in parts)
    assert found == pytest.approx(expected, rel=1e-9)
