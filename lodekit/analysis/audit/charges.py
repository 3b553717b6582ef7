"""Laws of charges: their sum, their chemical potentials, their part in the forces.

With charges q(R), the energy U(R, q) changes along u as (review, Eq. 14)

    dU/dt = dU/dt at fixed q + sum_i V_i dq_i/dt,    V_i = dU/dq_i,

and the last sum vanishes where the charges minimise U at a given total charge (Eq. 15).
"""

from __future__ import annotations

import numpy as np

from lodekit.observables.charges import total_charge

from .derivatives import N_PATHS, force_scale, root_mean_square
from .differences import SHIFTS, slopes
from .results import Finding, NotApplicable, check
from .structures import moved

#: Å.
STEP = 1e-3
#: Random transfers of charge for each structure, and their size in e.
N_TRANSFERS = 8
TRANSFER = 0.01


@check("total-charge", "charges sum to the total charge", 1e-10, "e")
def total(subject, atoms, random) -> Finding:
    """Add the charges."""
    subject.require("charges")
    (charges,) = subject.values([atoms], "charges")
    return Finding(abs(float(np.sum(charges)) - total_charge(atoms)))


@check(
    "chemical-potential",
    "transfers of charge from atom to atom do not change the energy at first order",
    1e-6,
    "V",
)
def chemical_potential(subject, atoms, random) -> Finding:
    """Move charge at random, without a change of the total charge."""
    subject.require("charges")
    if not subject.is_equilibrated:
        raise NotApplicable("the charges do not minimise the energy")
    if len(atoms) < 2:
        raise NotApplicable("one atom has the total charge")
    (charges,) = subject.values([atoms], "charges")
    transfers = random.normal(size=(N_TRANSFERS, len(atoms)))
    transfers = subject.model.solve([atoms]).systems[0].allowed(transfers.T).T
    sets = [charges + shift * TRANSFER * v for v in transfers for shift in SHIFTS]
    energies = subject.model.energies_of_charges(atoms, np.array(sets))
    return Finding(root_mean_square(slopes(energies, TRANSFER)))


@check(
    "frozen-charges",
    "frozen charges give the whole forces: sum_i V_i dq_i/dR = 0 (Eq. 15)",
    1e-6,
    "relative",
)
def frozen_charges(subject, atoms, random) -> Finding:
    """Let the charges follow displacements while the atoms stay where they are."""
    for name in ("charges", "energy", "forces"):
        subject.require(name)
    paths = random.normal(size=(N_PATHS, len(atoms), 3))
    frames = [moved(atoms, shift * STEP * path) for path in paths for shift in SHIFTS]
    (forces,) = subject.values([atoms], "forces")
    charges = np.array(subject.values(frames, "charges"))
    energies = subject.model.energies_of_charges(atoms, charges)
    part = root_mean_square(slopes(energies, STEP)) / force_scale(forces)
    if not subject.is_equilibrated:
        raise NotApplicable(
            "the charges do not minimise the energy: dq/dR makes this fraction of the "
            "forces",
            part,
        )
    return Finding(part)
