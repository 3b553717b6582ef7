"""The fit of dipoles and responses together, where frames were computed in fields."""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np
from sklearn.base import clone

from lodekit.observables.fields import fields_of
from lodekit.observables.polarization import BORN_CHARGES, POLARIZATION, ionic_moment
from lodekit.observables.rows import Rows
from lodekit.physics.field_energy import factors_of
from lodekit.quantities import ENERGIES, error_units, family
from lodekit.regression.dual_equations import DualSolution
from lodekit.regression.latent import point_features
from lodekit.regression.normal_equations import Solution
from lodekit.structures import get_target
from lodekit.structures.batch import StructureBatch

from .field_rows import FieldLatents, ResponseLatents, symmetric_tensor
from .polarization_fit import UNITS, DipoleProblem
from .polarization_parts import default_response, symmetrize
from .polarization_prediction import RESPONSES

ENERGY, FORCES = family("field rows")
#: Digits of positions and cells in Å that have to agree in calculations of a structure
#: in different fields.
DIGITS = 6


def find_partners(frames, fields) -> dict[int, int]:
    """Return for frames in a field another frame of the same positions.

    The one in the smallest field of these, by index.
    """
    groups: dict = {}
    for index, atoms in enumerate(frames):
        arrays = [
            np.round(array, DIGITS) + 0.0 for array in (atoms.positions, atoms.cell[:])
        ]
        key = tuple(array.tobytes() for array in (atoms.numbers, atoms.pbc, *arrays))
        groups.setdefault(key, []).append(index)
    partners = {}
    for group in groups.values():
        strengths = np.linalg.norm(fields[group], axis=1)
        first = group[int(np.argmin(strengths))]
        for index in group:
            if not np.array_equal(fields[index], fields[first]):
                partners[index] = first
    return partners


