"""Structures pulled apart: the energy tends to the sum of its parts.

What remains at a distance D is k_e Q_A Q_B / D for models with charges, and terms of
other powers of 1/D. Three distances D, 2 D, 4 D tell what would remain without end:
a_0 = (8 E(4 D) - 6 E(2 D) + E(D)) / 3 has no terms in 1/D and 1/D^2.
"""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import total_charge
from lodekit.units import COULOMB_CONSTANT

from .charge_sharing import shares
from .results import Curve, Finding, NotApplicable, check
from .structures import beside, charged, joined, split, turned_copy

#: Å between both parts; the last, twice and four times as far as the third from the
#: end, give the limit. The largest keeps within what structures may measure.
GAPS = 4000.0 / 2.0 ** np.arange(10, -1, -1)
LIMIT_WEIGHTS = np.array([1.0, -6.0, 8.0]) / 3.0
#: Charges in e that count as nothing.
ROUNDING = 1e-9


class Separation:
    """Two open structures at all `GAPS`.

    Parameters
    ----------
    first, second : ase.Atoms
        Both parts.
    separate : float
        E(A) + E(B) in eV.

    Attributes
    ----------
    energies : ndarray of shape (n_gaps,)
        E(AB) - E(A) - E(B) in eV.
    rests : ndarray of shape (3,)
        The same at the last gaps, without the interaction of the net charges.
    charge : float
        Net charge of A at the last gap in e, 0 for models without charges.
    """

    def __init__(self, subject, first, second, separate: float):
        frames = [joined(first, beside(first, second, gap)) for gap in GAPS]
        self.energies = subject.energies(frames) - separate
        self.rests, self.charge = self.energies[-3:].copy(), 0.0
        if subject.has("charges"):
            n_first = len(first)
            charges = subject.values(frames[-3:], "charges")
            for place, (atoms, q) in enumerate(zip(frames[-3:], charges, strict=True)):
                self.charge, other = float(q[:n_first].sum()), q[n_first:].sum()
                distance = np.linalg.norm(center_distance(atoms, n_first))
                coulomb = COULOMB_CONSTANT * self.charge * other / distance
                self.rests[place] -= coulomb

    @property
    def limit(self) -> float:
        """The rest of the energy at infinite separation, in eV."""
        return abs(float(self.rests @ LIMIT_WEIGHTS))

    @property
    def note(self) -> str:
        """How what remains falls off: its part in 1/D, and the net charge."""
        at_two, at_four = self.rests[1:]
        slope = 2.0 * GAPS[-2] * (at_two - at_four)
        charge = f"charge {self.charge:.2g} e, " if self.charge else ""
        return f"{charge}remainder {slope:.1g} eV·Å / D"

    @property
    def curve(self) -> Curve:
        """Sizes of interaction energies over gaps."""
        sizes = tuple(np.abs(self.energies).tolist())
        return Curve(
            tuple(GAPS), sizes, "gap (Å)", "size of the interaction energy (eV)"
        )


def center_distance(atoms, n_first: int) -> np.ndarray:
    """Return the vector between the centres of the first atoms and the others."""
    parts = atoms.positions[:n_first], atoms.positions[n_first:]
    return parts[1].mean(axis=0) - parts[0].mean(axis=0)


def require_open(subject, atoms) -> None:
    """Raise `NotApplicable` where nothing can be pulled apart."""
    subject.require("energy")
    if atoms.pbc.any():
        raise NotApplicable("only open structures can be pulled apart")


@check(
    "copies",
    "two copies far apart have twice the energy, and Q^2/D between net charges",
    1e-6,
    "eV/atom",
)
def copies(subject, atoms, random) -> Finding:
    """Pull a structure and its turned copy apart."""
    require_open(subject, atoms)
    separate = 2.0 * subject.energies([atoms])[0]
    pair = Separation(subject, atoms, turned_copy(atoms, random), separate)
    return Finding(pair.limit / (2 * len(atoms)), pair.note, pair.curve)


@check(
    "fragments",
    "fragments far apart have the sum of their energies, and Q_A Q_B/D between charges",
    1e-6,
    "eV/atom",
)
def fragments(subject, atoms, random) -> Finding:
    """Pull the first fragment and all others apart.

    Alone, fragments get the whole numbers next to their charges. A model that knows of
    the sum only shares it out among all atoms, however far they are.
    """
    require_open(subject, atoms)
    parts = split(atoms)
    if len(parts) < 2:
        raise NotApplicable("bonds join all atoms of the structures")
    first, second = with_own_charges(
        subject, atoms, atoms[parts[0]], atoms[np.concatenate(parts[1:])]
    )
    separate = subject.energies([first, second]).sum()
    pair = Separation(subject, first, second, separate)
    limit = pair.limit / len(atoms)
    if subject.has("charges") and np.abs(shares(subject, atoms)).max() > ROUNDING:
        flown = abs(pair.charge - total_charge(first))
        raise NotApplicable(
            "the charges share the total charge of the whole structure: "
            f"{flown:.2g} e flow between separate fragments",
            limit,
            pair.curve,
        )
    return Finding(limit, pair.note, pair.curve)


def with_own_charges(subject, atoms, first, second) -> tuple:
    """Return both parts of a structure with total charges that are whole numbers."""
    total, first_charge = total_charge(atoms), 0.0
    if subject.has("charges"):
        far = joined(first, beside(first, second, GAPS[-1]))
        (charges,) = subject.values([charged(far, total)], "charges")
        first_charge = float(np.round(charges[: len(first)].sum()))
    return charged(first, first_charge), charged(second, total - first_charge)
