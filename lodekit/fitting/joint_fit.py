"""Charges and a short-ranged remainder fitted together to energies and forces.

The energy of charges is not linear in their weights, what they leave over is linear in
those of a short-ranged latent: Gauss-Newton steps find both at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from lodekit.observables.charges import row_counts, target_rows
from lodekit.observables.energy import build_rows, row_owners
from lodekit.observables.rows import Rows
from lodekit.physics.rows import EnergyRows
from lodekit.quantities import UNITS
from lodekit.regression.baseline import count_species
from lodekit.regression.environments import batches
from lodekit.regression.kept_rows import KeptRows
from lodekit.regression.latent import point_features
from lodekit.regression.normal_equations import NormalEquations, weighted_sums
from lodekit.structures.batch import StructureBatch

from .progress import progress_bar

#: Bytes of design-matrix rows assembled at once.
ROW_BYTES = 3e8
#: Atoms whose derivatives are held at once.
ROW_ATOMS = 400
#: Prior standard deviation in eV of what an element adds to the composition's energy.
ELEMENT_ENERGY = 10.0


@dataclass
class Linearised:
    """Sums of rows around some weights.

    Attributes
    ----------
    weights : ndarray of shape (rank,)
    equations : NormalEquations
    squares : dict of str to float
        Sum of the squared residuals of every target, in the units of its rows.
    """

    weights: np.ndarray
    equations: NormalEquations
    squares: dict

    def weigh(self, noises: dict) -> tuple[np.ndarray, np.ndarray, float]:
        """Return A, the right-hand side and the loss for `minimise`."""
        loss = float(self.weights @ self.weights)
        loss += sum(self.squares[name] / noises[name] ** 2 for name in self.squares)
        return *weighted_sums(self.equations.grams, noises), loss


class JointFit:
    """Weights of elements, of a short-ranged remainder and of charges, in this order.

    A `lodekit.fitting.fit.Problem`.

    Parameters
    ----------
    response : Response
        Of the charges.
    start : ndarray of shape (rank,)
        Weights of the charges that steps start from.
    frames : list of ase.Atoms
    targets : EnergyTargets
        Energies, forces, stress, from which the baseline of elements is taken.
    linear : list of str
        Charges, moments, total charges that are fitted with them.
    rest : Latent
        The short-ranged remainder.
    species : ndarray of shape (n_species,)
    progress : bool

    Attributes
    ----------
    baseline : ndarray of shape (n_species,)
        Energies of the elements in eV that are taken away first.
    n_rest : int
        Weights before those of the charges.
    """

    first_column, kernels, solver = 0, (), "cholesky"
    units = UNITS

    def __init__(
        self, response, start, frames, targets, linear, rest, species, progress=False
    ):
        self.response, self.first_weights = response, start
        self.frames, self.targets, self.linear = frames, targets, linear
        self.rest, self.species, self.progress = rest, species, progress
        self.names = [*linear, *targets.names]
        self.counts = count_species(frames, species)
        self.baseline = targets.subtract_baseline(frames, species)
        self.n_rest = self.n_linear = species.size + rest.rank
        self.rank = self.n_rest + response.rank
        counts = [[row_counts([a], name) for name in linear] for a in frames]
        self.n_rows = targets.count_rows(frames)
        self.n_rows = self.n_rows + np.array(counts, int).sum(axis=1)
        self.kept = KeptRows()

    def start(self, noises: dict) -> np.ndarray:
        """Return the weights to start from."""
        return np.concatenate([np.zeros(self.n_rest), self.first_weights])

    def content(self):
        """Yield targets and sparse points."""
        yield from self.targets.arrays()
        yield from point_features([*self.rest.kernels, *self.response.kernels])

    def forget(self) -> None:
        """Drop rows that are kept from step to step."""
        self.kept.clear()

    def expand(self, frames, weights, keep) -> EnergyRows:
        """Return the contribution of charges around some of their weights."""
        return EnergyRows(self.response.solve(frames, weights, keep))

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and their weights (1) of frames, batch by batch."""
        return self.rows_of(self.expand, weights, frames)

    def linearise(self, expand, weights: np.ndarray, chosen) -> Linearised:
        """Return the sums of rows around some weights."""
        equations = NormalEquations(weights.size, self.names)
        squares = dict.fromkeys(self.names, 0.0)
        for name, rows, _ in self.rows_of(expand, weights, chosen):
            equations.add(name, rows.matrix, rows.values)
            residuals = rows.values - rows.matrix @ weights
            squares[name] += float(residuals @ residuals)
        return Linearised(weights, equations, squares)

    def rows_of(self, expand, weights: np.ndarray, chosen):
        """Yield name, rows and their weights (1) of frames, batch by batch.

        ``expand(frames, weights, keep)`` returns `EnergyRows` of charges, or something
        else with their methods. Rows are linear in all weights, the values such that
        residuals at the ``weights`` are those of the model itself.
        """
        n_atoms = max(1, min(ROW_ATOMS, int(ROW_BYTES / (24.0 * weights.size))))
        groups = list(batches([self.frames[i] for i in chosen], n_atoms))
        for group in progress_bar(groups, "rows", self.progress, lines=False):
            indices = np.asarray(chosen)[group]
            for name, rows in self.batch_rows(expand, weights[self.n_rest :], indices):
                yield name, rows, np.ones(len(rows.values))

    def batch_rows(self, expand, weights: np.ndarray, indices):
        """Yield name and rows of frames that fit into memory together."""
        frames = [self.frames[i] for i in indices]
        keep = self.kept.of(tuple(indices))
        expansion = expand(frames, weights, keep)
        for place, (index, atoms) in enumerate(zip(indices, frames, strict=True)):
            charges_of = partial(expansion.linear, place)
            for name, part in target_rows(atoms, charges_of, self.linear, index):
                none = np.zeros((len(part.values), self.n_rest))
                matrix = np.hstack([none, part.matrix])
                yield name, Rows(matrix, part.values, part.frames)
        short = partial(self.short_rows, frames, self.targets.subset(indices))
        for name, rows in keep("remainder", short).items():
            elements = np.zeros((len(rows.values), self.species.size))
            if name == "energy":
                counts = self.counts[indices[rows.frames]]
                elements = ELEMENT_ENERGY * counts / counts.sum(axis=1)[:, None]
            part, values = getattr(expansion, name)()
            known = np.isin(row_owners(frames, name), rows.frames)
            part, values = part[known], values[known]
            values = rows.values - values + part @ weights
            matrix = np.hstack([elements, rows.matrix, part])
            yield name, Rows(matrix, values, indices[rows.frames])

    def short_rows(self, frames, targets) -> dict[str, Rows]:
        """Return the rows of the remainder by target."""
        return build_rows(
            self.rest.kernels, StructureBatch.from_frames(frames), targets
        )
