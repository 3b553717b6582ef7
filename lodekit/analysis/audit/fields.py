"""Response to a uniform electric field, of open structures."""

from __future__ import annotations

import numpy as np

from lodekit.models.charge_checks import field_argument

from .differences import SHIFTS, slopes
from .results import Finding, NotApplicable, check

#: V/Å.
FIELD = 0.01
#: e^2 Å^2/eV; polarizabilities below count as this.
SMALL_POLARIZABILITY = 1e-3


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
    if atoms.pbc.any():
        raise NotApplicable("periodic structures have no dipole")
    fields = [shift * FIELD * axis for axis in np.eye(3) for shift in SHIFTS]
    return [subject.compute([atoms], properties, field=field)[0] for field in fields]


@check(
    "field", "the dipole is minus the derivative of the energy by a field", 1e-6, "e·Å"
)
def field(subject, atoms, random) -> Finding:
    """Compare the dipole with differences of energies."""
    results = field_frames(subject, atoms, ["energy", "dipole"])
    numerical = -slopes([result["energy"] for result in results], FIELD)
    (dipole,) = subject.values([atoms], "dipole")
    return Finding(
        float(np.abs(numerical - dipole).max()),
        f"dipole {np.linalg.norm(dipole):.3g} e·Å",
    )


@check(
    "polarizability",
    "the derivative of the dipole by a field is symmetric, positive and finite",
    1e-6,
    "relative",
)
def polarizability(subject, atoms, random) -> Finding:
    """Look at the matrix of dd/dE: its antisymmetric part and its negative values."""
    results = field_frames(subject, atoms, ["dipole"])
    dipoles = np.array([result["dipole"] for result in results])
    matrix = slopes(dipoles, FIELD)
    scale = max(np.abs(matrix).max(), SMALL_POLARIZABILITY)
    lowest = np.linalg.eigvalsh(0.5 * (matrix + matrix.T)).min()
    skew = np.abs(matrix - matrix.T).max()
    return Finding(
        float(max(skew, -lowest, 0.0) / scale),
        f"{np.trace(matrix) / 3.0:.3g} e^2 Å^2/eV",
    )
