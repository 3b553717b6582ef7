"""The list of what follows from charges, and the rows and checks of its targets.

The charges of one structure are affine in the weights, q = C w + q_0, whatever the
model: predicted by environments or equilibrated. Atomic dipoles and quadrupoles may go
with them. What is measured (charges, dipole, quadrupole, potential at points) is linear
in all of them; see `ChargeObservable`.
"""

from __future__ import annotations

import numpy as np

from lodekit.quantities import CHARGES, family, quantity
from lodekit.structures import frame_name, get_target
from lodekit.structures.checks import can_have
from lodekit.structures.lookalikes import hidden_total_charge

from .born_charges import BornCharges
from .charge_observable import (
    AffineCharges,
    ChargeObservable,
    Charges,
    TotalCharge,
    total_charge,
)
from .moments import Dipole, Potential, Quadrupole
from .presence import is_present
from .rows import Rows

#: Names of atomic moments, by order.
ATOMIC_MOMENTS = family("moments")
DEVIATIONS = tuple(f"{name}_std" for name in CHARGES)
_LIST = (Charges(), Dipole(), Quadrupole(), Potential(), BornCharges(), TotalCharge())
#: Everything that follows from charges, by name.
OBSERVABLES: dict[str, ChargeObservable] = {one.name: one for one in _LIST}


def check_total_charges(frames) -> bool:
    """Return whether any structure is charged.

    Raises
    ------
    ValueError
        If some frames have a total charge and others do not, or it seems to be under
        another name.
    """
    charges = [get_target(atoms, "total_charge") for atoms in frames]
    missing = [i for i, value in enumerate(charges) if value is None]
    for index in missing:
        hidden = hidden_total_charge(frames[index])
        if hidden:
            raise ValueError(f"{frame_name(index)} has no total_charge, but {hidden}")
    if missing and len(missing) < len(charges):
        raise ValueError(
            f"total_charge is missing in {len(missing)} of {len(frames)} frames "
            f"(first: {frame_name(missing[0])}) and given in the others; give it in "
            "every frame"
        )
    return any(charges)


def collect_charge_targets(frames, names=None) -> list[str]:
    """Return the names of the targets to fit, all that frames have where None.

    Raises
    ------
    ValueError
        If a target is unknown, a named one is in no frame, another one is missing in
        most, or charges of a frame do not sum to its total charge; or if nothing is
        found.
    """
    for name in names or ():
        if name not in CHARGES:
            raise ValueError(f"targets must be among {list(CHARGES)}, got '{name}'")
    present = []
    for name in names or [n for n in CHARGES if quantity(n).by_default]:
        values = [get_target(atoms, name) for atoms in frames]
        possible = [can_have(atoms, name) for atoms in frames]
        if is_present(name, values, possible, bool(names)):
            present.append(name)
            owners = [i for i, value in enumerate(values) if value is not None]
            check_defined(frames, [name], owners)
            OBSERVABLES[name].check_references(frames, owners)
    if not present:
        raise ValueError(
            f"none of the {len(frames)} frames has charges, a dipole, a quadrupole or "
            "a mep to fit; name the keys of your file, for instance "
            "--key charges=my_charges"
        )
    check_total_charges(frames)
    if "charges" in present:
        check_sums(frames)
    return present


def check_defined(frames, names, chosen=None) -> None:
    """Check that structures have the observables of these names.

    Parameters
    ----------
    frames : list of ase.Atoms
    names : list of str
    chosen : list of int, optional
        Indices of the structures that are checked; all where None.

    Raises
    ------
    ValueError
        If a structure is periodic or has no points where its potential is wanted.
    """
    chosen = range(len(frames)) if chosen is None else chosen
    for name in names:
        for index in chosen:
            pbc = frames[index].pbc
            if quantity(name).boundary == "open" and pbc.any():
                raise ValueError(
                    f"the {name} of a periodic structure is not a sum over charges, "
                    f"{frame_name(index)} has pbc {pbc.tolist()}; leave it out of the "
                    "targets"
                )
        if name in OBSERVABLES:
            OBSERVABLES[name].check(frames, chosen)


def check_sums(frames, tolerance: float = 0.05) -> None:
    """Raise ``ValueError`` where charges do not sum to the total charge (both in e)."""
    for index, atoms in enumerate(frames):
        charges = get_target(atoms, "charges")
        if charges is None:
            continue
        total = float(np.sum(charges))
        if abs(total - total_charge(atoms)) > tolerance:
            raise ValueError(
                f"the charges of {frame_name(index)} sum to {total:.3f} e, its total "
                f"charge is {total_charge(atoms):g} e; set total_charge in the file"
            )


def default_properties(pbc) -> list[str]:
    """Return the properties that are computed where the user names none."""
    known = [quantity(name) for name in CHARGES]
    return [one.name for one in known if one.in_ase and one.fits(pbc)]


def observe(atoms, charges: AffineCharges, name: str) -> AffineCharges:
    """Return an observable of one structure as an affine map of the weights."""
    return OBSERVABLES[name].observe(atoms, charges)


def reference(atoms, name: str) -> np.ndarray:
    """Return the reference values of one structure that `observe` is compared with."""
    return OBSERVABLES[name].reference(atoms)


def row_counts(frames, name: str) -> int:
    """Return the number of rows that `charge_rows` makes of the frames that have it."""
    with_target = [atoms for atoms in frames if OBSERVABLES[name].is_given(atoms)]
    return sum(len(reference(atoms, name)) for atoms in with_target)


def present_targets(atoms, names) -> list[str]:
    """Return those of some targets that one structure has, and its total charge."""
    return [name for name in names if OBSERVABLES[name].is_given(atoms)]


def target_rows(atoms, charges_of, names, frame: int):
    """Yield name and rows of what one structure has of some targets.

    Parameters
    ----------
    atoms : ase.Atoms
    charges_of : callable
        Returns the `AffineCharges` that a target is about.
    names : list of str
        Targets and conditions.
    frame : int
        Index of the structure.
    """
    for name in present_targets(atoms, names):
        charges = charges_of(name)
        yield name, charge_rows(atoms, charges, name, frame)
        conditions = OBSERVABLES[name].conditions(charges, names)
        for other, matrix in conditions.items():
            none = np.zeros(len(matrix))
            yield other, Rows(matrix, none, np.full(none.size, frame))


def charge_rows(atoms, charges: AffineCharges, name: str, frame: int) -> Rows:
    """Return the rows of one observable of one structure."""
    observed = observe(atoms, charges, name)
    values = reference(atoms, name) - observed.offset
    return Rows(observed.matrix, values, np.full(len(values), frame))
