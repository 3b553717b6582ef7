"""Response to a uniform electric field: of dipoles, and of polarization."""

from __future__ import annotations

import numpy as np

from lodekit.models.charge_checks import field_argument

from .differences import SHIFTS, slopes
from .results import Finding, NotApplicable, check

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
