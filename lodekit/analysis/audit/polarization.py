"""Laws of polarization: Born charges are its derivatives, and ions carry whole charges.

With M the volume times the polarization, or the dipole of an open structure (review,
Eqs. 25, 29 and 30),

    sum_i Z_i = Q,    Z_i = dM/dR_i,    integral of sum_i Z_i . dR_i = whole charges

along the way of atoms through a periodic cell to their images.
"""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import total_charge

from .derivatives import ANGLES, N_PATHS, least
from .differences import SHIFTS, slopes
from .results import Finding, NotApplicable, check
from .structures import moved

#: Å.
STEP = 1e-3
#: Least change of charges around a loop in e/Å that counts.
SMALL_SPREAD = 1e-2
BORN = "born_effective_charges"


def born_charges(subject, atoms) -> np.ndarray:
    """Return Born charges, (n_atoms, 3, 3).

    Raises
    ------
    NotApplicable
        If the model has none of this structure.
    """
    if BORN not in subject.model.properties:
        raise NotApplicable("the model computes no Born charges")
    try:
        (result,) = subject.model.compute([atoms], [BORN])
    except ValueError as reason:
        raise NotApplicable(str(reason)) from None
    return result[BORN]


def moment_name(subject, atoms) -> str:
    """Return the name of M of a structure.

    Raises
    ------
    NotApplicable
        If the model has none.
    """
    for name in ("polarization", "dipole"):
        if name in subject.defined(atoms):
            return name
    raise NotApplicable("the model has no polarization or dipole of this structure")


@check("born-sum", "Born charges sum to the total charge (Eq. 30)", 1e-8, "e")
def born_sum(subject, atoms, random) -> Finding:
    """Add the Born charges."""
    charges = born_charges(subject, atoms)
    excess = charges.sum(axis=0) - total_charge(atoms) * np.eye(3)
    return Finding(float(np.abs(excess).max()))


@check(
    "born-derivative",
    "Born charges are derivatives of the polarization (Eq. 25)",
    1e-6,
    "e",
)
def born_derivative(subject, atoms, random) -> Finding:
    """Compare the polarization along short paths with sum_i Z_i . dR_i."""
    charges = born_charges(subject, atoms)
    name = moment_name(subject, atoms)
    paths = random.normal(size=(N_PATHS, len(atoms), 3))
    frames = [moved(atoms, shift * STEP * path) for path in paths for shift in SHIFTS]
    moments = np.array(subject.values(frames, name))
    numerical = slopes(moments, STEP)
    expected = np.einsum("iab,pib->pa", charges, paths)
    scale = np.sqrt(len(atoms))  # of a path, per e
    return Finding(float(np.abs(numerical - expected).max() / scale))


@check(
    "born-loop",
    "Born charges change the polarization by nothing around a closed path (Eq. 29)",
    1e-5,
    "relative",
)
def born_loop(subject, atoms, random) -> Finding:
    """Integrate sum_i Z_i . dR_i around a circle in the space of all positions."""
    born_charges(subject, atoms)
    axes = random.normal(size=(2, len(atoms), 3))

    def error_of(length):
        change, spread = loop_change(subject, atoms, length * axes)
        least_spread = SMALL_SPREAD * length
        scale = 2.0 * np.pi * length * np.sqrt(3 * len(atoms))
        return change / (scale * max(spread, least_spread))

    error = least(error_of)
    is_fitted = BORN in getattr(subject.model, "targets_", ())
    if not is_fitted and not {"polarization", "dipole"} & {*subject.defined(atoms)}:
        raise NotApplicable(
            "charges of surroundings have no polarization in periodic structures: it "
            "does not come back by this fraction",
            error,
        )
    return Finding(error, "of the change of charges")


def loop_change(subject, atoms, axes) -> tuple[float, float]:
    """Return the change of M around R + u cos t + v sin t, and the spread of charges.

    Parameters
    ----------
    axes : ndarray of shape (2, n_atoms, 3)
        u and v in Å.
    """
    waves = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)
    places = np.einsum("td,dia->tia", waves, axes)
    tangents = np.einsum("td,dia->tia", waves, [axes[1], -axes[0]])
    frames = [moved(atoms, place) for place in places]
    born_charges = [result[BORN] for result in subject.model.compute(frames, [BORN])]
    charges = np.array(born_charges)
    step = 2.0 * np.pi / len(ANGLES)
    change = step * np.einsum("tiab,tib->a", charges, tangents)
    spread = np.sqrt(np.mean((charges - charges.mean(axis=0)) ** 2))
    return float(np.abs(change).max()), float(spread)


@check(
    "transported-charge",
    "an atom that goes through the cell to its image carries a whole charge (Eq. 29)",
    1e-6,
    "e",
)
def transported_charge(subject, atoms, random) -> Finding:
    """Take one atom of every element through the cell along every vector."""
    if not atoms.pbc.all():
        raise NotApplicable("atoms have images in periodic structures only")
    name = moment_name(subject, atoms)
    (start,) = subject.values([atoms], name)
    carried, worst = {}, 0.0
    for symbol in dict.fromkeys(atoms.symbols):
        atom = list(atoms.symbols).index(symbol)
        for vector in atoms.cell[:]:
            end = atoms.copy()
            end.positions[atom] += vector
            (moment,) = subject.values([end], name)
            along = np.linalg.solve(atoms.cell[:].T, moment - start)
            worst = max(worst, float(np.abs(along - np.rint(along)).max()))
            carried[symbol] = max(along, key=abs)
    listed = ", ".join(f"{symbol} {charge:.6g} e" for symbol, charge in carried.items())
    return Finding(worst, listed)
