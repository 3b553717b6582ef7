"""Which structures of many to calculate, or to fit to.

A structure is described by the sums of the features of its surroundings, element by
element, divided by its number of atoms (`lodekit.descriptors.surroundings`). Farthest
points of these vectors are structures unlike each other.
"""

from __future__ import annotations

import numpy as np

from lodekit.descriptors.surroundings import SurroundingsDescriptor
from lodekit.regression.environments import batches
from lodekit.structures.batch import StructureBatch

#: Atoms whose surroundings are held at once.
BATCH_ATOMS = 2000
#: Candidates for every structure that is picked by a score.
CANDIDATES = 3


def describe_structures(frames, species=None) -> np.ndarray:
    """Return a vector for every structure, (n_frames, n_features).

    Parameters
    ----------
    frames : list of ase.Atoms
    species : ndarray of shape (n_species,), optional
        Sorted atomic numbers; those of the frames where None.
    """
    if species is None:
        species = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
    descriptor, rows = SurroundingsDescriptor(species), []
    for group in batches(frames, BATCH_ATOMS):
        batch = StructureBatch.from_frames([frames[i] for i in group])
        features = np.hstack(descriptor.evaluate(batch).views)
        is_element = batch.species[:, None] == species
        columns = is_element[:, :, None] * features[:, None]
        columns = columns.reshape(len(features), -1)
        sums = np.add.reduceat(columns, batch.first_atom[:-1])
        rows.append(sums / np.diff(batch.first_atom)[:, None])
    return np.concatenate(rows)


def farthest(vectors: np.ndarray, n_select: int, known: np.ndarray | None = None):
    """Return the indices of vectors far from each other, and from known ones.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_features)
    n_select : int
        Fewer are returned where the others are copies of these.
    known : ndarray of shape (n_known, n_features), optional
        The first pick is farthest from the mean where None.
    """
    nearest = np.full(len(vectors), np.inf)
    if known is None or not len(known):
        start = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        chosen = [int(start.argmax())]
    else:
        for point in known:
            nearest = np.minimum(nearest, np.linalg.norm(vectors - point, axis=1))
        chosen = [int(nearest.argmax())]
        if nearest[chosen[0]] <= 1e-12:
            return np.zeros(0, dtype=np.intp)
    while len(chosen) < min(n_select, len(vectors)):
        distances = np.linalg.norm(vectors - vectors[chosen[-1]], axis=1)
        nearest = np.minimum(nearest, distances)
        pick = int(nearest.argmax())
        if nearest[pick] <= 1e-12:
            break
        chosen.append(pick)
    return np.array(chosen, dtype=np.intp)


def select_farthest(frames, n_select: int, known=()) -> np.ndarray:
    """Return the indices of frames unlike each other, the most unlike first.

    Parameters
    ----------
    frames : list of ase.Atoms
    n_select : int
    known : list of ase.Atoms
        Structures that there are already, and to be unlike of.
    """
    everything = [*frames, *known]
    species = np.unique(np.concatenate([atoms.numbers for atoms in everything]))
    vectors = describe_structures(everything, species)
    return farthest(vectors[: len(frames)], n_select, vectors[len(frames) :])


def select_largest(frames, scores, n_select: int) -> np.ndarray:
    """Return the indices of frames of large scores that are unlike each other.

    Neighbours in a trajectory have nearly the same score: of `CANDIDATES` times as many
    frames, those of the largest scores, the ones farthest from each other are taken,
    and the frame of the largest score.

    Parameters
    ----------
    frames : list of ase.Atoms
    scores : ndarray of shape (n_frames,)
    n_select : int
    """
    order = np.argsort(-np.asarray(scores), kind="stable")[: CANDIDATES * n_select]
    first, others = order[:1], order[1:]
    if n_select == 1 or not others.size:
        return first
    vectors = describe_structures([frames[i] for i in order])
    picked = farthest(vectors[1:], n_select - 1, vectors[:1])
    chosen = np.concatenate([first, others[picked]])
    return chosen[np.argsort(-np.asarray(scores)[chosen], kind="stable")]
