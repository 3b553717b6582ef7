"""Energies, forces and stress as rows of the design matrix and as targets.

The energy is the sum of the atomic latents over the atoms, forces and stress are its
derivatives, so that all three are linear in the same weights.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from lodekit.quantities import ENERGIES, quantity
from lodekit.regression.baseline import count_species, find_baseline
from lodekit.regression.latent import Latent
from lodekit.regression.sparse_kernel import SparseKernel
from lodekit.structures import find_lookalikes, frame_name, get_target
from lodekit.structures.batch import StructureBatch
from lodekit.structures.checks import can_have

from .presence import is_present
from .rows import Rows


@dataclass
class EnergyTargets:
    """Targets of one list of frames, by name; each a list with one entry a frame.

    Energies are in eV with the baseline taken away, forces (n_atoms, 3) in eV/Å, stress
    (6,) in eV/Å^3. A frame that lacks a target has None there, and no rows of it.
    """

    values: dict[str, list]

    @property
    def names(self) -> list[str]:
        """Names of the targets that take part."""
        return list(self.values)

    def arrays(self):
        """Yield the value of every frame that has one, target by target."""
        for values in self.values.values():
            yield from (np.asarray(value) for value in values if value is not None)

    def count_rows(self, frames) -> np.ndarray:
        """Return the number of rows of every frame, (n_frames,)."""
        counts = [
            [
                value is not None and quantity(name).count(len(atoms))
                for name, value in targets
            ]
            for atoms, targets in zip(frames, self.by_frame(), strict=True)
        ]
        return np.array(counts, dtype=int).sum(axis=1)

    def by_frame(self):
        """Yield the name and value of every target, frame by frame."""
        for values in zip(*self.values.values(), strict=True):
            yield zip(self.values, values, strict=True)

    def subtract_baseline(
        self, frames, species, baseline="composition", weights=None
    ) -> np.ndarray:
        """Subtract the energies of the elements, in place.

        Parameters
        ----------
        frames : list of ase.Atoms
        species : ndarray of shape (n_species,)
        baseline, weights
            See `lodekit.regression.baseline.find_baseline`.

        Returns
        -------
        baseline : ndarray of shape (n_species,)
            Energies of the elements in eV.
        """
        energies = self.values.get("energy", [])
        known = [i for i, energy in enumerate(energies) if energy is not None]
        some = [frames[i] for i in known]
        energies_of_elements = find_baseline(
            baseline,
            some,
            species,
            np.array([energies[i] for i in known]),
            None if weights is None else weights[known],
        )
        sums = count_species(some, species) @ energies_of_elements
        for index, atoms in zip(known, sums, strict=True):
            energies[index] -= atoms
        return energies_of_elements

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
        If a named target is in no frame, another one is missing in most of them, or
        nothing is found.

    Warns
    -----
    UserWarning
        If names are not given and a key looks like a target that is not there.
    """
    values = {}
    for name in names or ENERGIES:
        if name not in ENERGIES:
            raise ValueError(f"targets must be among {list(ENERGIES)}, got '{name}'")
        if name == "energy" and energies is not None:
            present = check_energies(energies, len(frames))
        else:
            present = [get_target(atoms, name) for atoms in frames]
        possible = [can_have(atoms, name) for atoms in frames]
        # codes write the stress of open structures, too
        if quantity(name).boundary == "cell":
            present = [
                v if can else None for v, can in zip(present, possible, strict=True)
            ]
        if is_present(name, present, possible, bool(names)):
            values[name] = present
    if not values:
        raise ValueError(
            f"none of the {len(frames)} frames has an energy, forces or stress to fit; "
            "name the keys of your file, for instance --key energy=my_energy"
        )
    absent = [] if names else [name for name in ENERGIES if name not in values]
    alike = [one for one in find_lookalikes(frames, absent) if one.by_name]
    if alike:
        keys = {one.target: one.key for one in alike}
        warnings.warn(
            f"not fitted, though it looks like a target: {', '.join(keys.values())}; "
            f"read it with keys={keys}, or name the targets",
            stacklevel=2,
        )
    return EnergyTargets(values)


def reference_energies(frames) -> np.ndarray:
    """Return the energies of frames in eV, (n_frames,).

    Raises
    ------
    ValueError
        If a frame has none.
    """
    energies = [get_target(atoms, "energy") for atoms in frames]
    if None in energies:
        raise ValueError(
            f"{frame_name(energies.index(None))} has no energy to compare with; leave "
            "it out"
        )
    return np.array(energies)


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
    rows = {}
    for name, values in targets.values.items():
        used = np.array([i for i, v in enumerate(values) if v is not None], dtype=int)
        if used.size:
            known = [values[i] for i in used]
            rows[name] = PACKERS[name](source, batch, used, known)
    return rows


def pack_energies(source, batch: StructureBatch, used: np.ndarray, known) -> Rows:
    """Return rows of the energies of the structures ``used``, in eV/atom."""
    sizes = np.diff(batch.first_atom)[used]
    return Rows(source.energy()[used] / sizes[:, None], np.array(known) / sizes, used)


def pack_forces(source, batch: StructureBatch, used: np.ndarray, known) -> Rows:
    """Return rows of the forces on the atoms of the structures ``used``, in eV/Å."""
    chosen = np.isin(batch.structure_of_atom, used)
    matrix = source.forces()
    matrix = matrix if chosen.all() else matrix[chosen]
    owners = np.repeat(batch.structure_of_atom[chosen], 3)
    matrix = matrix.reshape(owners.size, -1)
    return Rows(matrix, np.concatenate(known).ravel(), owners)


def pack_stress(source, batch: StructureBatch, used: np.ndarray, known) -> Rows:
    """Return rows of the stress of the structures ``used``, in eV/Å^3."""
    volumes = np.abs(np.linalg.det(batch.cells[used]))
    matrix = source.strain()[used] / volumes[:, None, None]
    values = np.concatenate(known)
    return Rows(matrix.reshape(values.size, -1), values, np.repeat(used, 6))


#: What makes the rows of every target.
PACKERS = dict(zip(ENERGIES, (pack_energies, pack_forces, pack_stress), strict=True))


def row_owners(frames, name: str) -> np.ndarray:
    """Return the structure of each row of a target that every frame could have.

    Fully periodic frames have stress.
    """
    target = quantity(name)
    counts = [
        target.count(len(atoms)) * bool(target.fits(atoms.pbc)) for atoms in frames
    ]
    return np.repeat(np.arange(len(frames)), counts)
