"""Groups of like frames, which are fitted together or left out together.

What is alike tells nothing new: copies, charge states of one geometry, one pair of
molecules at several distances, neighbours in a trajectory. An error on a frame whose
like was fitted is no error on unseen data.

Frames are of one kind if they have the same molecules, as bonded graphs, wherever these
are; where this makes hardly any difference, if they have the same rigid molecules.
Where most frames are of one kind all the same, as those of a liquid, a crystal or one
molecule, and where bonds come and go, frames of the same composition are told apart by
their geometry: numbers of pairs of every two elements by distance. Frames closer to
each other than half of what two frames usually are, such as neighbours in a trajectory,
are alike.
"""

from __future__ import annotations

import numpy as np
from ase.data import covalent_radii
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lodekit.observables.charges import total_charge
from lodekit.regression.environments import batches
from lodekit.structures.batch import StructureBatch
from lodekit.structures.neighbors import NeighborPairs, find_pairs

#: Two atoms are bonded below this multiple of the sum of their covalent radii.
BOND_FACTOR = 1.25
#: How many bonds around an atom tell it from others.
NAMING_ROUNDS = 6
#: Kinds of frames that are enough to leave one kind out at a time.
ENOUGH_KINDS = 5
#: Bonds of rigid molecules have the same length to this, in Å.
RIGID = 2e-3
#: Frames of one composition are alike below this share of their median distance.
ALIKE = 0.5
#: Range of pairs that tell geometries apart, and the width of bins, in Å.
PAIR_RANGE, BIN_WIDTH = 6.0, 0.25
#: Frames of one composition whose distances are all computed; more are taken in parts.
MAX_COMPARED = 2000
#: Atoms whose pairs are held at once.
BATCH_ATOMS = 5000


def find_groups(frames, groups=None) -> np.ndarray:
    """Return the number of the group of every frame, (n_frames,).

    Parameters
    ----------
    frames : list of ase.Atoms
    groups : array-like of shape (n_frames,), optional
        Names of the groups; found from the frames where None.

    Raises
    ------
    ValueError
        If there is not one name for every frame.
    """
    if groups is not None:
        names = np.array([str(name) for name in groups])
        if len(names) != len(frames):
            raise ValueError(
                f"groups must name one group for each of the {len(frames)} frames, "
                f"got {len(names)}"
            )
        return np.unique(names, return_inverse=True)[1]
    graphs, rigid, geometries = describe(frames)
    alike = find_alike(frames, geometries)
    if is_telling(graphs):  # bonds that come and go make kinds of what is alike
        return join(graphs, alike)
    return rigid if is_telling(rigid) and has_copies(rigid) else alike


def is_telling(kinds: np.ndarray) -> bool:
    """Return whether kinds are many enough, and none of them is most of the frames."""
    sizes = np.bincount(kinds)
    return len(sizes) >= ENOUGH_KINDS and sizes.max() <= len(kinds) / 2


def has_copies(kinds: np.ndarray) -> bool:
    """Return whether most frames have another one of their kind."""
    return bool(np.median(np.bincount(kinds)[kinds]) > 1)


