"""The fit of atoms that polarize each other to moments, responses and Born charges.

With nu_a = B^-1 e_a, the dipoles that a unit field along a induces, changes of M = sum
q R + mu and of the polarizability alpha follow without a further solution: those of M
are y of `induced_dipole_born`, and

    dalpha_ab/dlog a_i = nu_ia . a_i^-1 nu_ib.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from lodekit.fitting.fit import fit
from lodekit.fitting.problem import FitResult
from lodekit.fitting.progress import progress_bar
from lodekit.observables.moments import VOIGT
from lodekit.observables.polarization import (
    BORN_CHARGES,
    POLARIZATION,
    PolarizationTargets,
)
from lodekit.observables.rows import Rows
from lodekit.physics.induced_dipole_born import BornRows, InducedResponse
from lodekit.physics.induced_dipole_latents import InducedBatch
from lodekit.quantities import error_units, family
from lodekit.regression.baseline import count_species
from lodekit.regression.environments import batches
from lodekit.regression.latent import point_features
from lodekit.structures import frame_name, get_target
from lodekit.structures.checks import can_have
from lodekit.units import COULOMB_CONSTANT

DIPOLE, POLARIZABILITY = family("tensors")
#: Atoms whose features are held at once.
ROW_ATOMS = 300
#: Least and usual polarizability of an atom in Å^3 to start from.
LEAST, USUAL = 0.1, 1.0
#: Weight of equal polarizabilities, over that of the frames.
EQUALITY = 0.05
#: Frames that a first fit sees, evenly spread, which finds branches.
FIRST_FRAMES = 20


def reference_polarizabilities(frames, species) -> np.ndarray:
    """Return polarizabilities of the elements in Å^3 to start from, (n_species,).

    Those that add up to the mean polarizabilities of the frames, as equal as frames of
    few compositions leave them; 1 where none has any.
    """
    values = [get_target(atoms, POLARIZABILITY) for atoms in frames]
    used = [index for index, value in enumerate(values) if value is not None]
    if not used:
        return np.full(len(species), USUAL)
    means = np.array([np.trace(values[index]) / 3.0 for index in used])
    counts = count_species([frames[index] for index in used], species).astype(float)
    usual = means.sum() / counts.sum()
    weight = EQUALITY * np.sqrt(np.mean(counts**2) * len(used))
    rows = np.vstack([counts, weight * np.eye(len(species))])
    values = np.append(means, np.full(len(species), weight * usual))
    return np.maximum(nnls(rows, values)[0], LEAST)


class InducedProblem:
    """Rows around some weights: a `lodekit.fitting.fit.Problem`.

    Parameters
    ----------
    frames : list of ase.Atoms
    names : list of str
        Targets that are no energies.
    targets : PolarizationTargets
        Moments, on the right branch, and Born charges of the frames.
    latents : InducedLatents
    progress : bool
    first : ndarray of shape (rank,), optional
        Weights to start from.
    """

    first_column, kernels, solver = 0, (), "cholesky"
    units = error_units(family("polarization"))

    def __init__(self, frames, names, targets, latents, progress, first=None):
        self.frames, self.names, self.latents = frames, names, latents
        self.progress, self.first = progress, first
        self.rank, self.n_linear = latents.rank, latents.n_linear
        if names == [POLARIZABILITY]:  # nothing tells charges and dipoles
            self.n_linear = 0
        self.targets = [
            self.read(targets, index, atoms) for index, atoms in enumerate(frames)
        ]
        self.n_rows = np.array(
            [sum(v.size for v in targets.values()) for targets in self.targets]
        )

    def read(self, targets: PolarizationTargets, index: int, atoms) -> dict:
        """Return the targets of one structure as they stand in the rows."""
        moment = POLARIZATION if atoms.pbc.all() else DIPOLE
        values = {moment: targets.moments[index]}
        charges = targets.born_charges[index]
        values[BORN_CHARGES] = None if charges is None else charges.ravel()
        value = None
        if can_have(atoms, POLARIZABILITY):
            value = get_target(atoms, POLARIZABILITY)
        if value is not None:
            values[POLARIZABILITY] = np.array([value[a, b] for a, b in VOIGT])
        return {n: v for n, v in values.items() if n in self.names and v is not None}

    def content(self):
        """Yield targets and sparse points."""
        for targets in self.targets:
            yield from targets.values()
        kernels = self.latents.kernels.values()
        yield from point_features(
            [kernel for of_latent in kernels for kernel in of_latent]
        )

    def start(self, noises: dict) -> np.ndarray:
        """Return weights of no charges and dipoles, and reference polarizabilities."""
        return np.zeros(self.rank) if self.first is None else self.first

    def forget(self) -> None:
        """Keep nothing from step to step."""

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows around some weights."""
        used = frames[self.n_rows[frames] > 0]
        groups = list(batches([self.frames[i] for i in used], ROW_ATOMS))
        for group in progress_bar(groups, "rows", self.progress, lines=False):
            indices = used[group]
            batch = InducedBatch(
                self.latents, weights, [self.frames[i] for i in indices]
            )
            responses = [
                InducedResponse(batch, place, iterative=False)
                for place in range(len(indices))
            ]
            features, born = batch.latent_features(), None
            if any(BORN_CHARGES in self.targets[index] for index in indices):
                born = BornRows(batch, responses, features)
            for place, index in enumerate(indices):
                atoms = batch.own(place)
                parts = [part[atoms] for part in features]
                for name, target in self.targets[index].items():
                    if name == BORN_CHARGES:
                        matrix = born.rows(place).reshape(-1, self.rank)
                        values = born.values[atoms].ravel()
                    elif name == POLARIZABILITY:
                        matrix, values = self.response_rows(responses[place], parts)
                    else:
                        matrix = moment_rows(responses[place], parts)
                        values = responses[place].solved.moment
                    values = target - values + matrix @ weights
                    owners = np.full(values.size, index)
                    yield name, Rows(matrix, values, owners), np.ones(values.size)

    def response_rows(self, response: InducedResponse, features) -> tuple:
        """Return rows and values of the polarizability of one structure."""
        slopes = np.einsum(
            "ica,icb,iw->abw", response.by_dipoles, response.nu, features[2]
        )
        rows = np.zeros((6, self.rank))
        rows[:, self.latents.n_linear :] = COULOMB_CONSTANT * np.array(
            [0.5 * (slopes[a, b] + slopes[b, a]) for a, b in VOIGT]
        )
        total = COULOMB_CONSTANT * response.nu.sum(axis=0)
        return rows, np.array([0.5 * (total[a, b] + total[b, a]) for a, b in VOIGT])


