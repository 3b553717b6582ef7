"""All checks of a model on some structures."""

from __future__ import annotations

import numpy as np

from lodekit.errors import SettingsError
from lodekit.fitting.progress import progress_bar
from lodekit.structures import check_structures
from lodekit.structures.batch import as_frames

from .charges import chemical_potential, frozen_charges, total
from .derivatives import closed_loop, forces, stress
from .fields import field, field_forces, hysteresis, polarizability
from .locality import charge_locality, locality
from .polarization import (
    born_derivative,
    born_loop,
    born_sum,
    transported_charge,
)
from .results import Check, CheckResult, NotApplicable
from .separations import copies, fragments
from .structures import bare
from .subject import Subject
from .symmetries import (
    batches,
    inversion,
    permutation,
    rotation,
    supercell,
    threads,
    translation,
)

#: All checks by name, in the order in which they are shown.
CHECKS = {
    check.name: check
    for check in (
        *(forces, closed_loop, stress),
        *(translation, rotation, inversion, permutation),
        *(batches, threads),
        *(supercell, copies, fragments, locality),
        *(total, charge_locality, chemical_potential, frozen_charges),
        *(field, polarizability, field_forces, hysteresis),
        *(born_sum, born_derivative, born_loop, transported_charge),
    )
}


def audit_model(model, frames, checks=None, progress=False) -> list[CheckResult]:
    """Check whether a fitted model obeys physical laws.

    Parameters
    ----------
    model : estimator
        A fitted model of `lodekit.models`.
    frames : ase.Atoms or list of ase.Atoms
        Structures to check with; what they have besides total charges is not used.
    checks : list of str, optional
        Names in `CHECKS`; all if None.
    progress : bool
        Whether to show how far it went.

    Returns
    -------
    results : list of CheckResult
        One for each check. Random displacements are the same every time.

    Raises
    ------
    SettingsError
        For an unknown check.
    ValueError
        For structures that the model cannot compute.
    """
    frames = as_frames(frames)
    check_structures(frames)
    chosen = [find_check(name) for name in (CHECKS if checks is None else checks)]
    subject = Subject(model, [bare(atoms) for atoms in frames])
    outcomes: dict[str, list] = {check.name: [] for check in chosen}
    work = [(check, i) for check in chosen for i in range(len(frames))]
    for check, index in progress_bar(work, "auditing", progress):
        outcomes[check.name].append(measure(check, subject, index))
    return [CheckResult.judge(check, outcomes[check.name]) for check in chosen]


def find_check(name: str) -> Check:
    """Return a check by name."""
    if name not in CHECKS:
        raise SettingsError(
            f"there is no check '{name}'; there are {', '.join(CHECKS)}"
        )
    return CHECKS[name]


def measure(check: Check, subject: Subject, index: int):
    """Return the `Finding` in one structure, or why there is none."""
    random = np.random.default_rng(index)
    try:
        return check.measure(subject, subject.frames[index], random)
    except NotApplicable as reason:
        return reason
