"""Checks before a fit: structures that make sense, targets that are there."""

import warnings

import numpy as np

from lodekit.errors import StructureError
from lodekit.quantities import quantity

from .batch import as_frames, frame_name
from .cells import FARTHEST, cell_problem, is_left_handed
from .distances import bond_ratio, shortest_distance
from .keys import keys_of, known_target, resolve_keys
from .suspicions import (
    COMPARABLE,
    largest_size,
    suspicious_energies,
    suspicious_lengths,
    suspicious_sizes,
)
from .targets import get_target

#: Atoms nearer than this, in Å, are one atom written twice, or a wrong cell. Two bare
#: protons at 0.05 Å repel each other with 288 eV: no reference calculation goes there,
#: while copies of an atom are equal up to the digits that were written.
OVERLAP_DISTANCE = 0.05
#: Share of the structures that may lack a target before it has to be meant.
MOSTLY_MISSING = 0.75


def check_structures(frames, targets=(), *, keys=None, allow_missing=False, n_before=0):
    """Check that structures can be fitted, and stop at the first that cannot.

    Parameters
    ----------
    frames : list of ase.Atoms
        The structures.
    targets : iterable of str
        Names of the targets that the fit needs.
    keys : dict, optional
        Key map as in `resolve_keys`; not needed after `read_structures`.
    allow_missing : bool
        Accept targets that only some of the structures have.
    n_before : int
        Structures that stand before these ones, for messages.

    Returns
    -------
    counts : dict of int
        Number of structures that have each target.

    Raises
    ------
    StructureError
        With one line that says which frame, what is wrong and what to do. Frames are
        counted from 1; the index counts from 0.

    Warns
    -----
    UserWarning
        If numbers look as if units were mixed.
    """
    frames = as_frames(frames)
    if not frames:
        raise StructureError("there are no structures to work with")
    targets = [known_target(name).name for name in targets]
    present = {name: [] for name in targets}
    sizes = {name: {} for name in targets if name in COMPARABLE}
    compositions, energies, ratios = [], [], []
    for index, structure in enumerate(frames):
        try:
            shortest = _check_structure(structure)
            values = {name: get_target(structure, name, keys) for name in targets}
        except StructureError as problem:
            where = frame_name(n_before + index)
            raise StructureError(f"{where}: {problem}") from None
        for name, value in values.items():
            present[name].append(value is not None)
            if name in sizes and value is not None:
                sizes[name][index] = largest_size(value)
        if values.get("energy") is not None:
            compositions.append(structure.get_chemical_formula())
            energies.append(values["energy"] / len(structure))
        if shortest is not None:
            ratios.append(bond_ratio(structure, shortest))
    for name in targets:
        _check_missing(frames, name, present[name], keys, allow_missing)
    for suspicion in (
        suspicious_energies(compositions, energies),
        suspicious_lengths(ratios),
        *(suspicious_sizes(name, sizes[name]) for name in sizes),
    ):
        if suspicion:
            warnings.warn(suspicion, stacklevel=2)
    return {name: sum(present[name]) for name in targets}


def can_have(structure, name):
    """Return whether a structure can have a target that is asked of it.

    Stress needs a cell, the moments of a periodic structure are no sums over charges,
    and the force on a single atom is zero.
    """
    target = quantity(name)
    return bool(target.fits(structure.pbc)) and len(structure) >= target.least_atoms


def is_mostly_missing(n_missing, n_possible):
    """Return whether so many structures lack a target that it may be a mistake.

    Every third structure with stress is usual; one of four or fewer is not.
    """
    return n_missing >= MOSTLY_MISSING * n_possible > 0


def geometry_problem(structure):
    """Say why distances in a structure cannot be computed, or return None."""
    if not len(structure):
        return "the structure has no atoms; remove it"
    sizes = np.abs(structure.positions).max(axis=1)
    atom = int(np.argmin(sizes <= FARTHEST))  # NaN is not smaller than anything
    if not sizes[atom] <= FARTHEST:
        position = " ".join(f"{value:.4g}" for value in structure.positions[atom])
        fault = "far from everything" if np.isfinite(sizes[atom]) else "not finite"
        return f"atom {atom + 1} has the position {position}, which is {fault}"
    return cell_problem(structure.cell[:], structure.pbc)


def _check_structure(structure):
    """Return the shortest distance of a structure that has nothing wrong."""
    problem = geometry_problem(structure)
    if problem:
        raise StructureError(problem)
    if structure.pbc.all() and is_left_handed(structure.cell[:]):
        raise StructureError(
            "the cell vectors are left-handed (negative volume); swap two of them, "
            "with their pbc flags"
        )
    shortest = shortest_distance(structure)
    if shortest is not None and shortest.distance < OVERLAP_DISTANCE:
        raise StructureError(
            f"atoms {shortest.first + 1} and {shortest.second + 1} are "
            f"{shortest.distance:.3g} Å apart, on top of each other; remove one of "
            "them, or correct the cell or the length unit"
        )
    return shortest


def _check_missing(frames, name, present, keys, allow_missing):
    n_missing = len(present) - sum(present)
    looked_for = ", ".join(resolve_keys(keys)[name])
    if n_missing == len(present):
        has = sorted({key for structure in frames[:1] for key in keys_of(structure)})
        raise StructureError(
            f"no frame has {name} (looked for {looked_for}; the first frame has "
            f"{', '.join(has) or 'no targets'}); name the key with {name}=KEY"
        )
    if n_missing and not allow_missing:
        first = [str(index + 1) for index, there in enumerate(present) if not there]
        dots = ", ..." if n_missing > 5 else ""
        raise StructureError(
            f"{name} is missing in {n_missing} of {len(present)} frames "
            f"({', '.join(first[:5])}{dots}; looked for {looked_for}); leave them out "
            "or allow missing targets"
        )