def moment_rows(response: InducedResponse, features) -> np.ndarray:
    """Return the rows of M of one structure, (3, rank)."""
    return np.hstack(
        [
            response.by_charges.T @ features[0],
            np.einsum("ica,icw->aw", response.by_dipoles, features[1]),
            response.by_logs.T @ features[2],
        ]
    )


class InducedFit:
    """The fit, with the branches of polarizations of periodic structures.

    Derivatives come first: a fit without polarizations gives the estimates that they
    are folded on.

    Parameters
    ----------
    latents : InducedLatents
    quantum : float
        Charge of a quantum in e.
    progress : bool
    """

    def __init__(self, latents, quantum: float, progress: bool):
        self.latents, self.quantum, self.progress = latents, quantum, progress

    def run(self, frames, names, targets, given, arguments: dict) -> FitResult:
        """Fit to targets, whose polarizations are folded in place.

        Parameters
        ----------
        frames : list of ase.Atoms
        names : list of str
        targets : PolarizationTargets
        given : dict of str to float or "auto"
            Noises.
        arguments : dict
            Of `lodekit.fitting.fit.fit`.

        Raises
        ------
        StructureError
            If a branch is not certain.
        """
        periodic = [
            index
            for index, atoms in enumerate(frames)
            if atoms.pbc.all() and targets.moments[index] is not None
        ]
        first = None
        if periodic:
            first = self.first_weights(frames, names, targets, given)
            self.fold(frames, periodic, targets, first)
        problem = InducedProblem(
            frames, names, targets, self.latents, self.progress, first
        )
        result = fit(problem, given, **arguments)
        if periodic:
            self.fold(frames, periodic, targets, result.weights)
        return result

    def first_weights(self, frames, names, targets, given) -> np.ndarray:
        """Return weights without polarizations; those of the start where none fit."""
        rest = [name for name in names if name != POLARIZATION]
        problem = InducedProblem(frames, rest, targets, self.latents, self.progress)
        used = np.flatnonzero(problem.n_rows)
        if not used.size:
            return np.zeros(self.latents.rank)
        some = used[:: -(-used.size // FIRST_FRAMES)]
        there = {name for i in some for name in problem.targets[i]}
        rest = [name for name in rest if name in there]
        problem = InducedProblem(
            [frames[i] for i in some],
            rest,
            targets.some(some),
            self.latents,
            self.progress,
        )
        noises = {name: given[name] for name in rest}
        return fit(problem, noises, fraction=0.0, random_state=0).weights

    def fold(self, frames, chosen, targets, weights) -> None:
        """Put polarizations on the branches nearest to those of weights, in place."""
        estimates = []
        for index in chosen:
            batch = InducedBatch(self.latents, weights, [frames[index]])
            estimates.append(batch.solve(0).moment)
        folding = targets.fold(frames, chosen, np.array(estimates), self.quantum)
        folding.check([frame_name(int(index)) for index in chosen])
        for index, value in zip(chosen, folding.values, strict=True):
            targets.moments[index] = value
