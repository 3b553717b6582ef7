"""The range of the training frames, and how far other structures are from it.

A model knows the boundaries, total charges and pairs of neighbouring elements of its
training frames, and the surroundings of their atoms (`lodekit.descriptors.surroundings`
says as what). The extrapolation of an atom is the distance of its surroundings from
those, 1 being what surroundings of the training frames have themselves when groups of
like frames are left out. It depends on nothing but the structure, and costs a few per
cent of a force call of any model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from lodekit.descriptors.surroundings import SurroundingsDescriptor
from lodekit.observables.charges import total_charge
from lodekit.regression.environments import batches
from lodekit.stored_model import StoredModel
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import find_pairs
from lodekit.threads import threads_for

from .groups import can_be_left_out, find_groups
from .known_points import N_FOLDS, KnownPoints

#: Extrapolation of atoms in what was never seen at all: a boundary, a pair of elements.
NEVER_SEEN = 100.0
#: Atoms whose surroundings are held at once, and at the most in a fit.
BATCH_ATOMS, MAX_ATOMS = 2000, 40_000
#: What the kinds of features are called.
VIEWS = ("bonds", "surroundings")


@dataclass
class Extrapolation:
    """How far one structure is from the training frames.

    Attributes
    ----------
    values : ndarray of shape (n_atoms,)
        1 is the limit of what is known.
    reason : str
        What is farthest, with the number of the atom; empty within the limit.
    """

    values: np.ndarray
    reason: str = ""

    @property
    def largest(self) -> float:
        """That of the farthest atom."""
        return float(self.values.max())


class TrainingRange:
    """Boundaries, charges, pairs and surroundings of the training frames of a model.

    Parameters
    ----------
    species : ndarray of shape (n_species,)
        Sorted atomic numbers.
    boundaries : list of int
        Numbers of periodic directions that there were.
    charges : tuple of float
        Least and largest total charge.
    pairs : ndarray of shape (n_species, n_species)
        Whether an atom of the first element had a neighbour of the second one.
    known : list of list of KnownPoints
        By element, those of every kind of features.
    """

    def __init__(self, species, boundaries, charges, pairs, known):
        self.species, self.boundaries, self.charges = species, boundaries, charges
        self.pairs, self.known = pairs, known
        self.descriptor = SurroundingsDescriptor(species)

    @classmethod
    def learn(cls, frames, groups=None) -> TrainingRange:
        """Return the range of ``frames``, after a fit to them.

        Parameters
        ----------
        frames : list of ase.Atoms
            The surroundings of a part of them are looked at where there are many.
        groups : array-like of shape (n_frames,), optional
            Names of groups of like frames, see `find_groups`.
        """
        species = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
        descriptor = SurroundingsDescriptor(species)
        chosen = choose_frames(frames, species)
        some = [frames[i] for i in chosen]
        groups = find_groups(frames, groups)[chosen]
        seen = list(look_at(some, descriptor))
        numbers, owners = (np.concatenate([part[i] for part in seen]) for i in (0, 1))
        views = [
            np.concatenate([part[2].views[view] for part in seen])
            for view in range(len(VIEWS))
        ]
        folds = make_folds(some, groups)[owners]
        known = []
        for z in species:
            atoms_of_z = np.flatnonzero(numbers == z)
            known.append(
                [
                    KnownPoints.learn(
                        view[atoms_of_z], owners[atoms_of_z], folds[atoms_of_z]
                    )
                    for view in views
                ]
            )
        charges = [total_charge(atoms) for atoms in frames]
        boundaries = sorted({int(atoms.pbc.sum()) for atoms in frames})
        limits = float(min(charges)), float(max(charges))
        pairs = pairs_of(frames, species, descriptor.range)
        return cls(species, boundaries, limits, pairs, known)

    def extend(self, frames) -> None:
        """Add what frames cover, which have no other elements than these."""
        chosen = choose_frames(frames, np.zeros(0, dtype=int))
        seen = list(look_at([frames[i] for i in chosen], self.descriptor))
        numbers = np.concatenate([is_z[0] for is_z in seen])
        for z, known in zip(self.species, self.known, strict=True):
            is_z = numbers == z
            for view, points in enumerate(known if is_z.any() else ()):
                vectors = np.concatenate([part[2].views[view] for part in seen])
                points.extend(vectors[is_z])
        charges = [*self.charges, *(total_charge(atoms) for atoms in frames)]
        self.charges = float(min(charges)), float(max(charges))
        new = {int(atoms.pbc.sum()) for atoms in frames}
        self.boundaries = sorted({*self.boundaries, *new})
        self.pairs = self.pairs | pairs_of(frames, self.species, self.descriptor.range)

    def measure(self, frames) -> list[Extrapolation]:
        """Return how far every structure is from the training frames.

        Parameters
        ----------
        frames : list of ase.Atoms
            Of known elements.
        """
        results: list[Extrapolation] = []
        with threads_for(frames):
            for numbers, owners, surroundings in look_at(frames, self.descriptor):
                values = self.distances(numbers, surroundings)
                is_new = self.new_pairs(numbers, surroundings.has_neighbor)
                values[:, is_new.any(axis=1)] = NEVER_SEEN
                bounds = np.flatnonzero(np.diff(owners)) + 1
                parts_of_frames = zip(
                    np.split(values, bounds, axis=1),
                    np.split(is_new, bounds),
                    strict=True,
                )
                results += [
                    self.judge(frames[len(results) + i], *parts)
                    for i, parts in enumerate(parts_of_frames)
                ]
        return results

    def distances(self, numbers: np.ndarray, surroundings) -> np.ndarray:
        """Return the distances of atoms by kind of features, (n_views, n_atoms)."""
        values = np.full((len(VIEWS), len(numbers)), NEVER_SEEN)
        for z, known in zip(self.species, self.known, strict=True):
            atoms_of_z = np.flatnonzero(numbers == z)
            if not atoms_of_z.size:
                continue
            for view, points in enumerate(known):
                values[view, atoms_of_z] = points.distances(
                    surroundings.views[view][atoms_of_z]
                )
        return np.minimum(values, NEVER_SEEN)

    def new_pairs(self, numbers: np.ndarray, has_neighbor: np.ndarray) -> np.ndarray:
        """Return whether atoms have neighbours they never had, (n_atoms, n_species)."""
        return has_neighbor & ~self.pairs[np.searchsorted(self.species, numbers)]

    def judge(self, atoms, values: np.ndarray, is_new: np.ndarray) -> Extrapolation:
        """Return the extrapolation of one structure with its reason."""
        largest = values.max(axis=0)
        reason = self.strange_whole(atoms)
        if reason:
            return Extrapolation(np.full(len(atoms), NEVER_SEEN), reason)
        atom = int(largest.argmax())
        if largest[atom] <= 1.0:
            return Extrapolation(largest)
        symbol = chemical_symbols[atoms.numbers[atom]]
        if is_new[atom].any():
            other = chemical_symbols[self.species[int(is_new[atom].argmax())]]
            fault = (
                f"has {other} within {self.descriptor.range:.1f} Å, a pair of elements "
                "that no training frame has"
            )
        else:
            name = VIEWS[int((values[:, atom] > 1.0).argmax())]
            shown = np.ceil(10.0 * largest[atom]) / 10.0  # above the limit, as it is
            fault = (
                f"has {name} unlike all in the training data, extrapolation "
                f"{shown:.1f} where 1 is the limit"
            )
        return Extrapolation(largest, f"atom {atom + 1} ({symbol}) {fault}")

    def strange_whole(self, atoms) -> str:
        """Return the fault of a structure as a whole, empty where there is none."""
        n_periodic = int(atoms.pbc.sum())
        if n_periodic not in self.boundaries:
            seen = " or ".join(str(number) for number in self.boundaries)
            return (
                f"it is periodic in {n_periodic} directions, the training frames in "
                f"{seen}"
            )
        charge, (least, largest) = total_charge(atoms), self.charges
        if not least - 1e-6 <= charge <= largest + 1e-6:
            seen = f"{least:g}" if least == largest else f"{least:g} to {largest:g}"
            return (
                f"its total charge is {charge:g} e, that of the training frames {seen}"
            )
        return ""

    def get_state(self) -> tuple[dict, dict]:
        """Return settings and arrays for a model file."""
        settings = {
            "boundaries": self.boundaries,
            "charges": list(self.charges),
            "limits": [[float(view.limit) for view in known] for known in self.known],
        }
        arrays = {"pairs": self.pairs.astype(float)}
        for z, known in zip(self.species, self.known, strict=True):
            for name, view in zip(VIEWS, known, strict=False):
                arrays |= {
                    f"{z}/{name}/mean": view.mean,
                    f"{z}/{name}/directions": view.directions,
                    f"{z}/{name}/points": view.points.astype(np.float32),
                }
        return settings, arrays

    @classmethod
    def from_stored(cls, stored: StoredModel, species: np.ndarray) -> TrainingRange:
        """Rebuild what `get_state` returned.

        Raises
        ------
        ValueError, KeyError
            If it contradicts itself, or lacks something.
        """
        boundaries = stored.setting("boundaries", list)
        if not boundaries or not all(
            type(number) is int and 0 <= number <= 3 for number in boundaries
        ):
            raise ValueError(f"the boundaries are {boundaries!r:.60}")
        charges = stored.setting("charges", list)
        limits = stored.setting("limits", list)
        numbers = [*charges, *(limit for of_species in limits for limit in of_species)]
        if len(charges) != 2 or not all(
            type(number) is float and np.isfinite(number) for number in numbers
        ):
            raise ValueError("the training range has numbers that are none")
        pairs = stored.array("pairs", species.size, species.size) > 0.0
        known = []
        for z, of_species in zip(species, limits, strict=True):
            if not all(limit > 0.0 for limit in of_species) or len(of_species) not in (
                0,
                len(VIEWS),
            ):
                raise ValueError(
                    f"the limits of the training range are {of_species!r:.60}"
                )
            known.append(
                [
                    read_points(stored, f"{z}/{name}", limit)
                    for name, limit in zip(VIEWS, of_species, strict=False)
                ]
            )
        return cls(species, boundaries, tuple(charges), pairs, known)


def read_points(stored: StoredModel, name: str, limit: float) -> KnownPoints:
    """Return the points of one element and kind of features."""
    mean = stored.array(f"{name}/mean", None)
    directions = stored.array(f"{name}/directions", mean.size, None)
    points = stored.array(f"{name}/points", None, directions.shape[1])
    if not len(points):
        raise ValueError(f"the training range has no points of {name}")
    return KnownPoints(mean, directions, points.astype(float), float(limit))


def look_at(frames, descriptor: SurroundingsDescriptor):
    """Yield atomic numbers, indices of frames and surroundings, batch by batch."""
    for group in batches(frames, BATCH_ATOMS):
        batch = StructureBatch.from_frames([frames[i] for i in group])
        owners = np.asarray(group)[batch.structure_of_atom]
        yield batch.species, owners, descriptor.evaluate(batch)


def choose_frames(frames, species: np.ndarray) -> np.ndarray:
    """Return the frames whose surroundings are learned: all, or evenly spread ones.

    Frames with an element that the others lack are among them.
    """
    n_atoms = sum(len(atoms) for atoms in frames)
    chosen = np.zeros(len(frames), dtype=bool)
    chosen[:: -(-n_atoms // MAX_ATOMS)] = True
    if not chosen.all():
        for z in species:
            has = np.array([z in atoms.numbers for atoms in frames])
            if not (has & chosen).any():
                chosen[np.flatnonzero(has)[:N_FOLDS]] = True
    return np.flatnonzero(chosen)


def pairs_of(frames, species: np.ndarray, cutoff: float) -> np.ndarray:
    """Return which element has which neighbours, (n_species, n_species)."""
    has = np.zeros((species.size, species.size), dtype=bool)
    for group in batches(frames, BATCH_ATOMS):
        batch = StructureBatch.from_frames([frames[i] for i in group])
        kinds = np.searchsorted(species, batch.species)
        pairs = find_pairs(batch, cutoff)
        has[kinds[pairs.centers], kinds[pairs.neighbors]] = True
    return has


def make_folds(frames, groups: np.ndarray) -> np.ndarray:
    """Return the part that every frame is left out with, -1 where it never is.

    Groups that nothing else stands in for are not left out; frames are, where there are
    no two groups.
    """
    names = can_be_left_out(frames, groups)
    if len(names) < 2:
        groups = np.arange(len(frames))
        names = can_be_left_out(frames, groups)
    names = np.random.RandomState(0).permutation(names)
    folds = np.full(int(groups.max()) + 1, -1)
    folds[names] = np.arange(len(names)) % N_FOLDS
    return folds[groups]
