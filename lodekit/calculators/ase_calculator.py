"""A fitted model as an ASE calculator.

    from lodekit.calculators import LodekitCalculator

    atoms.calc = LodekitCalculator("model.lodekit")
    atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()

What ASE asks for is what is computed: energies alone cost less than forces, and stress
is computed only when it is wanted.
"""

import os

from ase.calculators.calculator import (
    Calculator,
    PropertyNotImplementedError,
    all_changes,
)
from ase.data import chemical_symbols


class LodekitCalculator(Calculator):
    """ASE calculator of a fitted model.

    Parameters
    ----------
    model : str, Path or estimator
        A model file, or a fitted model such as `lodekit.models.SparsePotential`.
    std : bool
        Compute standard deviations with every energy and every force, too. They are in
        ``results`` under "energy_std", "energies_std" and "forces_std".

    Notes
    -----
    Energies are in eV, forces in eV/Å, stress in eV/Å^3 in the order xx, yy, zz, yz,
    xz, xy. ``free_energy`` equals ``energy``: models have no electronic entropy.
    """

    implemented_properties = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
    ]

    def __init__(self, model, std=False):
        super().__init__()
        if isinstance(model, (str, os.PathLike)):
            from lodekit.model_file import load_model

            model = load_model(model)
        self.model = model
        self.std = std
        self._species = frozenset(model.summary_["species"])

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Compute properties of a structure; ASE calls this.

        Parameters
        ----------
        atoms : ase.Atoms
            The structure.
        properties : list of str
            What is wanted.
        system_changes : list of str
            What changed since the last call.

        Raises
        ------
        ValueError
            For species that the model has not seen, and for boundaries and cells that
            it cannot describe.
        PropertyNotImplementedError
            For the stress of a structure that is not periodic in three directions.
        """
        super().calculate(atoms, properties, system_changes)
        self._check(properties)
        wanted = {"energy", "energies"}
        if {"forces", "stress"} & set(properties):
            wanted.add("forces")
        if "stress" in properties:
            wanted.add("stress")
        if self.std:
            wanted |= {"energy_std", "energies_std"}
            wanted |= {"forces_std"} if "forces" in wanted else set()
        (results,) = self.model.compute([self.atoms], properties=sorted(wanted))
        results["free_energy"] = results["energy"]
        # ASE keeps results while the structure stays: what was asked before is kept.
        self.results.update(results)

    def _check(self, properties):
        if "stress" in properties and not self.atoms.pbc.all():
            raise PropertyNotImplementedError(
                "stress needs a structure that is periodic in three directions, pbc is "
                f"{self.atoms.pbc.tolist()}"
            )
        foreign = sorted(set(self.atoms.numbers.tolist()) - self._species)
        if foreign:
            known = ", ".join(chemical_symbols[z] for z in sorted(self._species))
            raise ValueError(
                f"the structure has {chemical_symbols[foreign[0]]}, which the model "
                f"has not seen; it knows {known}"
            )
