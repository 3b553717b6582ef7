"""Energies of models with charges: electrostatics plus a potential for the remainder.

A model says what its charges contribute (`EnergyParts`); the remainder of the reference
energies, forces and stress is what a short-ranged `SparsePotential` is fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from sklearn.base import clone

from lodekit.observables.charges import total_charge
from lodekit.observables.energy import collect_targets
from lodekit.observables.fragments import CHARGES, LABELS
from lodekit.quantities import ENERGIES, quantity
from lodekit.regression import FarthestPointSelection
from lodekit.regression.latent import ReversePass, share_descriptors
from lodekit.structures import get_target
from lodekit.structures.stress import symmetric_part
from lodekit.terms.tables import build_terms, remainder_terms

from .prediction import Predictor
from .sparse_potential import SparsePotential


@dataclass
class EnergyParts:
    """What charges contribute to the energy of one structure.

    Attributes
    ----------
    energy : float
        In eV.
    forces : ndarray of shape (n_atoms, 3)
        In eV/Å, with the charges' own derivatives.
    strain : ndarray of shape (3, 3)
        Derivative with respect to strain in eV, symmetric or not.
    """

    energy: float
    forces: np.ndarray
    strain: np.ndarray

    def stress(self, atoms) -> np.ndarray:
        """Return the stress in eV/Å^3, Voigt (6,)."""
        return symmetric_part(self.strain) / atoms.get_volume()


def energy_targets(frames, targets, potential) -> list[str]:
    """Return which of `ENERGIES` are fitted.

    Those among ``targets``; where these are None, none without a ``potential`` and all
    that are there with one.
    """
    if targets is not None:
        return [name for name in targets if name in ENERGIES]
    if potential is None:
        return []
    return collect_targets(frames).names


def default_potential():
    """Return the potential of a remainder where the user names none."""
    terms = build_terms({"terms": remainder_terms()})
    descriptors, covariances, sizes = zip(*terms, strict=True)
    return SparsePotential(
        list(descriptors),
        list(covariances),
        list(sizes),
        selection=FarthestPointSelection(),
    )


def fit_remainder(potential, frames, parts, targets, **weighting):
    """Fit a potential to what the charges leave over.

    Parameters
    ----------
    potential : SparsePotential or None
        Cloned; the default of charge models where None.
    frames : list of ase.Atoms
    parts : list of EnergyParts
    targets : list of str
        Of `ENERGIES`.
    **weighting
        ``sample_weight`` and ``groups`` of `SparsePotential.fit`.

    Returns
    -------
    potential : SparsePotential
        Fitted.
    """
    fitted = default_potential() if potential is None else clone(potential)
    fitted.knows_range = False
    rest = remainders(frames, parts, targets)
    return fitted.set_params(targets=list(targets)).fit(rest, **weighting)


def remainders(frames, parts, targets) -> list:
    """Return structures with what the charges leave of their targets."""
    references = collect_targets(frames, targets).values
    rest = []
    for index, (atoms, part) in enumerate(zip(frames, parts, strict=True)):
        own = {
            "energy": part.energy,
            "forces": part.forces,
            "stress": part.stress(atoms) if atoms.pbc.all() else None,
        }
        results = {
            name: values[index] - own[name]
            for name, values in references.items()
            if values[index] is not None
        }
        remainder = without_targets(atoms)
        remainder.calc = SinglePointCalculator(remainder, **results)
        rest.append(remainder)
    return rest


def without_targets(atoms):
    """Return a structure with the charges that are given to it, and no targets."""
    bare = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if get_target(atoms, "total_charge") is not None:
        bare.info["total_charge"] = total_charge(atoms)
    if LABELS in atoms.arrays:
        bare.set_array(LABELS, atoms.arrays[LABELS])
    if CHARGES in atoms.info:
        bare.info[CHARGES] = atoms.info[CHARGES]
    return bare


def add_energies(results, together, potential, wanted) -> None:
    """Add energy, forces and stress (as far as wanted) to dictionaries of results.

    Features of charges and remainder are made once, and so are their gradients.

    Parameters
    ----------
    results : list of dict
    together : object
        Charges of a batch of structures: ``frames``, ``batch``, a ``cache`` of
        features, ``energies`` in eV, and of gradients ``pull(reverse_pass)`` and
        ``add_fixed(positions, strain)``.
    potential : SparsePotential
        The remainder.
    wanted : set of str
        Of `ENERGIES`; stress is left out where a frame is not fully periodic.
    """
    batch, predictor = together.batch, Predictor(potential)
    states = predictor.latent.evaluate(batch, together.cache)
    values, adjoints = predictor.latent.values(batch, states, potential.coefficients_)
    values += predictor.atom_baseline(batch.species)
    totals = together.energies + np.add.reduceat(values, batch.first_atom[:-1])
    positions = strain = None
    if any(quantity(name).is_gradient for name in wanted):
        reverse = ReversePass(batch)
        reverse.add(states, adjoints)
        together.pull(reverse)
        positions, strain = together.add_fixed(*reverse.run())
    write_energies(results, together.frames, wanted, totals, positions, strain)


def add_parts(results, together, remainder, wanted) -> None:
    """Do what `add_energies` does, for a remainder that depends on the charges.

    Parameters
    ----------
    remainder : callable
        Takes names of properties (None for all), and returns energy, forces and stress
        of the remainder by structure.
    """
    energy, forces, stress = ENERGIES
    if not any(quantity(name).is_gradient for name in wanted):
        rest = remainder([energy])
        for result, value, own in zip(results, together.energies, rest, strict=True):
            result[energy] = own[energy] + float(value)
        return
    parts, rest = together.energy_parts(), remainder(None)
    for result, atoms, part, own in zip(
        results, together.frames, parts, rest, strict=True
    ):
        whole = {energy: part.energy, forces: part.forces}
        if atoms.pbc.all():
            whole[stress] = part.stress(atoms)
        result.update({n: own[n] + whole[n] for n in whole if n in wanted})


def write_energies(results, frames, wanted, totals, positions, strain) -> None:
    """Write energies and their derivatives (None if not wanted) to results."""
    first = np.cumsum([0, *(len(atoms) for atoms in frames)])
    energy, forces, stress = ENERGIES
    for index, (result, atoms) in enumerate(zip(results, frames, strict=True)):
        if energy in wanted:
            result[energy] = float(totals[index])
        if forces in wanted:
            result[forces] = -positions[first[index] : first[index + 1]]
        if stress in wanted and atoms.pbc.all():
            result[stress] = symmetric_part(strain[index]) / atoms.get_volume()


def add_remainder(energies, atoms, potential) -> np.ndarray:
    """Return energies of charges (eV) with that of the remainder of their structure.

    Without a ``potential`` there is no remainder.
    """
    rest = 0.0 if potential is None else potential.predict(atoms)[0]
    return np.array(energies) + rest


def share_features(model) -> None:
    """Let charges and remainder of a model share equal descriptors."""
    kernels = getattr(model.potential_, "kernels_", ())
    share_descriptors([*model.kernels, *kernels])
