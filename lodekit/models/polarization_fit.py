"""The fit of atomic dipoles to polarizations, dipoles and Born charges.

Polarizations of periodic structures are known up to quanta, their derivatives are not:
a first fit to the Born charges of some frames says which branch every polarization is
on, and all rows that are certain make a second one that reaches farther.
"""

from __future__ import annotations

import numpy as np

from lodekit.errors import StructureError
from lodekit.fitting.noises import read_noises
from lodekit.fitting.progress import progress_bar
from lodekit.observables.branches import SAFE_SHARE
from lodekit.observables.polarization import (
    BORN_CHARGES,
    POLARIZATION,
    WANNIER,
    PolarizationTargets,
)
from lodekit.observables.rows import Rows
from lodekit.physics.atomic_dipoles import AtomicDipoles
from lodekit.quantities import error_units
from lodekit.regression.environments import batches
from lodekit.regression.latent import point_features
from lodekit.regression.normal_equations import Gram, NormalEquations
from lodekit.structures import frame_name
from lodekit.structures.batch import StructureBatch

UNITS = error_units((POLARIZATION, BORN_CHARGES, WANNIER))
#: Bytes of rows, and atoms, that are held at once.
ROW_BYTES, ROW_ATOMS, MOMENT_ATOMS = 3e8, 300, 1000
#: Frames whose Born charges the first fit sees, evenly spread.
FIRST_FRAMES = 10
#: Times that branches are looked for with more and more frames.
MAX_ROUNDS = 10
#: Loss of transposed Born charges, over that of the charges as they are, that is no
#: coincidence: derivatives of a moment are fitted 1.7 to 7 times better than their
#: transposes.
TRANSPOSED = 0.75


