"""Fragments of a structure whose charges are given: molecules, electrodes, ions.

``atoms.arrays["fragments"]`` holds a label (a whole number) for every atom, and
``atoms.info["fragment_charges"]`` the charge in e of every fragment, in the order of
sorted labels. Without charges, fragments are neutral.
"""

from __future__ import annotations

import numpy as np

from lodekit.structures import frame_name

from .charges import total_charge

LABELS, CHARGES = "fragments", "fragment_charges"
#: Difference in e between the charges of fragments and the total charge.
TOLERANCE = 1e-6


def fragment_labels(atoms) -> np.ndarray | None:
    """Return the label of every atom, (n_atoms,), or None.

    Raises
    ------
    ValueError
        If there is not one whole number for each atom.
    """
    labels = atoms.arrays.get(LABELS)
    if labels is None:
        return None
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{LABELS} must be one whole number for each atom (a column {LABELS}:I:1), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    return labels


def given_charges(atoms) -> tuple[float, np.ndarray]:
    """Return the total charge, and those of fragments in the order of labels, in e.

    Raises
    ------
    ValueError
        If charges are missing where the structure is charged, are too few or too many,
        or do not sum to the total charge.
    """
    total, labels = total_charge(atoms), fragment_labels(atoms)
    charges = atoms.info.get(CHARGES)
    if labels is None:
        if charges is not None:
            raise ValueError(
                f"{CHARGES} need a column {LABELS} that says which atoms they are of"
            )
        return total, np.zeros(0)
    n_fragments = np.unique(labels).size
    if charges is None:
        if n_fragments > 1 and total != 0.0:
            raise ValueError(
                f"total_charge is {total:g} e, and {CHARGES} does not say which of the "
                f"{n_fragments} fragments has it; give it"
            )
        return total, np.full(n_fragments, total)
    charges = np.atleast_1d(np.asarray(charges, dtype=float))
    if charges.shape != (n_fragments,) or not np.isfinite(charges).all():
        raise ValueError(
            f"{CHARGES} must be {n_fragments} finite numbers, one for each fragment in "
            f"the order of labels, got {charges.tolist()}"
        )
    if abs(charges.sum() - total) > TOLERANCE:
        raise ValueError(
            f"{CHARGES} sum to {charges.sum():g} e, total_charge is {total:g} e; make "
            "them agree"
        )
    return total, charges


def check_fragments(frames, needed: bool = False) -> bool:
    """Return whether frames have fragments.

    Parameters
    ----------
    frames : list of ase.Atoms
    needed : bool
        Whether a model was fitted to fragments.

    Raises
    ------
    ValueError
        If some frames have fragments and others do not, or what they say contradicts.
    """
    for index, atoms in enumerate(frames):
        try:
            given_charges(atoms)
        except ValueError as problem:
            raise ValueError(f"{frame_name(index)}: {problem}") from None
    missing = [i for i, atoms in enumerate(frames) if fragment_labels(atoms) is None]
    if missing and (needed or len(missing) < len(frames)):
        others = "the frames of the fit" if needed else "other frames"
        raise ValueError(
            f"{frame_name(missing[0])} has no {LABELS}, and {others} have; give every "
            "frame a label for each atom, the same one where charge flows freely"
        )
    return not missing
