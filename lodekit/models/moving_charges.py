"""Predicted charges and atomic moments of one structure, and the energy they have."""

from __future__ import annotations

import numpy as np

from lodekit.electrostatics import CoulombInteraction, MultipoleInteraction
from lodekit.observables.charges import total_charge
from lodekit.observables.moments import MULTIPLICITY, VOIGT
from lodekit.structures.batch import StructureBatch

from .charge_conditioning import ConditionedCharges, latent_adjoints
from .charge_energy import EnergyParts


class MovingCharges:
    """Charges of one structure that follow its atoms, with the moments beside them.

    Parameters
    ----------
    model : ChargeModel
        Fitted.
    atoms : ase.Atoms
    """

    def __init__(self, model, atoms):
        self.model = model
        self.atoms = atoms
        self.batch = StructureBatch.from_frames([atoms])
        cache: dict = {}
        self.states = model.latent_.evaluate(self.batch, cache)
        self.state = model.moments_.evaluate(self.batch, cache)
        self.charges = ConditionedCharges.of(
            model._padded(self.batch, self.states),
            model.solution_,
            total_charge(atoms),
        )
        rows = model.moments_.rows(self.batch, self.state)
        stops = np.cumsum([0] + [own.shape[2] for own in rows])
        weights = model.weights_[model.rank - stops[-1] :]
        self.weights = np.split(weights, stops[1:-1]) if rows else []
        self.moments = [a @ w for a, w in zip(rows, self.weights, strict=True)]

    def interact(self, charges):
        """Return the electrostatic energy, its derivatives and the potentials.

        Returns
        -------
        result : ElectrostaticResult or MultipoleResult
        potential : ndarray of shape (n_atoms,)
            Derivative by the charges in V.
        fields : list of ndarray of shape (n_atoms, 3 or 6)
            Derivatives by the moments in V/Å and V/Å^2.
        """
        atoms, width = self.atoms, self.model.charge_width_
        geometry = atoms.positions, atoms.cell[:], atoms.pbc, width
        if not self.moments:
            result = CoulombInteraction(*geometry).compute(charges)
            return result, result.potential, []
        dipoles, *others = self.moments
        quadrupoles = [1.5 * matrices(tensors) for tensors in others]  # Buckingham's
        result = MultipoleInteraction(*geometry).compute(charges, dipoles, *quadrupoles)
        fields = [-result.fields.field]
        if others:
            components = [result.fields.field_gradient[:, a, b] for a, b in VOIGT]
            fields.append(-0.5 * MULTIPLICITY * np.stack(components, axis=1))
        return result, result.fields.potential, fields

    def energy_parts(self) -> EnergyParts:
        """Return the energy with forces and strain derivative, those of moments too."""
        result, potential, fields = self.interact(self.charges.values)
        model, batch = self.model, self.batch
        vectors = self.charges.vectors(potential)
        n_species = model.species_.size
        adjoints = latent_adjoints(
            model.latent_,
            batch,
            self.states,
            [w[n_species : n_species + model.latent_.rank] for w in vectors],
            self.charges.scales(potential),
        )
        gradients, strain = model.latent_.gradients(batch, self.states, adjoints)
        if fields:
            more_gradients, more_strain = model.moments_.gradients(
                batch, self.state, self.weights, fields
            )
            gradients, strain = gradients + more_gradients, strain + more_strain
        return EnergyParts(
            result.energy,
            result.forces - gradients,
            result.strain_gradient + strain[0],
        )


def matrices(tensors: np.ndarray) -> np.ndarray:
    """Return symmetric (n, 3, 3) of (n, 6): xx, yy, zz, yz, xz, xy."""
    return tensors[:, [0, 5, 4, 5, 1, 3, 4, 3, 2]].reshape(-1, 3, 3)