def join(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return groups that hold together what either of two groupings holds together."""
    n_first = first.max() + 1
    place = (first, second + n_first)
    n_all = n_first + second.max() + 1
    graph = coo_array((np.ones(len(first)), place), (n_all, n_all))
    return np.unique(
        connected_components(graph, directed=False)[1][first], return_inverse=True
    )[1]


def describe(frames) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the kind of molecules in every frame, and a vector of its geometry.

    Returns
    -------
    graphs, rigid : ndarray of shape (n_frames,)
        Number of the kind by bonded graphs, and by lengths of bonds as well.
    geometries : ndarray of shape (n_frames, n_numbers)
    """
    species = np.unique(np.concatenate([atoms.numbers for atoms in frames]))
    graphs, rigid, geometries = [], [], []
    for group in batches(frames, BATCH_ATOMS):
        batch = StructureBatch.from_frames([frames[i] for i in group])
        pairs = find_pairs(batch, max(PAIR_RANGE, longest_bond(species)))
        graphs.append(name_molecules(batch, pairs))
        rigid.append(name_molecules(batch, pairs, RIGID))
        geometries.append(count_pairs(batch, pairs, species))
    by_graph, by_bonds = (
        np.unique(np.concatenate(names), return_inverse=True)[1]
        for names in (graphs, rigid)
    )
    return by_graph, by_bonds, np.concatenate(geometries)


def longest_bond(species: np.ndarray) -> float:
    """Return the length in Å up to which any two of these elements are bonded."""
    return 2.0 * BOND_FACTOR * float(covalent_radii[species].max())


def name_molecules(
    batch: StructureBatch, pairs: NeighborPairs, resolution: float = np.inf
) -> np.ndarray:
    """Return a number for every structure, the same for the same bonded graphs.

    An atom is named by its element, then again and again by its name and the names of
    its bonded neighbours; the name of a structure is made of those of its atoms. Names
    are hashes whose sums do not depend on the order of atoms. Bonds differ if their
    lengths do by more than the ``resolution`` (Å).

    References
    ----------
    N. Shervashidze et al., J. Mach. Learn. Res. 12, 2539 (2011).
    """
    radii = BOND_FACTOR * covalent_radii[batch.species]
    lengths = np.linalg.norm(pairs.vectors, axis=1)
    bonded = lengths < radii[pairs.centers] + radii[pairs.neighbors]
    centers, neighbors = pairs.centers[bonded], pairs.neighbors[bonded]
    kinds = scramble(np.rint(lengths[bonded] / resolution).astype(np.uint64))
    names = scramble(batch.species.astype(np.uint64))
    for _ in range(NAMING_ROUNDS):
        around = np.zeros_like(names)
        np.add.at(around, centers, scramble(scramble(names)[neighbors] + kinds))
        names = scramble(names + scramble(around))
    totals = np.zeros(batch.n_structures, dtype=np.uint64)
    np.add.at(totals, batch.structure_of_atom, scramble(names))
    return totals


def scramble(numbers: np.ndarray) -> np.ndarray:
    """Return hashes of unsigned 64-bit numbers.

    References
    ----------
    G. L. Steele Jr., D. Lea, C. H. Flood, OOPSLA 2014, 453 (SplitMix).
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def count_pairs(batch: StructureBatch, pairs: NeighborPairs, species) -> np.ndarray:
    """Return numbers of pairs by elements and distance, and of atoms by element.

    A pair counts in two bins, in proportion to how near it is to their middles.

    Returns
    -------
    counts : ndarray of shape (n_structures, n_numbers)
        Per atom.
    """
    lengths = np.linalg.norm(pairs.vectors, axis=1)
    near = lengths < PAIR_RANGE
    centers, neighbors = pairs.centers[near], pairs.neighbors[near]
    kinds = np.searchsorted(species, batch.species)
    n_bins, n_species = int(PAIR_RANGE / BIN_WIDTH) + 2, species.size
    bins = lengths[near] / BIN_WIDTH
    lower = bins.astype(np.intp)
    shape = (batch.n_structures, n_species, n_species, n_bins)
    owners = batch.structure_of_atom[centers]
    first = np.ravel_multi_index(
        (owners, kinds[centers], kinds[neighbors], lower), shape
    )
    size = int(np.prod(shape))
    counts = np.bincount(first, 1.0 - (bins - lower), size)
    counts += np.bincount(first + 1, bins - lower, size)
    sizes = np.diff(batch.first_atom)[:, None]
    return counts.reshape(batch.n_structures, -1) / sizes


def find_alike(frames, geometries: np.ndarray) -> np.ndarray:
    """Return groups of frames of the same composition and nearly the same geometry."""
    names = [(atoms.get_chemical_formula(), tuple(atoms.pbc)) for atoms in frames]
    known: dict = {}
    compositions = np.array([known.setdefault(name, len(known)) for name in names])
    groups = np.empty(len(frames), dtype=np.intp)
    n_groups = 0
    for composition in range(len(known)):
        members = np.flatnonzero(compositions == composition)
        n_parts = -(-len(members) // MAX_COMPARED)
        for part in np.array_split(members, n_parts):
            groups[part] = n_groups + cluster(geometries[part])
            n_groups = groups[part].max() + 1
    return groups


def cluster(vectors: np.ndarray) -> np.ndarray:
    """Return clusters of vectors (n, n_numbers), counted from 0.

    No two vectors of a cluster are farther apart than `ALIKE` times the median
    distance (complete linkage).
    """
    if len(vectors) == 1:
        return np.zeros(1, dtype=np.intp)
    tree = linkage(vectors, "complete")
    squares = np.einsum("nf,nf->n", vectors, vectors)
    distances = squares[:, None] + squares - 2.0 * vectors @ vectors.T
    upper = np.triu_indices(len(vectors), 1)
    median = np.sqrt(np.maximum(np.median(distances[upper]), 0.0))
    return fcluster(tree, max(ALIKE * median, 1e-9), "distance") - 1


def can_be_left_out(frames, groups: np.ndarray) -> np.ndarray:
    """Return the groups that the others can stand in for, ascending.

    Not those with the only frames of an element, a total charge or a boundary: without
    them, a model has never seen such. Nor single atoms, which nothing else resembles.
    """
    owners: dict = {}
    for atoms, group in zip(frames, groups.tolist(), strict=True):
        for key in keys_of(atoms):
            owners.setdefault(key, set()).add(group)
    needed = {group for held in owners.values() if len(held) == 1 for group in held}
    single = {g for a, g in zip(frames, groups.tolist(), strict=True) if len(a) == 1}
    return np.array(sorted({*groups.tolist()} - needed - single), dtype=np.intp)


def split_frames(frames, shares, groups=None, seed: int = 0) -> list[np.ndarray]:
    """Return the indices of parts of the frames, with every group in one of them.

    Parameters
    ----------
    frames : list of ase.Atoms
    shares : sequence of float
        Of every part; the first one also has what nothing else can stand in for, see
        `can_be_left_out`.
    groups : array-like of shape (n_frames,), optional
        Names of groups of like frames, see `find_groups`.
    seed : int
        Draws the order of the groups.

    Raises
    ------
    ValueError
        For shares that do not add up to 1, and parts without a group.
    """
    shares = np.asarray(shares, dtype=float)
    if not (shares > 0.0).all() or abs(shares.sum() - 1.0) > 1e-6:
        raise ValueError(
            f"shares of a split are positive and add up to 1, got {shares.tolist()}"
        )
    groups = find_groups(frames, groups)
    left = np.random.RandomState(seed).permutation(can_be_left_out(frames, groups))
    sizes, owners = np.bincount(groups), np.zeros(groups.max() + 1, dtype=np.intp)
    for part in range(len(shares) - 1, 0, -1):
        wanted = shares[part] * len(frames)
        before = np.concatenate([[0], np.cumsum(sizes[left])])
        # so many groups that the number of frames comes next to what is wanted
        count = int(np.abs(before - wanted).argmin())
        if len(left):
            count = max(count, 1)
        owners[left[:count]] = part
        left = left[count:]
    parts = [np.flatnonzero(owners[groups] == part) for part in range(len(shares))]
    empty = [number for number, part in enumerate(parts, 1) if not part.size]
    if empty:
        raise ValueError(
            f"part {empty[0]} of the split has no frames: there are "
            f"{len(sizes)} groups of like frames, of which "
            f"{can_be_left_out(frames, groups).size} can be left out; name other "
            "groups, or split by hand"
        )
    return parts


def keys_of(atoms) -> list:
    """Return the properties of a frame that a model knows from like frames only."""
    elements = [("element", int(z)) for z in np.unique(atoms.numbers)]
    boundary = ("boundary", tuple(atoms.pbc.tolist()))
    return [*elements, ("total charge", total_charge(atoms)), boundary]
