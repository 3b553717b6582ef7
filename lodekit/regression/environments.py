"""Choosing sparse points from the environments of many frames, in bounded memory."""

from __future__ import annotations

import numpy as np
from sklearn.utils import check_random_state

from lodekit.structures.batch import StructureBatch

from .covariances import safe_inverse
from .selection import FarthestPointSelection
from .sparse_kernel import SparseKernel

#: Candidates per sparse point and species that are looked at, at the most.
CANDIDATES_PER_POINT = 4
#: Principal components in which distances between candidates are measured. Selections
#: that end at the rank of the points get at least as many as points are asked for.
N_COMPONENTS = 100
#: Distance of copies of an environment, relative to the longest features.
COPY_DISTANCE = 1e-12


def batches(frames, max_atoms: int):
    """Yield lists of frame indices with at most ``max_atoms`` atoms (or one frame)."""
    chosen, n_atoms = [], 0
    for index, atoms in enumerate(frames):
        if chosen and n_atoms + len(atoms) > max_atoms:
            yield chosen
            chosen, n_atoms = [], 0
        chosen.append(index)
        n_atoms += len(atoms)
    if chosen:
        yield chosen


def first_of_copies(frames) -> np.ndarray:
    """Return whether each frame has atoms and a cell that no earlier one has."""
    seen, is_first = set(), []
    for atoms in frames:
        arrays = atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc
        key = tuple(array.tobytes() for array in arrays)
        is_first.append(key not in seen)
        seen.add(key)
    return np.array(is_first, dtype=bool)


def choose_candidates(
    frames, species: np.ndarray, n_sparse: int, random_state
) -> dict[int, np.ndarray]:
    """Return global atom indices of candidate environments for every species.

    Copies of frames have none, so that they do not change the draw.
    """
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    is_first = np.repeat(first_of_copies(frames), [len(atoms) for atoms in frames])
    limit = CANDIDATES_PER_POINT * n_sparse
    candidates = {}
    for z in species:
        indices = np.flatnonzero((numbers == z) & is_first)
        if indices.size > limit:
            indices = np.sort(random_state.choice(indices, limit, replace=False))
        candidates[int(z)] = indices
    return candidates


def collect_features(frames, kernel: SparseKernel, wanted: dict, max_atoms: int):
    """Return the features of the atoms ``wanted`` (sorted global indices) by species.

    They are written where they stay: copies of so much cost as much as the features.
    """
    collected = collect_environments(frames, kernel, wanted, max_atoms)
    return {z: features for z, (features, _) in collected.items()}


def collect_environments(
    frames, kernel, wanted: dict, max_atoms: int, single: bool = False
) -> dict:
    """Return features and expansion coefficients of the atoms ``wanted`` by species.

    Returns
    -------
    collected : dict of int to (features, coefficients)
        Features (n, n_features), and coefficients (n, n_lm, n_q) of every factor of the
        descriptor, in ``single`` precision or not.
    """
    first = np.concatenate([[0], np.cumsum([len(atoms) for atoms in frames])])
    descriptor, species = kernel.descriptor, kernel.species
    shapes = descriptor.coefficient_shapes(species)
    kind = np.float32 if single else float
    collected = {}
    for z, atoms in wanted.items():
        features = np.empty((len(atoms), descriptor.n_features(species)))
        factors = [np.empty((len(atoms), *shape), kind) for shape in shapes]
        collected[z] = features, factors
    for chosen in batches(frames, max_atoms):
        limits = first[[chosen[0], chosen[-1] + 1]]
        places = {z: slice(*np.searchsorted(w, limits)) for z, w in wanted.items()}
        if all(place.start == place.stop for place in places.values()):
            continue
        batch = StructureBatch.from_frames([frames[i] for i in chosen])
        state = descriptor.evaluate(batch, species)
        expansions = [one for one in (state.left, state.right) if one is not None]
        for z, place in places.items():
            inside = wanted[z][place] - limits[0]
            features, factors = collected[z]
            np.take(state.features, inside, axis=0, out=features[place], mode="clip")
            for factor, expansion in zip(factors, expansions, strict=True):
                factor[place] = expansion.coefficients[inside]
    return collected


def distinct_rows(features: np.ndarray, scaled: bool = False) -> np.ndarray:
    """Return sorted indices of rows that are no copies of an earlier row.

    Copies differ by less than ``COPY_DISTANCE`` times the largest length of a row.
    ``scaled`` rows are divided by their length before. Lengths along one direction tell
    which rows may be copies of each other.
    """
    lengths = np.sqrt(np.einsum("if,if->i", features, features))
    scales = safe_inverse(lengths) if scaled else np.ones(len(features))
    tolerance = COPY_DISTANCE * (lengths * scales).max(initial=0.0)
    direction = np.random.RandomState(0).normal(size=features.shape[1])
    direction /= np.linalg.norm(direction)
    heights = (features @ direction) * scales
    order = np.argsort(heights)
    gaps = np.flatnonzero(np.diff(heights[order]) > 2.0 * tolerance)
    kept = np.ones(len(features), dtype=bool)
    for group in np.split(order, gaps + 1):
        left = np.sort(group)
        while left.size > 1:
            rows = features[left] * scales[left, None]
            is_copy = np.linalg.norm(rows - rows[0], axis=1) <= tolerance
            kept[left[is_copy][1:]] = False
            left = left[~is_copy]
    return np.flatnonzero(kept)


