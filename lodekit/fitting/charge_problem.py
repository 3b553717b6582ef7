"""Fits of charges and moments, which are linear in the weights."""

from __future__ import annotations

from functools import partial

import numpy as np

from lodekit.observables.charges import row_counts, target_rows
from lodekit.quantities import UNITS
from lodekit.regression.environments import batches
from lodekit.regression.latent import point_features
from lodekit.structures import get_target

from .progress import progress_bar

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000


class ChargeProblem:
    """Rows of charges and moments, linear in the weights: a `lodekit.fitting.Problem`.

    Parameters
    ----------
    response : Response
    frames : list of ase.Atoms
    names : iterable of str
        Targets and conditions.
    progress : bool
    """

    n_linear, solver, units = None, "cholesky", UNITS

    def __init__(self, response, frames, names, progress: bool = False):
        self.response, self.frames, self.names = response, frames, list(names)
        self.rank, self.kernels = response.rank, response.kernels
        self.first_column = response.species.size
        counts = [[row_counts([a], name) for name in self.names] for a in frames]
        self.n_rows = np.array(counts).sum(axis=1)
        self.progress = progress

    def content(self):
        """Yield targets and sparse points."""
        for atoms in self.frames:
            values = [get_target(atoms, name) for name in self.names]
            yield from (np.asarray(value) for value in values if value is not None)
        yield from point_features(self.kernels)

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows, batch by batch."""
        groups = list(batches([self.frames[i] for i in frames], BATCH_ATOMS))
        for group in progress_bar(groups, "rows", self.progress):
            indices = frames[group]
            some = [self.frames[i] for i in indices]
            solved = self.response.solve(some, np.zeros(self.rank))
            for place, (index, atoms) in enumerate(zip(indices, some, strict=True)):
                charges_of = partial(solved.linear, place)
                for name, rows in target_rows(atoms, charges_of, self.names, index):
                    yield name, rows, np.ones(len(rows.values))
