"""Channels of equivariant features: which columns of two expansions are multiplied.

A channel is l1, l2, a column q1 of the left expansion and a column q2 of the right one;
q is the joint index of neighbour species and radial function. l1 and l2 couple to order
lambda if abs(l1 - l2) <= lambda <= l1 + l2. The sign sigma = (-1)^(l1 + l2 + lambda)
says what an inversion does besides (-1)^lambda: 1 for tensors, -1 for pseudotensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import numpy as np

from .clebsch_gordan import TermArrays


@dataclass(frozen=True)
class Channels:
    """Channels of one order and sigma, sorted by l1 and l2.

    Attributes
    ----------
    order : int
    numbers : ndarray of shape (n_channels, 4)
        l1, l2, q1, q2.
    scales : ndarray of shape (n_channels,)
    """

    order: int
    numbers: np.ndarray
    scales: np.ndarray

    def __len__(self) -> int:
        """Return the number of channels."""
        return len(self.numbers)

    @cached_property
    def plan(self) -> ProductPlan:
        """Index arrays for the compiled loops over these channels."""
        return ProductPlan([self])


def coupled_pairs(order: int, sigma: int, max_left: int, max_right: int, ordered: bool):
    """Return the pairs l1, l2 that couple to ``order`` with the sign ``sigma``.

    ``ordered`` keeps l1 <= l2 only. Shape (n_pairs, 2), sorted.
    """
    l1, l2 = np.indices((max_left + 1, max_right + 1)).reshape(2, -1)
    fits = (abs(l1 - l2) <= order) & (order <= l1 + l2)
    fits &= (-1) ** (l1 + l2 + order) == sigma
    if ordered:
        fits &= l1 <= l2
    return np.stack([l1[fits], l2[fits]], axis=1)


def square_channels(order: int, sigma: int, max_angular: int, n_q: int) -> Channels:
    """Return the independent channels of an expansion with itself.

    Exchanging (l1, q1) and (l2, q2) multiplies a product by sigma: of two such products
    one is kept, and none where they are equal and opposite.
    """
    q1, q2 = np.indices((n_q, n_q)).reshape(2, -1)
    parts = [np.zeros((0, 4), dtype=np.intp)]
    for l1, l2 in coupled_pairs(order, sigma, max_angular, max_angular, True):
        kept = np.ones(q1.size, dtype=bool)
        if l1 == l2:
            kept = q1 <= q2 if sigma == 1 else q1 < q2
        parts.append(channel_rows(l1, l2, q1[kept], q2[kept]))
    numbers = np.concatenate(parts)
    return Channels(order, numbers, square_scales(numbers))


def square_scales(numbers: np.ndarray) -> np.ndarray:
    """Return sqrt(2) for channels of a square that stand for two, 1 for the others.

    Dot products of features are then those of the full array.
    """
    alone = (numbers[:, 0] == numbers[:, 1]) & (numbers[:, 2] == numbers[:, 3])
    return np.where(alone, 1.0, np.sqrt(2.0))


def product_channels(order: int, pairs: np.ndarray, n_left: int, n_right: int):
    """Return the channels of all ``pairs`` l1, l2 and all pairs of columns."""
    q1, q2 = np.indices((n_left, n_right)).reshape(2, -1)
    parts = [channel_rows(l1, l2, q1, q2) for l1, l2 in pairs]
    numbers = np.concatenate([np.zeros((0, 4), dtype=np.intp), *parts])
    return Channels(order, numbers, np.ones(len(numbers)))


def channel_rows(l1: int, l2: int, q1: np.ndarray, q2: np.ndarray) -> np.ndarray:
    """Return rows l1, l2, q1, q2."""
    return np.stack([np.full_like(q1, l1), np.full_like(q1, l2), q1, q2], axis=1)


@lru_cache(maxsize=128)
def all_channels(order: int, sigma: int, left: tuple, right: tuple | None) -> Channels:
    """Return all independent channels; both sides are (max_angular, n_q)."""
    if right is None:
        return square_channels(order, sigma, *left)
    pairs = coupled_pairs(order, sigma, left[0], right[0], False)
    return product_channels(order, pairs, left[1], right[1])


@lru_cache(maxsize=128)
def featomic_plan(keys: tuple, left: tuple, right: tuple):
    """Return the channels of ``keys`` that featomic has, l1 <= l2, and their plan.

    Parameters
    ----------
    keys : tuple of (order, sigma)
    left, right : tuple of (max_angular, n_q)

    Returns
    -------
    channels : list of Channels
    plan : ProductPlan
    """
    pairs = [coupled_pairs(*key, left[0], right[0], True) for key in keys]
    channels = [
        product_channels(order, some, left[1], right[1])
        for (order, _), some in zip(keys, pairs, strict=True)
    ]
    return channels, ProductPlan(channels)


class ProductPlan:
    """Arrays that the compiled loops over channels read.

    Parameters
    ----------
    blocks : list of Channels
        Of several orders; those with the same l1, l2 and columns share their work.
    """

    def __init__(self, blocks: list[Channels]):
        self.shapes = [(2 * block.order + 1, len(block)) for block in blocks]
        tables, groups = TermArrays(), {}
        before = 0
        for block in blocks:
            for columns in groups_of(block):
                rows = block.numbers[columns]
                l1, l2 = rows[0, :2].tolist()
                key = rows.tobytes(), block.scales[columns].tobytes()
                products = groups.setdefault(key, (block, columns, []))[2]
                starts = tables.add(l1, l2, block.order)
                n_mu = 2 * block.order + 1
                products.append((*starts, n_mu, before, len(block), columns.start))
            before += (2 * block.order + 1) * len(block)
        self.size = before
        self.first, self.terms, self.factors = tables.arrays()
        self.join(list(groups.values()))

    def join(self, groups: list[tuple]) -> None:
        """Make the arrays of channels, groups and products."""
        numbers = [block.numbers[columns] for block, columns, _ in groups]
        scales = [block.scales[columns] for block, columns, _ in groups]
        n_channels = np.cumsum([0, *(len(rows) for rows in numbers)])
        n_products = np.cumsum([0, *(len(products) for _, _, products in groups)])
        rows = [
            (*rows[0, :2], *n_channels[i : i + 2], *n_products[i : i + 2])
            for i, rows in enumerate(numbers)
        ]
        products = [row for _, _, products in groups for row in products]
        columns = [rows[:, 2:] for rows in numbers]
        self.columns = np.concatenate([np.zeros((0, 2), dtype=np.intp), *columns])
        self.scales = np.concatenate([np.zeros(0), *scales])
        self.groups = np.array(rows, dtype=np.intp).reshape(-1, 6)
        self.products = np.array(products, dtype=np.intp).reshape(-1, 7)

    @property
    def arguments(self) -> tuple:
        """Arguments of the loops between the centres and the features."""
        return (
            self.columns,
            self.scales,
            self.groups,
            self.products,
            self.first,
            self.terms,
            self.factors,
        )

    def split(self, flat: np.ndarray, n_centers: int) -> list[np.ndarray]:
        """Return views of the blocks in ``flat``, (n_centers, 2 order + 1, n)."""
        ends = n_centers * np.cumsum([n_mu * n for n_mu, n in self.shapes])
        parts = np.split(flat, ends[:-1])
        return [
            part.reshape(n_centers, *shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]


def groups_of(block: Channels) -> list[slice]:
    """Return slices of channels with the same l1 and l2."""
    pairs = block.numbers[:, :2]
    changes = 1 + np.flatnonzero((pairs[1:] != pairs[:-1]).any(axis=1))
    bounds = [0, *changes.tolist(), len(pairs)]
    return [slice(a, b) for a, b in pairwise(bounds) if b > a]
