"""Predictions of a `PolarizationModel`, with and without a field.

With U = U_0 - E . M - E . alpha . E / 2 - beta : E E E / 6 (`physics.field_energy`) of
one structure, in a field E,

    F_ib = F0_ib + sum_a E_a Z_i,ab + sum_ac E_a E_c d(alpha_ac)/dR_ib / 2 + ...,
    Z_i,ab(E) = Z_i,ab + sum_c E_c d(alpha_ac)/dR_ib + ...
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.observables.fields import check_directions
from lodekit.observables.polarization import ionic_moment
from lodekit.physics.field_energy import FieldEnergy, factors_of
from lodekit.physics.response import EnergyParts
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.structures import frame_name
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part
from lodekit.units import COULOMB_CONSTANT

from .charge_checks import check_stress
from .tensor_prediction import TensorPrediction

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000
#: Values of alpha and beta, in units of the table, over those of e, Å and V.
RESPONSES = dict(zip(family("field responses"), (COULOMB_CONSTANT, 1.0), strict=True))


def defined_properties(model) -> list[str]:
    """Return the names of what a fitted model computes."""
    names = []
    if model.potential_ is not None:
        names += ENERGIES
    if model.dipoles_ is not None:
        names += family("dipoles")
        names += model.wannier_properties
    if model.polarizability_ is not None:
        names += family("responses")
    if model.hyperpolarizability_ is not None:
        names += family("nonlinear responses")
    return names


class PolarizationPrediction:
    """Predictions of a fitted model for some frames.

    Parameters
    ----------
    model : PolarizationModel
    frames : list of ase.Atoms
    field : ndarray of shape (3,) or (n_frames, 3) or None
    displacement : ndarray of shape (3,) or None
        In V/Å.
    """

    def __init__(self, model, frames, field=None, displacement=None):
        self.model, self.frames = model, frames
        self.field, self.displacement = field, displacement
        self.batch = StructureBatch.from_frames(frames)
        if field is not None:
            check_directions(frames, field)
        self.has_field = field is not None or displacement is not None
        self.bounds = self.batch.first_atom[1:-1]

    def results(self, properties) -> list[dict]:
        """Return properties of every frame; what is defined for it where None."""
        wanted = self.check(properties)
        every = set().union(*wanted)
        energies = self.energies(every)
        results = []
        for index, names in enumerate(wanted):
            values = {}
            for name in names:
                if name in ENERGIES:
                    values[name] = energies[index][name]
                else:
                    values[name] = getattr(self, f"{name}_of")(index)
            results.append(values)
        return results

    def check(self, properties) -> list[list[str]]:
        """Return the properties to compute of every frame."""
        known = defined_properties(self.model)
        if properties is None:
            return [
                [name for name in known if quantity(name).fits(atoms.pbc)]
                for atoms in self.frames
            ]
        for name in properties:
            if name not in known:
                raise ValueError(f"properties must be among {known}, got '{name}'")
            for index, atoms in enumerate(self.frames):
                if name != "stress" and not quantity(name).fits(atoms.pbc):
                    boundary = quantity(name).boundary
                    kind = "open" if boundary == "open" else "fully periodic"
                    raise ValueError(
                        f"{name} is defined for {kind} structures only, "
                        f"{frame_name(index)} is not"
                    )
        check_stress(self.frames, properties)
        return [list(properties)] * len(self.frames)

    @cached_property
    def state(self):
        """Features of the dipoles."""
        return self.model.dipoles_.evaluate(self.batch)

    @property
    def weights(self) -> np.ndarray:
        """Weights of the dipoles."""
        return self.model.solution_.weights

    @cached_property
    def dipoles(self) -> np.ndarray:
        """Return d of all atoms in e·Å, without a field, (n_atoms, 3)."""
        return self.state.values(self.weights)

    @cached_property
    def moments(self) -> np.ndarray:
        """M of every structure in e·Å, without a field, (n_structures, 3)."""
        model = self.model
        totals = np.add.reduceat(self.dipoles, self.batch.first_atom[:-1])
        ions = [
            ionic_moment(atoms, model.species_, model.oxidation_states_)
            for atoms in self.frames
        ]
        return totals + ions

    @cached_property
    def born_charges(self) -> np.ndarray:
        """Z of all atoms in e, in the field, (n_atoms, 3, 3)."""
        kinds = np.searchsorted(self.model.species_, self.batch.species)
        charges = self.model.oxidation_states_[kinds][:, None, None] * np.eye(3)
        for axis, direction in enumerate(np.eye(3)):
            adjoint = np.broadcast_to(direction, (self.batch.n_atoms, 3))
            charges[:, axis] += self.state.gradients(self.weights, adjoint)[0]
        if self.has_field:
            charges += self.induced_born_charges
        return charges

    @cached_property
    def induced_born_charges(self) -> np.ndarray:
        """The contribution of the field to Z, (n_atoms, 3, 3)."""
        charges = np.zeros((self.batch.n_atoms, 3, 3))
        for axis, direction in enumerate(np.eye(3)):
            _, *factors = factors_of(self.in_field.fields, direction)
            charges[:, axis] = self.response_gradients(factors)[0]
        return charges

    @cached_property
    def responses(self) -> dict:
        """Predictions of the models of alpha and beta, by name."""
        return {
            name: TensorPrediction(getattr(self.model, f"{name}_"), self.frames)
            for name in RESPONSES
            if getattr(self.model, f"{name}_") is not None
        }

    def response(self, name: str) -> np.ndarray | None:
        """Alpha in e·Å²/V or beta in e·Å³/V² of all structures, None without one."""
        if name not in self.responses:
            return None
        values = [result[name] for result in self.responses[name].results([name])]
        shape = len(self.frames), *quantity(name).shape
        return np.array(values).reshape(shape) / RESPONSES[name]

    def response_gradients(self, adjoints: list[np.ndarray]):
        """Return the derivatives of the sum of adjoint . alpha and adjoint . beta.

        Parameters
        ----------
        adjoints : list of ndarray of shape (n_structures, 3, 3[, 3])
            Of alpha and of beta.

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((len(self.frames), 3, 3))
        for (name, unit), adjoint in zip(RESPONSES.items(), adjoints, strict=True):
            if name in self.responses:
                prediction = self.responses[name]
                tensor = prediction.model.tensors_[name]
                flat = adjoint.reshape(len(adjoint), -1) / unit
                more_positions, more_strain = prediction.gradients(tensor, flat)
                positions += more_positions
                strain += more_strain
        return positions, strain

    @cached_property
    def in_field(self) -> FieldEnergy:
        """The energy in the field."""
        alpha, beta = map(self.response, RESPONSES)
        if alpha is None:
            alpha = np.zeros((len(self.frames), 3, 3))
        volumes = [abs(np.linalg.det(atoms.cell[:])) for atoms in self.frames]
        has_moments = self.model.dipoles_ is not None
        return FieldEnergy(
            self.moments if has_moments else np.zeros((len(self.frames), 3)),
            alpha,
            beta,
            np.array(volumes),
            self.field,
            self.displacement,
        )

    @cached_property
    def field_gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of U - U_0 by positions and strain."""
        by_moment, *by_responses = self.in_field.slopes
        adjoint = by_moment[self.batch.structure_of_atom]
        positions, strain = self.state.gradients(self.weights, adjoint)
        kinds = np.searchsorted(self.model.species_, self.batch.species)
        positions = positions + self.model.oxidation_states_[kinds][:, None] * adjoint
        more_positions, more_strain = self.response_gradients(by_responses)
        totals = np.add.reduceat(self.dipoles, self.batch.first_atom[:-1])
        strain = strain + more_strain + self.in_field.strain(totals)
        return positions + more_positions, strain

    def electrostatic_parts(self) -> list[EnergyParts]:
        """Return the electrostatic energy of every frame with forces and strain."""
        model = self.model
        kinds = np.searchsorted(model.species_, self.batch.species)
        charges = model.oxidation_states_[kinds]
        solutions = [
            model.electrostatics_.compute(
                atoms, self.own(charges, index), self.own(self.dipoles, index)
            )
            for index, atoms in enumerate(self.frames)
        ]
        adjoint = np.concatenate([solution.by_dipoles for solution in solutions])
        positions, strain = self.state.gradients(self.weights, adjoint)
        return [
            EnergyParts(
                solution.energy,
                -(solution.positions + self.own(positions, index)),
                solution.strain + strain[index],
            )
            for index, solution in enumerate(solutions)
        ]

    def add_electrostatics(self, results: list[dict]) -> None:
        """Add the electrostatic energy to those of the potential, in place."""
        for result, atoms, part in zip(
            results, self.frames, self.electrostatic_parts(), strict=True
        ):
            contribution = {"energy": part.energy, "forces": part.forces}
            if "stress" in result:
                contribution["stress"] = part.stress(atoms)
            for name in {*contribution} & {*result}:
                result[name] = result[name] + contribution[name]

    def energies(self, wanted: set) -> list[dict]:
        """Return energies, forces and stress of every frame, as far as wanted."""
        names = [name for name in ENERGIES if name in wanted]
        if not names:
            return [{} for _ in self.frames]
        has_stress = [name != "stress" for name in names]
        rest = [name for name, keep in zip(names, has_stress, strict=True) if keep]
        results = []
        for atoms in self.frames:
            defined = names if atoms.pbc.all() else rest
            potential = self.model.potential_
            results += potential.compute([atoms], defined) if defined else [{}]
        if self.model.electrostatics_ is not None:
            self.add_electrostatics(results)
        if not self.has_field:
            return results
        for index, (result, atoms) in enumerate(zip(results, self.frames, strict=True)):
            if "energy" in result:
                result["energy"] += float(self.in_field.energies[index])
            if {"forces", "stress"} & {*result}:
                positions, strain = self.field_gradients
            if "forces" in result:
                result["forces"] = result["forces"] - self.own(positions, index)
            if "stress" in result:
                more = symmetric_part(strain[index]) / atoms.get_volume()
                result["stress"] = result["stress"] + more
        return results

    def own(self, values: np.ndarray, index: int) -> np.ndarray:
        """Return values of the atoms of one frame."""
        first, last = self.batch.first_atom[index : index + 2]
        return values[first:last]

    def polarization_of(self, index: int) -> np.ndarray:
        """Return M in the field in e·Å."""
        return self.in_field.total_moments[index]

    dipole_of = polarization_of

    def born_effective_charges_of(self, index: int) -> np.ndarray:
        """Return Z of one frame."""
        return self.own(self.born_charges, index)

    def atomic_dipoles_of(self, index: int) -> np.ndarray:
        """Return d of one frame, without a field."""
        return self.own(self.dipoles, index)

    def wannier_displacements_of(self, index: int) -> np.ndarray:
        """Return the displacements of centroids from the atoms of one frame in Å."""
        return self.model.displacements(
            self.frames[index], self.atomic_dipoles_of(index)
        )

    def polarizability_of(self, index: int) -> np.ndarray:
        """Return alpha in the field in Å^3."""
        return COULOMB_CONSTANT * self.in_field.total_polarizabilities[index]

    def hyperpolarizability_of(self, index: int) -> np.ndarray:
        """Return beta in e·Å³/V²."""
        return self.in_field.hyperpolarizabilities[index]

    def dielectric_tensor_of(self, index: int) -> np.ndarray:
        """Return eps at fixed ions, in the field."""
        return self.in_field.dielectric_tensors[index]