def principal_components(features: np.ndarray, n_components: int, scaled: bool = False):
    """Project ``features`` (n, n_features) on their leading directions.

    The largest component is first. ``scaled`` features are divided by their length
    before. The directions come from at most twice as many evenly spread rows: they only
    serve to measure distances.
    """
    spread = slice(None, None, max(1, len(features) // (2 * n_components)))
    rows, scales = features[spread], None
    if scaled:
        lengths = np.sqrt(np.einsum("if,if->i", features, features))
        scales = safe_inverse(lengths)[:, None]
        rows = rows * scales[spread]
    n_components = min(n_components, *rows.shape)
    # eigenvectors of the smaller product: a full decomposition costs ten times as much
    squares, left = np.linalg.eigh(rows @ rows.T)
    known = np.flatnonzero(squares > 1e-16 * squares[-1])[: -n_components - 1 : -1]
    components = features @ (rows.T @ (left[:, known] / np.sqrt(squares[known])))
    return components * scales if scaled else components


def select_sparse_points(
    frames,
    kernel: SparseKernel,
    n_sparse: int,
    *,
    rcond: float = 1e-12,
    compact: bool = False,
    **choice,
) -> dict[int, np.ndarray]:
    """Choose sparse points for every species of ``kernel`` and store them in it.

    Parameters
    ----------
    frames, n_sparse
        See `choose_environments`.
    rcond : float
        See `SparseKernel.set_points`.
    compact : bool
        Store no more points, and no more of their digits, than a model needs; see
        `SparseKernel.set_environments`.
    **choice
        Keywords of `choose_environments`.

    Returns
    -------
    chosen : dict of int to ndarray
        Sorted global indices of the atoms chosen, by species.
    """
    chosen = choose_environments(frames, kernel, n_sparse, single=compact, **choice)
    for z, (_, features, coefficients) in chosen.items():
        if compact:
            kernel.set_environments(z, coefficients, rcond)
        else:
            kernel.set_points(z, features, rcond)
    return {z: atoms for z, (atoms, _, _) in chosen.items()}


def choose_environments(
    frames,
    kernel: SparseKernel,
    n_sparse: int,
    *,
    selection=None,
    max_atoms: int = 1000,
    random_state=None,
    single: bool = False,
) -> dict:
    """Choose environments of every species that represent all others.

    Parameters
    ----------
    frames : list of ase.Atoms
    kernel : SparseKernel or EquivariantKernel
        Its descriptor, species and covariance.
    n_sparse : int
        Environments per species, at the most; a species with fewer gives all. Copies
        of an environment count once: they say nothing new, and a frame that occurs
        twice shall be no more than one of twice the weight.
    selection : object with ``select(points, n_select)``, optional
        `FarthestPointSelection` where None. One with a true ``ends_at_rank`` gets as
        many features of the points as they take to pick ``n_sparse``.
    random_state : int or numpy.random.RandomState, optional
        Draws the candidates where there are many environments.
    single : bool
        Whether expansion coefficients are in single precision.

    Returns
    -------
    chosen : dict of int to (atoms, features, coefficients)
        By species: sorted global indices of the atoms, and what `collect_environments`
        returns of them.
    """
    selection = selection or FarthestPointSelection()
    ends = getattr(selection, "ends_at_rank", False)
    random_state = check_random_state(random_state)
    candidates = choose_candidates(frames, kernel.species, n_sparse, random_state)
    collected = collect_environments(frames, kernel, candidates, max_atoms, single)
    scaled = kernel.covariance.moves_lengths
    chosen = {}
    for z, atoms in candidates.items():
        features_of_species, factors = collected[z]
        distinct = distinct_rows(features_of_species, scaled)
        if distinct.size < atoms.size:
            features_of_species, atoms = features_of_species[distinct], atoms[distinct]
            factors = [factor[distinct] for factor in factors]
        if atoms.size > n_sparse:
            n_components = max(N_COMPONENTS, n_sparse * ends)
            points = principal_components(features_of_species, n_components, scaled)
            picked = np.sort(selection.select(points, n_sparse))
            features_of_species, atoms = features_of_species[picked], atoms[picked]
            factors = [factor[picked] for factor in factors]
        chosen[z] = atoms, features_of_species, factors
    return chosen
