"""Charges and what follows from them as rows, linear in the weights behind them.

The charges of one structure are affine in the weights, q = C w + q_0, whatever the
model: predicted by environments or equilibrated. Atomic dipoles and quadrupoles may go
with them. What is measured (charges, dipole, quadrupole, potential at points) is linear
in all of them; see `moments`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.structures import frame_name, get_target
from lodekit.structures.checks import can_have
from lodekit.structures.lookalikes import hidden_total_charge

from .energy import Rows
from .moments import VOIGT, check_points, moment_operators
from .presence import is_present

PROPERTIES = ("charges", "dipole", "quadrupole", "mep")
DEVIATIONS = tuple(f"{name}_std" for name in PROPERTIES)
#: Names of atomic moments, by order.
ATOMIC_MOMENTS = ("atomic_dipoles", "atomic_quadrupoles")
UNITS = {"charges": "e", "dipole": "e·Å", "quadrupole": "e·Å²", "mep": "V"}
#: Those that structures without periodic directions have only.
OPEN_ONLY = ("dipole", "quadrupole", "mep")


@dataclass(frozen=True)
class AffineCharges:
    """Charges of one structure, affine in the weights: q = matrix w + offset.

    Attributes
    ----------
    matrix : ndarray of shape (n_atoms, rank)
    offset : ndarray of shape (n_atoms,)
    moments : tuple of ndarray
        Atomic dipoles (e·Å), (n_atoms, 3, n), and quadrupoles (e·Å²), (n_atoms, 6, n'),
        as far as there are any, each linear in weights of its own, the last ones.
    """

    matrix: np.ndarray
    offset: np.ndarray
    moments: tuple = ()

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return the charges in e, (n_atoms,)."""
        return self.matrix @ weights + self.offset

    @property
    def columns(self) -> list[slice]:
        """The weights of each of the moments."""
        sizes = [moments.shape[2] for moments in self.moments]
        stops = self.matrix.shape[1] - sum(sizes) + np.cumsum(sizes)
        return [slice(b - n, b) for n, b in zip(sizes, stops, strict=True)]

    def moment_values(self, weights: np.ndarray) -> list[np.ndarray]:
        """Return the atomic dipoles (n_atoms, 3) and quadrupoles (n_atoms, 6)."""
        pairs = zip(self.moments, self.columns, strict=True)
        return [moments @ weights[own] for moments, own in pairs]


def total_charge(atoms) -> float:
    """Return the total charge of a structure in e: 0 where it is not given."""
    value = get_target(atoms, "total_charge")
    return 0.0 if value is None else float(value)


def check_total_charges(frames) -> bool:
    """Return whether any structure is charged.

    Raises
    ------
    ValueError
        If some frames have a total charge and others do not, or it seems to be under
        another name.
    """
    given = [get_target(atoms, "total_charge") for atoms in frames]
    missing = [i for i, value in enumerate(given) if value is None]
    for index in missing:
        hidden = hidden_total_charge(frames[index])
        if hidden:
            raise ValueError(f"{frame_name(index)} has no total_charge, but {hidden}")
    if missing and len(missing) < len(given):
        raise ValueError(
            f"total_charge is missing in {len(missing)} of {len(given)} frames (first: "
            f"{frame_name(missing[0])}) and given in the others; give it in every frame"
        )
    return any(given)


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
        if name not in PROPERTIES:
            raise ValueError(f"targets must be among {list(PROPERTIES)}, got '{name}'")
    found = []
    for name in names or PROPERTIES:
        values = [get_target(atoms, name) for atoms in frames]
        possible = [can_have(atoms, name) for atoms in frames]
        if is_present(name, values, possible, bool(names)):
            found.append(name)
            owners = [i for i, value in enumerate(values) if value is not None]
            check_defined(frames, [name], owners)
    if not found:
        raise ValueError(
            f"none of the {len(frames)} frames has charges, a dipole, a quadrupole or "
            "a mep to fit; name the keys of your file, for instance "
            "--key charges=my_charges"
        )
    check_total_charges(frames)
    if "charges" in found:
        check_sums(frames)
    return found


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
    wanted = [name for name in names if name in OPEN_ONLY]
    chosen = range(len(frames)) if chosen is None else chosen
    for index in chosen if wanted else ():
        if frames[index].pbc.any():
            raise ValueError(
                f"the {wanted[0]} of a periodic structure is not a sum over charges, "
                f"{frame_name(index)} has pbc {frames[index].pbc.tolist()}; leave it "
                "out of the targets"
            )
    if "mep" in wanted:
        check_points(frames, chosen)


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


def observe(atoms, charges: AffineCharges, name: str) -> AffineCharges:
    """Return an observable of one structure as an affine map of the weights.

    Parameters
    ----------
    atoms : ase.Atoms
    charges : AffineCharges
    name : {"charges", "dipole", "quadrupole", "mep", "total_charge"}
    """
    if name == "charges":
        return AffineCharges(charges.matrix, charges.offset)
    on_charges, *on_moments = moment_operators(atoms, name)
    observed = AffineCharges(on_charges @ charges.matrix, on_charges @ charges.offset)
    parts = zip(on_moments, charges.moments, charges.columns, strict=False)
    for operator, moments, own in parts:
        observed.matrix[:, own] += np.tensordot(operator, moments, 2)
    return observed


def reference(atoms, name: str) -> np.ndarray:
    """Return the reference values of one structure that `observe` is compared with."""
    if name == "total_charge":
        return np.array([total_charge(atoms)])
    value = np.asarray(get_target(atoms, name), dtype=float)
    if name == "dipole":
        return value - total_charge(atoms) * atoms.positions.mean(axis=0)
    if name == "quadrupole":
        traceless = value - np.trace(value) / 3.0 * np.eye(3)
        return np.array([traceless[a, b] for a, b in VOIGT])
    return value


def row_counts(frames, name: str) -> int:
    """Return the number of rows that `charge_rows` makes of the frames that have it."""
    if name == "total_charge":
        return len(frames)
    values = [get_target(atoms, name) for atoms in frames]
    sizes = {"dipole": 3, "quadrupole": 6}
    return sum(sizes.get(name, np.size(v)) for v in values if v is not None)


def present_targets(atoms, names) -> list[str]:
    """Return those of some targets that one structure has, and its total charge."""
    return [
        name
        for name in names
        if name == "total_charge" or get_target(atoms, name) is not None
    ]


def charge_rows(atoms, charges: AffineCharges, name: str, frame: int) -> Rows:
    """Return the rows of one observable of one structure."""
    observed = observe(atoms, charges, name)
    values = reference(atoms, name) - observed.offset
    return Rows(observed.matrix, values, np.full(len(values), frame))
