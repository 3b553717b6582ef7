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


def choose_candidates(
    frames, species: np.ndarray, n_sparse: int, random_state
) -> dict[int, np.ndarray]:
    """Return global atom indices of candidate environments for every species."""
    numbers = np.concatenate([atoms.numbers for atoms in frames])
    limit = CANDIDATES_PER_POINT * n_sparse
    candidates = {}
    for z in species:
        found = np.flatnonzero(numbers == z)
        if found.size > limit:
            found = np.sort(random_state.choice(found, limit, replace=False))
        candidates[int(z)] = found
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
    found = features @ (rows.T @ (left[:, known] / np.sqrt(squares[known])))
    return found * scales if scaled else found


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
    kernel : SparseKernel or TensorKernel
        Its descriptor, species and covariance.
    n_sparse : int
        Environments per species, at the most; a species with fewer gives all.
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
    chosen = {}
    for z, atoms in candidates.items():
        own, factors = collected[z]
        if atoms.size > n_sparse:
            points = principal_components(
                own, max(N_COMPONENTS, n_sparse * ends), kernel.covariance.moves_lengths
            )
            picked = np.sort(selection.select(points, n_sparse))
            own, atoms = own[picked], atoms[picked]
            factors = [factor[picked] for factor in factors]
        chosen[z] = atoms, own, factors
    return chosen
