"""Selected channels of equivariant features: thousands of products become hundreds.

A channel is a vector of its values p[i, mu] at all environments i and components mu.
Rotations of environments turn components into each other, and change neither lengths
of these vectors nor distances between them: what is selected by them does not depend on
how structures are turned.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from lodekit.structures.batch import StructureBatch, as_frames

from .channels import Channels, square_scales

#: Names of the columns that say what a channel is.
NAMES = ("l_1", "l_2", "neighbor_1_type", "n_1", "neighbor_2_type", "n_2")


class ChannelSelection(BaseEstimator):
    """The channels that an `EquivariantPowerSpectrum` computes.

    Parameters
    ----------
    chosen : dict of (order, sigma, center) to ndarray of shape (n_channels, 6)
        Rows l_1, l_2, neighbor_1_type, n_1, neighbor_2_type, n_2 for centres of one
        atomic number, in ascending order.
    """

    def __init__(self, chosen):
        self.chosen = chosen

    @classmethod
    def select(
        cls,
        frames,
        descriptor,
        n_channels: int,
        selection,
        *,
        keys=None,
        n_environments: int = 100,
        random_state=None,
    ) -> ChannelSelection:
        """Choose channels for every order, sigma and species of the centre.

        Parameters
        ----------
        frames : list of ase.Atoms
        descriptor : EquivariantPowerSpectrum
        n_channels : int
            Channels of an order, a sigma and a centre, at the most.
        selection : object with ``select(points, n_select)``
            Such as `lodekit.regression.FarthestPointSelection`; a channel is a point.
        keys : list of (order, sigma), optional
            Of the descriptor; all where None.
        n_environments : int
            Atoms of each species, drawn at random, whose features are looked at.
        random_state : int or numpy.random.RandomState, optional
        """
        frames = as_frames(frames)
        random_state = check_random_state(random_state)
        numbers = np.concatenate([atoms.numbers for atoms in frames])
        first = np.cumsum([0, *(len(atoms) for atoms in frames)])
        species, chosen = np.unique(numbers), {}
        for center in species:
            atoms = np.flatnonzero(numbers == center)
            if atoms.size > n_environments:
                atoms = random_state.choice(atoms, n_environments, replace=False)
            atoms = np.sort(atoms)
            used = np.unique(np.searchsorted(first, atoms, side="right") - 1)
            places = np.concatenate([np.arange(*first[i : i + 2]) for i in used])
            batch = StructureBatch.from_frames([frames[i] for i in used])
            features = descriptor.evaluate(batch, species)
            for key in keys or descriptor.keys:
                points = features.values(*key, center, np.searchsorted(places, atoms))
                points = along_principal_axes(points.reshape(-1, points.shape[2]).T)
                picked = np.sort(selection.select(points, n_channels))
                channels = descriptor.channels(*key, center, species)
                rows = label_channels(channels, descriptor, species)[picked]
                chosen[*key, int(center)] = rows
        return cls(chosen)

    @property
    def keys(self) -> list[tuple[int, int]]:
        """Order and sigma of all features."""
        return sorted(
            {key[:2] for key in self.chosen}, key=lambda key: (key[0], -key[1])
        )

    @property
    def species(self) -> np.ndarray:
        """Sorted atomic numbers of neighbours in any channel."""
        numbers = [rows[:, [2, 4]].ravel() for rows in self.chosen.values()]
        return np.unique(np.concatenate([np.zeros(0, dtype=np.intp), *numbers]))

    def channels(self, order, sigma, center, descriptor, species) -> Channels:
        """Return channels by columns of the expansions of a descriptor.

        Parameters
        ----------
        species : ndarray of shape (n_species,)
            Sorted atomic numbers of the channels of the expansions.

        Raises
        ------
        ValueError
            If a selected neighbour is not among ``species``.
        """
        right = descriptor.right or descriptor.left
        sizes = descriptor.left.n_radial, right.n_radial
        is_square = descriptor.right is None
        known = vars(self).setdefault("_channels", {})
        key = order, sigma, int(center), species.tobytes(), *sizes, is_square
        if key not in known:
            empty = np.zeros((0, 6), dtype=np.intp)
            rows = self.chosen.get((order, sigma, int(center)), empty)
            self.check(order, sigma, rows, (descriptor.left, right))
            known[key] = self.number(order, rows, sizes, species, is_square)
        return known[key]

    @staticmethod
    def check(order: int, sigma: int, rows: np.ndarray, sides: tuple) -> None:
        """Raise ``ValueError`` for channels that two expansions do not have."""
        l1, l2, _, n1, _, n2 = rows.T
        fits = (abs(l1 - l2) <= order) & (order <= l1 + l2)
        fits &= (-1) ** ((l1 + l2 + order) % 2) == sigma
        for l, n, side in zip((l1, l2), (n1, n2), sides, strict=True):
            fits &= (l >= 0) & (l <= side.max_angular)
            fits &= (n >= 0) & (n < side.n_radial)
        if not fits.all():
            raise ValueError(
                f"the expansions have no channel {rows[~fits][0].tolist()} of order "
                f"{order} and sigma {sigma} ({', '.join(NAMES)})"
            )

    @staticmethod
    def number(order, rows, sizes, species, is_square) -> Channels:
        """Turn neighbours and radial functions into columns."""
        missing = np.setdiff1d(rows[:, [2, 4]], species)
        if missing.size:
            raise ValueError(
                f"channels were selected for neighbours {missing.tolist()}, which are "
                f"not among the species {species.tolist()}"
            )
        first, second = (
            np.searchsorted(species, rows[:, 2 + 2 * side]) * sizes[side]
            + rows[:, 3 + 2 * side]
            for side in range(2)
        )
        numbers = np.stack([rows[:, 0], rows[:, 1], first, second], axis=1)
        scales = square_scales(numbers) if is_square else np.ones(len(numbers))
        return Channels(order, np.ascontiguousarray(numbers, dtype=np.intp), scales)


def along_principal_axes(points: np.ndarray) -> np.ndarray:
    """Return points (n, n_features) turned so that the largest features come first.

    Distances stay as they are, and a search for the farthest of many points need not
    sum most of them to their end.
    """
    _, axes = np.linalg.eigh(points.T @ points)
    return points @ axes[:, ::-1]


def label_channels(channels: Channels, descriptor, species: np.ndarray) -> np.ndarray:
    """Return rows of `NAMES`."""
    l1, l2, *columns = channels.numbers.T
    rows = [l1, l2]
    sides = descriptor.left, descriptor.right or descriptor.left
    for q, side in zip(columns, sides, strict=True):
        rows += [species[q // side.n_radial], q % side.n_radial]
    return np.stack(rows, axis=1).astype(np.intp)
