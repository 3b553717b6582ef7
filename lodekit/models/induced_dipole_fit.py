"""The fit of atoms that polarize each other to dipoles and polarizabilities.

With nu_a = B^-1 e_a, the dipoles that a unit field along a induces, everything else
follows without a further solution: of M = sum q R + mu and of the polarizability alpha

    dM_a/dmu_0i = a_i^-1 nu_ia,    dM_a/dq_i = R_ia - (A nu_a)_i,
    dM_a/dlog a_i = nu_ia . a_i^-1 (mu_i - mu_0i),
    dalpha_ab/dlog a_i = nu_ia . a_i^-1 nu_ib.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from lodekit.fitting.progress import progress_bar
from lodekit.observables.moments import VOIGT
from lodekit.observables.rows import Rows
from lodekit.quantities import error_units, family
from lodekit.regression.baseline import count_species
from lodekit.regression.environments import batches
from lodekit.regression.latent import point_features
from lodekit.structures import get_target
from lodekit.structures.checks import can_have
from lodekit.units import COULOMB_CONSTANT

from .induced_dipole_latents import (
    CHARGE_PRIORS,
    DIPOLE_PRIOR,
    LOG_PRIORS,
    InducedBatch,
)

DIPOLE, POLARIZABILITY = family("tensors")
#: Atoms whose features are held at once.
ROW_ATOMS = 300
#: Least and usual polarizability of an atom in Å^3 to start from.
LEAST, USUAL = 0.1, 1.0
#: Weight of equal polarizabilities, over that of the frames.
EQUALITY = 0.05


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
    names : list of {"dipole", "polarizability"}
    latents : InducedLatents
    progress : bool
    """

    first_column, kernels, solver = 0, (), "cholesky"
    units = error_units((DIPOLE, POLARIZABILITY))

    def __init__(self, frames, names, latents, progress):
        self.frames, self.names, self.latents = frames, names, latents
        self.progress = progress
        self.rank, self.n_linear = latents.rank, latents.n_linear
        if names == [POLARIZABILITY]:  # nothing tells charges and dipoles
            self.n_linear = 0
        self.targets = [
            {name: self.read(atoms, name) for name in names} for atoms in frames
        ]
        self.n_rows = np.array(
            [sum(v.size for v in own.values() if v is not None) for own in self.targets]
        )

    @staticmethod
    def read(atoms, name: str):
        """Return a target as it stands in the rows, or None."""
        value = get_target(atoms, name) if can_have(atoms, name) else None
        if value is None or name == DIPOLE:
            return value
        return np.array([value[a, b] for a, b in VOIGT])

    def content(self):
        """Yield targets and sparse points."""
        for own in self.targets:
            yield from (value for value in own.values() if value is not None)
        kernels = self.latents.kernels.values()
        yield from point_features([kernel for own in kernels for kernel in own])

    def start(self, noises: dict) -> np.ndarray:
        """Return weights of no charges and dipoles, and reference polarizabilities."""
        return np.zeros(self.rank)

    def forget(self) -> None:
        """Keep nothing from step to step."""

    def rows(self, weights: np.ndarray, frames: np.ndarray):
        """Yield name, rows and weights (1) of rows around some weights."""
        used = frames[self.n_rows[frames] > 0]
        groups = list(batches([self.frames[i] for i in used], ROW_ATOMS))
        for group in progress_bar(groups, "rows", self.progress, lines=False):
            indices = used[group]
            some = [self.frames[i] for i in indices]
            batch = InducedBatch(self.latents, weights, some)
            features = (
                batch.project(batch.scalar_rows(CHARGE_PRIORS)),
                DIPOLE_PRIOR * batch.vectors.rows(np.arange(batch.batch.n_atoms)),
                batch.log_slopes[:, None] * batch.scalar_rows(LOG_PRIORS),
            )
            for place, index in enumerate(indices):
                own = batch.own(place)
                parts = [part[own] for part in features]
                found = self.frame_rows(batch, place, parts)
                for name, (matrix, values) in found.items():
                    target = self.targets[index][name]
                    if target is None:
                        continue
                    values = target - values + matrix @ weights
                    owners = np.full(values.size, index)
                    yield name, Rows(matrix, values, owners), np.ones(values.size)

    def frame_rows(self, batch: InducedBatch, place: int, features) -> dict:
        """Return rows and values of the targets of one structure."""
        system = batch.system(place)
        solved, own = batch.solve(place, system), batch.own(place)
        n_atoms, stiffness = len(solved.dipoles), system.stiffness
        uniform = np.broadcast_to(np.eye(3), (n_atoms, 3, 3))
        response = system.respond(uniform)  # atom, component, direction of the field
        stretched = np.einsum("iab,ibc->iac", stiffness, response)
        change = solved.dipoles - batch.permanent[own]
        by_charges, by_dipoles, by_logs = features
        none = np.zeros(n_atoms)
        felt = np.stack(
            [system.felt(none, response[:, :, axis])[:, 0] for axis in range(3)], axis=1
        )
        positions = system.interaction.positions
        moments = np.hstack(
            [
                (positions - felt).T @ by_charges,
                np.einsum("iba,ibw->aw", stretched, by_dipoles),
                np.einsum("iba,ib,iw->aw", stretched, change, by_logs),
            ]
        )
        slopes = np.einsum("ica,icb,iw->abw", stretched, response, by_logs)
        tensors = np.zeros((6, batch.latents.rank))
        tensors[:, batch.latents.n_linear :] = COULOMB_CONSTANT * np.array(
            [0.5 * (slopes[a, b] + slopes[b, a]) for a, b in VOIGT]
        )
        total = COULOMB_CONSTANT * response.sum(axis=0)
        values = np.array([0.5 * (total[a, b] + total[b, a]) for a, b in VOIGT])
        found = {DIPOLE: (moments, solved.moment), POLARIZABILITY: (tensors, values)}
        return {name: found[name] for name in self.names}
