"""The fit of density coefficients: rows in a metric, and the strength of the prior.

The weights make the metric norm of the errors of all structures as small as a prior
lets them, sum (Psi w - c)^T M (Psi w - c) + s sum d w^2, where 1/d is the variance of
the coefficients of a shell, smaller by `DECAY` for every l. The strength s is what
predicts frames best that were left out; it is found with one factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from sklearn.utils import check_random_state

from lodekit.density import DensityBasis, channel_places
from lodekit.density.features import DensityFeatures
from lodekit.density.uncertainty import DensityCovariance, calibrate
from lodekit.regression.block_equations import BlockEquations
from lodekit.regression.block_iterations import BlockIterations
from lodekit.regression.block_layout import BlockLayout, StructureRows
from lodekit.threads import threads_for

from .groups import can_be_left_out
from .progress import progress_bar

#: Prior variances fall by this from l to l + 1, beside those of the coefficients.
DECAY = 2.0
#: Prior variances are at least this share of the largest one.
LEAST_VARIANCE = 1e-8
#: Strength in the middle of those that are tried first, and how far one factorisation
#: goes to both sides.
STRENGTH, STRENGTH_RANGE = 1e-8, 1e2
#: Errors of frames left out that are all but the least are larger by this share.
TOLERANCE = 0.05
#: Factorisations where the least error is at the end of what one of them reaches.
MAX_PATHS = 4
#: Strengths that are tried for each factor of ten.
PER_DECADE = 8
#: Memory for metric matrices that are asked for again.
KEPT_BYTES = 2e8
#: Frames that say how large a squared norm is.
N_SCALE = 50
#: Atoms whose features are held at once.
BATCH_ATOMS = 300


class RecentMatrices:
    """Metric matrices by frame, of which some are kept.

    Parameters
    ----------
    make : callable
        Returns the matrix of a frame by its index.
    """

    def __init__(self, make):
        self.make, self.kept, self.room = make, {}, KEPT_BYTES

    def __call__(self, index: int) -> np.ndarray:
        """Return the matrix of a frame."""
        if index in self.kept:
            return self.kept[index]
        matrix = self.make(index)
        if matrix.nbytes <= self.room:
            self.room -= matrix.nbytes
            self.kept[index] = matrix
        return matrix


@dataclass
class DensityData:
    """Coefficients (or their changes) of structures to be fitted, and metrics.

    Attributes
    ----------
    frames : list of ase.Atoms
    basis : DensityBasis
    targets : list of ndarray of shape (n_functions, n_cases)
    cases : list of int
        Their numbers among the cases of the features: axes of fields that are known.
    metric : callable
        Returns M (n_functions, n_functions) of a frame by its index.
    """

    frames: list
    basis: DensityBasis
    targets: list
    cases: list
    metric: object

    def __post_init__(self):
        """Find the channels, and the frames of every composition."""
        self.places = [channel_places(self.basis, a.numbers) for a in self.frames]
        self.compositions: dict = {}
        for index, atoms in enumerate(self.frames):
            key = atoms.numbers.tobytes()
            self.compositions.setdefault(key, []).append(index)

    def weighted(self, weights: np.ndarray) -> DensityData:
        """Return the same data with the metric of every frame times its weight."""
        matrix = self.metric
        return replace(self, metric=lambda index: weights[index] * matrix(index))

    @property
    def has_dipoles(self) -> bool:
        """Whether dipoles are defined: known functions, open structures."""
        is_open = not any(atoms.pbc.any() for atoms in self.frames)
        return self.basis.is_known and is_open

    def mean_shells(self, is_response: bool) -> dict[int, np.ndarray]:
        """Return mean coefficients of l = 0; those of changes in a field are zero."""
        return {
            z: np.zeros(coefficients.shape[1])
            if is_response
            else coefficients.mean(axis=(0, 2, 3))
            for (z, l), coefficients in self.by_channel().items()
            if l == 0
        }

    def subtract(self, means: dict[int, np.ndarray]) -> None:
        """Take mean coefficients of l = 0 away from the targets."""
        self.targets = [
            target - mean_coefficients(means, places, len(target))[:, None]
            for target, places in zip(self.targets, self.places, strict=True)
        ]

    def by_channel(self) -> dict:
        """Return targets by element and l, (n_atoms, n_shells, 2 l + 1, n_cases)."""
        parts: dict = {}
        for places, target in zip(self.places, self.targets, strict=True):
            for key, place in places.items():
                parts.setdefault(key, []).append(target[place])
        return {key: np.concatenate(blocks) for key, blocks in parts.items()}

    def squares(self) -> tuple[float, int]:
        """Return sums of squared metric norms of some targets, and of their sizes."""
        total, size = 0.0, 0
        for index in range(0, len(self.frames), 1 + len(self.frames) // N_SCALE):
            target = self.targets[index]
            with threads_for(self.frames[index : index + 1]):
                total += float(np.sum(target * (self.metric(index) @ target)))
            size += target.size
        return total, size

    def portions(self, frames) -> list[list[int]]:
        """Return some frames in lists of one composition, each of a few atoms."""
        wanted, portions = set(frames), []
        for members in self.compositions.values():
            members_wanted = [index for index in members if index in wanted]
            step = max(1, BATCH_ATOMS // len(self.frames[members[0]]))
            portions += [
                members_wanted[i : i + step]
                for i in range(0, len(members_wanted), step)
            ]
        return portions

    def rows(self, portion: list[int], features: DensityFeatures):
        """Yield the rows of frames of one composition, one case after the other."""
        evaluated = features.evaluate([self.frames[i] for i in portion])
        with threads_for([self.frames[portion[0]]]):
            metrics = np.array([self.metric(i) for i in portion])
        places = {k: p for k, p in self.places[portion[0]].items()}
        for number, case in enumerate(self.cases):
            case_features = {
                key: evaluated[key][case].reshape(
                    len(portion), len(where), 2 * key[1] + 1, -1
                )
                for key, where in places.items()
            }
            values = np.array([self.targets[i][:, number] for i in portion])
            yield StructureRows(places, case_features, metrics, values)


def mean_coefficients(means: dict, places: dict, size: int) -> np.ndarray:
    """Return coefficients of a structure whose shells of l = 0 have their means."""
    coefficients = np.zeros(size)
    for (z, l), where in places.items():
        if l == 0:
            coefficients[where[:, :, 0]] = means[z]
    return coefficients


@dataclass
class DensityFit:
    """The result of a fit.

    Attributes
    ----------
    weights : dict of (z, l) to ndarray of shape (n_shells, rank)
    strength : float
        s.
    error : float or None
        Error of the frames left out, in % of the norm of their deviations from the
        means.
    n_left_out : int
    summary : dict
    covariance : DensityCovariance or None
        None where no frames were left out, or dipoles are not defined.
    """

    weights: dict
    strength: float
    error: float | None
    n_left_out: int
    summary: dict
    covariance: DensityCovariance | None


class LeftOutErrors:
    """Squared errors of frames left out, at any strength of a path."""

    def __init__(self, path, layout: BlockLayout):
        self.path, self.layout = path, layout
        size = len(path.basis)
        self.matrix, self.moment = np.zeros((size, size)), np.zeros(size)
        self.square = 0.0

    def add(self, rows: StructureRows) -> None:
        """Add the rows of frames that were not fitted."""
        parts = [self.layout.split(weights) for weights in self.path.basis]
        values = np.array([rows.expand(part) for part in parts])
        weighed = np.array([rows.weigh(array) for array in values])
        values, weighed = (array.reshape(len(array), -1) for array in (values, weighed))
        self.matrix += values @ weighed.T
        self.moment += weighed @ rows.values.ravel()
        self.square += float(rows.square(rows.values).sum())

    def percent(self, strength: float) -> float:
        """Return the error in % of the norm of what was left out."""
        place = self.path.coordinates(strength)
        error = self.square - 2.0 * place @ self.moment + place @ self.matrix @ place
        return 100.0 * float(np.sqrt(max(error, 0.0) / self.square))

    def best(self) -> tuple[float, float, bool]:
        """Return the best strength, its error, and whether the least is at an end.

        The largest strength is the best one of those whose errors are all but the
        least: farther from the frames of the fit, it is the safer one.
        """
        n_decades = 2.0 * np.log10(STRENGTH_RANGE)
        strengths = self.path.strength * np.geomspace(
            1.0 / STRENGTH_RANGE, STRENGTH_RANGE, int(n_decades * PER_DECADE) + 1
        )
        errors = np.array([self.percent(strength) for strength in strengths])
        least = int(np.argmin(errors))
        best = np.flatnonzero(errors <= (1.0 + TOLERANCE) * errors[least]).max()
        is_end = least in (0, len(strengths) - 1)
        return float(strengths[best]), float(errors[best]), is_end


def choose_strength(equations, rows: list, given: float | None = None) -> tuple:
    """Return the strength for rows left out, its error in %, and the path it is on.

    Parameters
    ----------
    equations : BlockEquations or BlockIterations
    rows : list of (indices of frames, StructureRows)
    given : float, optional
        A strength that is only judged.
    """
    strength, best = given or STRENGTH, None
    for _ in range(MAX_PATHS):
        try:
            path = equations.path(strength)
        except np.linalg.LinAlgError:  # too small for the digits of H
            if best is None:
                raise
            break
        errors = LeftOutErrors(path, equations.layout)
        for _, structure_rows in rows:
            errors.add(structure_rows)
        if given is not None:
            return given, errors.percent(given), path
        strength, error, is_end = errors.best()
        best = strength, error, path
        if not is_end:
            break
    return best


def draw_left_out(frames, groups, fraction: float, random_state) -> np.ndarray:
    """Return frames to be left out: whole groups, at most a share of all frames.

    One group is left out even where it is larger, unless the share is zero.
    """
    leavable = can_be_left_out(frames, groups)
    order = check_random_state(random_state).permutation(leavable)
    sizes = np.cumsum(np.bincount(groups, minlength=groups.max() + 1)[order])
    affordable = sizes <= fraction * len(frames)
    affordable[:1] |= fraction > 0.0
    return np.flatnonzero(np.isin(groups, order[affordable]))


def fit_densities(
    data: DensityData,
    features: DensityFeatures,
    left_out: np.ndarray,
    *,
    strength: float | None = None,
    max_bytes: float = np.inf,
    progress: bool = False,
    lap=lambda name: None,
) -> DensityFit:
    """Fit the weights of all coefficients.

    Parameters
    ----------
    data : DensityData
        Without the means.
    features : DensityFeatures
    left_out : ndarray of int
        Frames that choose the strength; they are fitted in the end as well.
    strength : float, optional
        A given one.
    max_bytes : float
        Memory for dense equations; conjugate gradients beyond.

    Raises
    ------
    ValueError
        If the rows do not fit into this memory either.
    """
    layout = BlockLayout(features.shapes())
    precisions = channel_precisions(data)
    is_dense = BlockEquations.bytes_needed(layout.size) <= max_bytes
    kind = BlockEquations if is_dense else BlockIterations
    equations = kind(layout, precisions)
    used = BlockEquations.bytes_needed(layout.size) if is_dense else 0.0

    def make(frames, name, is_kept):
        nonlocal used
        for portion in progress_bar(data.portions(frames), name, progress):
            for rows in data.rows(portion, features):
                used += BlockIterations.bytes_needed(rows) * is_kept
                check_memory(used, max_bytes)
                yield portion, rows

    fitted = np.setdiff1d(np.arange(len(data.frames)), left_out)
    for _, rows in make(fitted, "rows", not is_dense):
        equations.add(rows)
    lap("rows")
    chosen, error, scale = strength or STRENGTH, None, None
    if len(left_out):
        kept = list(make(left_out, "rows left out", True))
        lap("rows")
        chosen, error, path = choose_strength(equations, kept, strength)
        if data.has_dipoles:
            parts = layout.split(path.coordinates(chosen) @ path.basis)
            covariance = DensityCovariance(equations.posterior.factorize(), chosen)
            scale = calibrate(covariance, parts, kept, data.frames, data.basis)
        lap("strength")
        for _, rows in kept:
            equations.add(rows)
        lap("rows")
    weights = equations.solve(chosen)
    lap("solution")
    covariance = None
    if scale:
        factors = equations.posterior.factorize()
        covariance = DensityCovariance(factors, chosen, scale)
    summary = {"rank": layout.size, "solver": "dense" if is_dense else "cg"}
    if not is_dense:
        summary["n_steps"] = equations.n_steps
    return DensityFit(
        layout.split(weights), chosen, error, len(left_out), summary, covariance
    )


def check_memory(used: float, max_bytes: float) -> None:
    """Raise ``ValueError`` if rows take more memory than is allowed."""
    if used > max_bytes:
        raise ValueError(
            f"features and metrics take more than max_memory = {max_bytes / 1e9:g} GB; "
            "raise it, or lower n_sparse or validation_fraction"
        )


def channel_precisions(data: DensityData) -> dict:
    """Return d of every shell by element and l, for strengths without unit."""
    square, size = data.squares()
    variances = {
        key: (coefficients**2).mean(axis=(0, 2, 3)) / DECAY ** key[1]
        for key, coefficients in data.by_channel().items()
    }
    largest = max(variance.max() for variance in variances.values())
    if not largest > 0.0:
        raise ValueError(
            "all coefficients are those of the mean atoms: there is nothing to learn"
        )
    return {
        key: square / size / np.maximum(variance, LEAST_VARIANCE * largest)
        for key, variance in variances.items()
    }
