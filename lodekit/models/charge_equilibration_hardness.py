"""Hardness and widths of elements that make the targets most probable."""

from __future__ import annotations

import numpy as np
from scipy import linalg, optimize

from lodekit.observables.charges import charge_rows, row_counts
from lodekit.regression.environments import batches

from .charge_equilibration_atoms import radii
from .noise import DEFAULT_NOISES

#: Rows that decide, at the most: the cost grows with their cube.
MAX_ROWS = 1000
#: Limits of the hardness in V/e and of widths as a factor of the covalent radius.
HARDNESS, WIDTHS = (0.05, 1000.0), (0.2, 2.0)
#: Noises relative to the defaults, from and to.
NOISES = (1e-3, 30.0)
#: Atoms whose features are made at once.
BATCH_ATOMS = 1000


def fit_elements(model, frames, random_state) -> None:
    """Replace hardness or widths of a model, as far as these are to be fitted.

    The logarithm of the marginal likelihood of charges and moments of some frames is
    maximised over hardness and width of every element and the noises.

    Parameters
    ----------
    model : ChargeEquilibrationModel
        With sparse points, and hardness and widths to start from.
    frames : list of ase.Atoms
    random_state : numpy.random.RandomState
        Draws frames where there are too many.

    References
    ----------
    C. E. Rasmussen, C. K. I. Williams, Gaussian Processes for Machine Learning (MIT
    Press, 2006), Sec. 5.4.
    """
    search = ElementSearch(model, frames, random_state)
    found = optimize.minimize(
        search.loss,
        search.start,
        method="L-BFGS-B",
        bounds=search.bounds,
        options={"maxiter": 30, "ftol": 1e-5, "eps": 1e-3},
    )
    search.apply(found.x)


class ElementSearch:
    """What is varied, as logarithms, and how probable it makes the targets."""

    def __init__(self, model, frames, random_state):
        self.model = model
        self.names = model.targets_
        chosen, n_rows = [], 0
        for index in random_state.permutation(len(frames)):
            n_rows += sum(row_counts([frames[index]], name) for name in self.names)
            if chosen and n_rows > MAX_ROWS:
                break
            chosen.append(index)
        some = [frames[i] for i in chosen]
        self.features = []
        for group in batches(some, BATCH_ATOMS):
            self.features += model.plain_features([some[i] for i in group])
        n_species = model.species_.size
        self.fits_hardness = model.hardness == "fit"
        self.fits_widths = model.widths == "fit"
        start, limits = [], []
        if self.fits_hardness:
            start += list(model.hardness_)
            limits += [HARDNESS] * n_species
        if self.fits_widths:
            start += list(model.widths_)
            limits += list(np.outer(radii(model.species_), WIDTHS))
        for name in self.names:
            start.append(DEFAULT_NOISES[name])
            limits.append(DEFAULT_NOISES[name] * np.array(NOISES))
        self.start = np.log(start)
        self.bounds = np.log(limits)

    def apply(self, logarithms: np.ndarray) -> dict[str, float]:
        """Set hardness and widths of the model, and return the noises."""
        values, n_species = np.exp(logarithms), self.model.species_.size
        if self.fits_hardness:
            self.model.hardness_ = values[:n_species]
            values = values[n_species:]
        if self.fits_widths:
            self.model.widths_ = values[:n_species]
            values = values[n_species:]
        return dict(zip(self.names, values, strict=True))

    def loss(self, logarithms: np.ndarray) -> float:
        """Return minus the logarithm of the marginal likelihood per row."""
        noises = self.apply(logarithms)
        matrix, values, variances = [], [], []
        for atoms, features in self.features:
            scaled = features * self.model.stiffness
            charges = self.model._charges(atoms, scaled)
            for name in self.names:
                rows = charge_rows(atoms, charges, name, 0)
                matrix.append(rows.matrix)
                values.append(rows.values)
                variances.append(np.full(len(rows.values), noises[name] ** 2))
        matrix, values = np.concatenate(matrix), np.concatenate(values)
        covariance = matrix @ matrix.T
        covariance[np.diag_indices_from(covariance)] += np.concatenate(variances)
        factor = linalg.cholesky(covariance, lower=True, overwrite_a=True)
        solved = linalg.solve_triangular(factor, values, lower=True)
        logs = np.log(np.diag(factor)).sum()
        return float(0.5 * solved @ solved + logs) / len(values)
