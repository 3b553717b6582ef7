"""What `ChargeEquilibrationModel` predicts, once it is fitted."""

from __future__ import annotations

from functools import partial

import numpy as np
from sklearn.utils.validation import check_is_fitted

from lodekit.observables.charges import DEVIATIONS, default_properties
from lodekit.observables.fragments import check_fragments, given_charges
from lodekit.quantities import CHARGES, ENERGIES, family, quantity
from lodekit.regression.environments import batches
from lodekit.structures.batch import as_frames
from lodekit.threads import threads_for

from .charge_energy import add_energies, add_parts, add_remainder
from .charge_equilibration_batch import EquilibratedBatch
from .charged_remainder import ChargedRemainder
from .energy_estimator import energy_score
from .extrapolating import with_extrapolation
from .joint_fit import energy_spread
from .linear_charges import BATCH_ATOMS, LinearChargeModel

ENERGY_STD = "electrostatic_energy_std"
#: What an equilibration gives besides charges, and which of it are derivatives.
FURTHER = {*family("equilibration"), ENERGY_STD}
GRADIENTS = {name for name in FURTHER if quantity(name).is_gradient}


class EquilibratedPredictions(LinearChargeModel):
    """Base of `ChargeEquilibrationModel`: its predictions."""

    responds_to = ("field",)

    def _check_frames(self, frames) -> None:
        """Raise ``ValueError`` for bad frames, and for fragments that are missing."""
        super()._check_frames(frames)
        check_fragments(frames, self.has_fragments_)

    @property
    def properties(self) -> list[str]:
        """Names of what `compute` can return."""
        energies = () if self.potential_ is None else ENERGIES
        if self.ensemble_ is not None:
            energies = (*energies, "energy_std")
        return [*energies, *super().properties, *sorted(FURTHER)]

    def _remainder(self, together, properties=None) -> list[dict]:
        """Return energy, forces and stress of a remainder that depends on the charges.

        It sees the charges without a field, so that the dipole of the charges stays the
        derivative of the energy.
        """
        if together.field is not None:
            together = EquilibratedBatch(self, together.frames)
        return self.potential_.compute(together, properties)

    @property
    def is_stationary(self) -> bool:
        """Whether charges minimise the whole energy: no remainder depends on them."""
        return not isinstance(self.potential_, ChargedRemainder)

    @with_extrapolation
    def compute(self, frames, properties=None, field=None) -> list[dict]:
        """Predict properties of ``frames``.

        Parameters
        ----------
        frames : ase.Atoms or list of ase.Atoms
        properties : list of str, optional
            Any of charges (e), dipole (e·Å, from the origin), quadrupole (e·Å², (6,)),
            their standard deviations charges_std, dipole_std, quadrupole_std,
            electronegativities (V), hardnesses (V/e), chemical_potential (V), and the
            energy U at its minimum: electrostatic_energy (eV), electrostatic_energy_std
            (of the weights, to first order), electrostatic_forces (eV/Å),
            electrostatic_stress (eV/Å^3, Voigt, fully periodic frames only); where
            energies were fitted energy, forces and stress, and energy_std if these
            shaped the charges. Where None, charges, the dipole of open structures, and
            energy, forces and stress as far as fitted.
        field : array_like of shape (3,), optional
            Uniform field in V/Å, along directions that are not periodic. The energy of
            a charged structure in it counts from the origin.

        Raises
        ------
        ValueError
            For unknown species and properties, missing total charges, a field along a
            periodic direction.
        """
        check_is_fitted(self, "weights_")
        frames = as_frames(frames)
        self._check_frames(frames)
        names = self._check_properties(frames, properties)
        wanted = None if names is None else set(names)
        results = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                some = [frames[i] for i in group]
                results += self._compute_batch(some, wanted, field)
        return results

    def energies_of_charges(self, atoms, charges) -> np.ndarray:
        """Return energies of one structure with other charges than at the minimum.

        Parameters
        ----------
        atoms : ase.Atoms
        charges : ndarray of shape (n_sets, n_atoms)
            In e.

        Returns
        -------
        energies : ndarray of shape (n_sets,)
            In eV: U(q) and, where energies were fitted, the potential of the remainder.
        """
        (latents,) = self.compute(atoms, ["electronegativities", "hardnesses"])
        equilibration = self.equilibration(atoms, hardness=latents["hardnesses"])
        chi = latents["electronegativities"]
        start = equilibration.start(*given_charges(atoms))
        energies = [equilibration.energy(own, chi, start=start) for own in charges]
        if self.is_stationary:
            return add_remainder(energies, atoms, self.potential_)
        return np.array(energies) + self.potential_.energies(atoms, charges)

    def predict(self, frames) -> np.ndarray:
        """Return the first target, or total energies in eV where there is no other.

        See `LinearChargeModel.predict`.
        """
        if self.targets_:
            return super().predict(frames)
        results = self.compute(frames, ["energy"])
        return np.array([result["energy"] for result in results])

    def score(self, frames, y=None) -> float:
        """Return R^2 of the first target, or of energies; see `energy_score`."""
        if self.targets_:
            return super().score(frames)
        return energy_score(self, self.potential_, frames, y)

    def _compute_batch(self, frames, wanted, field) -> list[dict]:
        """Predict frames that fit into memory together."""
        together = EquilibratedBatch(self, frames, field)
        results = []
        for index, (atoms, found) in enumerate(
            zip(frames, together.solutions, strict=True)
        ):
            names = default_properties(atoms.pbc) if wanted is None else wanted
            result = {
                name: together.observed(index, name)
                for name in CHARGES
                if name in names
            }
            result["electronegativities"] = together.chi[together.own(index)]
            result["hardnesses"] = together.hardness[together.own(index)]
            result["chemical_potential"] = float(found.chemical_potentials.mean())
            result["electrostatic_energy"] = found.energy
            results.append(result)
        if wanted and GRADIENTS & wanted:
            parts = together.energy_parts()
            for atoms, result, part in zip(frames, results, parts, strict=True):
                result["electrostatic_forces"] = part.forces
                if atoms.pbc.all():
                    result["electrostatic_stress"] = part.stress(atoms)
        if wanted and {*DEVIATIONS} & wanted:
            rows = self._affine(frames)
            for result, (atoms, affine) in zip(results, rows, strict=True):
                result.update(self._compute_one(atoms, affine, {*DEVIATIONS} & wanted))
        if wanted and ENERGY_STD in wanted:
            deviations = together.energy_deviations()
            for result, value in zip(results, deviations, strict=True):
                result[ENERGY_STD] = value
        kept = wanted or {*CHARGES, *ENERGIES}
        if "energy_std" in kept:
            spreads = energy_spread(self, together)
            for result, spread in zip(results, spreads, strict=True):
                result["energy_std"] = spread
        if self.potential_ is not None and kept & {*ENERGIES}:
            energies = kept & {*ENERGIES}
            if self.is_stationary:
                add_energies(results, together, self.potential_, energies)
            else:
                remainder = partial(self._remainder, together)
                add_parts(results, together, remainder, energies)
        return [{name: r[name] for name in r if name in kept} for r in results]
