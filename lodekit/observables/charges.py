"""Charges, dipoles and quadrupoles as rows, linear in the weights behind the charges.

The charges of one structure are affine in the weights, q = C w + q_0, whatever the
model: predicted by environments or equilibrated. Atomic dipoles d_i may go with them.
What is measured is linear in both:

* charges: q (e),
* dipole: sum_i q_i (R_i - R_c) + d_i (e·Å), with R_c the centre of positions; a
  reference dipole counts from the origin of coordinates, so that Q R_c is taken from
  it,
* quadrupole: the traceless part of the second moment, sum_i q_i (R_i R_i^T - R_i^2 / 3)
  + R_i d_i^T + d_i R_i^T - 2/3 R_i.d_i (e·Å²) for the origin of coordinates, in the
  order xx, yy, zz, yz, xz, xy; 3/2 times it is Buckingham's quadrupole,
* total charge: sum_i q_i (e).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lodekit.structures import frame_name, get_target

from .energy import Rows, is_present

PROPERTIES = ("charges", "dipole", "quadrupole")
UNITS = {"charges": "e", "dipole": "e·Å", "quadrupole": "e·Å²"}
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class AffineCharges:
    """Charges of one structure, affine in the weights: q = matrix w + offset.

    Attributes
    ----------
    matrix : ndarray of shape (n_atoms, rank)
    offset : ndarray of shape (n_atoms,)
    dipoles : ndarray of shape (n_atoms, 3, n) or None
        Atomic dipoles (e·Å), linear in the last n of the weights.
    """

    matrix: np.ndarray
    offset: np.ndarray
    dipoles: np.ndarray | None = None

    def values(self, weights: np.ndarray) -> np.ndarray:
        """Return the charges in e, (n_atoms,)."""
        return self.matrix @ weights + self.offset

    def dipole_values(self, weights: np.ndarray) -> np.ndarray:
        """Return the atomic dipoles in e·Å, (n_atoms, 3)."""
        if self.dipoles is None:
            return np.zeros((len(self.matrix), 3))
        return self.dipoles @ weights[weights.size - self.dipoles.shape[2] :]


def total_charge(atoms) -> float:
    """Return the total charge of a structure in e: 0 where it is not given."""
    value = get_target(atoms, "total_charge")
    return 0.0 if value is None else float(value)


def check_total_charges(frames) -> bool:
    """Return whether any structure is charged.

    Raises
    ------
    ValueError
        If some frames have a total charge and others do not.
    """
    given = [get_target(atoms, "total_charge") for atoms in frames]
    missing = [i for i, value in enumerate(given) if value is None]
    if missing and len(missing) < len(given):
        raise ValueError(
            f"total_charge is missing in {len(missing)} of {len(given)} frames (first: "
            f"{frame_name(missing[0])}) and given in the others; give it in every frame"
        )
    return any(given)


def collect_charge_targets(frames, names=None) -> list[str]:
    """Return the names of the targets to fit, all that every frame has where None.

    Raises
    ------
    ValueError
        If a target is unknown, absent from some frames, or charges of a frame do not
        sum to its total charge; or if nothing is found.
    """
    for name in names or ():
        if name not in PROPERTIES:
            raise ValueError(f"targets must be among {list(PROPERTIES)}, got '{name}'")
    found = []
    for name in names or PROPERTIES:
        missing = [i for i, a in enumerate(frames) if get_target(a, name) is None]
        if is_present(name, missing, len(frames), len(frames), bool(names)):
            found.append(name)
    if not found:
        raise ValueError(
            f"none of the {len(frames)} frames has charges, a dipole or a quadrupole "
            "to fit; name the keys of your file, for instance --key charges=my_charges"
        )
    if "dipole" in found or "quadrupole" in found:
        check_open(frames, found)
    check_total_charges(frames)
    if "charges" in found:
        check_sums(frames)
    return found


def check_open(frames, names) -> None:
    """Raise ``ValueError`` where moments of a periodic structure are asked for."""
    for index, atoms in enumerate(frames):
        if atoms.pbc.any():
            wanted = [name for name in names if name != "charges"]
            raise ValueError(
                f"the {wanted[0]} of a periodic structure is not a sum over charges, "
                f"{frame_name(index)} has pbc {atoms.pbc.tolist()}; leave it out of "
                "the targets"
            )


def check_sums(frames, tolerance: float = 0.05) -> None:
    """Raise ``ValueError`` where charges do not sum to the total charge (both in e)."""
    for index, atoms in enumerate(frames):
        total = float(np.sum(get_target(atoms, "charges")))
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
    name : {"charges", "dipole", "quadrupole", "total_charge"}
    """
    if name == "charges":
        return AffineCharges(charges.matrix, charges.offset)
    if name == "total_charge":
        operator = np.ones((1, len(atoms)))
    elif name == "dipole":
        operator = (atoms.positions - atoms.positions.mean(axis=0)).T
    else:
        operator = quadrupole_operator(atoms.positions)
    observed = AffineCharges(operator @ charges.matrix, operator @ charges.offset)
    if charges.dipoles is not None and name != "total_charge":
        n_columns = charges.dipoles.shape[2]
        observed.matrix[:, -n_columns:] += (
            charges.dipoles.sum(axis=0)
            if name == "dipole"
            else dipoles_to_quadrupole(atoms.positions, charges.dipoles)
        )
    return observed


def dipoles_to_quadrupole(positions: np.ndarray, dipoles: np.ndarray) -> np.ndarray:
    """Return what atomic dipoles (n_atoms, 3, n) add to the quadrupole, (6, n)."""
    second = np.einsum("ia,ibn->abn", positions, dipoles)
    second += second.swapaxes(0, 1).copy()
    trace = np.einsum("aan->n", second) / 3.0
    return np.array([second[a, b] - (a == b) * trace for a, b in VOIGT])


def quadrupole_operator(positions: np.ndarray) -> np.ndarray:
    """Return what turns charges into the traceless quadrupole, (6, n_atoms)."""
    squares = np.einsum("ia,ia->i", positions, positions)
    return np.array(
        [positions[:, a] * positions[:, b] - (a == b) * squares / 3.0 for a, b in VOIGT]
    )


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
    """Return the number of rows that `charge_rows` makes of all frames."""
    if name == "charges":
        return sum(len(atoms) for atoms in frames)
    return {"dipole": 3, "quadrupole": 6, "total_charge": 1}[name] * len(frames)


def charge_rows(atoms, charges: AffineCharges, name: str, frame: int) -> Rows:
    """Return the rows of one observable of one structure."""
    observed = observe(atoms, charges, name)
    values = reference(atoms, name) - observed.offset
    return Rows(observed.matrix, values, np.full(len(values), frame))
