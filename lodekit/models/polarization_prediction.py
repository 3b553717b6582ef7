"""Predictions of a `PolarizationModel`, with and without a field.

With U = U_0 - E . M - E . alpha . E / 2 of one structure, in a field E,

    F_ib = F0_ib + sum_a E_a Z_i,ab + sum_ac E_a E_c d(alpha_ac)/dR_ib / 2,
    M(E) = M + alpha . E,
    Z_i,ab(E) = Z_i,ab + sum_c E_c d(alpha_ac)/dR_ib.

Stress is the derivative by strain at constant voltages E . a of the cell vectors a: the
whole charges, whose moment turns with the cell as the field turns back, add nothing, so
that no branch matters. At constant D the field is that with D = E + 4 pi k (M + alpha .
E) / V; the energy

    U_D = max over E of U(R, E) + V / (4 pi k) (D . E - E . E / 2)

is stationary there, and its forces are those at constant E.

References
----------
M. Stengel, N. A. Spaldin, D. Vanderbilt, Nat. Phys. 5, 304 (2009).
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from lodekit.observables.polarization import ionic_moment
from lodekit.physics.response import EnergyParts
from lodekit.quantities import ENERGIES, family, quantity
from lodekit.structures import frame_name
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part
from lodekit.units import COULOMB_CONSTANT, FOUR_PI

from .charge_checks import check_stress
from .tensor_prediction import TensorPrediction

#: Atoms whose features are held at once.
BATCH_ATOMS = 1000


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
        if self.has_field and self.has_polarizability:
            charges += self.induced_born_charges
        return charges

    @cached_property
    def induced_born_charges(self) -> np.ndarray:
        """The contribution of the field to Z, (n_atoms, 3, 3)."""
        charges = np.empty((self.batch.n_atoms, 3, 3))
        for axis, direction in enumerate(np.eye(3)):
            outer = direction[:, None] * self.fields[:, None]
            charges[:, axis] = self.polarizability_gradients(outer)[0]
        return charges

    @property
    def has_polarizability(self) -> bool:
        """Whether the model has a polarizability."""
        return self.model.polarizability_ is not None

    @cached_property
    def tensors(self) -> TensorPrediction:
        """Predictions of the model of alpha."""
        return TensorPrediction(self.model.polarizability_, self.frames)

    @cached_property
    def polarizabilities(self) -> np.ndarray:
        """Alpha of every structure in e·Å²/V, (n_structures, 3, 3); 0 without one."""
        if not self.has_polarizability:
            return np.zeros((len(self.frames), 3, 3))
        values = [
            own["polarizability"] for own in self.tensors.results(["polarizability"])
        ]
        return np.array(values).reshape(-1, 3, 3) / COULOMB_CONSTANT

    def polarizability_gradients(self, adjoints: np.ndarray):
        """Return the derivatives of sum_ac adjoint_ac alpha_ac of every structure.

        Parameters
        ----------
        adjoints : ndarray of shape (n_structures, 3, 3)

        Returns
        -------
        positions : ndarray of shape (n_atoms, 3)
        strain : ndarray of shape (n_structures, 3, 3)
        """
        positions = np.zeros((self.batch.n_atoms, 3))
        strain = np.zeros((len(self.frames), 3, 3))
        model = self.model.polarizability_
        tensor = model.tensors_["polarizability"]
        flat = adjoints.reshape(-1, 9)[self.batch.structure_of_atom] / COULOMB_CONSTANT
        for part, matrix, states in self.tensors.parts(tensor):
            adjoint = flat @ matrix
            weights = part.kernel_weights(model.kernels_[part.order, part.sigma])
            for state, own in zip(states, weights, strict=True):
                more_positions, more_strain = state.gradients(own, adjoint)
                positions += more_positions
                strain += more_strain
        return positions, strain

    @cached_property
    def volumes(self) -> np.ndarray:
        """Volumes in Å^3, (n_structures,)."""
        return np.array([abs(np.linalg.det(atoms.cell[:])) for atoms in self.frames])

    @cached_property
    def dielectric_tensors(self) -> np.ndarray:
        """Eps at fixed ions of periodic structures, (n_structures, 3, 3)."""
        factors = FOUR_PI * COULOMB_CONSTANT / self.volumes
        return np.eye(3) + factors[:, None, None] * self.polarizabilities

    @cached_property
    def fields(self) -> np.ndarray:
        """E of every structure in V/Å, (n_structures, 3)."""
        if self.displacement is None:
            field = np.zeros(3) if self.field is None else self.field
            return np.broadcast_to(field, (len(self.frames), 3))
        factors = FOUR_PI * COULOMB_CONSTANT / self.volumes
        rest = self.displacement - factors[:, None] * self.moments
        return np.linalg.solve(self.dielectric_tensors, rest[:, :, None])[:, :, 0]

    @cached_property
    def field_energies(self) -> np.ndarray:
        """U - U_0 in eV, (n_structures,)."""
        induced = np.einsum("sab,sb->sa", self.polarizabilities, self.fields)
        energies = -np.einsum("sa,sa->s", self.fields, self.moments + 0.5 * induced)
        if self.displacement is not None:
            free = self.displacement - 0.5 * self.fields
            stored = np.einsum("sa,sa->s", self.fields, free)
            energies += self.volumes * stored / (FOUR_PI * COULOMB_CONSTANT)
        return energies

    @cached_property
    def field_gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of U - U_0 by positions and strain, see the module."""
        fields, places = self.fields, self.batch.structure_of_atom
        adjoint = -fields[places]
        positions, strain = self.state.gradients(self.weights, adjoint)
        kinds = np.searchsorted(self.model.species_, self.batch.species)
        positions = positions + self.model.oxidation_states_[kinds][:, None] * adjoint
        totals = np.add.reduceat(self.dipoles, self.batch.first_atom[:-1])
        # the field turns back as the cell is strained: dE = -strain . E
        strain = strain + np.einsum("sa,sb->sab", fields, totals)
        if self.has_polarizability:
            outer = np.einsum("sa,sb->sab", fields, fields)
            more_positions, more_strain = self.polarizability_gradients(-0.5 * outer)
            positions, strain = positions + more_positions, strain + more_strain
            induced = np.einsum("sab,sb->sa", self.polarizabilities, fields)
            strain += np.einsum("sa,sb->sab", fields, induced)
        if self.displacement is not None:
            squares = np.einsum("sa,sa->s", fields, fields)
            outer = np.einsum("sa,sb->sab", fields, fields)
            maxwell = 0.5 * squares[:, None, None] * np.eye(3) - outer
            factors = self.volumes / (FOUR_PI * COULOMB_CONSTANT)
            strain = strain - factors[:, None, None] * maxwell
        return positions, strain

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
        adjoint = np.concatenate([own.by_dipoles for own in solutions])
        positions, strain = self.state.gradients(self.weights, adjoint)
        return [
            EnergyParts(
                own.energy,
                -(own.positions + self.own(positions, index)),
                own.strain + strain[index],
            )
            for index, own in enumerate(solutions)
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
                result["energy"] += float(self.field_energies[index])
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
        return self.moments[index] + self.polarizabilities[index] @ self.fields[index]

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
        """Return alpha in Å^3."""
        return COULOMB_CONSTANT * self.polarizabilities[index]

    def dielectric_tensor_of(self, index: int) -> np.ndarray:
        """Return eps at fixed ions."""
        return self.dielectric_tensors[index]