class DipoleProblem:
    """Rows of atomic dipoles, linear in weights: a `lodekit.fitting.fit.Problem`.

    Parameters
    ----------
    frames : list of ase.Atoms
    targets : PolarizationTargets
        Without the part of the ions.
    dipoles : AtomicDipoles
    progress : bool
    center_charges : ndarray of shape (n_species,), optional
        c, in e by element of the dipoles, where there are displacements of centroids.
    """

    n_linear, first_column, solver, units = None, 0, "cholesky", UNITS

    def __init__(
        self,
        frames,
        targets: PolarizationTargets,
        dipoles: AtomicDipoles,
        progress,
        center_charges=None,
    ):
        self.frames, self.targets, self.dipoles = frames, targets, dipoles
        self.center_charges = center_charges
        self.progress = progress
        self.names, self.rank = targets.names(), dipoles.rank
        self.kernels = dipoles.kernels
        self.n_rows = targets.count_rows()

    def content(self):
        """Yield targets and sparse points."""
        yield from self.targets.arrays()
        yield from point_features(self.dipoles.kernels)

    def rows(self, weights, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows, batch by batch."""
        kinds_of_frames = np.array([self.row_kind(i) for i in frames], int)
        n_atoms = int(ROW_BYTES / (8.0 * 12.0 * self.rank))
        kinds = [
            (
                frames[kinds_of_frames == kind],
                max(1, min(ROW_ATOMS, n_atoms)) if kind else MOMENT_ATOMS,
            )
            for kind in np.unique(kinds_of_frames)[::-1]
        ]
        groups = [
            chosen[group]
            for chosen, size in kinds
            for group in batches([self.frames[i] for i in chosen], size)
        ]
        for group in progress_bar(groups, "rows of dipoles", self.progress):
            for name, rows in self.batch_rows(group):
                yield name, rows, np.ones(len(rows.values))

    def row_kind(self, index: int) -> int:
        """Return 1 where a frame has rows of gradients, 0 otherwise."""
        return int(self.targets.born_charges[index] is not None)

    def moment_rows(self, frames: np.ndarray) -> np.ndarray:
        """Return the rows of M of some frames, (n, 3, rank)."""
        batch = StructureBatch.from_frames([self.frames[i] for i in frames])
        return self.dipoles.evaluate(batch).moment_rows()

    def posterior(self, result):
        """Return the posterior of the weights of dipoles."""
        return result.solution

    def fitted_responses(self, result) -> dict:
        """Return the models fitted beside dipoles, of which there are none."""
        return {}

    def batch_rows(self, indices: np.ndarray):
        """Yield name and rows of frames that fit into memory together."""
        batch = StructureBatch.from_frames([self.frames[i] for i in indices])
        state = self.dipoles.evaluate(batch)
        moments = [self.targets.moments[i] for i in indices]
        used = np.flatnonzero([values is not None for values in moments])
        if used.size:
            matrix = state.moment_rows()[used].reshape(-1, self.rank)
            values = np.concatenate([moments[i] for i in used])
            yield POLARIZATION, Rows(matrix, values, np.repeat(indices[used], 3))
        displacements = [self.targets.displacements[i] for i in indices]
        used = np.flatnonzero([values is not None for values in displacements])
        if used.size:
            yield WANNIER, self.center_rows(batch, state, indices, used)
        charges = [self.targets.born_charges[i] for i in indices]
        if charges[0] is not None:  # frames of a batch all have them, or none
            matrix = state.born_rows().reshape(-1, self.rank)
            values = np.concatenate([values.ravel() for values in charges])
            owners = np.repeat(indices[batch.structure_of_atom], 9)
            yield BORN_CHARGES, Rows(matrix, values, owners)

    def center_rows(self, batch, state, indices, used) -> Rows:
        """Return the rows of displacements of some structures of a batch."""
        species = self.dipoles.kernels[0].species
        charges = self.center_charges[np.searchsorted(species, batch.species)]
        is_used = np.isin(batch.structure_of_atom, used)
        atoms = np.flatnonzero(is_used & (charges != 0.0))
        matrix = state.rows(atoms) / charges[atoms, None, None]
        values = [self.targets.displacements[indices[i]].ravel() for i in used]
        owners = np.repeat(indices[batch.structure_of_atom[atoms]], 3)
        return Rows(matrix.reshape(owners.size, -1), np.concatenate(values), owners)


class BranchSearch:
    """Branches of the polarizations of periodic frames; derivatives come first.

    Parameters
    ----------
    problem : DipoleProblem
    noises : dict of str to float or "auto"
        Given noises.
    quantum : float
        Charge of a quantum in e.
    """

    def __init__(self, problem: DipoleProblem, noises: dict, quantum: float):
        self.problem, self.quantum = problem, quantum
        self.targets = problem.targets
        self.noises = read_noises(problem.names, noises)
        self.periodic = np.array(
            [
                index
                for index, atoms in enumerate(problem.frames)
                if atoms.pbc.all() and self.targets.moments[index] is not None
            ],
            dtype=int,
        )

    def run(self) -> int:
        """Fold all polarizations, in place; return how many rounds it took.

        Raises
        ------
        StructureError
            If Born charges seem to be transposed, or a branch is not certain.
        """
        born = self.born_sums()
        if not self.periodic.size:
            return 0
        moments, n_certain = self.moment_rows(), 0
        weights = None if born is None else self.solve(born)
        n_rounds, is_done = 0, False
        while not is_done:
            n_rounds += 1
            estimates = np.zeros((len(self.periodic), 3))
            if weights is not None:
                estimates = moments @ weights
            folding = self.fold(estimates)
            certain = folding.shares <= SAFE_SHARE
            is_done = certain.all() or certain.sum() <= n_certain
            if is_done or n_rounds == MAX_ROUNDS:
                break
            n_certain = certain.sum()
            # the nearer half of what is certain is safe; the rest may follow
            nearer = np.median(folding.shares[certain])
            known = folding.shares <= max(SAFE_SHARE / 2, nearer)
            weights = self.solve(born, moments[known], self.periodic[known])
        self.check(folding)
        return n_rounds

    def fold(self, estimates: np.ndarray):
        """Fold all polarizations on estimates without that of the ions, in place."""
        folding = self.targets.fold(
            self.problem.frames, self.periodic, estimates, self.quantum
        )
        for index, value in zip(self.periodic, folding.values, strict=True):
            self.targets.moments[index] = value
        return folding

    def check(self, folding) -> None:
        """Raise ``StructureError`` where a branch is not certain."""
        folding.check([frame_name(int(index)) for index in self.periodic])

    def born_sums(self):
        """Return sums over the rows of Born charges of some frames, None without any.

        Raises
        ------
        StructureError
            If the transposed charges are described much better.
        """
        charges = self.targets.born_charges
        there = np.flatnonzero([values is not None for values in charges])
        if not there.size:
            return None
        every = -(-len(there) // FIRST_FRAMES)
        sums, transposed = Gram(self.problem.rank), Gram(self.problem.rank)
        for name, rows, _ in self.problem.rows(None, there[::every]):
            if name == BORN_CHARGES:
                sums.add(rows.matrix, rows.values)
                turned = rows.values.reshape(-1, 3, 3).swapaxes(1, 2).ravel()
                transposed.moment += rows.matrix.T @ turned
        transposed.matrix, transposed.square = sums.matrix, sums.square
        losses = [self.loss(values) for values in (sums, transposed)]
        if losses[1] < TRANSPOSED * losses[0]:
            raise StructureError(
                "the Born charges seem to be transposed: models describe them "
                f"{losses[0] / losses[1]:.1f} times better with their indices "
                "exchanged; their nine numbers must be (moment, displacement) = xx, "
                "xy, xz, yx, ...; `lodekit.observables.polarization."
                "transpose_born_charges` exchanges them"
            )
        return sums

    def loss(self, sums: Gram) -> float:
        """Return the least weighted square of residuals and weights of Born charges."""
        weights = self.solve(sums)
        return float(sums.square - sums.moment @ weights)

    def moment_rows(self) -> np.ndarray:
        """Return the rows of M of periodic frames, (n, 3, rank)."""
        frames = [self.problem.frames[i] for i in self.periodic]
        groups = batches(frames, MOMENT_ATOMS)
        return np.concatenate(
            [self.problem.moment_rows(self.periodic[group]) for group in groups]
        )

    def solve(self, born, moments=None, frames=()) -> np.ndarray:
        """Return weights that fit sums of Born charges, and rows of M of some frames.

        Parameters
        ----------
        born : Gram or None
        moments : ndarray of shape (n, 3, rank), optional
        frames : ndarray of shape (n,)
            Their indices.
        """
        equations = NormalEquations(self.problem.rank, self.noises)
        if born is not None:
            equations.grams[BORN_CHARGES] = born
        if len(frames):
            values = np.concatenate([self.targets.moments[i] for i in frames])
            matrix = moments.reshape(values.size, -1)
            equations.add(POLARIZATION, matrix, values)
        return equations.solve(self.noises).weights
