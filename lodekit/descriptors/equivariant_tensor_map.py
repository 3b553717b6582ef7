"""Equivariant power spectra as metatensor ``TensorMap``s with featomic's names."""

from __future__ import annotations

import numpy as np

from lodekit.kernels.equivariants import couple_expansions
from lodekit.structures.batch import StructureBatch

from .channels import Channels, ProductPlan, featomic_plan
from .tensor_map import ExpansionArrays, atom_samples, integer_labels, number_labels

KEYS = ["o3_lambda", "o3_sigma", "center_type"]
NEIGHBORS = ["neighbor_1_type", "neighbor_2_type"]


class EquivariantArrays:
    """Two expansions of one batch, and which of their products a TensorMap has.

    Parameters
    ----------
    features : EquivariantFeatures
    batch : StructureBatch
    """

    def __init__(self, features, batch: StructureBatch):
        right = features.right or features.left
        self.descriptor, self.species = features.descriptor, features.species
        self.batch = batch
        self.sides = [
            ExpansionArrays(side, batch, self.species, [])
            for side in (features.left, right)
        ]
        self.coefficients = features.left.coefficients, right.coefficients
        self.labels = {}

    def neighbors(self, side: int, center: int) -> np.ndarray:
        """Return the channels of neighbours that any atom of a species has."""
        is_center = self.batch.species == center
        return np.flatnonzero(self.sides[side].present[is_center].any(axis=0))

    def pairs(self, center: int, in_properties: bool) -> dict[tuple, tuple]:
        """Return channels of both sides that make a block, by their place in a grid."""
        first, second = (self.neighbors(side, center) for side in range(2))
        if in_properties:
            return {(0, 0): (first, second)}
        return {
            (a, b): (first[a : a + 1], second[b : b + 1])
            for a, b in np.ndindex(first.size, second.size)
        }

    def samples(self, center: int, pair: tuple) -> np.ndarray:
        """Return the atoms that have a neighbour in some channel of a pair."""
        is_sample = np.zeros(self.batch.n_atoms, dtype=bool)
        for side, channels in zip(self.sides, pair, strict=True):
            is_sample |= side.present[:, channels].any(axis=1)
        return np.flatnonzero(is_sample & (self.batch.species == center))

    def key_order(self, pairs: dict[tuple, tuple]) -> list[tuple]:
        """Return order, sigma and place of all blocks, as featomic sorts them."""
        l_left, l_right = (side.n_l - 1 for side in self.sides)
        all_keys = [
            (order, (-1) ** (l1 + l2 + order), (a, b))
            for a in dict.fromkeys(a for a, _ in pairs)
            for l1 in range(l_left + 1)
            for b in dict.fromkeys(b for _, b in pairs)
            for l2 in range(l1, l_right + 1)
            for order in range(l2 - l1, l1 + l2 + 1)
        ]
        wanted = self.descriptor.keys
        return [key for key in dict.fromkeys(all_keys) if key[:2] in wanted]

    def columns(self, pair: tuple) -> list[np.ndarray]:
        """Return the columns of the channels of both sides."""
        columns = []
        for side, channels in zip(self.sides, pair, strict=True):
            n = np.arange(side.values.shape[3])
            columns.append((channels[:, None] * n.size + n).ravel())
        return columns

    def plan(self, center: int, columns: list[np.ndarray]) -> tuple:
        """Return order and sigma of blocks, their channels, and the plan of all.

        Channels count the columns of the block: all with l1 <= l2, or those selected.
        """
        keys = self.descriptor.keys
        if self.descriptor.selection is None:
            shapes = (
                (side.n_l - 1, some.size)
                for side, some in zip(self.sides, columns, strict=True)
            )
            return keys, *featomic_plan(tuple(keys), *shapes)
        channels = []
        for order, sigma in keys:
            chosen = self.descriptor.channels(order, sigma, center, self.species)
            numbers = chosen.numbers.copy()
            inside = np.ones(len(numbers), dtype=bool)
            for side in range(2):
                inside &= np.isin(numbers[:, 2 + side], columns[side])
                places = np.searchsorted(columns[side], numbers[:, 2 + side])
                numbers[:, 2 + side] = places
            channels.append(Channels(order, numbers[inside], np.ones(inside.sum())))
        kept = [place for place, some in enumerate(channels) if len(some)]
        channels = [channels[place] for place in kept]
        return [keys[place] for place in kept], channels, ProductPlan(channels)

    def properties(self, key: tuple, channels: Channels, columns, in_properties: bool):
        """Return the labels of channels, with neighbour species or without."""
        if not in_properties:
            columns = [np.arange(some.size) for some in columns]
        known = (*key, *(some.tobytes() for some in columns), len(channels))
        if self.descriptor.selection is None and known in self.labels:
            return self.labels[known]
        values, names = [*channels.numbers[:, :2].T], ["l_1", "l_2"]
        for side in range(2):
            q = columns[side][channels.numbers[:, 2 + side]]
            channel, n = np.divmod(q, self.sides[side].values.shape[3])
            if in_properties:
                values.append(self.sides[side].labels[channel])
                names.append(NEIGHBORS[side])
            values.append(n)
            names.append(f"n_{side + 1}")
        self.labels[known] = integer_labels(names, np.stack(values, axis=1))
        return self.labels[known]


def equivariant_tensor_map(features, batch: StructureBatch, neighbors_to_properties):
    """Return equivariant features in featomic's layout.

    Blocks are those of ``featomic.clebsch_gordan.EquivariantPowerSpectrum``: l1 <= l2
    only, all pairs of columns, and no factors sqrt(2) as in the arrays that models use.
    Selected channels are all there, those of l1 > l2, too.
    """
    from metatensor import TensorMap

    arrays = EquivariantArrays(features, batch)
    keys, blocks = [], []
    for center in np.unique(batch.species):
        pairs = arrays.pairs(center, neighbors_to_properties)
        made = {
            place: pair_blocks(arrays, center, pair, neighbors_to_properties)
            for place, pair in pairs.items()
        }
        for order, sigma, place in arrays.key_order(pairs):
            if (order, sigma) in made[place]:
                types = [
                    side.labels[channels[0]]
                    for side, channels in zip(arrays.sides, pairs[place], strict=True)
                ]
                keys.append([order, sigma, center, *types])
                blocks.append(made[place][order, sigma])
    names = KEYS if neighbors_to_properties else KEYS + NEIGHBORS
    return TensorMap(integer_labels(names, [key[: len(names)] for key in keys]), blocks)


def pair_blocks(
    arrays: EquivariantArrays, center: int, pair: tuple, in_properties: bool
):
    """Return the blocks of one centre species and its neighbours by order and sigma."""
    from metatensor import TensorBlock

    atoms, columns = arrays.samples(center, pair), arrays.columns(pair)
    factors = [
        np.ascontiguousarray(values[:, :, some])
        for values, some in zip(arrays.coefficients, columns, strict=True)
    ]
    keys, channels, plan = arrays.plan(center, columns)
    flat = np.empty(atoms.size * plan.size)
    couple_expansions(*factors, atoms, *plan.arguments, flat)
    samples = atom_samples(arrays.batch, atoms)
    blocks, all_values = {}, plan.split(flat, atoms.size)
    for key, some, values in zip(keys, channels, all_values, strict=True):
        components = [number_labels("o3_mu", np.arange(-key[0], key[0] + 1))]
        properties = arrays.properties(key, some, columns, in_properties)
        blocks[key] = TensorBlock(values, samples, components, properties)
    return blocks
