"""Changes by a far displacement (review, Eq. 3).

A quantity of atom i that depends on atoms within a reach only, dc_i/dR_k = 0 for
distances beyond it, is local. Energies of SOAP models are, charges of SOAP models up to
the total charge, of which every atom has a share: q_i = a_i + c_i (Q - t), with a_i and
c_i of the surroundings, and t a number of the whole structure.
"""

from __future__ import annotations

import numpy as np

from .charge_sharing import shares
from .results import Curve, Finding, NotApplicable, check
from .structures import beside, joined, moved, turned_copy

#: Length in Å of the displacement.
DISPLACEMENT = 0.1
#: Å by which far atoms are further than the reach, before and after the displacement.
MARGIN = 2.0 * DISPLACEMENT
#: Å, where the reach has no end: what changes there is reported.
FAR = 30.0


class FarDisplacement:
    """A structure before and after one atom moved, and which atoms are far from it.

    Attributes
    ----------
    frames : list of ase.Atoms
        Before and after.
    distances : ndarray of shape (n_atoms,)
        From the moved atom, in Å.
    is_far : ndarray of shape (n_atoms,)
        Atoms beyond the reach.

    Raises
    ------
    NotApplicable
        If no atom of a periodic structure is far from the one that moves.
    """

    def __init__(self, atoms, reach: float, random):
        atom = int(random.integers(len(atoms)))
        least = reach + MARGIN if np.isfinite(reach) else FAR
        is_periodic = bool(atoms.pbc.any())
        if not is_periodic:
            copy = turned_copy(atoms, random)
            atoms, atom = joined(atoms, beside(atoms, copy, least)), len(atoms) + atom
        self.distances = atoms.get_distances(
            atom, np.arange(len(atoms)), mic=is_periodic
        )
        self.is_far = self.distances >= least
        if not self.is_far.any():
            raise NotApplicable(
                "all atoms matter to each other, in cells of this size"
                if np.isfinite(reach)
                else "all atoms matter to each other, however far they are"
            )
        change = np.zeros((len(atoms), 3))
        change[atom] = random.normal(size=3)
        change *= DISPLACEMENT / np.linalg.norm(change)
        self.frames = [atoms, moved(atoms, change)]

    def judge(self, changes, reach: float, what: str) -> Finding:
        """Return the largest change of far atoms, over the largest of all.

        Raises
        ------
        NotApplicable
            If the reach has no end.
        """
        sizes = np.abs(changes).reshape(len(self.is_far), -1).max(axis=1)
        sizes = sizes / max(sizes.max(), 1e-300)
        ratio = float(sizes[self.is_far].max())
        others = self.distances > 0.0
        curve = Curve(
            tuple(self.distances[others].tolist()),
            tuple(sizes[others].tolist()),
            "distance from the atom that moves (Å)",
            f"change of {what} over the largest",
            is_line=False,
        )
        if np.isfinite(reach):
            return Finding(ratio, f"beyond {reach:.3g} Å", curve)
        closest = self.distances[self.is_far].min()
        raise NotApplicable(
            f"{what} depend on all atoms, however far they are; at {closest:.3g} "
            "Å this fraction of the largest change is left",
            ratio,
            curve,
        )


@check(
    "locality",
    "displacements beyond twice the reach of atomic energies change no force (Eq. 3)",
    1e-9,
    "relative",
)
def locality(subject, atoms, random) -> Finding:
    """Move an atom, and look at forces further away than twice the reach."""
    subject.require("forces")
    reach = np.inf if subject.has("charges") else subject.model.reach
    far = FarDisplacement(atoms, 2.0 * reach, random)
    before, after = subject.values(far.frames, "forces")
    return far.judge(after - before, 2.0 * reach, "forces")


@check(
    "charge-locality",
    "displacements beyond the reach share out the total charge at the most (Eq. 3)",
    1e-8,
    "relative",
)
def charge_locality(subject, atoms, random) -> Finding:
    """Move an atom, and take shares of the total charge from what changes."""
    subject.require("charges")
    reach = subject.model.reach
    far = FarDisplacement(atoms, reach, random)
    before, after = subject.values(far.frames, "charges")
    changes = np.asarray(after) - np.asarray(before)
    if np.isfinite(reach):
        columns = [shares(subject, frame)[far.is_far] for frame in far.frames]
        columns = np.transpose(columns)
        if len(columns) <= columns.shape[1]:
            raise NotApplicable("too few atoms to tell shares of the total charge")
        rest = changes[far.is_far]
        changes[far.is_far] -= columns @ np.linalg.lstsq(columns, rest, rcond=None)[0]
    return far.judge(changes, reach, "charges")