class FieldProblem(DipoleProblem):
    """Rows of frames with and without fields: a `lodekit.fitting.fit.Problem`.

    Parameters
    ----------
    model : PolarizationModel
        With its dipoles and oxidation states.
    frames : list of ase.Atoms
    targets : PolarizationTargets
        Without the part of the ions.
    center_charges : ndarray of shape (n_species,) or None
        See `DipoleProblem`.
    random_state : numpy.random.RandomState
    """

    units = {**UNITS, **error_units([*RESPONSES, ENERGY, FORCES])}

    def __init__(self, model, frames, targets, center_charges, random_state):
        dipoles = model.dipoles_
        super().__init__(frames, targets, dipoles, model.progress, center_charges)
        self.fields = fields_of(frames)
        self.partners = find_partners(frames, self.fields)
        species, states = model.species_, model.oxidation_states_
        self.ions = [ionic_moment(atoms, species, states) for atoms in frames]
        self.charges = [states[np.searchsorted(species, a.numbers)] for a in frames]
        # moments as they were computed: energies are on the branches of these
        self.computed = [
            None if moment is None else moment + ions
            for moment, ions in zip(targets.moments, self.ions, strict=True)
        ]
        self.responses = {
            name: [
                None if name not in model.targets_ else get_target(atoms, name)
                for atoms in frames
            ]
            for name in RESPONSES
        }
        self.energies = {
            name: [
                get_target(atoms, name)
                if name in model.targets_ and self.has_change(index, name)
                else None
                for index, atoms in enumerate(frames)
            ]
            for name in ENERGIES[:2]
        }
        models = {
            name: response_model(model, name, frames, random_state)
            for name in RESPONSES
            if name in model.targets_
        }
        latents = {name: ResponseLatents(model, name) for name, model in models.items()}
        self.latents = FieldLatents(dipoles, latents)
        self.rank, self.kernels = self.latents.rank, self.latents.kernels
        self.first_column = self.latents.first_column
        self.count()
        if not self.names:
            raise ValueError(
                "frames in electric fields tell nothing of dipoles where they have no "
                "moments or Born charges, and no frame has the positions of another "
                "one in a different field"
            )

    def row_kind(self, index: int) -> int:
        """Return whether a frame has rows of gradients, and which."""
        forces = self.energies[ENERGIES[1]][index]
        return super().row_kind(index) + 2 * (forces is not None)

    def has_change(self, index: int, name: str) -> bool:
        """Return whether a frame has a row of what the field adds to a target."""
        if index not in self.partners:
            return False
        both = [self.frames[i] for i in (index, self.partners[index])]
        if any(get_target(atoms, name) is None for atoms in both):
            return False
        if name != ENERGIES[0] or not both[0].pbc.any():
            return True
        # energies of periodic structures in a field are those of a branch
        return all(
            self.computed[i] is not None or not self.fields[i].any()
            for i in (index, self.partners[index])
        )

    def count(self) -> None:
        """Count the rows, and name the targets that there are."""
        changes = dict(zip((ENERGY, FORCES), self.energies.values(), strict=True))
        for name, values in {**self.responses, **changes}.items():
            there = np.array([value is not None for value in values])
            if not there.any():
                continue
            self.names = [*self.names, name]
            sizes = {ENERGY: np.ones(len(there), int)}
            sizes[FORCES] = np.array([3 * len(atoms) for atoms in self.frames])
            orders = {name: value.ndim for name, value in self.first_values()}
            if name in orders:
                sizes[name] = len(list(components(orders[name])))
            self.n_rows = self.n_rows + there * sizes[name]

    def first_values(self):
        """Yield a value of every response that frames have, by name."""
        for name, values in self.responses.items():
            there = [value for value in values if value is not None]
            if there:
                yield name, there[0]

    def content(self):
        """Yield targets and sparse points."""
        yield from super().content()
        yield self.fields
        for values in (*self.responses.values(), *self.energies.values()):
            yield from (np.asarray(value) for value in values if value is not None)
        for latents in self.latents.all():
            for kernels in latents.model.kernels_.values():
                yield from point_features(kernels)

    def moment_rows(self, frames: np.ndarray) -> np.ndarray:
        """Return the rows of M of some frames, (n, 3, rank)."""
        batch = StructureBatch.from_frames([self.frames[i] for i in frames])
        self.latents.evaluate(batch)
        return self.rows_of_moments(self.fields[frames])

    def rows_of_moments(self, fields) -> np.ndarray:
        """Return the rows of M(E) of the batch, (n, 3, rank)."""
        axes = [self.latents.rows(factors_of(fields, axis)) for axis in np.eye(3)]
        return np.stack(axes, axis=1)

    def batch_rows(self, indices: np.ndarray):
        """Yield name and rows of frames that fit into memory together."""
        batch = StructureBatch.from_frames([self.frames[i] for i in indices])
        latents, fields = self.latents, self.fields[indices]
        latents.evaluate(batch)
        atoms_of = [slice(*batch.first_atom[i : i + 2]) for i in range(len(indices))]
        moments = [self.targets.moments[i] for i in indices]
        used = np.flatnonzero([value is not None for value in moments])
        if used.size:
            matrix = self.rows_of_moments(fields)[used].reshape(-1, self.rank)
            values = np.concatenate([moments[i] for i in used])
            yield POLARIZATION, Rows(matrix, values, np.repeat(indices[used], 3))
        charges = [self.targets.born_charges[i] for i in indices]
        if charges[0] is not None:  # frames of a batch all have them, or none
            matrix = np.stack(
                [latents.position_rows(factors_of(fields, a)) for a in np.eye(3)],
                axis=1,
            )
            values = np.concatenate([value.ravel() for value in charges])
            owners = np.repeat(indices[batch.structure_of_atom], 9)
            yield BORN_CHARGES, Rows(matrix.reshape(-1, self.rank), values, owners)
        for name, values in self.responses.items():
            used = [i for i, index in enumerate(indices) if values[index] is not None]
            if used:
                yield name, self.response_rows(name, indices, fields, used)
        yield from self.changes(indices, atoms_of)

    def response_rows(self, name: str, indices, fields, used) -> Rows:
        """Return the rows of alpha(E) or beta of some structures of a batch."""
        values = [symmetrize(self.responses[name][index]) for index in indices[used]]
        axes, parts, wanted = np.eye(3), [], []
        for place in components(values[0].ndim):
            rows = self.latents.rows(factors_of(fields, *axes[list(place)]))
            parts.append(RESPONSES[name] * rows[used])
            wanted.append([value[place] for value in values])
        owners = np.tile(indices[used], len(parts))
        return Rows(np.concatenate(parts), np.concatenate(wanted), owners)

    def changes(self, indices, atoms_of):
        """Yield name and rows of what fields add to energies and forces."""
        partners = np.array([self.partners.get(i, i) for i in indices])
        pairs = self.fields[indices], self.fields[partners]
        factors = [a - b for a, b in zip(*map(factors_of, pairs), strict=True)]
        energy, forces = self.energies.values()
        used = [i for i, index in enumerate(indices) if energy[index] is not None]
        if used:
            values = [self.energy_change(i, self.partners[i]) for i in indices[used]]
            yield (
                ENERGY,
                Rows(
                    -self.latents.rows(factors)[used], np.array(values), indices[used]
                ),
            )
        used = [i for i, index in enumerate(indices) if forces[index] is not None]
        if used:
            rows = self.latents.position_rows(factors)
            rows = [rows[atoms_of[i]].reshape(-1, self.rank) for i in used]
            values, owners = [], []
            for i in used:
                index, partner = indices[i], partners[i]
                change = forces[index] - get_target(self.frames[partner], ENERGIES[1])
                push = self.fields[index] - self.fields[partner]
                change = change - self.charges[index][:, None] * push
                values.append(change.ravel())
                owners.append(np.full(change.size, index))
            yield FORCES, Rows(*map(np.concatenate, (rows, values, owners)))

    def energy_change(self, index: int, partner: int) -> float:
        """Return U(E) - U(E') without the ions, on the branch of the fit."""
        energies = []
        for i in (index, partner):
            energy = get_target(self.frames[i], ENERGIES[0])
            moment = self.ions[i]
            if self.frames[i].pbc.any() and self.computed[i] is not None:
                # the part of the moment that the fit does not have, such as its branch
                moment = self.computed[i] - self.targets.moments[i]
            energies.append(float(energy + self.fields[i] @ moment))
        return energies[0] - energies[1]

    def posterior(self, result) -> Solution | DualSolution:
        """Return the posterior of the weights of dipoles."""
        return result.solution.part(self.latents.columns()[0])

    def fitted_responses(self, result) -> dict:
        """Return the fitted models of alpha and beta, by name."""
        fitted = {}
        for name, columns in self.latents.columns()[1].items():
            fitted[name] = self.latents.responses[name].fitted(
                columns,
                result.solution.part,
                result.noises.get(name, 1.0),
                len(self.frames),
            )
        return fitted


def dipole_problem(model, frames, targets, center_charges, random_state):
    """Return the problem of the dipoles of a model, with its responses in fields."""
    if fields_of(frames) is not None:
        return FieldProblem(model, frames, targets, center_charges, random_state)
    return DipoleProblem(
        frames, targets, model.dipoles_, model.progress, center_charges
    )


def components(n_indices: int):
    """Return the indices of the independent components of a symmetric tensor."""
    return combinations_with_replacement(range(3), n_indices)


def response_model(model, name: str, frames, random_state):
    """Return the model of alpha or beta with its kernels, and no weights."""
    template = getattr(model, name) or default_response(frames)
    response = clone(template).set_params(targets=[name], progress=model.progress)
    response.knows_range = False
    tensor = symmetric_tensor(name)
    return response.prepare(tensor, frames, model.species_, random_state)
