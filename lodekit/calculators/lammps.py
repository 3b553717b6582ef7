"""Forces of a fitted model in LAMMPS, through its ``fix external``.

    from lammps import lammps
    from lodekit.calculators.lammps import attach_model

    lmp = lammps()
    lmp.commands_string(setup)  # units metal, atom_modify map yes, structure, masses
    coupling = attach_model(lmp, "model.lodekit", ["O", "H"])
    coupling.run(1000)

The process of LAMMPS calls the model at every step: one MPI process, as many threads as
lodekit has. What LAMMPS computes beside it, such as a pair style, is added.

References
----------
A. P. Thompson et al., Comput. Phys. Commun. 271, 108171 (2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.lammps import convert

from .ase_calculator import LodekitCalculator

#: Name of the fix.
FIX = "lodekit"
#: Components of stress (xx, yy, zz, yz, xz, xy) in the order of LAMMPS.
VIRIAL_ORDER = [0, 1, 2, 5, 4, 3]


def attach_model(
    lmp: Any,
    model: Any,
    elements: Sequence[str],
    *,
    total_charge: float | None = None,
    **options: Any,
) -> LammpsCoupling:
    """Let a model act on all atoms of a running LAMMPS.

    Parameters
    ----------
    lmp : lammps.lammps
        With a structure, one MPI process, and ``units metal`` or ``units real``.
    model : str, Path or estimator
        A model file, or a fitted model.
    elements : list of str
        Chemical symbol of every atom type, from type 1 on.
    total_charge : float, optional
        Of the structure, in e, where the model needs it.
    **options
        Of `LodekitCalculator`, such as ``on_extrapolation="raise"``.

    Returns
    -------
    coupling : LammpsCoupling

    Raises
    ------
    ValueError
        For other units, more than one process, or types without an element.
    """
    coupling = LammpsCoupling(lmp, model, elements, total_charge, options)
    lmp.command(f"fix {FIX} all external pf/callback 1 1")
    lmp.command(f"fix_modify {FIX} energy yes virial yes")
    lmp.set_fix_external_callback(FIX, coupling.answer, lmp)
    return coupling


class LammpsCoupling:
    """The callback of LAMMPS at every step; see `attach_model`.

    Attributes
    ----------
    atoms : ase.Atoms
        The structure, in the order of the atom numbers of LAMMPS, in Å.
    error : Exception or None
        What went wrong at a step: errors do not pass through LAMMPS, which stops then.
    """

    def __init__(
        self,
        lmp: Any,
        model: Any,
        elements: Sequence[str],
        total_charge: float | None,
        options: dict[str, Any],
    ) -> None:
        self.units = lmp.extract_global("units")
        if self.units not in ("metal", "real"):
            raise ValueError(f"LAMMPS needs units metal or real, got {self.units}")
        if lmp.extract_setting("world_size") > 1:
            raise ValueError("a model runs in one MPI process of LAMMPS, with threads")
        n_types = lmp.extract_setting("ntypes")
        if len(elements) != n_types:
            raise ValueError(
                f"{n_types} atom types need as many elements, got {list(elements)}"
            )
        types = np.array(lmp.gather_atoms("type", 0, 1))
        self.atoms = Atoms([elements[number - 1] for number in types])
        self.atoms.pbc = lmp.extract_box()[5]
        if total_charge is not None:
            self.atoms.info["total_charge"] = float(total_charge)
        self.atoms.calc = LodekitCalculator(model, **options)
        self.lmp = lmp
        self.error: Exception | None = None

    def run(self, n_steps: int) -> None:
        """Run LAMMPS, and raise what the model raises.

        Raises
        ------
        ExtrapolationError
            Of ``on_extrapolation="raise"``; ``atoms`` is the structure.
        """
        self.error = None
        self.lmp.command(f"run {n_steps}")
        if self.error is not None:
            raise self.error

    def answer(
        self,
        lmp: Any,
        step: int,
        n_atoms: int,
        tags: np.ndarray,
        positions: np.ndarray,
        forces: np.ndarray,
    ) -> None:
        """Compute a step; LAMMPS calls it."""
        try:
            self.compute(lmp, n_atoms, tags, positions, forces)
        except Exception as problem:
            self.error = problem
            forces[:] = 0.0
            lmp.force_timeout()

    def compute(
        self,
        lmp: Any,
        n_atoms: int,
        tags: np.ndarray,
        positions: np.ndarray,
        forces: np.ndarray,
    ) -> None:
        """Fill the forces, and tell energy and virial."""
        atoms, order = self.atoms, np.ravel(tags) - 1
        low, high, xy, yz, xz, _, _ = lmp.extract_box()
        a, b, c = np.subtract(high, low)
        cell = np.array([[a, 0.0, 0.0], [xy, b, 0.0], [xz, yz, c]])
        atoms.cell[:] = np.where(atoms.pbc[:, None], cell, 0.0)
        sorted_positions = np.empty((n_atoms, 3))
        sorted_positions[order] = positions
        atoms.positions = sorted_positions
        units, ase_forces = self.units, atoms.get_forces()
        forces[:] = convert(ase_forces, "force", "ASE", units)[order]
        energy = atoms.get_potential_energy()
        lmp.fix_external_set_energy_global(FIX, convert(energy, "energy", "ASE", units))
        if atoms.pbc.all():
            virial = -atoms.get_stress()[VIRIAL_ORDER] * atoms.get_volume()
            virial = convert(virial, "energy", "ASE", units).tolist()
            lmp.fix_external_set_virial_global(FIX, virial)
