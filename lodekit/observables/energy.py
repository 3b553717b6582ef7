"""Energies, forces and stress as rows of the design matrix and as targets.

The energy is the sum of the atomic latents over the atoms, forces and stress are its
derivatives, so that all three are linear in the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.regression.latent import Latent
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures import frame_name, get_target
from lodekit.structures.batch import StructureBatch

PROPERTIES = ("energy", "forces", "stress")
UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å^3"}


@dataclass
class EnergyTargets:
    """Targets of one list of frames, by name; each a list with one entry a frame.

    Energies are in eV with the baseline taken away, forces (n_atoms, 3) in eV/Å, stress
    (6,) in eV/Å^3. A frame without stress (no cell) has None there.
    """

    values: dict[str, list]

    @property
    def names(self) -> list[str]:
        """Names of the targets that take part."""
        return list(self.values)

    def count_rows(self, frames) -> np.ndarray:
        """Return the number of rows of every frame, (n_frames,)."""
        sizes = {"energy": 1, "stress": 6}
        counts = [
            [
                value is not None and sizes.get(name, 3 * len(atoms))
                for name, value in own
            ]
            for atoms, own in zip(frames, self.by_frame(), strict=True)
        ]
        return np.array(counts, dtype=int).sum(axis=1)

    def by_frame(self):
        """Yield the name and value of every target, frame by frame."""
        for values in zip(*self.values.values(), strict=True):
            yield zip(self.values, values, strict=True)

    def subset(self, chosen) -> EnergyTargets:
        """Return the targets of some frames."""
        return EnergyTargets(
            {name: [values[i] for i in chosen] for name, values in self.values.items()}
        )


def collect_targets(frames, names=None, energies=None) -> EnergyTargets:
    """Read the targets of ``frames``.

    Parameters
    ----------
    frames : list of ase.Atoms
    names : list of str, optional
        Targets to read; all that occur where None.
    energies : array-like of shape (n_frames,), optional
        Total energies in eV that replace those of the frames.

    Raises
    ------
    ValueError
        If a target is wanted and absent from some frames, or nothing is found.
    """
    values = {}
    for name in names or PROPERTIES:
        if name not in PROPERTIES:
            raise ValueError(f"targets must be among {list(PROPERTIES)}, got '{name}'")
        if name == "energy" and energies is not None:
            found = check_energies(energies, len(frames))
        else:
            found = [get_target(atoms, name) for atoms in frames]
        usable = [atoms.pbc.all() or name != "stress" for atoms in frames]
        missing = [i for i, value in enumerate(found) if value is None and usable[i]]
        if is_present(name, missing, sum(usable), len(frames), bool(names)):
            values[name] = [
                v if use else None for v, use in zip(found, usable, strict=True)
            ]
    if not values:
        raise ValueError(
            f"none of the {len(frames)} frames has an energy, forces or stress to fit; "
            "name the keys of your file, for instance --key energy=my_energy"
        )
    return EnergyTargets(values)


def is_present(name, missing, n_usable: int, n_frames: int, is_asked: bool) -> bool:
    """Return whether all frames have a target, False where none has it.

    Parameters
    ----------
    name : str
    missing : list of int
        Frames that do not have it and could.
    n_usable, n_frames : int
        Frames that could have it, and all.
    is_asked : bool
        Whether the user named it.

    Raises
    ------
    ValueError
        If some frames have it and others do not, or none where it is asked for.
    """
    if len(missing) == n_usable:
        if is_asked:
            raise ValueError(f"target '{name}' is in none of the {n_frames} frames")
        return False
    if missing:
        raise ValueError(
            f"target '{name}' is missing in {len(missing)} of {n_frames} frames "
            f"(first: {frame_name(missing[0])}); add it, leave these frames out, or "
            f"leave '{name}' out of the targets"
        )
    return True


def check_energies(energies, n_frames: int) -> list[float]:
    """Return ``energies`` as floats, one a frame."""
    energies = np.asarray(energies, dtype=float)
    if energies.shape != (n_frames,):
        raise ValueError(
            f"y must have shape ({n_frames},), one energy in eV per frame, "
            f"got {energies.shape}"
        )
    if not np.isfinite(energies).all():
        bad = int(np.flatnonzero(~np.isfinite(energies))[0])
        raise ValueError(f"y must be finite, {frame_name(bad)} has {energies[bad]}")
    return energies.tolist()


@dataclass
class Rows:
    """Rows of one target: Phi, the target values, and the frame of each row."""

    matrix: np.ndarray
    values: np.ndarray
    frames: np.ndarray

    def take(self, chosen: np.ndarray) -> Rows:
        """Return some rows."""
        return Rows(self.matrix[chosen], self.values[chosen], self.frames[chosen])


def build_rows(
    kernels: list[SparseKernel], batch: StructureBatch, targets: EnergyTargets
) -> dict[str, Rows]:
    """Return the rows of every target of one batch, linear in the kernels' weights."""
    return pack_rows(KernelRows(kernels, batch), batch, targets)


class KernelRows:
    """Sums of Phi over the atoms of structures, and their derivatives.

    Parameters
    ----------
    kernels : list of SparseKernel
    batch : StructureBatch
    """

    def __init__(self, kernels: list[SparseKernel], batch: StructureBatch):
        self.batch, self.latent = batch, Latent(kernels)
        self.states = self.latent.evaluate(batch)

    def energy(self) -> np.ndarray:
        """Return sums over structures, (n_structures, rank)."""
        pairs = zip(self.latent.kernels, self.states, strict=True)
        return np.hstack([k.energy_rows(self.batch, s.features) for k, s in pairs])

    def forces(self) -> np.ndarray:
        """Return minus derivatives by positions, (n_atoms, 3, rank)."""
        return self.latent.force_rows(self.batch, self.states)

    def strain(self) -> np.ndarray:
        """Return derivatives by strain, (n_structures, 6, rank), Voigt."""
        return self.latent.strain_rows(self.batch, self.states)


def pack_rows(source, batch: StructureBatch, targets: EnergyTargets) -> dict[str, Rows]:
    """Return the rows of every target of one batch.

    Energy rows are per atom (eV/atom), force rows in eV/Å, stress rows in eV/Å^3.

    Parameters
    ----------
    source : KernelRows
        Or something else with its methods.
    batch : StructureBatch
    targets : EnergyTargets
    """
    structures = np.arange(batch.n_structures)
    sizes = np.diff(batch.first_atom)
    rows = {}
    if "energy" in targets.values:
        values = np.array(targets.values["energy"]) / sizes
        rows["energy"] = Rows(source.energy() / sizes[:, None], values, structures)
    if "forces" in targets.values:
        values = np.concatenate(targets.values["forces"]).ravel()
        owners = np.repeat(batch.structure_of_atom, 3)
        rows["forces"] = Rows(source.forces().reshape(len(values), -1), values, owners)
    if "stress" in targets.values:
        used = [i for i in structures if targets.values["stress"][i] is not None]
        if used:
            volumes = np.abs(np.linalg.det(batch.cells[used]))
            matrix = source.strain()[used] / volumes[:, None, None]
            values = np.concatenate([targets.values["stress"][i] for i in used])
            rows["stress"] = Rows(
                matrix.reshape(len(values), -1), values, np.repeat(used, 6)
            )
    return rows
