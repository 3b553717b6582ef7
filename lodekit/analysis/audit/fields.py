"""Response to a uniform electric field: of dipoles, and of polarization."""

from __future__ import annotations

import numpy as np

from lodekit.models.charge_checks import field_argument

from .derivatives import ANGLES, SMALL_CHANGE, TOLERANCE, least
from .differences import SHIFTS, slopes
from .polarization import BORN, born_charges
from .results import Finding, NotApplicable, check
from .structures import moved

#: V/Å.
FIELD = 0.01
#: e^2 Å^2/eV; polarizabilities below count as this.
SMALL_POLARIZABILITY = 1e-3


def moment_name(subject, atoms) -> str:
    """Return the name of what a field acts on.

    Raises
    ------
    NotApplicable
        If the structure is periodic, and the model has no polarization.
    """
    if not atoms.pbc.any():
        return "dipole"
    if not (atoms.pbc.all() and subject.has("polarization")):
        raise NotApplicable("periodic structures have no dipole")
    return "polarization"


def field_frames(subject, atoms, properties) -> list[dict]:
    """Return properties in fields along x, y and z, all `SHIFTS` each.

    Raises
    ------
    NotApplicable
        If the model has no response to a field, or the structure no dipole.
    """
    try:
        field_argument(subject.model, FIELD)
    except ValueError:
        raise NotApplicable("no response to a field") from None
    for name in properties:
        subject.require(name)
    fields = [shift * FIELD * axis for axis in np.eye(3) for shift in SHIFTS]
    return [subject.compute([atoms], properties, field=field)[0] for field in fields]


@check(
    "field", "the dipole is minus the derivative of the energy by a field", 1e-6, "e·Å"
)
def field(subject, atoms, random) -> Finding:
    """Compare the dipole with differences of energies."""
    name = moment_name(subject, atoms)
    results = field_frames(subject, atoms, ["energy", name])
    numerical = -slopes([result["energy"] for result in results], FIELD)
    (moment,) = subject.values([atoms], name)
    return Finding(
        float(np.abs(numerical - moment).max()),
        f"{name} {np.linalg.norm(moment):.3g} e·Å",
    )


@check(
    "polarizability",
    "the derivative of the dipole by a field is symmetric, positive and finite",
    1e-6,
    "relative",
)
def polarizability(subject, atoms, random) -> Finding:
    """Look at the matrix of dd/dE: its antisymmetric part and its negative values."""
    name = moment_name(subject, atoms)
    results = field_frames(subject, atoms, [name])
    matrix = slopes([result[name] for result in results], FIELD)
    scale = max(np.abs(matrix).max(), SMALL_POLARIZABILITY)
    lowest = np.linalg.eigvalsh(0.5 * (matrix + matrix.T)).min()
    skew = np.abs(matrix - matrix.T).max()
    return Finding(
        float(max(skew, -lowest, 0.0) / scale),
        f"{np.trace(matrix) / 3.0:.3g} e^2 Å^2/eV",
    )


@check(
    "field-forces",
    "forces change with a field by the Born charges: second derivatives are symmetric "
    "(Eq. 25)",
    1e-6,
    "e",
)
def field_forces(subject, atoms, random) -> Finding:
    """Compare dF/dE with Born charges, which are dM/dR."""
    moment_name(subject, atoms)
    results = field_frames(subject, atoms, ["forces"])
    numerical = slopes([result["forces"] for result in results], FIELD)
    charges = born_charges(subject, atoms).swapaxes(0, 1)
    return Finding(
        float(np.abs(numerical - charges).max()),
        f"{BORN} up to {np.abs(charges).max():.3g} e",
    )


@check(
    "hysteresis",
    "the work around a closed path of positions and fields vanishes",
    TOLERANCE,
    "relative",
)
def hysteresis(subject, atoms, random) -> Finding:
    """Integrate F . dR + M . dE around a circle in the space of all of R and E."""
    name = moment_name(subject, atoms)
    field_frames(subject, atoms, ["forces"])
    shifts, fields = random.normal(size=(2, len(atoms), 3)), random.normal(size=(2, 3))

    def error_of(length):
        axes = length * shifts, length * fields
        work, change = cycle_work(subject, atoms, name, *axes)
        least_change = SMALL_CHANGE * length * np.sqrt(3 * len(atoms))
        return abs(work) / (2.0 * np.pi * length * max(change, least_change))

    return Finding(least(error_of), "of the change of forces and moments")


def cycle_work(subject, atoms, name, shifts, fields) -> tuple[float, float]:
    """Return the work around a cycle, and how much forces and moments change there.

    Parameters
    ----------
    shifts : ndarray of shape (2, n_atoms, 3)
        Displacements in Å by cos t and by sin t.
    fields : ndarray of shape (2, 3)
        Likewise in V/Å.
    """
    work, values = 0.0, []
    for angle in ANGLES:
        wave, slope = (np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))
        place = moved(atoms, np.tensordot(wave, shifts, 1))
        (found,) = subject.compute(
            [place], ["forces", name], field=np.dot(wave, fields)
        )
        work += found[name] @ np.dot(slope, fields)
        work += np.sum(found["forces"] * np.tensordot(slope, shifts, 1))
        values.append(np.append(found["forces"], found[name]))
    step = 2.0 * np.pi / len(ANGLES)
    changes = np.array(values) - np.mean(values, axis=0)
    return float(step * work), float(np.sqrt(np.sum(changes**2) / len(ANGLES)))
