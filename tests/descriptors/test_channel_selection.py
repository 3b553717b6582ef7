import json

import numpy as np
import pytest
from ase import Atoms
from crystals import cluster, random_rotation, triclinic
from labelled_structures import density, potential

from lodekit.descriptors import EquivariantPowerSpectrum
from lodekit.descriptors.channel_selection import NAMES, ChannelSelection
from lodekit.parameters import decode, encode
from lodekit.regression import FarthestPointSelection, PivotedCholeskySelection
from lodekit.structures.batch import StructureBatch

KEYS = [(0, 1), (1, -1), (2, 1)]
SPECIES = np.array([1, 8])


def frames():
    return [triclinic(4, (1, 8), seed=seed) for seed in range(3)] + [cluster(4)]


def make(name):
    right = potential() if name == "lode" else None
    return EquivariantPowerSpectrum(density(), right, max_lambda=2)


def select(descriptor, structures, **arguments):
    arguments = {"keys": KEYS, "random_state": 0, **arguments}
    selection = FarthestPointSelection()
    return ChannelSelection.select(structures, descriptor, 6, selection, **arguments)


@pytest.mark.parametrize("name", ["soap", "lode"])
def test_selected_features_are_some_of_all(name):
    descriptor = make(name)
    chosen = select(descriptor, frames())
    some = EquivariantPowerSpectrum(descriptor.left, descriptor.right, 2, chosen)
    batch = StructureBatch.from_frames(frames()[:2])
    found = some.evaluate(batch, SPECIES)
    everything = descriptor.evaluate(batch, SPECIES)
    assert some.keys == KEYS
    for order, sigma in KEYS:
        for center in (1, 8):
            rows = chosen.chosen[order, sigma, center]
            assert rows.shape == (6, len(NAMES))
            channels = descriptor.channels(order, sigma, center, SPECIES)
            n = [side.n_radial for side in (some.left, some.right or some.left)]
            l1, l2, z1, n1, z2, n2 = rows.T
            q1 = np.searchsorted(SPECIES, z1) * n[0] + n1
            q2 = np.searchsorted(SPECIES, z2) * n[1] + n2
            numbers = channels.numbers.tolist()
            wanted = np.stack([l1, l2, q1, q2], axis=1).tolist()
            places = [numbers.index(row) for row in wanted]
            expected = everything.block(order, sigma, center)[..., places]
            values = found.block(order, sigma, center)
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "selection", [FarthestPointSelection, PivotedCholeskySelection]
)
def test_selection_does_not_depend_on_how_structures_are_turned(selection):
    turned = frames()
    for seed, atoms in enumerate(turned):
        rotation = random_rotation(seed)
        atoms.set_cell(atoms.cell.array @ rotation.T)
        atoms.set_positions(atoms.positions @ rotation.T)
    first, second = (
        ChannelSelection.select(some, make("soap"), 6, selection(), random_state=0)
        for some in (frames(), turned)
    )
    for key, rows in first.chosen.items():
        np.testing.assert_array_equal(second.chosen[key], rows)


def test_tensor_map_of_selected_channels():
    descriptor = make("soap")
    chosen = select(descriptor, frames())
    some = EquivariantPowerSpectrum(descriptor.left, selection=chosen)
    # fewer species than the selection has
    atoms = Atoms("OO", positions=[[0, 0, 0], [0, 0, 1.2]])
    expected = descriptor.compute(atoms, neighbors_to_properties=True)
    for in_properties in (True, False):
        for key, block in some.compute(atoms, in_properties).items():
            names = {name: int(key[name]) for name in key.names[:3]}
            theirs = expected.block(names)
            for place, entry in enumerate(block.properties):
                wanted = {name: int(entry[name]) for name in entry.names}
                for name in key.names[3:]:
                    wanted[name] = int(key[name])
                row = [wanted[name] for name in theirs.properties.names]
                values = theirs.values[..., theirs.properties.position(row)]
                np.testing.assert_allclose(block.values[..., place], values, atol=1e-14)


def test_a_model_file_keeps_the_selection():
    descriptor = make("soap")
    descriptor.selection = select(descriptor, frames())
    again = decode(json.loads(json.dumps(encode(descriptor, "descriptor"))))
    assert again.selection.keys == descriptor.selection.keys
    for key, rows in descriptor.selection.chosen.items():
        np.testing.assert_array_equal(again.selection.chosen[key], rows)


@pytest.mark.parametrize(
    ("row", "key"),
    [
        ([3, 3, 1, 0, 1, 0], (0, 1)),
        ([0, 1, 1, 0, 1, 0], (0, 1)),
        ([0, 0, 1, 9, 1, 0], (0, 1)),
        ([0, 0, 1, 0, 1, -1], (0, 1)),
        ([1, 1, 1, 0, 1, 0], (2, -1)),
    ],
)
def test_channels_that_expansions_lack_are_refused(row, key):
    descriptor = make("soap")
    descriptor.selection = ChannelSelection({(*key, 1): np.array([row])})
    with pytest.raises(ValueError, match="the expansions have no channel"):
        descriptor.channels(*key, 1, SPECIES)


def test_few_environments_are_enough_and_are_drawn_by_the_random_state():
    one, two = (
        select(make("soap"), frames(), n_environments=2, random_state=seed)
        for seed in (1, 1)
    )
    for key, rows in one.chosen.items():
        np.testing.assert_array_equal(two.chosen[key], rows)


def test_selected_neighbours_must_be_among_the_species():
    descriptor = make("soap")
    descriptor.selection = select(descriptor, frames())
    batch = StructureBatch.from_frames([Atoms("O")])
    features = descriptor.evaluate(batch, np.array([8]))
    with pytest.raises(ValueError, match=r"neighbours \[1\], .* species \[8\]"):
        features.block(0, 1, 8)
