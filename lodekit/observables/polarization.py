"""Polarization of structures: observables of M = sum_i q_i R_i + d_i.

With whole charges q of the elements, atomic dipoles d and M in e·Å,

* polarization: M = P V of periodic structures, known up to quanta (`branches`),
* dipole: M of open structures, from the origin of coordinates,
* Wannier displacements: d_i / c from an atom to the centroid of its Wannier centres, in
  Å, with the charge c of the centres of its element,
* Born effective charges: Z_i,ab = dM_a / dR_i,b, in e; the first index is that of M,
  the second that of the displacement.

Sums of Z over the atoms are the total charge, whatever d is, as long as d does not
depend on the origin.

References
----------
Y. Li, A. Scandolo, Phys. Rev. B 103, 195147 (2021) (whole charges and atomic dipoles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.errors import StructureError
from lodekit.structures import find_target, frame_name, get_target

from .branches import fold, polarization_quanta
from .oxidation_states import total_charge

POLARIZATION = "polarization"
BORN_CHARGES = "born_effective_charges"
WANNIER = "wannier_displacements"
#: Sums of Born charges that are larger than this, in e for every atom, are no numerical
#: noise.
LARGEST_SUM = 0.05


def born_charges_of(atoms):
    """Return the Born charges of a structure in e, (n_atoms, 3, 3), or None."""
    return get_target(atoms, BORN_CHARGES)


def transpose_born_charges(frames) -> None:
    """Exchange moment and displacement in the Born charges of frames, in place."""
    for atoms in frames:
        charges = born_charges_of(atoms)
        if charges is not None:
            key = find_target(atoms, BORN_CHARGES).key
            atoms.arrays[key] = charges.swapaxes(1, 2).reshape(-1, 9)


def moment_of(atoms):
    """Return M of a structure in e·Å, (3,), or None.

    The polarization where it is periodic, the dipole where it is open.
    """
    if atoms.pbc.all():
        return get_target(atoms, POLARIZATION)
    return None if atoms.pbc.any() else get_target(atoms, "dipole")


def ionic_moment(atoms, species, charges) -> np.ndarray:
    """Return sum_i q_i R_i in e·Å, (3,)."""
    return charges[np.searchsorted(species, atoms.numbers)] @ atoms.positions


@dataclass
class PolarizationTargets:
    """Moments and Born charges of frames; None where a frame has none.

    Attributes
    ----------
    moments : list of ndarray of shape (3,) or None
        M in e·Å, without the part of the whole charges once this is taken away.
    born_charges : list of ndarray of shape (n_atoms, 3, 3) or None
        Z in e, likewise.
    displacements : list of ndarray of shape (n_centers, 3) or None
        Those of Wannier centroids, of atoms that have centres.
    """

    moments: list
    born_charges: list
    displacements: list

    @classmethod
    def collect(cls, frames, names):
        """Read targets, and check them.

        Parameters
        ----------
        frames : list of ase.Atoms
        names : list of str
            Targets to read.

        Raises
        ------
        StructureError
            For a polarization without a cell, and Born charges that do not sum to the
            total charge.
        """
        moments, born_charges, displacements = [], [], []
        for index, atoms in enumerate(frames):
            name = POLARIZATION if atoms.pbc.all() else "dipole"
            moment = moment_of(atoms) if name in names else None
            has_p = POLARIZATION in names and get_target(atoms, POLARIZATION)
            if has_p is not None and has_p is not False and not atoms.pbc.all():
                raise StructureError(
                    f"{frame_name(index)} has a polarization and is not periodic in "
                    "three directions; give its cell and pbc, or call it dipole"
                )
            charges = born_charges_of(atoms) if BORN_CHARGES in names else None
            if charges is not None:
                check_sum(charges, total_charge(atoms), frame_name(index))
            moments.append(moment)
            born_charges.append(charges)
            has_centers = WANNIER in names
            displacements.append(get_target(atoms, WANNIER) if has_centers else None)
        return cls(moments, born_charges, displacements)

    def keep_centers(self, frames, species, charges) -> None:
        """Keep the displacements of atoms whose element has centres, in place.

        Parameters
        ----------
        charges : ndarray of shape (n_species,)
            Of the centres of an atom in e, 0 for elements without.

        Raises
        ------
        StructureError
            If an atom of another element has a displacement.
        """
        for index, (atoms, displacements) in enumerate(
            zip(frames, self.displacements, strict=True)
        ):
            if displacements is None:
                continue
            is_center = charges[np.searchsorted(species, atoms.numbers)] != 0.0
            if displacements[~is_center].any():
                first = np.flatnonzero(displacements.any(axis=1) & ~is_center)[0]
                raise StructureError(
                    f"{frame_name(index)} has a displaced Wannier centroid at "
                    f"{atoms.symbols[first]}, which has no charge among center_charges"
                )
            self.displacements[index] = displacements[is_center]

    def some(self, chosen):
        """Return the targets of some frames."""
        lists = [[values[i] for i in chosen] for values in self.lists()]
        return type(self)(*lists)

    def carry_charge(self, frames) -> bool:
        """Return whether they tell what atoms carry through a periodic cell."""
        return any(
            atoms.pbc.any() and (moment is not None or charges is not None)
            for atoms, moment, charges in zip(
                frames, self.moments, self.born_charges, strict=True
            )
        )

    def names(self) -> list[str]:
        """Return the names of the rows that there are."""
        there = [any(v is not None for v in values) for values in self.lists()]
        names = POLARIZATION, BORN_CHARGES, WANNIER
        return [name for name, is_there in zip(names, there, strict=True) if is_there]

    def lists(self) -> tuple[list, list, list]:
        """Return moments, Born charges and displacements."""
        return self.moments, self.born_charges, self.displacements

    def subtract_ions(self, frames, species, charges) -> None:
        """Take the part of the whole charges away, in place."""
        kinds = [np.searchsorted(species, atoms.numbers) for atoms in frames]
        for index, atoms in enumerate(frames):
            if self.moments[index] is not None:
                ionic = ionic_moment(atoms, species, charges)
                self.moments[index] = self.moments[index] - ionic
            if self.born_charges[index] is not None:
                ionic = charges[kinds[index]][:, None, None] * np.eye(3)
                self.born_charges[index] = self.born_charges[index] - ionic

    def count_rows(self) -> np.ndarray:
        """Return the number of rows of every frame."""
        sizes = [
            [0 if v is None else v.size for v in values] for values in self.lists()
        ]
        return np.sum(sizes, axis=0)

    def arrays(self):
        """Yield all values."""
        for values in self.lists():
            yield from (value for value in values if value is not None)

    def fold(self, frames, chosen, estimates, quantum: float):
        """Return M of some frames on the branch nearest to estimates.

        Parameters
        ----------
        frames : list of ase.Atoms
        chosen : ndarray
            Indices of periodic frames that have M.
        estimates : ndarray of shape (n_chosen, 3)
        quantum : float
            See `polarization_quanta`.
        """
        quanta = [polarization_quanta(frames[i], quantum) for i in chosen]
        return fold([self.moments[i] for i in chosen], estimates, np.array(quanta))


def check_sum(charges, total: float, name: str) -> None:
    """Check that Born charges of one structure sum to its total charge.

    Raises
    ------
    StructureError
    """
    excess = charges.sum(axis=0) - total * np.eye(3)
    worst = np.abs(excess).max() / len(charges)
    if worst > LARGEST_SUM:
        raise StructureError(
            f"{name}: its Born charges sum to {np.abs(excess).max():.3g} e beside the "
            f"total charge of {total:g} e; the order of their nine numbers may be "
            "wrong, (moment, displacement) = xx, xy, xz, yx, ..., or that of the atoms"
        )
