"""The one prediction path: energies, forces, stress and their standard deviations."""

from __future__ import annotations

import numpy as np
from ase.data import chemical_symbols

from lodekit.fitting.left_out import scale_of
from lodekit.quantities import family, quantity
from lodekit.regression.baseline import count_species
from lodekit.regression.ensembles import Ensemble
from lodekit.regression.environments import batches
from lodekit.regression.latent import Latent
from lodekit.structures import frame_name
from lodekit.structures.batch import StructureBatch
from lodekit.structures.stress import symmetric_part
from lodekit.threads import threads_for

from .charge_checks import check_stress

_POTENTIAL = family("potential")
PROPERTIES = (
    *_POTENTIAL,
    *(f"{name}_std" for name in _POTENTIAL if quantity(name).boundary != "cell"),
)
#: Atoms whose features are held at once.
BATCH_ATOMS = 1000


class Predictor:
    """Predictions of one fitted `SparsePotential`."""

    def __init__(self, model):
        self.model = model
        self.latent = Latent(model.kernels_)

    def compute(self, frames, properties=None) -> list[dict]:
        """Return one dictionary of properties for each frame; see `SparsePotential`."""
        wanted = self.check(frames, properties)
        results: list[dict] = []
        with threads_for(frames):
            for group in batches(frames, BATCH_ATOMS):
                try:
                    results += self.compute_batch([frames[i] for i in group], wanted)
                except ValueError as problem:
                    if group[0] == 0:
                        raise
                    raise ValueError(
                        f"{problem} (structures counted from {frame_name(group[0])})"
                    ) from problem
        return results

    def check(self, frames, properties) -> set[str]:
        """Check frames and properties, and return the properties to compute.

        Where ``properties`` is None, stress is computed for fully periodic frames.
        """
        check_species(frames, self.model.species_)
        if properties is None:
            return {"energy", "forces", "energies", "stress"}
        if isinstance(properties, str):
            properties = [properties]
        for name in properties:
            if name not in PROPERTIES:
                raise ValueError(
                    f"properties must be among {list(PROPERTIES)}, got '{name}'"
                )
        check_stress(frames, properties)
        return set(properties)

    def compute_batch(self, frames, wanted) -> list[dict]:
        """Predict frames that fit into memory together."""
        batch = StructureBatch.from_frames(frames)
        states = self.evaluate(batch)
        energies, forces, strain = self.sum_terms(batch, states, wanted)
        counts = count_species(frames, self.model.species_)
        totals = np.bincount(
            batch.structure_of_atom, energies, minlength=batch.n_structures
        )
        deviations = self.deviations(batch, states, wanted)
        results = []
        for index, atoms in enumerate(frames):
            atoms_of_structure = slice(
                batch.first_atom[index], batch.first_atom[index + 1]
            )
            result = {"energy": float(totals[index] + counts[index] @ self.baseline)}
            result["energies"] = energies[atoms_of_structure] + self.atom_baseline(
                batch.species[atoms_of_structure]
            )
            result["forces"] = forces[atoms_of_structure]
            if "stress" in wanted and atoms.pbc.all():
                result["stress"] = symmetric_part(strain[index]) / atoms.get_volume()
            for name, values in deviations.items():
                result[name] = (
                    float(values[index])
                    if name == "energy_std"
                    else values[atoms_of_structure]
                )
            results.append({k: v for k, v in result.items() if k in wanted})
        return results

    @property
    def baseline(self) -> np.ndarray:
        """Baseline energies in eV by species."""
        return self.model.baseline_

    def atom_baseline(self, species: np.ndarray) -> np.ndarray:
        """Return the baseline energy of each atom."""
        return self.baseline[np.searchsorted(self.model.species_, species)]

    def evaluate(self, batch: StructureBatch) -> list:
        """Return the features of every term, each density expanded once."""
        return self.latent.evaluate(batch)

    def sum_terms(self, batch, states, wanted):
        """Return atomic energies (without baseline), forces and strain derivatives."""
        energies, adjoints = self.latent.values(batch, states, self.model.coefficients_)
        if not {"forces", "stress"} & wanted:
            return energies, np.zeros((batch.n_atoms, 3)), None
        gradients, strain = self.latent.gradients(batch, states, adjoints)
        return energies, -gradients, strain

    def deviations(self, batch, states, wanted) -> dict[str, np.ndarray]:
        """Return standard deviations: spread of the ensemble times the calibration."""
        spreads = {}
        if not {"energy_std", "energies_std", "forces_std"} & wanted:
            return spreads
        ensemble = Ensemble(self.latent, self.model.ensemble_, batch, states)
        if {"energy_std", "energies_std"} & wanted:
            members = ensemble.values()
            totals = np.add.reduceat(members, batch.first_atom[:-1], axis=0)
            spreads["energy_std"] = self.spread(totals, "energy")
            spreads["energies_std"] = self.spread(members, "energy")
        if "forces_std" in wanted:
            squares = sum(gradients**2 for gradients in ensemble.gradients())
            rms = np.sqrt(squares / ensemble.n_members)
            spreads["forces_std"] = scale_of(self.model.std_scales_, "forces") * rms
        return spreads

    def spread(self, members: np.ndarray, target: str) -> np.ndarray:
        """Return the root mean square over the last axis, calibrated for a target."""
        scale = scale_of(self.model.std_scales_, target)
        return scale * np.sqrt((members**2).mean(axis=-1))


def check_species(frames, species: np.ndarray) -> None:
    """Raise ``ValueError`` for no atoms, or others than of a model's ``species``."""
    for index, atoms in enumerate(frames):
        if not len(atoms):
            raise ValueError(f"{frame_name(index)} has no atoms; leave it out")
        foreign = ~np.isin(atoms.numbers, species)
        if foreign.any():
            atom = int(foreign.argmax())
            known = ", ".join(chemical_symbols[z] for z in species)
            raise ValueError(
                f"{frame_name(index)}: atom {atom + 1} is "
                f"{chemical_symbols[atoms.numbers[atom]]}, which the model has not "
                f"seen; it knows {known}"
            )
